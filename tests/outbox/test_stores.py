"""What every outbox store must do, wherever it keeps the conversions: one suite for the file and for databases."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from contextlib import AsyncExitStack
from decimal import Decimal

import pytest

from neuroon_async import ConfigurationError, Conversion, ConversionItem, NeuroonClient
from neuroon_async.outbox import BulkOutboxStore, ConversionOutbox, DuplicateOrder, OutboxStore
from neuroon_async.outbox.bodies import stored_body
from neuroon_async.outbox.sqlite_store import SQLiteOutboxStore
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, Fault

FAR = 10_000.0


def order(order_id="1001", value="14.50"):
    line = ConversionItem("SKU-1", "log-1", 2, Decimal("9.00"))
    return Conversion(order_id=order_id, order_value=Decimal(value), currency="EUR", conversions=[line])


def body(order_id="1001", value="14.50"):
    return stored_body(order(order_id, value))


SERVERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("postgresql", "psycopg", "mariadb")]


@pytest.fixture(params=["file", "sqlite", *SERVERS])
async def make(request, tmp_path):
    """Makes open stores that all look at the same place, as processes would."""
    async with AsyncExitStack() as stack:
        if request.param == "file":

            async def new(**options):
                options = {"keep_delivered": 1e6, "clock": time.time} | options
                store = SQLiteOutboxStore(tmp_path / "outbox.sqlite3", **options)
                await store.open(DEFAULT_SHOP_ID)
                stack.push_async_callback(store.close)
                return store

        else:
            pytest.importorskip("sqlalchemy", reason="needs the extra 'sqlalchemy'")
            from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - optional

            from neuroon_async.integrations.sqlalchemy import SQLAlchemyOutboxStore  # noqa: PLC0415 - likewise

            if request.param != "sqlite":
                url = request.getfixturevalue(request.param).url
            else:
                pytest.importorskip("aiosqlite", reason="needs aiosqlite")
                url = f"sqlite+aiosqlite:///{tmp_path / 'shop.sqlite3'}"
            table = f"outbox_{uuid.uuid4().hex}"

            async def new(**options):
                engine = create_async_engine(url, isolation_level="SERIALIZABLE")  # as strict shops have it
                stack.push_async_callback(engine.dispose)
                store = SQLAlchemyOutboxStore(engine, DEFAULT_SHOP_ID, table=table, **options)
                await store.create_table()
                await store.open(DEFAULT_SHOP_ID)
                return store

        yield new


async def lease(store, worker="w", count=1, seconds=60.0):
    return [leased.order_id for leased in await store.lease(worker, seconds, FAR, count)]


async def counts(store):
    stats = await store.stats()
    return stats.pending, stats.delivered, stats.dead


async def test_it_is_a_store(make):
    assert isinstance(await make(), OutboxStore)


async def test_what_was_added_is_leased_byte_by_byte_in_order(make):
    store = await make()
    for number in range(3):
        await store.add(f"o/{number} ü", body(f"o/{number} ü"))
    other = await make()
    assert await counts(other) == (3, 0, 0)
    assert 0 <= (await other.stats()).oldest_age < 60
    first, second = await other.lease("w", 60, FAR, 2)
    assert (first.order_id, first.body, first.attempts) == ("o/0 ü", body("o/0 ü"), 0)
    assert second.order_id == "o/1 ü"
    assert await lease(store, "v", count=5) == ["o/2 ü"]
    assert await lease(store, "v", count=5) == []


async def test_the_same_order_again_changes_nothing_and_another_content_is_an_error(make):
    store = await make()
    await store.add("1", body("1", "14.50"))
    await store.add("1", body("1", "14.5"))
    with pytest.raises(DuplicateOrder, match="'1'"):
        await store.add("1", body("1", "99"))
    assert await counts(store) == (1, 0, 0)
    [leased] = await store.lease("w", 60, FAR, 5)
    assert leased.body == body("1", "14.50")


async def test_many_at_once(make):
    store = await make()
    outcomes = await asyncio.gather(
        *(store.add(str(number), body(str(number))) for number in range(30)), return_exceptions=True
    )
    assert outcomes == [None] * 30
    assert await counts(store) == (30, 0, 0)


async def test_what_is_delivered_is_over(make):
    store = await make()
    await store.add("1", body("1"))
    assert await lease(store) == ["1"]
    await store.delivered("1")
    assert await counts(store) == (0, 1, 0)
    assert await store.next_due() == math.inf
    await store.add("1", body("1"))  # delivered already: nothing more happens
    assert await lease(store) == []


async def test_a_failed_attempt_comes_back_when_it_is_due(make):
    store = await make()
    await store.add("1", body("1"))
    await lease(store)
    await store.reschedule("1", "somebody else", 0)
    assert await lease(store) == []
    await store.reschedule("1", "w", 500)
    assert await lease(store) == []
    assert 490 < await store.next_due() <= 500
    await store.add("2", body("2"))
    assert await lease(store, count=5) == ["2"]
    await store.reschedule("2", "w", 0)
    [leased] = await store.lease("w", 60, FAR, 5)
    assert (leased.order_id, leased.attempts) == ("2", 1)


async def test_a_time_too_far_ahead_is_due(make):
    store = await make()
    await store.add("1", body("1"))
    await lease(store)
    await store.reschedule("1", "w", 2 * FAR)
    assert await lease(store) == ["1"]


async def test_a_lease_ends_by_itself_or_is_given_back(make):
    store = await make()
    for number in range(3):
        await store.add(str(number), body(str(number)))
    assert await lease(store, "crashed", seconds=0.0) == ["0"]
    assert await lease(store, "w", count=5) == ["1", "2", "0"]
    await store.release("somebody else")
    assert await lease(store) == []
    await store.release("w", "1")
    assert await lease(store, "v", count=5) == ["1"]
    await store.release("w")
    assert sorted(await lease(store, "v", count=5)) == ["0", "2"]


async def test_what_another_took_over_is_left_alone(make):
    store = await make()
    await store.add("1", body("1"))
    await lease(store, "late", seconds=0.0)
    assert await lease(store, "v") == ["1"]
    await store.reschedule("1", "late", 0)
    await store.release("late")
    assert await lease(store, "w") == []


async def test_dead_letters_wait_for_a_decision(make):
    store = await make()
    for number in range(3):
        await store.add(str(number), body(str(number)))
    await lease(store, count=3)
    for number in range(3):
        await store.mark_dead(str(number), f"422: no \0 {number}")
    assert await counts(store) == (0, 0, 3)
    first, *_ = await store.dead_letters(2)
    assert (first.order_id, first.attempts, first.conversion) == ("0", 1, order("0"))
    assert first.reason.startswith("422: no ")
    assert first.enqueued_at <= first.refused_at
    assert first.enqueued_at.tzinfo is not None
    assert len(await store.dead_letters(2)) == 2
    with pytest.raises(DuplicateOrder):
        await store.add("0", body("0", "77"))
    assert await store.retry_dead(["0", "unknown"]) == 1
    assert await lease(store, count=5) == ["0"]
    assert await store.purge_dead(["1"]) == 1
    await store.add("1", body("1", "77"))
    assert await store.purge_dead([]) == 0
    assert await store.purge_dead(None) == 1
    assert await counts(store) == (2, 0, 0)
    await lease(store)
    await store.mark_dead("1", "no")
    assert await store.retry_dead(None) == 1


async def test_delivered_ones_are_forgotten_after_their_time(make):
    store = await make(keep_delivered=0)
    await store.add("1", body("1"))
    await lease(store)
    await store.delivered("1")
    await asyncio.sleep(0.002)
    assert await lease(store) == []
    assert await counts(store) == (0, 0, 0)


async def test_another_shops_conversions_are_refused(make):
    store = await make()
    with pytest.raises(ConfigurationError, match="shop_other"):
        await store.belong_to("shop_other")
    await store.belong_to(DEFAULT_SHOP_ID)


async def test_two_never_lease_the_same(make):
    stores = [await make() for _ in range(3)]
    await asyncio.gather(*(stores[0].add(str(number), body(str(number))) for number in range(60)))

    async def take(store, worker):
        mine = []
        while some := await lease(store, worker, count=4):
            mine += some
        return mine

    taken = await asyncio.gather(*(take(store, f"w{number}") for number, store in enumerate(stores)))
    every = [order_id for mine in taken for order_id in mine]
    assert len(set(every)) == len(every)
    left = await lease(stores[0], "w", count=100)  # of what several wanted at once, where no lock can be skipped
    assert sorted([*every, *left]) == sorted(str(number) for number in range(60))


async def test_an_outbox_delivers_from_it(make):
    async with (
        Emulator(algorithm="off") as emulator,
        NeuroonClient(
            shop_id=DEFAULT_SHOP_ID, api_key=DEFAULT_API_KEY, base_url=emulator.url, rate_limits=None
        ) as client,
    ):
        emulator.fail("track_conversion", Fault.status(503), times=1)
        emulator.fail("track_conversion", Fault.status(422, "no"), times=1)
        quick = {"initial_backoff": 0.01, "max_backoff": 0.02, "poll_interval": 0.02}
        async with ConversionOutbox(await make(), **quick).delivering(client) as outbox:
            for number in range(10):
                assert await outbox.enqueue(order(str(number)))
            async with asyncio.timeout(60):
                while (await outbox.stats()).pending:  # noqa: ASYNC110 - in the store
                    await asyncio.sleep(0.01)
            assert len(await outbox.dead_letters()) == 1
            assert await outbox.retry_dead() == 1
            async with asyncio.timeout(60):
                while (await outbox.stats()).delivered < 10:  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.01)
        assert len(emulator.conversions) == 10
        assert {one.deliveries for one in emulator.conversions.values()} == {1}


async def test_hundreds_are_settled_as_one_is(make):
    store = await make()
    if not isinstance(store, BulkOutboxStore):
        pytest.skip("it settles one at a time")
    names = [f"{number} ü'\x00?" for number in range(1_203)]
    await asyncio.gather(*(store.add(name, body(name)) for name in names))
    leased = [order_id for count in (500, 500, 202) for order_id in await lease(store, "w", count=count)]
    assert leased == names[:1_202]
    await store.delivered_all(leased[:600])
    await store.release_all("another", leased[600:])
    assert await lease(store, "v", count=1_203) == names[1_202:]
    await store.release_all("w", [*leased[600:1_200], "unknown"])
    await store.delivered_all([])
    assert await counts(store) == (603, 600, 0)
    again = [*await lease(store, "v", count=500), *await lease(store, "v", count=500)]
    assert sorted(again) == sorted(leased[600:1_200])
    await store.release_all("v", leased[:600])  # these are delivered
    assert await counts(store) == (603, 600, 0)
