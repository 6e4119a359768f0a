"""Sources that never end: what was read leaves in time, and what was accepted is told."""

from __future__ import annotations

import asyncio

import pytest
from sync_shop import assert_balanced, item, items, shop

from neuroon_async import ProductFailure, SQLiteLedger, UsageError
from neuroon_async.sync.item_reader import ItemReader
from neuroon_async.testing import Fault

pytestmark = pytest.mark.virtual_time


def now():
    return asyncio.get_running_loop().time()


async def trickle(count, gap=0.1, **fields):
    for number in range(count):
        yield item(number, **fields)
        await asyncio.sleep(gap)


@pytest.mark.parametrize("with_ledger", [False, True])
async def test_what_was_read_leaves_in_time(with_ledger, tmp_path):
    ledger = SQLiteLedger(tmp_path / "ledger") if with_ledger else None
    async with shop() as (emulator, client):
        started = now()
        report = await client.products.sync(trickle(60), flush_after=1.0, ledger=ledger)
    assert_balanced(report)
    assert report.accepted == 60
    arrivals = [request.arrived - started for request in emulator.requests]
    assert 0.9 < arrivals[0] < 1.3
    assert len(arrivals) in {6, 7}
    for request in emulator.requests:
        first = min(int(external_id[1:]) for external_id in request.external_ids)
        assert request.arrived - started - first * 0.1 < 1.3, "the oldest product of each request was read then"


async def test_a_source_that_pauses_for_ever_is_flushed_and_not_cancelled():
    events = []

    async def feed():
        try:
            for batch in range(3):
                for number in range(5):
                    yield item(5 * batch + number)
                await asyncio.sleep(100)
                events.append("woke")
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async with shop() as (emulator, client):
        started = now()
        report = await client.products.sync(feed(), flush_after=2)
    assert report.accepted == 15
    assert events == ["woke"] * 3
    assert [round(request.arrived - started) for request in emulator.requests] == [2, 102, 202]


async def test_a_slow_plain_source_is_flushed_between_its_items():
    clock = asyncio.get_running_loop()

    def source():
        for number in range(20):
            clock._clock.now += 0.5  # a source that blocks the loop
            yield item(number)

    async with shop() as (emulator, client):
        report = await client.products.sync(source(), flush_after=2)
    assert report.accepted == 20
    assert 4 <= len(emulator.requests) <= 6


async def test_a_fast_source_is_not_slowed_by_the_clock():
    async with shop() as (emulator, client):
        report = await client.products.sync(trickle(2_000, gap=0), flush_after=60)
    assert report.accepted == 2_000
    assert len(emulator.requests) == 4


async def test_a_newer_version_waits_for_the_older_one_in_flight_and_leaves_right_after():
    async def source():
        for price in range(1, 6):
            yield item(1, price=price)
            await asyncio.sleep(0.5)

    async with shop(latency=1.0) as (emulator, client):
        report = await client.products.sync(source(), flush_after=0.2)
    assert_balanced(report)
    assert emulator.products["p1"]["price"] == 5
    assert report.accepted + report.superseded == 5


async def test_variants_that_come_before_their_parents_are_sent_with_a_flush():
    async def source():
        yield item("variant", parent="parent")
        await asyncio.sleep(1)
        yield item("parent")
        await asyncio.sleep(10)
        yield item("late variant", parent="parent")
        yield item("orphan", parent="nobody")
        await asyncio.sleep(10)
        yield item("last")

    async with shop() as (emulator, client):
        report = await client.products.sync(source(), flush_after=3)
    assert_balanced(report)
    assert emulator.products.keys() == {"pvariant", "pparent", "plate variant", "plast"}
    assert [failure.external_id for failure in report.failures] == ["porphan"]


async def test_a_variant_has_failed_whose_parent_is_still_missing_at_the_next_flush():
    failed = []

    async def source():
        yield item("variant", parent="parent")
        await asyncio.sleep(5)  # flushed, refused, and held back
        yield item("another")
        await asyncio.sleep(20)
        assert [failure.external_id for failure in failed] == ["pvariant"], "told while the source goes on"
        yield item("parent")

    async with shop() as (_, client):
        report = await client.products.sync(source(), flush_after=3, on_failure=failed.append)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (2, 1)


async def test_each_variant_waits_for_its_parent_however_many_flushes_came_before():
    async def source():
        for family in range(3):
            yield item(f"variant{family}", parent=f"parent{family}")
            await asyncio.sleep(5)  # flushed, refused, and held back
            yield item(f"parent{family}")
            await asyncio.sleep(10)

    async with shop() as (emulator, client):
        report = await client.products.sync(source(), flush_after=3)
    assert_balanced(report)
    assert report.failures == []
    assert len(emulator.products) == 6


