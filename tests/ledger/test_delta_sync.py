"""What a sync with a ledger sends, skips and records: with the SQLite ledger and with the bare protocol."""

from __future__ import annotations

import asyncio
import random
from zlib import crc32

import pytest
from ledger_shop import MemoryLedger, MemoryRun, sent, sync
from msgspec.structs import replace
from repeats import repeats
from sync.sync_shop import assert_apart, assert_balanced, item, items, last_prices, prices, shop

from neuroon_async import ConfigurationError, SQLiteLedger
from neuroon_async.ledger.protocols import LedgerError
from neuroon_async.testing import Fault


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request, tmp_path):
    return SQLiteLedger(tmp_path / "catalog.ledger") if request.param == "sqlite" else MemoryLedger()


async def test_unchanged_products_need_no_request(ledger):
    async with shop() as (emulator, client):
        first = await sync(client, items(1_200), ledger)
        assert (first.accepted, first.unchanged, first.requests) == (1_200, 0, 3)
        again = await sync(client, items(1_200), ledger)
        assert (again.accepted, again.unchanged, again.requests) == (0, 1_200, 0)
        changed = [item(number, price=2 if number % 100 == 7 else 1) for number in range(1_200)]
        third = await sync(client, changed, ledger)
        assert (third.accepted, third.unchanged, third.requests) == (12, 1_188, 1)
        assert sent(emulator)[-1] == sorted(f"p{number}" for number in range(7, 1_200, 100))
        assert prices(emulator) == last_prices(changed)


async def test_mappings_and_products_are_the_same(ledger):
    async with shop() as (_, client):
        await sync(client, [item(1, attributes={"a": "1", "b": "2"})], ledger)
        mapping = {"externalId": "p1", "name": "x", "price": 1, "url": "https://shop.example/x"}
        report = await sync(client, [{**mapping, "attributes": {"b": "2", "a": "1"}}], ledger)
        assert (report.unchanged, report.requests) == (1, 0)
        report = await sync(client, [mapping, {"name": "no id"}], ledger)
        assert (report.accepted, report.failed, report.unchanged) == (1, 1, 0)


async def test_a_ledger_is_one_address_and_one_shop(ledger):
    async with shop() as (_, client), shop() as (other, other_client):
        await sync(client, items(3), ledger)
        report = await sync(other_client, items(3), ledger)
        assert report.accepted == len(other.products) == 3


# What is not recorded


@pytest.mark.parametrize(
    "faulty",
    [
        {"reject_item": lambda product: "no" if product["externalId"] == "p3" else None},
        {"reject_batch": lambda batch: (400, "name: no") if any(p["externalId"] == "p3" for p in batch) else None},
    ],
)
async def test_what_is_refused_is_sent_again(ledger, faulty):
    async with shop(**faulty) as (emulator, client):
        first = await sync(client, items(20), ledger)
        assert (first.accepted, first.failed) == (19, 1)
        before = len(emulator.requests_to("sync_products"))
        again = await sync(client, items(20), ledger)
        assert (again.unchanged, again.failed) == (19, 1)
        assert {external_id for ids in sent(emulator)[before:] for external_id in ids} == {"p3"}


@pytest.mark.virtual_time
async def test_an_answer_that_was_lost_is_no_acknowledgement(ledger):
    async with shop() as (emulator, client):
        await sync(client, items(5), ledger)
        emulator.fail("sync_products", Fault.garbage(processed=True), when=lambda request: b'"price":2' in request.body)
        lost = await sync(client, [item(0, price=2)], ledger)
        assert lost.failed == 1
        assert prices(emulator)["p0"] == 2
        # The server has version 2, the catalog is back at version 1, which is what was acknowledged last.
        back = await sync(client, items(5), ledger)
        assert (back.accepted, back.unchanged) == (1, 4)
        assert prices(emulator) == last_prices(items(5))


async def test_unnamed_failures_leave_the_whole_batch_in_doubt(ledger):
    async with shop() as (emulator, client):
        answer = {"newProducts": 1, "failed": 1, "errors": []}
        emulator.fail("sync_products", Fault.status(200, body=answer, processed=False))
        first = await sync(client, items(3), ledger)
        assert (first.accepted, first.failed) == (2, 1)
        again = await sync(client, items(3), ledger)
        assert again.accepted == len(emulator.products) == 3


async def test_a_list_that_changes_under_way_is_sent_next_time(ledger):
    async with shop(latency=0.02) as (emulator, client):
        tags = ["old"]
        running = asyncio.create_task(client.products.sync([item(1, tags=tags)], ledger=ledger))
        while not emulator.requests_to("sync_products"):  # noqa: ASYNC110 - on the other side of a socket
            await asyncio.sleep(0)
        tags[:] = ["new"]
        await running
        assert emulator.products["p1"]["tags"] == ["old"]
        assert (await sync(client, [item(1, tags=tags)], ledger)).accepted == 1
        assert emulator.products["p1"]["tags"] == ["new"]


# Order


