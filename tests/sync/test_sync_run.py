"""A run's frame: backpressure, the source's end, accounting whatever happens, callbacks, cancellation, FULL."""

from __future__ import annotations

import asyncio
import gc
import random
import warnings
from collections import Counter
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repeats import repeats
from sync_shop import assert_apart, assert_balanced, client_of, first_tries, in_virtual_time, item, items, shop

from neuroon_async import (
    AuthenticationFailed,
    ConfigurationError,
    NeuroonError,
    NotFound,
    ProductFailure,
    RateLimit,
    RequestTimeout,
    RetryPolicy,
    SQLiteLedger,
    UnsafeFullSync,
)
from neuroon_async.sync.outages import MAX_FAILED_IN_A_ROW
from neuroon_async.testing import Emulator, Fault

pytestmark = pytest.mark.virtual_time


class SourceBroke(Exception):
    pass


class CallbackBroke(Exception):
    pass


# The source


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize(("concurrency", "batch_size"), [(1, 100), (4, 100), (2, 500)])
async def test_the_source_is_read_only_as_fast_as_batches_leave(kind, concurrency, batch_size):
    async with shop(latency=1.0) as (emulator, client):
        most_ahead = 0

        def plain():
            nonlocal most_ahead
            for number in range(6_000):
                most_ahead = max(most_ahead, number - len(emulator.products))
                yield item(number)

        async def asynchronous():
            for product in plain():
                yield product

        source = plain() if kind == "plain" else asynchronous()
        report = await client.products.sync(source, concurrency=concurrency, batch_size=batch_size)
    assert report.accepted == 6_000
    assert most_ahead <= (concurrency + 2) * batch_size


async def test_a_blocking_source_blocks_the_loop_for_one_batch_at_most():
    turns = []

    async def clock():
        while True:
            turns.append(read)
            await asyncio.sleep(0)

    read = 0

    def source():
        nonlocal read
        for number in range(2_000):
            read += 1
            yield item(number)

    async with shop() as (_, client):
        ticking = asyncio.create_task(clock())
        await client.products.sync(source(), batch_size=100)
        ticking.cancel()
    assert max(later - earlier for earlier, later in pairwise(turns)) <= 100


@pytest.mark.parametrize("read_before", [0, 1, 499, 500, 501, 1_234])
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_what_was_read_before_the_source_broke_is_delivered(kind, read_before):
    def plain():
        yield from items(read_before)
        raise SourceBroke("cursor lost")

    async def asynchronous():
        for product in items(read_before):
            yield product
        raise SourceBroke("cursor lost")

    async with shop() as (emulator, client):
        with pytest.raises(SourceBroke, match="cursor lost") as caught:
            await client.products.sync(plain() if kind == "plain" else asynchronous())
    report = caught.value.report
    assert_balanced(report)
    assert (report.received, report.accepted) == (read_before, read_before)
    assert len(emulator.products) == read_before


async def test_bad_input_fails_alone_and_says_what_is_wrong():
    record = ProductFailure("line 7", "price: not a number", "local")
    source = [
        {"externalId": "a", "name": "x", "price": 1, "url": "u"},
        {"external_id": "b", "name": "x", "price": -1, "url": "u"},
        {"externalId": "c", "nmae": "x", "price": 1, "url": "u"},
        None,
        "text",
        item("\udfff"),
        item("d", price=float("nan")),
        record,
        item("e"),
    ]
    async with shop() as (emulator, client):
        report = await client.products.sync(source)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (2, 7)
    assert {failure.stage for failure in report.failures} == {"local"}
    assert record in report.failures
    reasons = {failure.external_id: failure.reason for failure in report.failures}
    assert "price" in reasons["b"]
    assert "nmae" in reasons["c"]
    assert emulator.products.keys() == {"a", "pe"}


@pytest.mark.parametrize("source", [5, "text", b"bytes", {"externalId": "a"}, item(1)])
async def test_what_is_no_source_is_refused(source):
    async with shop() as (emulator, client):
        with pytest.raises(ConfigurationError, match="source"):
            await client.products.sync(source)
    assert emulator.requests == []


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"batch_size": 0}, {"batch_size": 501}, {"max_batch_bytes": 0}, {"mode": "PARTIAL"}],
)
async def test_options_that_cannot_work_are_refused(options):
    async with shop() as (emulator, client):
        with pytest.raises(ConfigurationError):
            await client.products.sync(items(1), **options)
    assert emulator.requests == []


