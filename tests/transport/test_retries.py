"""What is repeated, when, and for how long: the rules alone, then the rules at work on a clock that jumps."""

import asyncio
import contextlib
import traceback
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.ledger_shop import MemoryLedger

from neuroon_async import (
    DOCUMENTED_RATE_LIMITS,
    APIError,
    AuthenticationFailed,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    NeuroonClient,
    NeuroonError,
    NotFound,
    Product,
    RateLimit,
    RateLimited,
    RequestTimeout,
    RetryBudget,
    RetryPolicy,
    ServerError,
)
from neuroon_async.api.contract import ENDPOINTS, SHOP
from neuroon_async.testing import Emulator, Fault
from neuroon_async.transport.calls import CallStats
from neuroon_async.transport.retries import retry
from neuroon_async.transport.time_limit import TimeLimit

# The rules


@pytest.mark.parametrize(
    ("error", "helps", "surely_unprocessed"),
    [
        (RateLimited(), True, True),
        (ConnectionFailed("refused", maybe_processed=False), True, True),
        (RequestTimeout("no connection", maybe_processed=False), True, True),
        (ConnectionFailed("reset", maybe_processed=True), True, False),
        (RequestTimeout("no answer", maybe_processed=True), True, False),
        (ServerError(500), True, False),
        (ServerError(503, retry_after=1.0), True, False),
        (NotFound(404), False, False),
        (Conflict(409), False, False),
        (APIError(302), False, False),
        (APIError(408), True, False),
        (RateLimited(retry_after=20.0, local=True), False, True),
        (ConnectionFailed("not trusted", maybe_processed=False, permanent=True), False, True),
        (ConfigurationError("closed"), False, False),
        (ValueError(), False, False),
    ],
    ids=repr,
)
def test_a_retry_must_help_and_be_safe(error, helps, surely_unprocessed):
    policy = RetryPolicy()
    retried = {name: policy.should_retry(endpoint, error) for name, endpoint in ENDPOINTS.items()}
    assert retried == {
        name: helps and (endpoint.repeat_safe or surely_unprocessed) for name, endpoint in ENDPOINTS.items()
    }


def test_a_policy_is_five_attempts_from_one_second_to_a_minute_apart_with_a_budget_of_its_own():
    policy, other = RetryPolicy(), RetryPolicy()
    assert (policy.attempts, policy.initial, policy.maximum, policy.budget.capacity) == (5, 1.0, 60.0, 500)
    assert policy.budget is not other.budget
    other.budget.spend(5)
    assert policy == other  # what is left of a budget is no part of the rules
    with pytest.raises(AttributeError, match="cannot assign"):
        policy.attempts = 9


@given(attempt=st.integers(1, 10_000), initial=st.just(0.0) | st.floats(1e-6, 1e6), maximum=st.floats(0, 1e6))
def test_backoff_doubles_up_to_the_maximum_and_half_of_it_is_jitter(attempt, initial, maximum):
    full = min(maximum, initial * 2.0 ** min(attempt - 1, 60))
    assert full * 0.5 <= RetryPolicy(initial=initial, maximum=maximum).backoff(attempt) <= full


def test_backoffs_are_spread_over_their_whole_range():
    seen = sorted(RetryPolicy(initial=1.0).backoff(3) for _ in range(500))
    assert seen[0] < 2.2
    assert seen[-1] > 3.8


@given(retry_after=st.floats(0.001, 1e12), kind=st.sampled_from([RateLimited, ServerError]))
def test_retry_after_is_never_undercut_and_capped_at_the_longest_window(retry_after, kind):
    capped = min(retry_after, 300.0)
    assert capped <= RetryPolicy().wait(1, kind(503, retry_after=retry_after)) <= capped * 1.1


@pytest.mark.parametrize("error", [RateLimited(), ServerError(500), ConnectionFailed("x", maybe_processed=True)])
def test_without_retry_after_the_wait_is_the_backoff(error):
    assert 4.0 <= RetryPolicy().wait(4, error) <= 8.0


