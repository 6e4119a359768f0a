"""What a run promises at its edges: items are its own, FULL erases nothing that failed, and the report always comes."""

from __future__ import annotations

import asyncio
import pickle
import threading
from contextlib import asynccontextmanager

import msgspec
import pytest
from sync_shop import assert_balanced, client_of, item, items, shop

from neuroon_async import (
    ClientClosed,
    ConfigurationError,
    ConnectionFailed,
    LedgerError,
    NeuroonClient,
    NeuroonError,
    ProductFailure,
    RateLimit,
    RetryPolicy,
    SQLiteLedger,
    SyncFailed,
    SyncReport,
    UnsafeFullSync,
    UsageError,
)
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, Fault

pytestmark = pytest.mark.virtual_time


def mapping(number, **fields):
    return {"externalId": f"p{number}", "name": "x", "price": number, "url": "https://shop.example/x", **fields}


# Items are the run's own


def one_dict():
    row = {}
    for number in range(1_000):
        row.update(mapping(number))
        yield row


async def one_dict_async():
    for row in one_dict():
        yield row


def shared_containers():
    attributes, tags = {}, []
    for number in range(1_000):
        attributes["n"] = str(number)
        tags[:] = [str(number)]
        yield mapping(number, attributes=attributes, tags=tags)


def shared_containers_of_odd_records():
    """Which one msgspec conversion cannot read: the careful way must copy too."""
    for record in shared_containers():
        yield {**record, "image_url": "/x.jpg"}


@pytest.mark.parametrize("source", [one_dict, one_dict_async, shared_containers, shared_containers_of_odd_records])
@pytest.mark.parametrize("with_ledger", [False, True])
async def test_a_source_may_fill_the_same_containers_again_and_again(source, with_ledger, tmp_path):
    ledger = SQLiteLedger(tmp_path / "ledger") if with_ledger else None
    async with shop() as (emulator, client):
        report = await client.products.sync(source(), ledger=ledger)
    assert report.accepted == 1_000
    assert {key: product["price"] for key, product in emulator.products.items()} == {f"p{n}": n for n in range(1_000)}
    if source not in {one_dict, one_dict_async}:
        assert all(p["attributes"]["n"] == key[1:] == p["tags"][0] for key, p in emulator.products.items())


async def test_the_failure_of_a_mapping_that_is_filled_again_shows_what_it_was():
    def source():
        row = {}
        for number in range(200):
            row.clear()
            row.update(mapping(number, tags=[str(number)], nonsense=number))
            yield row

    async with shop() as (_, client):
        report = await client.products.sync(source())
    assert [failure.product["nonsense"] for failure in report.failures] == list(range(200))


async def test_a_length_that_must_not_be_asked_for_is_not():
    class Lazy:
        def __init__(self):
            self.rows = items(3)

        def __len__(self):
            raise AssertionError("this would query a database")

        def __iter__(self):
            return iter(self.rows)

    async with shop() as (_, client):
        assert (await client.products.sync(Lazy())).accepted == 3
        assert (await client.products.delete_many(dict.fromkeys(["p0", "p1"]).keys())).deleted == 2


async def test_to_product_makes_products_of_anything():
    def to_product(row):
        if row == 3:
            raise KeyError("title")
        return mapping(row) if row % 2 else item(row)

    broken = ProductFailure("line 7", "cannot be read", "local")
    async with shop() as (emulator, client):
        report = await client.products.sync([1, 2, 3, broken, 5], to_product=to_product)
    assert_balanced(report)
    assert emulator.products.keys() == {"p1", "p2", "p5"}
    assert [(failure.stage, failure.product) for failure in report.failures] == [("local", 3), ("local", None)]
    assert "to_product raised KeyError('title')" in report.failures[0].reason


# Calls that cannot work


