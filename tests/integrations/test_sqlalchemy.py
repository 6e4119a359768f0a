"""The outbox in the shop's own database: in the order's transaction, and on real servers under crashes."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra 'sqlalchemy'")
pytest.importorskip("aiosqlite", reason="needs aiosqlite")

from sqlalchemy import MetaData, String, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import neuroon_async
from neuroon_async import ConfigurationError, Conversion, ConversionItem, InvalidConversion, NeuroonClient
from neuroon_async.integrations.sqlalchemy import SQLAlchemyOutboxStore, outbox_table
from neuroon_async.outbox import ConversionOutbox, DuplicateOrder, OutboxUnavailable
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, Fault


def order(order_id="1001", value=10, lines=1):
    items = [ConversionItem("SKU-1", "log-1", 1, value)] * lines
    return Conversion(order_id=order_id, order_value=value, currency="EUR", conversions=items)


SERVERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("postgresql", "psycopg", "mariadb")]


@pytest.fixture(params=["sqlite", *SERVERS])
async def engine(request, tmp_path):
    if request.param != "sqlite":
        url = request.getfixturevalue(request.param).url
    else:
        url = f"sqlite+aiosqlite:///{tmp_path / 'shop.sqlite3'}"
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS neuroon_outbox"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def store(engine):
    store = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID)
    await store.create_table()
    await store.create_table()  # twice is fine
    return store


async def pending(store):
    return (await store.stats()).pending


async def test_a_conversion_counts_once_its_order_is_committed(store, engine):
    async with AsyncSession(engine) as session:
        async with session.begin():
            assert await store.enqueue_in(session, order("1")) is True
        with pytest.raises(ZeroDivisionError):
            async with session.begin():
                await store.enqueue_in(session, order("2"))
                raise ZeroDivisionError
    async with engine.begin() as connection:
        await store.enqueue_in(connection, order("3"))
    assert [leased.order_id for leased in await store.lease("w", 60, 1e4, 9)] == ["1", "3"]


async def test_nobody_sees_it_before(store, engine):
    if engine.dialect.name == "sqlite":
        pytest.skip("a second connection would wait for the first one's transaction")
    async with AsyncSession(engine) as session, session.begin():
        await store.enqueue_in(session, order("1"))
        assert await pending(store) == 0
    assert await pending(store) == 1


async def test_a_duplicate_leaves_the_transaction_usable(store, engine):
    async with AsyncSession(engine) as session, session.begin():
        await store.enqueue_in(session, order("1"))
        await store.enqueue_in(session, order("1", 10.0))
        with pytest.raises(DuplicateOrder):
            await store.enqueue_in(session, order("1", 11))
        await store.enqueue_in(session, order("2"))
    assert await pending(store) == 2


async def test_an_order_that_is_there_already_fails_as_the_shops_own(store, engine):
    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "shop_orders"
        id: Mapped[str] = mapped_column(String(20), primary_key=True)

    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    for expected in (nullcontext(), pytest.raises(IntegrityError, match=r"shop_orders|PRIMARY")):
        with expected:
            async with AsyncSession(engine) as session, session.begin():
                session.add(Order(id="1"))
                await store.enqueue_in(session, order("1"))
    assert await pending(store) == 1


async def test_what_cannot_be_sent_is_not_stored(store, engine):
    async with AsyncSession(engine) as session, session.begin():
        assert await store.enqueue_in(session, order(lines=0)) is False
        with pytest.raises(InvalidConversion):
            await store.enqueue_in(session, order(value=-1))
    assert await pending(store) == 0


async def test_shops_share_the_table(store, engine):
    other = SQLAlchemyOutboxStore(engine, "shop_other")
    await store.add("1", b"{}")
    await other.add("1", b"[]")
    assert await other.purge_dead(None) == 0
    await other.delivered("1")
    assert await pending(store) == 1
    assert await pending(other) == 0


async def test_without_its_table_it_says_what_to_do(engine):
    store = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID)
    with pytest.raises(ConfigurationError, match=r"no table 'neuroon_outbox': await create_table\(\)"):
        async with ConversionOutbox(store):
            raise AssertionError


async def test_the_table_joins_the_shops_own_metadata(engine):
    metadata = MetaData()
    table = outbox_table(metadata, "neuroon_outbox")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        assert await connection.run_sync(lambda sync: inspect(sync).has_table("neuroon_outbox"))
    store = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID, table=table)
    await store.add("1", b"{}")
    async with engine.connect() as connection:
        assert (await connection.execute(select(table.c.state))).scalar_one() == "pending"


async def test_a_damaged_dead_letter_is_told_and_can_be_purged(store):
    await store.add("1", b"{}")
    await store.lease("w", 60, 1e4, 1)
    await store.mark_dead("1", "no")
    [letter] = await store.dead_letters(5)
    assert (letter.order_id, letter.reason, letter.conversion) == ("1", "no", None)
    assert await store.purge_dead(["1"]) == 1


async def test_a_row_that_somebody_mended_is_sent_and_one_without_a_time_is_shown(tmp_path):
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.sqlite3'}")
    try:
        store = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID)
        await store.create_table()
        await store.add("1", b"{}")
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE neuroon_outbox SET body = 'mended'"))
        [leased] = await store.lease("w", 60, 1e4, 1)
        assert leased.body == b"mended"
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE neuroon_outbox SET state = 'dead'"))
        [letter] = await store.dead_letters(5)
        assert (letter.order_id, letter.refused_at.year) == ("1", 1)
    finally:
        await engine.dispose()


async def test_a_database_that_is_away_is_told_without_the_order(tmp_path):
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'no such folder' / 'shop.sqlite3'}")
    store = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID)
    with pytest.raises(OutboxUnavailable, match="unable to open") as caught:
        await store.add("secret-order", b"{}")
    assert "secret-order" not in str(caught.value)
    with pytest.raises(OutboxUnavailable, match="unable to open"):
        await store.open(None)
    await engine.dispose()
    # aiosqlite tells of the failure before it ends that connection's thread, which must not outlive the loop.
    for thread in [thread for thread in threading.enumerate() if "_connection_worker" in thread.name]:
        await asyncio.to_thread(thread.join, 10)


def test_settings_that_cannot_work(tmp_path):
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 's'}")
    with pytest.raises(ConfigurationError, match="keep_delivered"):
        SQLAlchemyOutboxStore(engine, "shop", keep_delivered=-1)
    engine.dialect.name = "oracle"
    with pytest.raises(ConfigurationError, match="not in oracle"):
        SQLAlchemyOutboxStore(engine, "shop")


async def test_long_ids_orders_and_reasons_have_room(store, engine):
    if engine.dialect.name == "mysql":
        pytest.skip("it has less, and says so: test_mariadb.py")
    long = order("x" * 1_000, lines=1_000)
    async with ConversionOutbox(store) as outbox:
        await outbox.enqueue(long)
        [leased] = await store.lease("w", 60, 600, 1)
        await store.mark_dead(leased.order_id, "no " * 100_000)
        [letter] = await outbox.dead_letters()
    assert (letter.conversion, len(letter.reason)) == (long, 10_000)


# Crashes

WORKER = """
import asyncio, os, random, sys
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from neuroon_async import Conversion, ConversionItem, NeuroonClient
from neuroon_async.integrations.sqlalchemy import SQLAlchemyOutboxStore
from neuroon_async.outbox import ConversionOutbox