@pytest.mark.parametrize(
    "arguments",
    [
        {"attempts": 0},
        {"initial": -1},
        {"initial": float("nan")},
        {"initial": float("inf")},
        {"maximum": -0.1},
        {"maximum": float("inf")},
        {"deadline": 0},
        {"deadline": float("nan")},
        {"deadline": float("inf")},
        {"bulk_deadline": 0},
        {"outage_patience": -1},
        {"outage_patience": float("inf")},
        {"attempts": "5"},
        {"attempts": 1.5},
        {"attempts": None},
        {"initial": "1"},
        {"initial": True},
        {"maximum": None},
        {"deadline": "10"},
        {"outage_patience": "10"},
    ],
)
def test_impossible_policies_are_refused(arguments):
    with pytest.raises(ConfigurationError, match=rf"^RetryPolicy\.{next(iter(arguments))} "):
        RetryPolicy(**arguments)


def test_a_deadline_may_be_shorter_than_a_second():
    assert RetryPolicy(deadline=0.2, bulk_deadline=0.5).deadline == 0.2


# The budget


def test_a_budget_empties_by_retries_and_refills_by_successes():
    budget = RetryBudget(12)
    timeout, lost = RequestTimeout("x", maybe_processed=True), ServerError(500)
    assert budget.cost_of(RateLimited()) == 0
    assert budget.spend(budget.cost_of(timeout))
    assert budget.spend(budget.cost_of(lost)) is False
    assert budget.tokens == 2
    budget.refund(budget.cost_of(timeout))
    assert budget.tokens == 12
    budget.refund(0)
    assert budget.tokens == 12
    assert budget.spend(5)
    budget.refund(0)
    assert budget.tokens == 8


def test_a_budget_below_zero_is_refused():
    for odd in (-1, 1.5, True, "500"):
        with pytest.raises(ConfigurationError, match=r"^RetryBudget\.capacity "):
            RetryBudget(odd)


def test_each_policy_has_its_own_budget_unless_one_is_given():
    shared = RetryBudget(7)
    assert RetryPolicy().budget is not RetryPolicy().budget
    assert RetryPolicy(budget=shared).budget is RetryPolicy(attempts=2, budget=shared).budget
    assert RetryPolicy() == RetryPolicy()


@given(st.lists(st.one_of(st.sampled_from([0, 5, 10]).map(lambda c: ("spend", c)), st.just(("refund", 5)))))
def test_a_budget_stays_within_its_bounds(steps):
    budget = RetryBudget(20)
    for step, cost in steps:
        getattr(budget, step)(cost)
        assert 0 <= budget.tokens <= 20


# At work


@asynccontextmanager
async def connected(retry=None, **options):
    async with Emulator(algorithm="off") as emulator:
        options = {"rate_limits": None, **options}
        async with NeuroonClient(
            shop_id=emulator.shop_id, api_key=emulator.api_key, base_url=emulator.url, retry=retry, **options
        ) as client:
            yield emulator, client


def gaps(emulator):
    arrived = [request.arrived for request in emulator.requests]
    return [later - earlier for earlier, later in pairwise(arrived)]


@pytest.mark.virtual_time
async def test_waits_double():
    async with connected(RetryPolicy(attempts=6, maximum=5.0)) as (emulator, client):
        emulator.fail("shop", Fault.status(500), times=6)
        with pytest.raises(ServerError):
            await client.shop()
    for gap, full in zip(gaps(emulator), [1, 2, 4, 5, 5], strict=True):
        assert full * 0.5 <= gap <= full + 0.1


def http_date(seconds):
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def throttled(retry_after):
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Fault.status(429, shape="empty", headers=headers)


LONG = RetryPolicy(deadline=1_000.0)


@pytest.mark.virtual_time
@pytest.mark.parametrize("limits", [DOCUMENTED_RATE_LIMITS, None], ids=["limited", "unlimited"])
@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        (Fault.too_many_requests(7), 7.0, 7.7),
        (throttled("0.5"), 0.5, 0.55),
        (throttled(http_date(100_000)), 300.0, 330.0),
        (throttled("Thu, 01 Jan 1970 00:00:00 GMT"), 0.5, 1.0),
        (throttled("-5"), 0.5, 1.0),
        (throttled("0"), 0.5, 1.0),
        (throttled("1000000000"), 300.0, 330.0),
        (throttled("9" * 400), 0.5, 1.0),
        (throttled("soon"), 0.5, 1.0),
        (throttled(None), 0.5, 1.0),
        (Fault.too_many_requests(None), 0.5, 1.0),
        (Fault.status(429, body={"error": {"code": "x", "retryAfter": 12}}), 12.0, 13.2),
    ],
    ids=["seconds", "half", "date", "past", "negative", "zero", "years", "absurd", "words", "none", "bare", "in-body"],
)
async def test_a_429_is_waited_out_as_it_asks_within_reason(fault, least, most, limits):
    async with connected(LONG, rate_limits=limits) as (emulator, client):
        emulator.fail("shop", fault)
        await client.shop()
    (gap,) = gaps(emulator)
    assert least <= gap <= most + 0.1