@pytest.mark.parametrize("option", ["on_failure", "on_progress", "to_product"])
async def test_what_cannot_be_called_is_refused_when_it_is_given(option):
    def source():
        raise AssertionError("nothing may be read")
        yield

    async with shop() as (_, client):
        with pytest.raises(UsageError, match=f"{option} must be a function or None, got 'failed.jsonl'") as caught:
            await client.products.sync(source(), **{option: "failed.jsonl"})
        if option != "to_product":
            with pytest.raises(UsageError, match=option):
                await client.products.delete_many(["p1"], **{option: "failed.jsonl"})
    assert ("DeadLetterFile" in str(caught.value)) == (option == "on_failure")


@pytest.mark.parametrize("what", ["sync", "delete_many"])
async def test_a_closed_client_raises_before_anything_is_read(what):
    def source():
        raise AssertionError("nothing may be read")
        yield

    async with shop() as (_, client):
        await client.aclose()
        with pytest.raises(ClientClosed):
            await getattr(client.products, what)(source())


@pytest.mark.parametrize("what", ["sync", "delete_many"])
async def test_a_client_of_another_loop_raises_before_anything_is_read(what):
    caught = []

    def source():
        raise AssertionError("nothing may be read")
        yield

    async with shop() as (_, client):
        await client.shop()

        def elsewhere():
            try:
                asyncio.run(getattr(client.products, what)(source()))
            except Exception as error:  # noqa: BLE001
                caught.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert type(caught[0]) is not AssertionError
    assert isinstance(caught[0], ConfigurationError)
    assert "another event loop" in str(caught[0])


async def test_a_client_closed_in_the_middle_of_a_run_ends_it_with_its_report():
    async with shop(latency=1.0) as (_, client):
        run = asyncio.create_task(client.products.sync(items(20_000), concurrency=2))
        await asyncio.sleep(2.5)
        await client.aclose()
        with pytest.raises(NeuroonError) as caught:
            await run
    assert_balanced(caught.value.report)
    assert caught.value.report.accepted >= 1_000
    assert caught.value.report.unsent > 0


# FULL