database, api, first = sys.argv[1], sys.argv[2], int(sys.argv[3])

async def sell(store, engine, number):
    line = ConversionItem("SKU-1", "log-1", 1, 10)
    conversion = Conversion(order_id=f"o{number}", order_value=10, currency="EUR", conversions=[line])
    try:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO orders VALUES (:id)"), {"id": f"o{number}"})
            await store.enqueue_in(connection, conversion)
            if random.random() < 0.1:
                raise ZeroDivisionError  # the shopper changed his mind
    except ZeroDivisionError:
        pass
    except Exception:
        await asyncio.sleep(0.05)  # the database is away

async def main():
    engine = create_async_engine(database)
    store = SQLAlchemyOutboxStore(engine, "shop_test")
    options = {"lease": 0.5, "poll_interval": 0.02, "initial_backoff": 0.01, "max_backoff": 0.05, "concurrency": 3}
    client = NeuroonClient(shop_id="shop_test", api_key="sk_" + "0" * 32, base_url=api, rate_limits=None)
    number = first
    async with client, ConversionOutbox(store, **options).delivering(client):
        os.write(1, b".")
        while True:
            await asyncio.gather(*(sell(store, engine, number + i) for i in range(3)))
            number += 3

asyncio.run(main())
"""


@pytest.mark.parametrize("server", [server for server in SERVERS if server.values != ("psycopg",)])
async def test_every_committed_order_arrives_whatever_is_killed(server, request):
    """Shops that sell and deliver are killed again and again, and the database once."""
    database = request.getfixturevalue(server)
    engine = create_async_engine(database.url)
    async with engine.begin() as connection:
        for statement in ("DROP TABLE IF EXISTS neuroon_outbox", "DROP TABLE IF EXISTS orders"):
            await connection.execute(text(statement))
        await connection.execute(text("CREATE TABLE orders (id VARCHAR(50) PRIMARY KEY)"))
    store = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID)
    await store.create_table()
    rng = random.Random(3)
    async with Emulator(algorithm="off", latency=0.002) as emulator:
        emulator.fail("track_conversion", Fault.drop(processed=True), every=7)
        emulator.fail("track_conversion", Fault.status(503), every=11)
        for killing in range(4):
            shops = [
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", WORKER, database.url, emulator.url, str(10_000 * (2 * killing + shop))),
                    cwd=Path(neuroon_async.__file__).parents[1],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
                for shop in range(2)
            ]
            for each in shops:
                await each.stdout.read(1)
            await asyncio.sleep(rng.uniform(0.05, 0.5))
            if killing == 2:
                await asyncio.to_thread(database.kill)
                await asyncio.to_thread(database.start)
                await asyncio.sleep(0.3)
            for each in shops:
                each.kill()
                await each.wait()
        await engine.dispose()  # its connections died with the database
        async with engine.connect() as connection:
            sold = set((await connection.execute(text("SELECT id FROM orders"))).scalars())
        assert len(sold) > 20
        async with NeuroonClient(
            shop_id=DEFAULT_SHOP_ID, api_key=DEFAULT_API_KEY, base_url=emulator.url, rate_limits=None
        ) as client:
            quick = {"poll_interval": 0.02, "initial_backoff": 0.01, "max_backoff": 0.05}
            async with ConversionOutbox(store, **quick).delivering(client) as outbox:
                async with asyncio.timeout(60):
                    while (await outbox.stats()).pending:  # noqa: ASYNC110 - in the database
                        await asyncio.sleep(0.05)
                assert (await outbox.stats()).dead == 0
        assert set(emulator.conversions) == sold
    await engine.dispose()