@pytest.mark.virtual_time
async def test_a_503_with_retry_after_is_waited_out_too():
    async with connected() as (emulator, client):
        emulator.fail("shop", Fault.status(503, headers={"Retry-After": "20"}))
        await client.shop()
    assert 20.0 <= gaps(emulator)[0] <= 22.1


@pytest.mark.virtual_time
async def test_a_dying_server_is_not_hammered():
    budget = RetryBudget(50)
    async with connected(RetryPolicy(attempts=5, budget=budget)) as (emulator, client):
        rule = emulator.fail("shop", Fault.status(500), times=10_000)
        results = await asyncio.gather(*(client.shop() for _ in range(40)), return_exceptions=True)
        assert {type(result) for result in results} == {ServerError}
        assert len(emulator.requests) == 40 + 50 // 5  # not 40 * 5
        assert budget.tokens == 0

        emulator.requests.clear()
        with pytest.raises(ServerError):
            await client.shop()
        assert len(emulator.requests) == 1

        emulator.faults.remove(rule)
        for _ in range(5):
            await client.shop()
        assert budget.tokens == 5
        emulator.fail("shop", Fault.status(500))
        await client.shop()  # one retry is affordable again, and by its success comes back
        assert budget.tokens == 5


@pytest.mark.virtual_time
async def test_timeouts_cost_double_and_429_nothing():
    budget = RetryBudget(25)
    async with connected(RetryPolicy(attempts=3, budget=budget), timeout=1.0) as (emulator, client):
        emulator.fail("shop", Fault.hang(), times=3)
        with pytest.raises(RequestTimeout):
            await client.shop()
        assert budget.tokens == 5
        emulator.fail("shop", Fault.too_many_requests(1), times=3)
        with pytest.raises(RateLimited):
            await client.shop()
        assert budget.tokens == 5


@pytest.mark.virtual_time
async def test_a_policy_can_be_subclassed():
    @dataclass(frozen=True)
    class Stubborn(RetryPolicy):
        def should_retry(self, endpoint, error):
            return isinstance(error, NotFound) or super().should_retry(endpoint, error)

        def wait(self, attempt, error):
            return 100.0 * attempt

    async with connected(Stubborn(attempts=3, deadline=1_000.0)) as (emulator, client):
        emulator.fail("shop", Fault.status(404), times=2)
        await client.shop()
    first, second = gaps(emulator)
    assert 100.0 <= first < 100.1
    assert 200.0 <= second < 200.1


@pytest.mark.virtual_time
async def test_no_policy_can_swallow_a_cancellation():
    class Everything(RetryPolicy):
        def should_retry(self, endpoint, error):
            return True

    async with connected(Everything()) as (emulator, client):
        emulator.fail("shop", Fault.hang(), times=10)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await client.shop()
        assert len(emulator.requests) == 1


@pytest.mark.virtual_time
async def test_no_wait_is_begun_that_would_outlast_the_deadline():
    async with connected(RetryPolicy(attempts=10, deadline=10.0)) as (emulator, client):
        emulator.fail("shop", Fault.status(503, headers={"Retry-After": "11"}), times=10)
        started = asyncio.get_running_loop().time()
        with pytest.raises(ServerError):
            await client.shop()
        assert asyncio.get_running_loop().time() - started < 1.0
        assert client._transport.retry.budget.tokens == 500


@pytest.mark.virtual_time
async def test_one_call_counts_its_own_attempts_beside_others():
    """A tenacity object shared by tasks would add their attempts up."""
    stats = [CallStats() for _ in range(20)]
    async with connected(RetryPolicy(attempts=3)) as (emulator, client):
        emulator.fail("shop", Fault.status(500), times=10_000)
        calls = (client._transport.call(SHOP, stats=each) for each in stats)
        await asyncio.gather(*calls, return_exceptions=True)
    assert [(each.requests, each.retries) for each in stats] == [(3, 2)] * 20