@pytest.mark.parametrize(
    "bad",
    [
        item("bad", price=float("nan")),
        item("bad", sku="\ud800"),
        {"externalId": "bad"},
        None,
        ProductFailure("line 7", "cannot be read", "local"),
    ],
    ids=["NaN", "surrogate", "no name", "no product", "a reader's complaint"],
)
@pytest.mark.parametrize(("several", "count"), [(False, 300), pytest.param(True, 1_200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("place", [0, -1])
async def test_full_with_anything_that_cannot_be_sent_sends_nothing(bad, several, count, place):
    catalog = items(count)
    catalog.insert(place, bad)
    async with shop() as (emulator, client):
        await client.products.sync([item(n) for n in range(50)])
        before = len(emulator.requests)
        with pytest.raises(UnsafeFullSync, match="one product of the source cannot be sent") as caught:
            await client.products.sync(catalog, mode="FULL", allow_multi_request_full=several)
    report = caught.value.report
    assert_balanced(report)
    assert len(emulator.requests) == before
    assert caught.value.unsendable == 1
    assert report.unsent == report.failed - 1 > 0
    assert not report.failures[0].unsent
    assert all(failure.unsent for failure in report.failures[1:])


@pytest.mark.parametrize("several", [False, True])
async def test_full_with_a_product_that_no_request_can_hold_sends_nothing(several):
    catalog = [*items(10), item("bad", description="d" * 4_900)]
    async with shop() as (emulator, client):
        with pytest.raises(UnsafeFullSync, match="one product of the source cannot be sent") as caught:
            await client.products.sync(catalog, mode="FULL", allow_multi_request_full=several, max_batch_bytes=4_000)
    assert "max_batch_bytes is 4,000" in caught.value.report.failures[0].reason
    assert emulator.requests == []


async def test_full_in_several_requests_leaves_only_after_the_source_has_ended():
    async with shop() as (emulator, client):

        def source():
            for product in items(3_000):
                assert emulator.requests == []
                yield product

        report = await client.products.sync(source(), mode="FULL", allow_multi_request_full=True)
    assert (report.accepted, report.requests) == (3_000, 6)


async def test_full_in_several_requests_sends_the_last_version_of_each_product_and_parents_first():
    catalog = [
        *(item(n, price=1, parent=n + 1_000) for n in range(700)),
        *(item(n, price=2) for n in range(1_000, 1_700)),
        *(item(n, price=3, parent=n + 1_000) for n in range(700)),
    ]
    async with shop(full_semantics="mark_absent") as (emulator, client):
        report = await client.products.sync(catalog, mode="FULL", allow_multi_request_full=True)
    assert_balanced(report)
    assert (report.accepted, report.superseded, report.failed) == (1_400, 700, 0), report.failures[:1]
    assert {product["price"] for product in emulator.products.values()} == {2, 3}


async def test_variants_that_name_each_other_are_for_the_server_to_judge_in_full_too():
    ring = [item(n, parent=(n + 1) % 600) for n in range(600)]
    async with shop() as (emulator, client):
        report = await client.products.sync(ring, mode="FULL", allow_multi_request_full=True)
    assert_balanced(report)
    assert len(emulator.requests) > 0


# No server, no silence


@pytest.mark.parametrize("what", ["sync", "delete_many"])
async def test_a_run_that_nothing_ever_answered_raises(what, caplog):
    progress = []
    async with Emulator() as emulator:
        await emulator.stop()
        async with client_of(emulator, retry=RetryPolicy()) as client:
            source = items(3) if what == "sync" else ["p1", "p2", "p3"]
            started = asyncio.get_running_loop().time()
            with pytest.raises(ConnectionFailed) as caught:
                await getattr(client.products, what)(source, on_progress=progress.append)
            assert 120 <= asyncio.get_running_loop().time() - started <= 200
        await emulator.start()
    report = caught.value.report
    assert_balanced(report)
    assert (report.failed, report.unsent) == (3, 0)
    assert {failure.stage for failure in report.failures} == {"transport"}
    waiting = [moment for moment in progress if moment.failing_for is not None]
    assert waiting[0].failing_for < 1
    assert waiting[-1].failing_for > 100
    assert all(abs(moment.failing_for + moment.gives_up_in - 120) < 1 for moment in waiting if moment.gives_up_in)
    assert "no usable answer for" in caplog.text
    assert "going on for another" in caplog.text


async def test_half_an_hour_of_outage_is_waited_out():
    async with shop({"retry": RetryPolicy()}, latency=0.5) as (emulator, client):
        loop = asyncio.get_running_loop()
        begin = loop.time() + 0.3  # the first eight batches are on their way
        emulator.fail("sync_products", Fault.status(503), when=lambda _: begin <= loop.time() < begin + 26 * 60 + 18)
        report = await client.products.sync(items(6_000))
    assert report.ok, report
    assert report.elapsed > 26 * 60


async def test_a_report_raises_for_its_failures():
    async with shop() as (_, client):
        good = await client.products.sync(items(2))
        bad = await client.products.sync([*items(2), item("bad", price=-1)])
    good.raise_for_failures()
    with pytest.raises(SyncFailed, match="1 of 3 products failed; the first one: pbad: price") as caught:
        bad.raise_for_failures()
    assert caught.value.report is bad
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, SyncFailed)
    assert again.report == bad
    assert str(again) == str(caught.value)


async def test_413_for_everything_stops_the_run_after_a_bounded_number_of_requests():
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(413), every=1)
        with pytest.raises(NeuroonError, match="413") as caught:
            await client.products.sync(items(5_000))
    assert_balanced(caught.value.report)
    assert len(emulator.requests) <= 200


async def test_fifty_products_in_a_row_that_are_too_large_cost_only_themselves():
    catalog = [item(n, description="d" * 3_000) if 700 <= n < 750 else item(n) for n in range(2_000)]
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(413), when=lambda request: b"d" * 3_000 in request.body)
        report = await client.products.sync(catalog)
    assert (report.accepted, report.failed) == (1_950, 50)


# What was never sent