async def test_more_than_a_thousand_at_once_is_refused_before_anything_is_read():
    source = iter(items(3))
    async with shop() as (emulator, client):
        for run in (client.products.sync, client.products.delete_many):
            with pytest.raises(ConfigurationError, match=r"concurrency must be a whole number, in 1\.\.1000; got 1001"):
                await run(source, concurrency=1_001)
    assert len(list(source)) == 3
    assert emulator.requests == []


async def test_an_empty_source_sends_nothing():
    async with shop() as (emulator, client):
        report = await client.products.sync([])
        full = await client.products.sync([], mode="FULL")
    assert (report.received, full.received, emulator.requests) == (0, 0, [])
    assert report.ok


# Callbacks


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_every_failure_is_told_and_the_first_thousand_kept(kind):
    told = []

    async def asynchronous(failure):
        await asyncio.sleep(0)
        told.append(failure.external_id)

    def plain(failure):
        told.append(failure.external_id)

    source = (item(n, price=-1 if n % 2 else 1) for n in range(5_000))
    async with shop() as (_, client):
        report = await client.products.sync(source, on_failure=plain if kind == "plain" else asynchronous)
    assert_balanced(report)
    assert (report.accepted, report.failed, len(report.failures)) == (2_500, 2_500, 1_000)
    assert sorted(told) == sorted(f"p{n}" for n in range(1, 5_000, 2))


@pytest.mark.parametrize("after", [0, 1, 30])
@pytest.mark.parametrize("callback", ["on_failure", "on_progress"])
async def test_a_callback_that_raises_ends_the_run_with_its_report(callback, after):
    calls = 0

    async def broken(_):
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls > after:
            raise CallbackBroke

    async with shop(latency=1.0) as (_, client):
        source = (item(n, price=-1 if n % 3 == 0 else 1) for n in range(40_000 if callback == "on_progress" else 5_000))
        try:
            report = await client.products.sync(source, **{callback: broken})
        except CallbackBroke as error:
            report = error.report
        else:
            assert callback == "on_progress", "an exception of on_failure must not vanish"
            assert calls <= after
    assert_balanced(report)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_last_call_of_a_callback_may_raise_too():
    """The run itself is over by then; its report must not be lost with it."""

    def broken(progress):
        if progress.done == 10:
            raise CallbackBroke

    async with shop() as (_, client):
        with pytest.raises(CallbackBroke) as caught:
            await client.products.sync(items(10), on_progress=broken)
    assert caught.value.report.accepted == 10


async def test_progress_comes_at_most_ten_times_a_second_and_once_at_the_end():
    seen = []
    started = asyncio.get_running_loop().time()

    def on_progress(progress):
        seen.append((asyncio.get_running_loop().time() - started, progress))

    limits = {"sync_products": RateLimit(5, per=20.0)}
    async with shop({"rate_limits": limits}, latency=0.5) as (_, client):
        report = await client.products.sync(items(2_000), batch_size=100, on_progress=on_progress)
    times = [time for time, _ in seen]
    assert report.elapsed > 50
    assert len(seen) <= report.elapsed * 10 + 3
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) < 0.2, "it must also come while the run waits for the limit"
    assert min(gaps[:-1]) > 0.09
    assert sum(progress.waiting_for_limit for _, progress in seen) > 100
    last = seen[-1][1]
    assert (last.done, last.accepted, last.total, last.waiting_for_limit) == (2_000, 2_000, 2_000, False)
    assert all(a.done <= b.done for (_, a), (_, b) in pairwise(seen))


# Cancellation