@pytest.mark.virtual_time
async def test_the_last_failure_itself_comes_back():
    failures = [ServerError(500), ConnectionFailed("refused", maybe_processed=False), ServerError(502)]
    later = iter(failures[1:])

    async def attempt():
        return next(later)

    retries = []
    policy = RetryPolicy(attempts=3)
    outcome = await retry(
        policy, SHOP, failures[0], attempt, before_retry=lambda *told: retries.append(told), limit=TimeLimit()
    )
    assert outcome is failures[2]
    assert [error for error, _ in retries] == failures[:2]
    assert policy.budget.tokens == 500 - 2 * RetryBudget.COST


@pytest.mark.virtual_time
async def test_verify_spends_no_budget_on_what_it_may_not_repeat():
    async with connected() as (emulator, client):
        emulator.fail("verify_domain", Fault.status(500))
        with pytest.raises(ServerError):
            await client.domain.verify("https://shop.example")
        assert client._transport.retry.budget.tokens == 500


async def test_without_a_budget_every_attempt_is_made():
    async with connected(RetryPolicy(attempts=4, initial=0.0, budget=None)) as (emulator, client):
        emulator.fail("shop", Fault.status(500), times=400)
        results = await asyncio.gather(*(client.shop() for _ in range(100)), return_exceptions=True)
        assert {type(result) for result in results} == {ServerError}
        assert len(emulator.requests) == 400


# A single call ends within two minutes


@pytest.mark.virtual_time
@pytest.mark.parametrize("asked", ["3600", "121", "1000000000"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_for_more_time_than_a_call_has_is_told_of_at_once(asked, status):
    async with connected() as (emulator, client):
        emulator.fail("shop", Fault.status(status, headers={"Retry-After": asked}), times=10)
        started = asyncio.get_running_loop().time()
        with pytest.raises((RateLimited, ServerError)) as caught:
            await client.shop()
        assert asyncio.get_running_loop().time() - started < 1.0
        assert caught.value.retry_after == float(asked)
        assert len(emulator.requests) == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "fault",
    [
        Fault.hang(),
        Fault.drop(),
        Fault.status(500),
        Fault.slow(29.0),
        Fault.status(503, headers={"Retry-After": "50"}),
        Fault.too_many_requests(40),
    ],
)
async def test_all_attempts_and_waits_of_a_single_call_end_within_two_minutes(fault):
    async with connected(RetryPolicy(attempts=1_000)) as (emulator, client):
        emulator.fail("shop", fault, times=1_000)
        started = asyncio.get_running_loop().time()
        with contextlib.suppress(NeuroonError):
            await client.shop()
        assert asyncio.get_running_loop().time() - started <= 120.1
        assert len(emulator.requests) > 0


@pytest.mark.virtual_time
async def test_an_attempt_is_cut_off_where_the_call_ends():
    async with connected(RetryPolicy(attempts=5, initial=0.1), timeout=50.0) as (emulator, client):
        emulator.fail("shop", Fault.hang(), times=9)
        started = asyncio.get_running_loop().time()
        with pytest.raises(RequestTimeout, match=r"no answer within 19\.\d s"):
            await client.shop()
        assert asyncio.get_running_loop().time() - started == pytest.approx(120.0, abs=0.1)
        assert len(emulator.requests) == 3


@pytest.mark.virtual_time
async def test_a_longer_timeout_still_gets_its_one_attempt():
    async with connected(timeout=200.0) as (emulator, client):
        emulator.fail("shop", Fault.slow(190.0))
        await client.shop()
    async with connected(timeout=200.0) as (emulator, client):
        emulator.fail("shop", Fault.hang(), times=9)
        with pytest.raises(RequestTimeout, match="no answer within 200 s"):
            await client.shop()
        assert len(emulator.requests) == 1


@pytest.mark.virtual_time
async def test_waiting_for_our_own_limit_is_not_counted():
    async with connected(rate_limits={"shop": RateLimit(1, per=100.0)}) as (emulator, client):
        emulator.fail("shop", Fault.status(500), times=1)
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(client.shop() for _ in range(4)))
        assert asyncio.get_running_loop().time() - started > 390.0
        assert len(emulator.requests) == 5