async def test_what_was_never_in_a_request_is_unsent_and_listed_last():
    limits = {"sync_products": RateLimit(3, per=60.0)}
    told = []
    async with shop({"rate_limits": limits, "retry": RetryPolicy()}, latency=5.0) as (_, client):
        source = [*items(2_000), item("bad", price=-1)]
        run = asyncio.create_task(client.products.sync(source, batch_size=100, concurrency=8, on_failure=told.append))
        await asyncio.sleep(3)
        run.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await run
    report = caught.value.report
    assert_balanced(report)
    in_flight = [failure for failure in told if failure.stage == "transport" and not failure.unsent]
    assert report.accepted == 0
    assert len(in_flight) in {200, 300}, "only what a request carried; others waited for the limit"
    assert report.unsent == report.failed - len(in_flight)
    order = [failure.unsent for failure in told]
    assert order == sorted(order), "the unsent come last"
    assert "unsent" in str(report)
    assert not any("may or may not" in failure.reason for failure in told if failure.unsent)


@pytest.mark.parametrize("how", ["timeout", "closing"])
async def test_a_callback_that_hangs_does_not_keep_a_cancelled_run(how):
    async def hang(_failure):
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    async with shop() as (_server, client):
        started = loop.time()
        bad = [item(number, price=-1) for number in range(3)]
        if how == "closing":
            loop.call_later(5, lambda: asyncio.ensure_future(client.aclose()))
            with pytest.raises(ClientClosed) as caught:
                await client.products.sync([*items(3), *bad], on_failure=hang)
            report = caught.value.report
        else:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(5):
                    await client.products.sync([*items(3), *bad], on_failure=hang)
            cancelled = caught.value.__cause__
            report = cancelled.report
            assert "telling the callbacks took too long and was cut off" in cancelled.__notes__
        assert_balanced(report)
        assert (report.received, report.failed) == (6, 6)
        assert loop.time() - started < 16


@pytest.mark.parametrize("where", ["accepted", "failure", "source", "flushed"])
async def test_a_cancellation_of_something_else_ends_the_run_with_its_report(where):
    def cancelled(_seen):
        raise asyncio.CancelledError("of another task")

    async def source():
        yield item(1)
        raise asyncio.CancelledError("of another task")

    options = {
        "accepted": {"on_accepted": cancelled},
        "failure": {"on_failure": cancelled},
        "source": {},
        "flushed": {"flush_after": 60},
    }[where]
    async with shop() as (server, client):
        server.fail("sync_products", Fault.status(400, "name: no"), times=1 if where == "failure" else 0)
        with pytest.raises(asyncio.CancelledError, match="of another task") as caught:
            async with asyncio.timeout(600):
                await client.products.sync(source() if where in {"source", "flushed"} else [item(1)], **options)
        assert caught.value.report.received == 1
        assert_balanced(caught.value.report)


async def test_a_progress_callback_that_ends_by_a_cancellation_ends_the_run_too():
    seen = []

    def cancelled(progress):
        seen.append(progress)
        if len(seen) == 2:
            raise asyncio.CancelledError("of another task")

    async def source():
        yield item(1)
        await asyncio.sleep(60)

    async with shop() as (_server, client):
        with pytest.raises(asyncio.CancelledError, match="of another task") as caught:
            await client.products.sync(source(), on_progress=cancelled)
        assert caught.value.report.received == 1
        assert_balanced(caught.value.report)


async def test_deletions_that_were_never_sent_are_unsent():
    limits = {"delete_product": RateLimit(2, per=60.0)}
    async with shop({"rate_limits": limits}, latency=5.0) as (_, client):
        run = asyncio.create_task(client.products.delete_many([f"p{n}" for n in range(100)]))
        await asyncio.sleep(3)
        run.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await run
    report = caught.value.report
    assert_balanced(report)
    assert report.unsent == report.received - len([f for f in report.failures if not f.unsent])
    assert 0 < report.received - report.unsent <= 2


# Pickles


class Stubborn:
    """Neither pickles nor shows itself."""

    def __init__(self):
        self.lock = threading.Lock()

    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("product", [threading.Lock(), Stubborn(), (n for n in [1]), {"a": threading.Lock()}, item(1)])