async def test_a_stream_that_is_cancelled_accounts_for_everything():
    accepted = []
    async with shop() as (emulator, client):
        run = asyncio.create_task(client.products.sync(trickle(10_000), flush_after=1, on_accepted=accepted.append))
        await asyncio.sleep(5.55)
        run.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await run
    report = caught.value.report
    assert_balanced(report)
    assert report.received == 56
    assert report.unsent == 56 - report.accepted > 0
    assert {product.external_id for product in accepted} == emulator.products.keys()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_error_of_a_stream_comes_after_what_it_gave():
    async def source():
        for product in items(7):
            yield product
        raise RuntimeError("the queue is gone")

    async with shop() as (emulator, client):
        with pytest.raises(RuntimeError, match="the queue is gone") as caught:
            await client.products.sync(source(), flush_after=10)
    assert caught.value.report.accepted == len(emulator.products) == 7


@pytest.mark.parametrize("value", [0, -1, "1", True, float("inf"), float("nan")])
async def test_a_flush_time_that_cannot_work_is_refused(value):
    async with shop() as (_, client):
        with pytest.raises(UsageError, match="flush_after"):
            await client.products.sync([], flush_after=value)
        with pytest.raises(UsageError, match="flush_after"):
            await client.products.sync([], mode="FULL", flush_after=1)


async def test_reading_ahead_stops_at_what_is_wanted():
    given = []

    async def source():
        for number in range(1_000):
            given.append(number)
            yield number

    reader = ItemReader(source(), flush_after=60)
    async with asyncio.TaskGroup() as group:
        reader.start(group)
        assert await reader.read(10) == list(range(10))
        await asyncio.sleep(1)
        assert len(given) <= 11
        rest = []
        while not reader.exhausted:
            rest += await reader.read(100)
    assert rest == list(range(10, 1_000))


# Told what was accepted


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("with_ledger", [False, True])
async def test_every_product_is_told_once_it_or_a_later_version_is_accepted(kind, with_ledger, tmp_path):
    told = []

    async def asynchronous(product):
        await asyncio.sleep(0)
        told.append(product)

    catalog = [
        *items(30),
        item(3, price=2),  # supersedes
        item("bad", price=-1),
        ProductFailure("line 7", "no", "local"),
        item("variant", parent=5),
        item(3, price=3),
    ]
    ledger = SQLiteLedger(tmp_path / "ledger") if with_ledger else None
    async with shop() as (emulator, client):
        for _ in range(2):
            told.clear()
            report = await client.products.sync(
                catalog,
                batch_size=10,
                ledger=ledger,
                on_accepted=told.append if kind == "plain" else asynchronous,
            )
            assert report.failed == 2
            expected = [product for product in catalog if getattr(product, "price", -1) > 0]
            assert sorted(map(id, told)) == sorted(map(id, expected)), "the very objects of the source, each once"
            assert [product.price for product in told if product.external_id == "p3"] == [1, 2, 3]
    assert emulator.products["p3"]["price"] == 3


@pytest.mark.parametrize("batch_size", [1, 50])
@pytest.mark.parametrize("with_ledger", [False, True])
async def test_an_object_that_a_source_yields_again_and_again_is_told_as_often(batch_size, with_ledger, tmp_path):
    told = []
    one, other, variant, parent = item(1), item(1, price=2), item("v", parent="p"), item("p")
    catalog = [one, one, other, one, variant, variant, item("v", parent="p"), *items(60)[2:], one, one, parent]
    ledger = SQLiteLedger(tmp_path / "ledger") if with_ledger else None
    async with shop(latency=1.0) as (_, client):
        for _ in range(2):
            told.clear()
            report = await client.products.sync(
                iter(catalog), batch_size=batch_size, concurrency=2, ledger=ledger, on_accepted=told.append
            )
            assert_balanced(report)
            assert report.failed == 0
            assert sorted(map(id, told)) == sorted(map(id, catalog))


async def test_what_was_not_accepted_is_not_told():
    told = []
    async with shop(reject_item=lambda p: "no" if p["externalId"] == "p7" else None) as (_, client):
        await client.products.sync([*items(20), item("orphan", parent="nobody")], on_accepted=told.append)
    assert {product.external_id for product in told} == {f"p{n}" for n in range(20)} - {"p7"}


async def test_nothing_is_told_before_the_answer_came():
    told = []
    async with shop(latency=5.0) as (emulator, client):
        emulator.fail("sync_products", Fault.status(401), when=lambda request: request.number > 1)
        with pytest.raises(Exception, match="401"):
            await client.products.sync(items(1_000), concurrency=1, on_accepted=lambda p: told.append((now(), p)))
    assert len(told) == 500
    assert min(moment for moment, _ in told) >= emulator.requests[0].finished


async def test_what_comes_while_a_flush_begins_does_not_wait_for_the_next_item():
    async def source():
        yield item(0, price=-1)
        await asyncio.sleep(2)
        yield item(1)  # while the callback is told of the failure, before the flush
        await asyncio.sleep(1_000)

    async def slowly(_failure):
        await asyncio.sleep(3)

    async with shop() as (emulator, client):
        started = now()
        report = await client.products.sync(source(), flush_after=1, on_failure=slowly)
    assert report.accepted == 1
    assert emulator.requests[0].arrived - started < 6