@pytest.mark.virtual_time
async def test_a_lost_request_is_repeated_where_that_is_safe():
    async with connected() as (emulator, client):
        for name in ("shop", "verify_domain"):
            emulator.fail(name, Fault.status(408))
        await client.shop()
        with pytest.raises(APIError, match="408"):
            await client.domain.verify("https://shop.example")
        assert [request.endpoint for request in emulator.requests] == ["shop", "shop", "verify_domain"]


# A bulk run that somebody waits for


@pytest.mark.virtual_time
@pytest.mark.parametrize("patience", [None, 0.0])
@pytest.mark.parametrize(
    "fault", [Fault.hang(), Fault.status(503), Fault.drop(), Fault.too_many_requests(300), Fault.html(200)]
)
async def test_a_bulk_deadline_bounds_the_whole_run(fault, patience):
    async with connected(RetryPolicy(bulk_deadline=10.0, outage_patience=patience)) as (emulator, client):
        for name in ("sync_products", "delete_product"):
            emulator.fail(name, fault, times=10_000)
        for run in (client.products.sync(products(30), batch_size=1), client.products.delete_many(["P1", "P2"])):
            started = asyncio.get_running_loop().time()
            with contextlib.suppress(NeuroonError):
                report = await run
                assert report.failed
            assert asyncio.get_running_loop().time() - started <= 10.5


@pytest.mark.virtual_time
@pytest.mark.parametrize("held_up_by", ["source", "feed", "callback", "server"])
async def test_a_run_that_a_bulk_deadline_ends_raises_with_its_report_whatever_holds_it_up(held_up_by):
    async def source():
        for product in products(30):
            yield product
        if held_up_by in {"source", "feed"}:
            await asyncio.Event().wait()

    async def accepted(product):
        if held_up_by == "callback" and product.external_id == "P9":
            await asyncio.Event().wait()

    async with connected(RetryPolicy(bulk_deadline=200.0)) as (emulator, client):
        if held_up_by == "server":
            emulator.fail("sync_products", Fault.status(503), times=10_000, when=lambda request: request.number > 1)
        started = asyncio.get_running_loop().time()
        options = {"flush_after": 1.0} if held_up_by == "feed" else {"concurrency": 1}
        with pytest.raises(RequestTimeout, match="the run had not ended within its bulk_deadline of 200 s") as caught:
            await client.products.sync(source(), batch_size=10, on_accepted=accepted, **options)
        report, took = caught.value.report, asyncio.get_running_loop().time() - started
    assert 200 <= took <= 210.5, "callbacks have ten seconds for what is left to tell"
    assert report.received == report.accepted + report.failed
    assert report.accepted == {"source": 30, "feed": 30, "callback": 10, "server": 10}[held_up_by]
    assert (caught.value.maybe_processed, "last failure: 503" in str(caught.value)) == ((held_up_by == "server",) * 2)


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", [RequestTimeout, AuthenticationFailed])
async def test_a_bulk_deadline_bounds_what_the_callbacks_are_told_last(error):
    """The run itself has ended by then, or failed."""

    async def hang(_):
        await asyncio.Event().wait()

    async with connected(RetryPolicy(bulk_deadline=200.0)) as (emulator, client):
        if error is AuthenticationFailed:
            emulator.fail("sync_products", Fault.status(401))
        started = asyncio.get_running_loop().time()
        with pytest.raises(error) as caught:
            await client.products.sync(products(1), on_progress=hang)
        assert asyncio.get_running_loop().time() - started == pytest.approx(200.0, abs=0.1)
    assert caught.value.report.received == 1
    notes = "".join(getattr(caught.value, "__notes__", []))
    assert ("telling the callbacks took too long and was cut off" in notes) is (error is AuthenticationFailed)


class Hanging:
    """A source and callbacks of which one waits in its own cleanup, after it has waited for something else."""

    def __init__(self, what):
        self._what = what

    async def source(self):
        try:
            for product in products(30):
                yield product
            if self._what != "closing":
                await self._hang("source")
        finally:
            if self._what == "closing":
                await asyncio.Event().wait()

    async def accepted(self, _product):
        await self._hang("callback")

    async def progress(self, _moment):
        await self._hang("progress")

    async def _hang(self, what):
        if what == self._what:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.Event().wait()