def test_a_failure_pickles_whatever_the_item_was(product):
    failure = ProductFailure("p1", "no", "local", None, product, unsent=True)
    report = SyncReport(received=1, failed=1, failures=[failure])
    again = pickle.loads(pickle.dumps(report)).failures[0]
    assert (again.external_id, again.reason, again.stage, again.unsent) == ("p1", "no", "local", True)
    assert again.product == product if product == item(1) else isinstance(again.product, str)


def test_a_client_can_be_made_without_a_loop():
    assert NeuroonClient(shop_id=DEFAULT_SHOP_ID, api_key=DEFAULT_API_KEY).products


# What people hand over


class Row:
    """An object of an ORM, as SQLAlchemy's mapper describes it."""

    class __mapper__:  # noqa: N801 - SQLAlchemy's name
        class attrs:  # noqa: N801 - likewise
            @staticmethod
            def keys():
                return ["external_id", "name", "price", "url", "warehouse", "supplier"]

    def __init__(self, number, url="https://shop.example/x"):
        self.external_id, self.name, self.price, self.url = f"p{number}", "x", 1, url
        self.warehouse = self.supplier = "?"


async def test_what_an_orm_object_carries_besides_is_listed_once_a_run(caplog):
    async with shop() as (emulator, client):
        report = await client.products.sync([Row(n) for n in range(50)])
    assert report.accepted == len(emulator.products) == 50
    said = [record.getMessage() for record in caplog.records if "not used" in record.getMessage()]
    assert said == [f"{DEFAULT_SHOP_ID}: Row objects: not used: warehouse, supplier"]


@pytest.mark.parametrize("kind", ["product", "mapping", "object"])
async def test_a_relative_address_is_sent_and_warned_of_once_a_run(kind, caplog):
    def made(number):
        if kind == "product":
            return msgspec.structs.replace(item(number), url="/x")
        return mapping(number, url="/x") if kind == "mapping" else Row(number, url="/x")

    async with shop() as (emulator, client):
        report = await client.products.sync([made(n) for n in range(50)])
    assert report.accepted == len(emulator.products) == 50
    assert sum("relative address" in record.getMessage() for record in caplog.records) == 1


async def test_a_data_frame_is_read_row_by_row():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([mapping(n, rating=4.5 if n % 2 else None) for n in range(30)])
    async with shop() as (emulator, client):
        report = await client.products.sync(frame)
    assert report.accepted == 30
    assert "rating" not in emulator.products["p2"]
    assert emulator.products["p3"]["rating"] == 4.5


# A damaged ledger


class EndlessLedger:
    """Counts three missing products, and names them again and again."""

    forgotten = 0

    @asynccontextmanager
    async def run(self, shop):
        yield self

    async def unchanged(self, digests):
        return set()

    async def invalidate(self, ids):
        pass

    async def record(self, digests):
        pass

    async def seen(self, ids):
        pass

    async def forget(self, ids):
        self.forgotten += len(ids)

    async def missing(self):
        return 3, 100

    async def missing_ids(self):
        while True:
            for number in range(3):
                yield f"gone{number}"


async def test_a_ledger_that_names_more_than_it_counted_does_not_delete_for_ever():
    async with shop() as (emulator, client):
        with pytest.raises(LedgerError, match="more missing products than it counted") as caught:
            await client.products.sync(items(5), ledger=EndlessLedger(), delete_missing=True)
        assert len(emulator.requests_to("delete_product")) <= 3
    assert_balanced(caught.value.report)
    assert caught.value.report.accepted == 5


async def test_a_ledger_that_fails_as_it_is_closed_leaves_the_report():
    class Failing(EndlessLedger):
        @asynccontextmanager
        async def run(self, shop):
            yield self
            raise LedgerError("the disk is full")

    async with shop() as (_, client):
        with pytest.raises(LedgerError, match="the disk is full") as caught:
            await client.products.sync(items(5), ledger=Failing())
    assert caught.value.report.accepted == 5
