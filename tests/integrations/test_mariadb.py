"""The outbox in MariaDB and MySQL: what these do otherwise than PostgreSQL and SQLite."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra 'sqlalchemy'")

from sqlalchemy import MetaData, event, select, text
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from neuroon_async import ConfigurationError, Conversion, ConversionItem, InvalidConversion
from neuroon_async.integrations.sqlalchemy import SQLAlchemyOutboxStore, outbox_table
from neuroon_async.outbox import DuplicateOrder
from neuroon_async.testing import DEFAULT_SHOP_ID


def order(order_id="1001", value=10, lines=1):
    items = [ConversionItem("SKU-1", "log-1", 1, value)] * lines
    return Conversion(order_id=order_id, order_value=value, currency="EUR", conversions=items)


@pytest.fixture
async def engine(mariadb):
    """Of a database whose own defaults are the old ones: Latin letters, and tables without transactions."""
    engine = create_async_engine(mariadb.url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE OR REPLACE DATABASE old CHARACTER SET latin1"))
    await engine.dispose()
    url = mariadb.url.replace("/test?", "/old?")
    engine = create_async_engine(url, connect_args={"init_command": "SET default_storage_engine = MyISAM"})
    yield engine
    await engine.dispose()


@pytest.fixture
async def store(engine):
    store = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID)
    await store.create_table()
    return store


@pytest.mark.slow
async def test_every_letter_has_room_whatever_the_database_has_by_default(store):
    await store.add("Ω-🫖", b"{}")
    [leased] = await store.lease("w", 60, 1e6, 1)
    await store.mark_dead(leased.order_id, "tétera «Ω» 🫖 \0")
    [letter] = await store.dead_letters(5)
    assert (letter.order_id, letter.reason) == ("Ω-🫖", "tétera «Ω» 🫖 �")


@pytest.mark.slow
async def test_shops_and_orders_that_differ_by_case_alone_are_two(engine, store):
    other = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID.upper())
    await store.add("a", b"{}")
    await store.add("A", b"[]")
    assert await other.lease("w", 60, 1e6, 5) == []
    assert len(await store.lease("w", 60, 1e6, 5)) == 2


@pytest.mark.slow
async def test_what_its_order_took_back_is_not_stored(engine, store):
    with pytest.raises(ZeroDivisionError):
        async with AsyncSession(engine) as session, session.begin():
            await store.enqueue_in(session, order())
            raise ZeroDivisionError
    assert (await store.stats()).pending == 0


@pytest.mark.slow
async def test_its_clock_goes_on_where_the_clock_on_the_wall_is_put_back(engine, store):
    """The server's zone is Madrid's: there, half past two came twice on 26 October 2025."""
    first = 1_761_438_600
    async with engine.connect() as connection:
        for instant in (first, first + 3_600):
            await connection.execute(text(f"SET timestamp = {instant}"))
            wall = await connection.execute(text("SELECT CAST(NOW() AS CHAR)"))
            assert wall.scalar_one() == "2025-10-26 02:30:00"
            assert (await connection.execute(select(store._now))).scalar_one() == instant


@pytest.mark.slow
async def test_an_order_is_stored_while_others_are_leased(mariadb, engine, store):
    """Before the lease commits: a gap that is locked would have the order wait, and two leases wait for each other."""
    await store.add("1", b"{}")
    outcomes = []

    async def sell():
        url = mariadb.url.replace("/test?", "/old?")
        other = create_async_engine(url, connect_args={"init_command": "SET innodb_lock_wait_timeout = 1"})
        try:
            await SQLAlchemyOutboxStore(other, DEFAULT_SHOP_ID).add("2", b"{}")
        finally:
            await other.dispose()

    @event.listens_for(engine.sync_engine, "commit", once=True)
    def leased(connection):
        shop = threading.Thread(target=lambda: outcomes.append(asyncio.run(sell())))
        shop.start()
        shop.join()

    assert [one.order_id for one in await store.lease("w", 60, 1e6, 5)] == ["1"]
    assert outcomes == [None]
    assert [one.order_id for one in await store.lease("w", 60, 1e6, 5)] == ["2"]


# As far as the statements tell


class Executed:
    """A transaction that notes its statements, and has found the row that was to be added."""

    def __init__(self):
        self.statements = []

    async def execute(self, statement):
        self.statements.append(str(statement.compile(dialect=mysql.dialect())))
        return SimpleNamespace(rowcount=0, scalar_one_or_none=lambda: None)

    async def stream(self, statement):
        raise NotImplementedError


def in_mysql(**options):
    return SQLAlchemyOutboxStore(SimpleNamespace(dialect=mysql.dialect()), DEFAULT_SHOP_ID, **options)


async def test_what_mysql_would_cut_is_refused_before_it_is_stored():
    transaction = Executed()
    with pytest.raises(InvalidConversion, match="orderId: has 256 characters, and table neuroon_outbox holds 255"):
        await in_mysql().enqueue_in(transaction, order("x" * 256))
    with pytest.raises(
        InvalidConversion, match=r"make 7\d,\d{3} bytes, .* holds 65,535; make the column body a MEDIUMBLOB"
    ):
        await in_mysql().enqueue_in(transaction, order(lines=1_000))
    assert transaction.statements == []
    with pytest.raises(DuplicateOrder):
        await in_mysql().enqueue_in(transaction, order("é" * 255))
    wider = outbox_table(MetaData())
    wider.c.body.type = mysql.MEDIUMBLOB()
    with pytest.raises(DuplicateOrder):
        await in_mysql(table=wider).enqueue_in(transaction, order(lines=1_000))
    assert [statement.partition(" INTO")[0] for statement in transaction.statements[::2]] == ["INSERT IGNORE"] * 2
    # Not what there was when the transaction began.
    assert all(statement.endswith("LOCK IN SHARE MODE") for statement in transaction.statements[1::2])
    with pytest.raises(ConfigurationError, match="shop_id has 101 characters, and the table holds 100"):
        SQLAlchemyOutboxStore(SimpleNamespace(dialect=mysql.dialect()), "s" * 101)


@pytest.mark.slow
async def test_a_large_order_fits_into_a_wider_column_and_the_longest_id_into_its_own(engine):
    wider = outbox_table(MetaData(), "wider")
    wider.c.body.type = mysql.MEDIUMBLOB()
    store = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID, table=wider)
    await store.create_table()
    large = order("🫖" * 255, lines=1_000)
    async with engine.begin() as connection:
        assert await store.enqueue_in(connection, large)
    [leased] = await store.lease("w", 60, 600, 1)
    await store.mark_dead(leased.order_id, "🫖" * 20_000)
    [letter] = await store.dead_letters(5)
    assert (letter.conversion, len(letter.reason)) == (large, 10_000)