@settings(max_examples=settings.default.max_examples // 6)
@given(
    moment=st.floats(0, 6),
    kind=st.sampled_from(["plain", "async", "slow"]),
    faults=st.booleans(),
    seed=st.integers(0, 1_000),
)
def test_cancelled_at_any_moment_a_run_leaves_nothing_behind(moment, kind, faults, seed):  # noqa: C901
    begun, closed = [], []

    def plain():
        begun.append(True)  # a generator that was never asked for anything has nothing to clean up
        try:
            for number in range(3_000):
                yield item(number % 2_000, price=number + 1, parent=number * 7 % 500 if number % 5 == 4 else None)
        finally:
            closed.append(True)

    async def asynchronous():
        try:
            for product in plain():
                if kind == "slow" and product.price % 100 == 0:
                    await asyncio.sleep(0.1)
                yield product
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def slow_callback(_):
        if random.random() < 0.01:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0)

    async def scenario():
        async with shop({"retry": RetryPolicy(initial=0.1)}, latency=0.1, jitter=1.0, seed=seed) as (emulator, client):
            if faults:
                emulator.fail("sync_products", Fault.status(503), every=3)
            # Cycles among the parents are welcome here.
            started = len(asyncio.all_tasks())
            run = asyncio.create_task(
                client.products.sync(
                    plain() if kind == "plain" else asynchronous(),
                    batch_size=50,
                    concurrency=4,
                    on_failure=slow_callback,
                    on_progress=slow_callback,
                )
            )
            await asyncio.sleep(moment)
            run.cancel()
            done = len(asyncio.all_tasks())
            try:
                report = await run
            except asyncio.CancelledError as error:
                report = getattr(error, "report", None)
                if report is None:
                    assert moment < 0.001, "only a run that never began has no report"
                    return None
            assert started <= done
            tasks = [task for task in asyncio.all_tasks() if "neuroon_async/sync" in str(task.get_coro())]
            assert not tasks
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return report

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = in_virtual_time(scenario)
        gc.collect()
    if report is not None:
        assert_balanced(report)
        assert bool(closed) == bool(begun)


async def test_a_timeout_around_a_run_is_a_timeout():
    async with shop(latency=1.0) as (_, client):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(2.5):
                await client.products.sync(items(20_000), concurrency=2)
    report = caught.value.__cause__.report
    assert_balanced(report)
    assert 1_000 <= report.accepted <= 3_000


async def test_a_cancelled_run_closes_its_connections():
    async with Emulator(algorithm="off", latency=5.0) as emulator:
        async with client_of(emulator) as client:
            run = asyncio.create_task(client.products.sync(items(20_000)))
            await asyncio.sleep(1)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
        await asyncio.sleep(0.1)
        assert emulator._server is not None
        assert not emulator._server._numbered


@pytest.mark.parametrize("broken", [False, True])
async def test_a_cancellation_during_the_last_callback_is_not_swallowed(broken):
    """Not even where the run had already failed for another reason."""

    async def slow(progress):
        if progress.done == 10:
            await asyncio.sleep(100)

    async def stop(failure):
        if failure.stage == "local":
            raise CallbackBroke

    source = [*items(9), item(9, price=-1)]
    async with shop() as (_, client):
        run = asyncio.create_task(
            client.products.sync(
                source, on_progress=slow, on_failure=stop if broken else None, batch_size=9, concurrency=1
            )
        )
        await asyncio.sleep(50)
        run.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await run
    assert_balanced(caught.value.report)
    assert caught.value.report.received == 10


async def test_what_was_read_but_not_yet_taken_in_is_accounted_for_too():
    told = []

    async def source():
        for product in items(7):
            yield product
        await asyncio.Event().wait()

    async with shop() as (_, client):
        run = asyncio.create_task(client.products.sync(source(), on_failure=told.append))
        await asyncio.sleep(1)
        run.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await run
    assert_balanced(caught.value.report)
    assert (caught.value.report.received, len(told)) == (7, 7)


async def test_a_generator_is_closed_when_the_run_is_stopped():
    closed = []

    async def source():
        try:
            for product in items(20_000):
                yield product
        finally:
            closed.append(True)

    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(401))
        with pytest.raises(NeuroonError):
            await client.products.sync(source())
        assert closed


async def _raising():
    try:
        await asyncio.sleep(3_600)
    finally:
        raise ValueError("the cleanup failed")


async def _keeping_it():
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(3_600)


