"""Deleting what the source no longer has: only after a complete read, and never suspiciously many."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from ledger_shop import MemoryLedger, sync
from repeats import repeats
from sync.sync_shop import assert_balanced, item, items, shop

from neuroon_async import Product, ProductFailure, RateLimit, SQLiteLedger, UnsafeDeletion
from neuroon_async.testing import Fault


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request, tmp_path):
    return SQLiteLedger(tmp_path / "catalog.ledger") if request.param == "sqlite" else MemoryLedger()


async def test_what_is_missing_is_deleted_once(ledger):
    async with shop() as (emulator, client):
        await sync(client, items(300), ledger)
        progress = []
        kept = items(300)[10:]
        report = await sync(client, kept, ledger, delete_missing=True, on_progress=progress.append)
        assert (report.deleted, report.unchanged, report.requests) == (10, 290, 10)
        assert progress[-1].deleted == 10
        assert set(emulator.products) == {product.external_id for product in kept}
        again = await sync(client, kept, ledger, delete_missing=True)
        assert (again.deleted, again.requests) == (0, 0)
        back = await sync(client, items(300), ledger, delete_missing=True)
        assert back.accepted == 10


@pytest.mark.parametrize("shape", ["standard", "bare", "coded", "nested"])
async def test_what_someone_else_deleted_already_counts_as_gone(ledger, shape):
    async with shop() as (emulator, client):
        await sync(client, items(10), ledger)
        await client.products.delete("p0")
        emulator.fail("delete_product", Fault.status(404, shape=shape))
        report = await sync(client, items(10)[1:], ledger, delete_missing=True)
        assert (report.deleted, report.failed) == (1, 0)
        assert (await sync(client, items(10)[1:], ledger, delete_missing=True)).requests == 0


@pytest.mark.parametrize(
    "body",
    [b"<html>404</html>", b"404 page not found", b'{"message": "no Route matched with those values"}', b""],
    ids=["page", "text", "JSON", "empty"],
)
async def test_a_proxys_404_does_not_show_that_a_product_is_gone(ledger, body):
    async with shop() as (emulator, client):
        await sync(client, items(10), ledger)
        emulator.fail("delete_product", Fault.status(404, body=body), times=1)
        report = await sync(client, items(10)[1:], ledger, delete_missing=True)
        assert (report.deleted, report.failed, len(emulator.products)) == (0, 1, 10)
        again = await sync(client, items(10)[1:], ledger, delete_missing=True)
        assert (again.deleted, len(emulator.products)) == (1, 9)


async def test_too_many_missing_are_refused_with_numbers(ledger):
    async with shop() as (emulator, client):
        await sync(client, items(10), ledger)
        with pytest.raises(UnsafeDeletion, match=r"3 of the 10 products .*max_delete_fraction=0.2") as caught:
            await sync(client, [*items(7), item("new")], ledger, delete_missing=True)
        assert_balanced(caught.value.report)
        assert (caught.value.report.accepted, caught.value.report.deleted) == (1, 0)
        assert len(emulator.products) == 11
        allowed = await sync(client, items(7), ledger, delete_missing=True, max_delete_fraction=4 / 11)
        assert allowed.deleted == 4


async def test_an_empty_source_deletes_nothing(ledger):
    async with shop() as (emulator, client):
        assert (await sync(client, [], ledger, delete_missing=True)).received == 0
        await sync(client, items(3), ledger)
        with pytest.raises(UnsafeDeletion, match="source was empty; 3 of the 3"):
            await sync(client, [], ledger, delete_missing=True, max_delete_fraction=1)
        assert len(emulator.products) == 3


async def test_a_source_that_fails_deletes_nothing(ledger):
    def failing():
        yield from items(9)
        raise OSError("connection lost")

    async with shop() as (emulator, client):
        await sync(client, items(10), ledger)
        with pytest.raises(OSError, match="connection lost"):
            await sync(client, failing(), ledger, delete_missing=True)
        assert len(emulator.products) == 10


async def test_a_cancelled_read_deletes_nothing(ledger):
    reading = asyncio.Event()

    async def endless():
        for product in items(9):
            yield product
        reading.set()
        await asyncio.Event().wait()

    async with shop() as (emulator, client):
        await sync(client, items(10), ledger)
        task = asyncio.create_task(client.products.sync(endless(), ledger=ledger, delete_missing=True))
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(emulator.products) == 10


@pytest.mark.parametrize(
    "nameless",
    [
        {"name": "no id"},
        {"externalId": ""},
        ProductFailure(None, "line 7", "local"),
        7,
        {"externalId": "caf\udce9"},  # in bytes that were no UTF-8: it may be any product
        Product(external_id="caf\udce9", name="Coffee", price=1, url="https://shop.example/coffee"),
        ProductFailure("caf\udce9", "line 7", "local"),
        ProductFailure(["p9"], "line 7", "local"),
    ],
)
async def test_records_without_an_id_forbid_deletion(ledger, nameless):
    async with shop() as (emulator, client):
        await sync(client, items(10), ledger)
        with pytest.raises(UnsafeDeletion, match="1 records of the source had no readable id"):
            await sync(client, [*items(9), nameless], ledger, delete_missing=True)
        assert len(emulator.products) == 10
        assert (await sync(client, [*items(10), nameless], ledger, delete_missing=True)).failed == 1


async def test_a_failure_may_name_its_product_by_a_number_as_databases_do(ledger):
    async with shop() as (emulator, client):
        numbered = Product(external_id="9", name="Coffee", price=1, url="https://shop.example/coffee")
        await sync(client, [item(0), numbered], ledger)
        failures = [ProductFailure(9, "price: unreadable", "local"), ProductFailure(uuid.UUID(int=9), "no", "local")]
        report = await sync(client, [item(0), *failures], ledger, delete_missing=True)
        assert (report.failed, report.deleted, len(emulator.products)) == (2, 0, 2)


@pytest.mark.parametrize("bad", [{"externalId": "p9"}, ProductFailure("p9", "price: unreadable", "local")])
async def test_a_record_that_cannot_be_sent_is_still_there(ledger, bad):
    async with shop() as (emulator, client):
        await sync(client, items(10), ledger)
        report = await sync(client, [*items(9), bad], ledger, delete_missing=True)
        assert (report.failed, report.deleted, len(emulator.products)) == (1, 0, 10)


async def test_a_product_that_the_server_refuses_is_still_there(ledger):
    refusing = False
    async with shop(reject_item=lambda product: "no" if refusing and product["price"] == 2 else None) as (
        emulator,
        client,
    ):
        await sync(client, items(10), ledger)
        refusing = True
        report = await sync(client, [*items(9), item(9, price=2)], ledger, delete_missing=True)
        assert (report.failed, report.deleted, len(emulator.products)) == (1, 0, 10)


async def test_a_deletion_that_fails_is_counted_and_tried_again(ledger):
    failures = []
    async with shop() as (emulator, client):
        await sync(client, items(20), ledger)
        emulator.fail("delete_product", Fault.status(400, "no"))
        report = await sync(client, items(18), ledger, delete_missing=True, on_failure=failures.append)
        assert (report.deleted, report.failed, report.received) == (1, 1, 19)
        assert [failure.status for failure in failures] == [400]
        assert (await sync(client, items(18), ledger, delete_missing=True)).deleted == 1
        assert len(emulator.products) == 18


@pytest.mark.virtual_time
async def test_deletions_keep_to_the_rate_limit(ledger):
    limit = {"delete_product": RateLimit(5, per=10)}
    async with shop({"rate_limits": limit}, algorithm="rolling", rate_limits=limit) as (_, client):
        await sync(client, items(100), ledger)
        report = await sync(client, items(100)[12:], ledger, delete_missing=True)
        assert (report.deleted, report.throttled) == (12, 0)
        assert report.elapsed >= 20


@pytest.mark.parametrize("turns", repeats(range(0, 40, 4)))
async def test_cancelled_while_deleting_the_books_balance_and_the_next_run_ends_it(ledger, turns):
    async with shop(latency=0.001) as (emulator, client):
        await sync(client, items(70), ledger)
        options = {"delete_missing": True, "max_delete_fraction": 1.0, "concurrency": 2}
        deleting = asyncio.create_task(client.products.sync(items(5), ledger=ledger, **options))
        while not emulator.requests_to("delete_product"):  # noqa: ASYNC110 - on the other side of a socket
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0.0004)
        deleting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await deleting
        assert_balanced(caught.value.report)
        assert caught.value.report.received >= 5, "the report of the sync, and not of its deletions alone"
        assert caught.value.__notes__ == [f"sync report: {caught.value.report}"]
        await sync(client, items(5), ledger, **options)
        assert set(emulator.products) == {product.external_id for product in items(5)}