@pytest.mark.virtual_time
@pytest.mark.parametrize("flush_after", [None, 1.0])
@pytest.mark.parametrize("what", ["source", "closing", "callback", "progress"])
async def test_what_hangs_in_its_own_cleanup_does_not_outlast_a_bulk_deadline_for_long(what, flush_after):
    hanging = Hanging(what)
    async with connected(RetryPolicy(bulk_deadline=20.0)) as (emulator, client):
        if what == "closing":
            emulator.fail("sync_products", Fault.status(503), times=10_000)
        started = asyncio.get_running_loop().time()
        with pytest.raises(RequestTimeout, match="the run had not ended within its bulk_deadline of 20 s") as caught:
            await client.products.sync(
                hanging.source(),
                concurrency=1,
                batch_size=10,
                flush_after=flush_after,
                on_accepted=hanging.accepted,
                on_progress=hanging.progress,
            )
        report, took = caught.value.report, asyncio.get_running_loop().time() - started
    assert 20 <= took <= 50.5, "ten seconds to clean up, ten for the callbacks, and ten for their cleanup"
    assert report.received == report.accepted + report.failed > 0


class SlowLedger(MemoryLedger):
    """Its lock is free, or closing it has ended, after so many seconds."""

    def __init__(self, opening=0.0, closing=0.0, *, stubborn=False):
        super().__init__()
        self._opening, self._closing, self._stubborn = opening, closing, stubborn
        self.is_closed = False

    @asynccontextmanager
    async def run(self, shop):
        try:
            await asyncio.sleep(self._opening)
        except asyncio.CancelledError:
            if not self._stubborn:
                raise
        async with super().run(shop) as run:
            yield run
        await asyncio.sleep(self._closing)
        self.is_closed = True


@pytest.mark.virtual_time
@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_bulk_deadline_counts_the_opening_of_the_ledger(stubborn):
    async with connected(RetryPolicy(bulk_deadline=20.0)) as (emulator, client):
        emulator.fail("sync_products", Fault.hang(), times=10_000)
        started = asyncio.get_running_loop().time()
        for opening, why in ((300.0, "" if stubborn else "; its ledger was not open by then$"), (15.0, "")):
            ledger = SlowLedger(opening, stubborn=stubborn)
            with pytest.raises(RequestTimeout, match="within its bulk_deadline of 20 s" + why) as caught:
                await client.products.sync(products(3), ledger=ledger)
            report = caught.value.report
            assert report.elapsed == pytest.approx(20.0, abs=0.1)
            assert (report.received, caught.value.maybe_processed) == ((0, False) if opening > 20 else (3, True))
        assert asyncio.get_running_loop().time() - started == pytest.approx(40.0, abs=0.1)


@pytest.mark.virtual_time
async def test_a_ledger_is_closed_in_order_although_the_time_of_its_run_is_over_by_then():
    ledger = SlowLedger(opening=10.0, closing=100.0)
    async with connected(RetryPolicy(bulk_deadline=20.0)) as (_, client):
        report = await client.products.sync(products(3), ledger=ledger)
    assert (report.accepted, ledger.is_closed) == (3, True)


@pytest.mark.virtual_time
async def test_a_source_that_failed_first_is_what_a_run_raises_though_its_last_callbacks_are_cut_off():
    def source():
        yield from products(3)
        raise ZeroDivisionError("the query failed")

    async def hang(_failure):
        await asyncio.Event().wait()

    async with connected(RetryPolicy(bulk_deadline=20.0)) as (_, client):
        with pytest.raises(ZeroDivisionError) as caught:
            await client.products.sync(source(), on_progress=hang)
    assert "telling the callbacks took too long and was cut off" in caught.value.__notes__
    assert caught.value.report.accepted == 3