@pytest.mark.parametrize("end", [_raising, _keeping_it], ids=["raises", "ends"])
@pytest.mark.parametrize("what", ["sync", "delete"])
async def test_a_failure_ends_a_run_whatever_the_source_makes_of_its_cancellation(what, end):
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(401))
        emulator.fail("delete_product", Fault.status(401))

        async def source():
            yield item(1) if what == "sync" else "p1"
            await end()

        run = client.products.sync(source(), batch_size=1) if what == "sync" else client.products.delete_many(source())
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(AuthenticationFailed) as caught:
            async with asyncio.timeout(60):
                await run
        assert loop.time() - began < 30, "it waited until somebody else cancelled it"
        assert_balanced(caught.value.report)
        assert caught.value.report.failed == 1


async def _going_on():
    await _keeping_it()
    while True:
        await asyncio.sleep(0.001)
        yield item(9)


@pytest.mark.parametrize("ending", ["cancelled", "deadline"])
@pytest.mark.parametrize("how", ["raises", "ends", "goes on"])
@pytest.mark.parametrize("flush_after", [None, 60], ids=["whole", "flushed"])
async def test_a_source_that_ends_by_a_cancellation_has_not_come_to_its_end(flush_after, how, ending, tmp_path):
    policy = RetryPolicy(bulk_deadline=20 if ending == "deadline" else None)
    async with shop({"retry": policy}) as (emulator, client):
        ledger = SQLiteLedger(tmp_path / "ledger.db")
        await client.products.sync(items(10), ledger=ledger)

        async def source():
            for product in items(8):
                yield product
            if how == "goes on":
                async for product in _going_on():
                    yield product
            await (_raising if how == "raises" else _keeping_it)()

        options = {"ledger": ledger, "delete_missing": True, "max_delete_fraction": 0.5, "flush_after": flush_after}
        run = asyncio.create_task(client.products.sync(source(), **options))
        if ending == "cancelled":
            await asyncio.sleep(20)
            run.cancel()
        with pytest.raises(asyncio.CancelledError if ending == "cancelled" else RequestTimeout) as caught:
            await run
        assert_balanced(caught.value.report)
        assert len(emulator.products) == 10


async def test_an_iterator_of_the_users_own_stays_open():
    class Cursor:
        closed = False
        read = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.read += 1
            return item(self.read)

        def close(self):
            self.closed = True

    cursor = Cursor()
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(401))
        with pytest.raises(NeuroonError):
            await client.products.sync(cursor)
    assert not cursor.closed


async def test_a_generator_whose_cleanup_fails_does_not_hide_the_report():
    async def source():
        try:
            for product in items(20_000):
                yield product
        finally:
            raise SourceBroke

    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(401))
        with pytest.raises(NeuroonError) as caught:
            await client.products.sync(source())
    assert_balanced(caught.value.report)


# FULL


async def test_a_full_sync_is_one_request_that_replaces_the_catalog():
    async with shop() as (emulator, client):
        await client.products.sync(items(300))
        report = await client.products.sync([item(n) for n in range(200, 700)], mode="FULL", batch_size=50)
    assert (report.accepted, report.requests) == (500, 1)
    assert emulator.products.keys() == {f"p{n}" for n in range(200, 700)}


@pytest.mark.parametrize("batch_size", [50, 500])
async def test_a_full_sync_that_one_request_cannot_hold_is_refused_before_anything_is_sent(batch_size):
    async with shop() as (emulator, client):
        with pytest.raises(UnsafeFullSync) as caught:
            await client.products.sync(iter(items(20_000)), mode="FULL", batch_size=batch_size)
    assert emulator.requests == []
    assert_balanced(caught.value.report)
    assert caught.value.report.received <= 1_000


async def test_a_full_sync_too_large_in_bytes_is_refused_too():
    async with shop() as (emulator, client):
        with pytest.raises(UnsafeFullSync, match="bytes") as caught:
            await client.products.sync(items(400), mode="FULL", max_batch_bytes=10_000)
    assert emulator.requests == []
    assert_balanced(caught.value.report)
    assert (caught.value.report.received, caught.value.report.failed) == (400, 400)