async def test_the_last_version_wins_also_where_it_equals_the_ledger(ledger):
    async with shop(latency=0.01) as (emulator, client):
        await sync(client, items(4), ledger)
        # p0's other version waits in the same chunk, p1's in the queue, p2's is in flight.
        source = [item(2, 2), item(3, 2), item(1, 2), item(0, 2), item(0), item(9), item(1), item(8), item(2)]
        report = await sync(client, source, ledger, batch_size=3, concurrency=2)
        assert_apart(emulator)
        assert prices(emulator) == last_prices([*items(4), *source])
        assert report.unchanged >= 1
        assert (await sync(client, source[4:], ledger)).accepted == 0


async def test_a_version_that_equals_the_ledger_wins_over_one_that_has_just_left(ledger):
    async def source():  # never waits, so that the request has not even begun when the next chunk is compared
        for product in (item(44, 2), item(44)):
            yield product

    assert crc32(b"p44") % 32 == 0  # it ends a page, so the first one is compared before the second one comes
    async with shop() as (emulator, client):
        await sync(client, [item(44)], ledger)
        report = await sync(client, source(), ledger, batch_size=1)
        assert prices(emulator) == {"p44": 1}
        assert report.accepted == 2


async def test_a_version_that_equals_the_ledger_wins_over_one_that_waits(ledger):
    async with shop() as (_, client):
        await sync(client, items(4), ledger)
        # Too few of the first chunk are left to be sent at once.
        report = await sync(client, [item(0, 2), *items(4)[1:], item(0)], ledger, batch_size=4)
        assert (report.unchanged, report.superseded, report.requests) == (4, 1, 0)


async def test_a_version_that_is_refused_does_not_hide_the_one_before(ledger):
    async with shop() as (emulator, client):
        await sync(client, items(2), ledger)
        report = await sync(client, [*items(2), replace(item(0), name="x" * 513)], ledger)
        assert (report.failed, report.unchanged + report.accepted) == (1, 2)
        unencodable = item(1, tags=["\ud800"])
        report = await sync(client, [item(0), unencodable, item(0, tags=[b"bytes"])], ledger)
        assert [failure.external_id for failure in report.failures] == ["p0", "p1"]
        assert prices(emulator) == last_prices(items(2))


@pytest.mark.parametrize("seed", repeats(range(12)))
async def test_random_runs_end_as_the_catalog_says(ledger, seed):
    chance = random.Random(seed)
    refusing = 0.05
    async with shop(
        reject_item=lambda _: "no" if chance.random() < refusing else None, latency=0.001, jitter=0.003, seed=seed
    ) as (emulator, client):
        for _ in range(4):
            source = [item(chance.randrange(12), chance.randrange(1, 3)) for _ in range(60)]
            await sync(client, source, ledger, batch_size=4, concurrency=3)
        refusing = 0
        await sync(client, source, ledger)
        assert_apart(emulator)
        held = prices(emulator)
        assert {external_id: held[external_id] for external_id in last_prices(source)} == last_prices(source)


async def test_a_variant_comes_after_its_unchanged_parent(ledger):
    async with shop() as (emulator, client):
        await sync(client, [item(1), item(2, parent=1)], ledger)
        report = await sync(client, [item(1), item(2, price=3, parent=1)], ledger)
        assert (report.unchanged, report.accepted) == (1, 1)
        assert prices(emulator)["p2"] == 3


# The books, whatever happens


@pytest.mark.parametrize("turns", repeats(range(0, 60, 4), quick=5))
async def test_cancelled_at_any_moment_the_books_balance(ledger, turns):
    async with shop(latency=0.002) as (emulator, client):
        await sync(client, items(30), ledger)
        source = [item(number % 30, price=number % 2 + 1) for number in range(90)]
        source[40:40] = [{"externalId": "bad"}, replace(item("worse"), name="")]
        task = asyncio.create_task(client.products.sync(source, ledger=ledger, batch_size=7, concurrency=3))
        for _ in range(turns):
            await asyncio.sleep(0.0004)
        task.cancel()
        try:
            report = await task
        except asyncio.CancelledError as error:
            report = getattr(error, "report", None)
        if report is not None:  # it had begun
            assert_balanced(report)
        await asyncio.sleep(0.01)  # what was under way is processed
        while True:
            try:
                await sync(client, source, ledger)
                break
            except LedgerError:  # the cancelled run's thread is closing the file
                await asyncio.sleep(0.001)
        assert prices(emulator) == last_prices(source[:40] + source[42:])


@pytest.mark.parametrize("method", ["unchanged", "invalidate", "record", "seen"])
async def test_a_ledger_that_fails_stops_the_run_with_the_books_closed(monkeypatch, method):
    async def fail(_self, _what):
        raise LedgerError("the disk is full")

    monkeypatch.setattr(MemoryRun, method, fail)
    async with shop() as (emulator, client):
        with pytest.raises(LedgerError, match="disk is full") as caught:
            await sync(client, items(30), MemoryLedger(), batch_size=10, delete_missing=True)
        assert_balanced(caught.value.report)
        assert (caught.value.report.accepted > 0) == (method == "record")
        assert (len(emulator.products) > 0) == (method == "record")


async def test_options_that_contradict_a_ledger_are_refused(ledger):
    async with shop() as (_, client):
        with pytest.raises(ConfigurationError, match="FULL"):
            await client.products.sync(items(1), mode="FULL", ledger=ledger)
        with pytest.raises(ConfigurationError, match="needs a ledger"):
            await client.products.sync(items(1), delete_missing=True)