@pytest.mark.virtual_time
async def test_a_run_that_is_out_of_time_tells_where_its_source_had_failed():
    def source():
        yield from products(3)
        raise ZeroDivisionError("the query failed")

    async with connected(RetryPolicy(bulk_deadline=20.0)) as (emulator, client):
        emulator.fail("sync_products", Fault.status(503), times=10_000)
        with pytest.raises(RequestTimeout) as caught:
            await client.products.sync(source())
    assert "the source had already failed: ZeroDivisionError('the query failed')" in caught.value.__notes__
    assert isinstance(caught.value.__context__, ZeroDivisionError)
    assert [frame.name for frame in traceback.extract_tb(caught.value.__context__.__traceback__)][-1] == "source"


async def test_what_the_callbacks_fail_by_is_told_with_the_error_that_stopped_the_run():
    def full_disk(_failure):
        raise OSError("no space left")

    async with connected(RetryPolicy()) as (emulator, client):
        emulator.fail("sync_products", Fault.status(401))
        with pytest.raises(AuthenticationFailed) as caught:
            await client.products.sync(products(3), on_failure=full_disk)
    assert "telling the callbacks failed: OSError('no space left')" in caught.value.__notes__


@pytest.mark.virtual_time
async def test_a_call_of_a_bulk_run_has_no_bound_of_its_own():
    """A single call would have ended after two minutes."""
    async with connected(RetryPolicy(attempts=40, initial=10.0, maximum=10.0, budget=None)) as (emulator, client):
        started = asyncio.get_running_loop().time()
        emulator.fail("shop", Fault.status(503), when=lambda _: asyncio.get_running_loop().time() < started + 150)
        await client._transport.for_bulk_run().call(SHOP)
        assert 150 <= asyncio.get_running_loop().time() - started <= 165


@pytest.mark.virtual_time
async def test_a_call_that_a_bulk_runs_deadline_ends_says_which_it_was():
    async with connected(RetryPolicy(bulk_deadline=200.0)) as (emulator, client):
        emulator.fail("shop", Fault.hang())
        started = asyncio.get_running_loop().time()
        with pytest.raises(RequestTimeout, match="within the deadline of 200 s"):
            await client._transport.for_bulk_run().with_options(timeout=300.0).call(SHOP)
        assert asyncio.get_running_loop().time() - started == pytest.approx(200.0, abs=0.1)


@pytest.mark.virtual_time
async def test_of_a_run_within_a_run_the_outer_ones_bound_counts():
    async with connected(RetryPolicy(bulk_deadline=200.0)) as (emulator, client):
        emulator.fail("shop", Fault.hang())
        started = asyncio.get_running_loop().time()
        outer = client._transport.for_bulk_run()
        await asyncio.sleep(150.0)
        with pytest.raises(RequestTimeout, match="within the deadline of 200 s"):
            await outer.for_bulk_run().with_options(timeout=300.0).call(SHOP)
        assert asyncio.get_running_loop().time() - started == pytest.approx(200.0, abs=0.1)


def products(count):
    return [Product(external_id=f"P{n}", name="Tea", price=1, url="https://shop.example/a") for n in range(count)]


def test_a_budget_may_be_empty_from_the_start():
    budget = RetryBudget(0)
    assert not budget.spend(budget.cost_of(ServerError(500)))
    budget.refund(5)
    assert budget.tokens == 0
    with pytest.raises(ConfigurationError):
        RetryBudget(-1)


@pytest.mark.virtual_time
@pytest.mark.parametrize(("left", "attempts"), [(3.0, 1), (3.1, 2)])
async def test_no_wait_is_begun_that_would_end_when_the_time_is_over(left, attempts, monkeypatch):
    monkeypatch.setattr(RetryPolicy, "wait", lambda *_: 3.0)
    waits, made = [], [RateLimited()]

    async def attempt():
        made.append(RateLimited())
        return made[-1]

    limit = TimeLimit(ends=asyncio.get_running_loop().time() + left)
    outcome = await retry(
        RetryPolicy(), SHOP, made[0], attempt, before_retry=lambda _, seconds: waits.append(seconds), limit=limit
    )
    assert (outcome, len(made)) == (made[-1], attempts)
    assert waits == [3.0] * (attempts - 1)


@pytest.mark.parametrize("odd", [5, "500", True, 0, RetryBudget], ids=str)
def test_a_budget_is_a_budget_or_none(odd):
    with pytest.raises(ConfigurationError, match=r"^RetryPolicy\.budget must be a RetryBudget, or None"):
        RetryPolicy(budget=odd)