async def test_five_hundred_products_in_many_versions_still_fit_one_full_request():
    async with shop() as (_emulator, client):
        report = await client.products.sync([item(n % 500, price=n + 1) for n in range(2_000)], mode="FULL")
    assert (report.accepted, report.superseded, report.requests) == (500, 1_500, 1)


async def test_half_a_source_is_never_sent_as_a_full_catalog():
    def source():
        yield from items(100)
        raise SourceBroke

    for several in (False, True):
        async with shop() as (emulator, client):
            await client.products.sync(items(300))
            with pytest.raises(SourceBroke) as caught:
                await client.products.sync(source(), mode="FULL", allow_multi_request_full=several)
        assert_balanced(caught.value.report)
        assert caught.value.report.failed == 100
        assert len(emulator.products) == 300


async def test_a_full_sync_in_several_requests_goes_strictly_one_after_another():
    async with shop({"retry": RetryPolicy()}, latency=0.5, jitter=1.0, full_semantics="mark_absent") as (
        emulator,
        client,
    ):
        emulator.fail("sync_products", Fault.status(503), every=3)
        report = await client.products.sync(items(2_600), mode="FULL", allow_multi_request_full=True, concurrency=8)
    assert_balanced(report)
    assert report.accepted == 2_600
    for earlier, later in pairwise(emulator.requests):
        assert later.arrived >= earlier.finished
    sent = [number for request in emulator.requests if request.status == 200 for number in request.external_ids]
    assert sent == [f"p{n}" for n in range(2_600)]


async def test_a_refused_full_batch_is_neither_split_nor_repeated_in_pieces():
    def reject(products):
        return (400, "name: no") if any(product["externalId"] == "p7" for product in products) else None

    async with shop(reject_batch=reject) as (emulator, client):
        report = await client.products.sync(items(100), mode="FULL")
    assert_balanced(report)
    assert (report.failed, len(emulator.requests)) == (100, 1)


# Deleting


async def test_deleting_many_counts_like_syncing():
    async with shop(jitter=0.3) as (emulator, client):
        await client.products.sync(items(100))
        # A 404 on a repetition says that the first try had worked, so the unknown product must not be repeated.
        refused = emulator.fail(
            "delete_product", Fault.status(503), when=first_tries(*(f"p{n}" for n in range(0, 50, 5)))
        )
        lost = emulator.fail(
            "delete_product", Fault.drop(processed=True), when=first_tries(*(f"p{n}" for n in range(0, 50, 7)))
        )
        ids = [*(f"p{n}" for n in range(50)), "p1", "p2", "never", "", None, "\ud800"]
        told = []
        report = await client.products.delete_many(iter(ids), on_failure=told.append, concurrency=30)
    assert_balanced(report)
    assert (refused.fired, lost.fired) == (10, 8), "p0 and p35 draw one of each: two of their three attempts"
    assert (report.received, report.accepted, report.deleted, report.superseded) == (56, 50, 50, 2)
    assert Counter((failure.stage, failure.status) for failure in told) == {("server", 404): 1, ("local", None): 3}
    assert emulator.products.keys() == {f"p{n}" for n in range(50, 100)}


async def test_a_deletion_that_worked_before_an_outage_is_no_failure_after_it():
    async with shop({"retry": RetryPolicy(attempts=2)}) as (emulator, client):
        await client.products.sync(items(3))
        begin = asyncio.get_running_loop().time()
        emulator.fail(
            "delete_product",
            Fault.drop(processed=True),
            when=lambda request: asyncio.get_running_loop().time() < begin + 60,
        )
        report = await client.products.delete_many(["p0", "p1"])
    assert_balanced(report)
    assert (report.deleted, report.failed) == (2, 0), report.failures
    assert emulator.products.keys() == {"p2"}


async def test_what_was_throttled_before_it_was_not_found_is_not_called_deleted():
    async with shop({"retry": RetryPolicy(attempts=2)}) as (emulator, client):
        emulator.fail("delete_product", Fault.too_many_requests(1), times=5)  # more than one round of attempts
        report = await client.products.delete_many(["never"])
    assert_balanced(report)
    assert (report.deleted, [failure.status for failure in report.failures]) == (0, [404])


async def test_a_deletion_leaves_as_soon_as_an_async_source_gives_its_id():
    async with shop() as (emulator, client):
        await client.products.sync(items(3))

        async def feed():
            for n in range(3):
                yield f"p{n}"
                await emulator.wait_for(lambda n=n: f"p{n}" not in emulator.products, timeout=60)

        report = await client.products.delete_many(feed())
    assert (report.received, report.deleted) == (3, 3)


async def test_a_proxys_page_for_every_deletion_stops_the_run():
    async with shop() as (emulator, client):
        await client.products.sync(items(30))
        emulator.fail("delete_product", Fault.html(404), every=1)
        with pytest.raises(NotFound, match="no answer that the API documents") as caught:
            await client.products.delete_many((f"p{n}" for n in range(30)), concurrency=1)
        assert_balanced(caught.value.report)
        assert len(emulator.requests_to("delete_product")) == MAX_FAILED_IN_A_ROW


@pytest.mark.parametrize("how", ["401", "cancelled", "source", "callback", "outage"])
async def test_a_deletion_that_ends_early_is_accounted_for(how):
    def source():
        for n in range(400):
            if how == "source" and n == 200:
                raise SourceBroke
            yield f"p{n}"

    def on_failure(_):
        if how == "callback":
            raise CallbackBroke

    async with shop({"retry": RetryPolicy(attempts=2, outage_patience=60.0)}, latency=0.05) as (emulator, client):
        await client.products.sync(items(300))
        if how == "401":
            emulator.fail("delete_product", Fault.status(401), when=lambda request: request.number > 100)
        if how == "outage":
            emulator.fail("delete_product", Fault.status(503), when=lambda request: request.number > 100)
        run = asyncio.create_task(client.products.delete_many(source(), on_failure=on_failure))
        if how == "cancelled":
            await asyncio.sleep(1)
            run.cancel()
        with pytest.raises(BaseException) as caught:
            await run
    assert not isinstance(caught.value, BaseExceptionGroup)
    report = caught.value.report
    assert_balanced(report)
    assert report.deleted == 300 - len(emulator.products) or how in {"401", "cancelled", "callback", "outage"}
    if how == "source":
        assert (report.received, report.deleted) == (200, 200)


@pytest.mark.parametrize("seed", repeats(range(10), quick=4))
def test_accounting_holds_however_a_run_ends(seed):  # noqa: C901
    """Everything at once, at random: bad input, faults, refusals, late parents, a source or a callback that breaks."""
    chance = random.Random(seed)
    breaks_at = chance.choice([None, None, chance.randrange(600)])

    def source():
        for n in range(600):
            if n == breaks_at:
                raise SourceBroke
            roll = chance.random()
            if roll < 0.02:
                yield None
            elif roll < 0.04:
                yield item(n, price=-1)
            elif roll < 0.3:
                yield item(n, price=n + 1, parent=chance.randrange(700))
            else:
                yield item(chance.randrange(600), price=n + 1)

    async def scenario():
        allowed = chance.choice([10_000, 30])

        def on_failure(_):
            nonlocal allowed
            allowed -= 1
            if allowed < 0:
                raise CallbackBroke

        options = {"retry": RetryPolicy(attempts=3, initial=0.1)}
        async with shop(
            options, jitter=0.5, seed=seed, reject_item=lambda p: "no" if p["price"] % 50 == 0 else None
        ) as (
            emulator,
            client,
        ):
            emulator.fail("sync_products", chance.choice([Fault.status(503), Fault.drop(processed=True)]), every=4)
            if chance.random() < 0.2:
                emulator.fail("sync_products", Fault.status(403), when=lambda request: request.number > 20)
            try:
                async with asyncio.timeout(chance.choice([1_000, 2])):
                    report = await client.products.sync(source(), batch_size=20, on_failure=on_failure)
            except TimeoutError as error:
                report = error.__cause__.report
            except (SourceBroke, CallbackBroke, NeuroonError) as error:
                report = error.report
        assert_balanced(report)
        assert_apart(emulator)
        return len(emulator.products)

    in_virtual_time(scenario)
