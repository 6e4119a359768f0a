"""The limiter by itself, on a clock that jumps: admission, order, cancellation, what the server tells."""

import asyncio
import copy
import logging
import pickle
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import VirtualTimeLoop

from neuroon_async import ConfigurationError
from neuroon_async.api.contract import DOCUMENTED_RATE_LIMITS, RateLimit
from neuroon_async.limits.local import LocalEndpoint, LocalLimiter
from neuroon_async.limits.policy import IN_TRANSIT, SINGLE_CALL_WAIT

pytestmark = pytest.mark.virtual_time

TINY = 1e-3
"""Seconds: what the turns of the virtual clock add up to, at most."""


def now():
    return asyncio.get_running_loop().time()


async def run_calls(limiter, count, *, bulk=False, latency=0.0):
    """Let ``count`` calls ask at once. Gives the times of admission, from the start, in order of asking."""
    started = now()

    async def one():
        permit = await limiter.acquire(bulk=bulk)
        admitted = now() - started
        await asyncio.sleep(latency)
        permit.answered({})
        return admitted

    return await asyncio.gather(*(one() for _ in range(count)))


async def take(limiter, count, *, bulk=False):
    return [await asyncio.wait_for(limiter.acquire(bulk=bulk), TINY) for _ in range(count)]


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def available(limiter):
    return limiter.state().available


# Admission


async def test_the_whole_allowance_at_once_then_one_window_after_the_answers():
    times = await run_calls(LocalEndpoint("shop", RateLimit(10, per=60)), 25, latency=2)
    assert times[:10] == pytest.approx([0] * 10, abs=TINY)
    assert times[10:20] == pytest.approx([62] * 10, abs=TINY)
    assert times[20:] == pytest.approx([124] * 5, abs=TINY)


@pytest.mark.parametrize("requests", [1, 2, 3, 5, 20, 25, 34, 99, 100])
@pytest.mark.parametrize("bulk", [False, True])
async def test_throughput_is_the_documented_limit(requests, bulk):
    times = await run_calls(LocalEndpoint("x", RateLimit(requests, per=60)), 5 * requests, bulk=bulk, latency=0.05)
    assert max(times) < 5 * 60
    assert len(times) == 5 * requests


@pytest.mark.parametrize("requests", [10, 20, 25, 34, 100])
@pytest.mark.parametrize("silence", [0, 1, 17.3, 53.9, 54.1, 59.9, 130])
async def test_the_first_single_call_in_a_long_bulk_run_hardly_waits(requests, silence):
    limiter = LocalEndpoint("x", RateLimit(requests, per=60))
    bulk = asyncio.create_task(run_calls(limiter, 4 * requests, bulk=True, latency=0.1))
    await asyncio.sleep(silence)
    (waited,) = await run_calls(limiter, 1)
    assert not bulk.done()
    assert waited <= SINGLE_CALL_WAIT + TINY
    bulk.cancel()


async def test_single_calls_that_come_steadily_hardly_wait_for_a_bulk_run():
    limiter = LocalEndpoint("x", RateLimit(100, per=60))
    waited = []
    for number in range(60):
        if number == 20:
            bulk = asyncio.create_task(run_calls(limiter, 2_000, bulk=True, latency=0.1))
        waited += await run_calls(limiter, 1)
        await asyncio.sleep(7)
    assert not bulk.done()
    assert max(waited) <= SINGLE_CALL_WAIT + TINY
    bulk.cancel()


async def test_a_bulk_run_that_fits_the_limit_leaves_almost_whole_at_once():
    times = await run_calls(LocalEndpoint("x", RateLimit(100, per=60)), 98, bulk=True, latency=0.1)
    assert max(times) <= TINY


@pytest.mark.parametrize("burst", [None, 1, 3])
@pytest.mark.parametrize("bulk", [False, True])
async def test_first_come_first_served(bulk, burst):
    times = await run_calls(LocalEndpoint("x", RateLimit(10, per=5, burst=burst)), 60, bulk=bulk, latency=0.1)
    assert times == sorted(times)


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_newcomer_does_not_jump_the_queue(bulk):
    limiter = LocalEndpoint("x", RateLimit(1, per=10))
    (permit,) = await take(limiter, 1)
    permit.answered({})
    order = []

    async def one(name):
        (await limiter.acquire(bulk=bulk)).unused()
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one("first"))
        await settle()
        asyncio.get_running_loop()._clock.now += 11  # the loop was busy: the slot is back, the timer has yet to fire
        tasks.create_task(one("second"))
    assert order == ["first", "second"]


# Cancellation


async def test_cancelled_waiters_leave_no_hole():
    limiter = LocalEndpoint("x", RateLimit(2, per=10))
    for permit in await take(limiter, 2):
        permit.answered({})
    tasks = [asyncio.create_task(limiter.acquire()) for _ in range(9)]
    await settle()
    for index in (0, 1, 3, 4, 6, 8):
        tasks[index].cancel()
    await settle()
    assert limiter.state().waiting == 3
    await asyncio.sleep(10 + TINY)
    assert [task.done() and not task.cancelled() for task in (tasks[2], tasks[5], tasks[7])] == [True, True, False]
    (tasks[2].result()).unused()
    await settle()
    assert tasks[7].done()


@pytest.mark.parametrize("burst", [None, 1])
@pytest.mark.parametrize("bulk", [False, True])
async def test_a_waiter_cancelled_as_it_is_granted_loses_no_slot(bulk, burst):
    limiter = LocalEndpoint("x", RateLimit(2, per=10, burst=burst))
    permits = [await limiter.acquire(bulk=bulk) for _ in range(2)]
    tasks = [asyncio.create_task(limiter.acquire(bulk=bulk)) for _ in range(3)]
    await settle()
    permits[0].unused()  # grants it to the first in line …
    tasks[0].cancel()  # … which is gone before it runs
    await settle()
    assert tasks[0].cancelled()
    if burst is None:
        assert tasks[1].done()
    else:
        await asyncio.wait_for(tasks[1], 5 + TINY)
    assert not tasks[2].done()
    tasks[2].cancel()
    permits[1].unused()
    tasks[1].result().unused()
    await settle()
    assert (available(limiter), limiter.state().waiting) == (2, 0)


async def test_cancelled_while_in_the_token_bucket():
    limiter = LocalEndpoint("x", RateLimit(4, per=40, burst=1))
    started = now()
    permits = [await limiter.acquire()]
    tasks = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await asyncio.sleep(5)
    assert limiter.state().waiting == 3
    tasks[0].cancel()
    permits += [await tasks[1], await tasks[2]]
    assert now() - started == pytest.approx(20, abs=TINY)  # nobody waited for the one that had gone
    assert available(limiter) == 1
    for permit in permits:
        permit.unused()
    assert available(limiter) == 4


# Cost


class CountingLimiter(LocalEndpoint):
    wakes = 0

    def _wake(self):
        self.wakes += 1
        super()._wake()


@pytest.mark.parametrize("fate", ["served", "cancelled"])
async def test_the_work_for_many_waiters_is_linear(monkeypatch, fate):
    count = 3_000
    limiter = CountingLimiter("x", RateLimit(100, per=1))
    loop = asyncio.get_running_loop()
    timers = 0
    call_at = loop.call_at

    def counted(*args, **kwargs):
        nonlocal timers
        timers += 1
        return call_at(*args, **kwargs)

    for permit in await take(limiter, 100):
        permit.answered({})
    waiting = [asyncio.create_task(limiter.acquire(bulk=True)) for _ in range(count)]
    monkeypatch.setattr(loop, "call_at", counted)
    await settle()
    assert limiter.state().waiting == count
    if fate == "cancelled":
        for task in reversed(waiting):
            task.cancel()
        await asyncio.wait(waiting)
        assert limiter.state().waiting == 0
    else:
        for task in waiting:
            (await task).answered({})
    assert limiter.wakes < 4 * count
    assert timers < count


def test_a_burst_of_the_whole_limit_is_none():
    assert LocalEndpoint("x", RateLimit(4, per=10, burst=4))._bucket is None
    assert LocalEndpoint("x", RateLimit(4, per=10, burst=3))._bucket is not None


class PlainHandle:
    """A timer that cannot tell when it goes off, as uvloop gives it for what is due at once."""

    def __init__(self, timer):
        self.cancel = timer.cancel


async def test_a_loops_timers_need_not_tell_when_they_go_off(monkeypatch):
    loop = asyncio.get_running_loop()
    call_at = loop.call_at
    limiter = LocalEndpoint("x", RateLimit(2, per=10))

    def plain(moment, call, *args, **options):
        timer = call_at(moment, call, *args, **options)
        return PlainHandle(timer) if getattr(call, "__self__", None) is limiter else timer

    monkeypatch.setattr(loop, "call_at", plain)
    started = now()
    waiting = [asyncio.create_task(run_calls(limiter, 2)) for _ in range(3)]
    await asyncio.sleep(4)
    assert limiter.state().next_in == pytest.approx(6, abs=TINY)
    for task in waiting:
        await task
    assert now() - started == pytest.approx(20, abs=TINY)


# What the server tells


async def test_remaining_lowers_what_is_left_and_never_raises_it():
    limiter = LocalEndpoint("x", RateLimit(10, per=60))
    permits = await take(limiter, 3)
    permits[0].answered({"X-RateLimit-Remaining": "4"})
    assert available(limiter) == 4
    permits[1].answered({"X-RateLimit-Remaining": "10"})
    assert available(limiter) == 4
    permits[2].answered({"X-RateLimit-Remaining": "0"})
    assert available(limiter) == 0
    await asyncio.sleep(60 - 1)
    assert available(limiter) == 0
    await asyncio.sleep(1 + TINY)
    assert available(limiter) == 10


async def test_nothing_left_elsewhere_holds_even_the_reserve_back():
    limiter = LocalEndpoint("x", RateLimit(10, per=60))
    (permit,) = await take(limiter, 1)
    permit.answered({"X-RateLimit-Remaining": "0"})
    assert await run_calls(limiter, 1) == pytest.approx([60], abs=TINY)


async def test_what_others_were_last_seen_to_spend_holds_for_one_window():
    limiter = LocalEndpoint("x", RateLimit(10, per=60))
    permits = await take(limiter, 3)
    permits[0].answered({"X-RateLimit-Remaining": "1"})  # six elsewhere
    await asyncio.sleep(30)
    permits[1].answered({"X-RateLimit-Remaining": "3"})  # four of them, or four others
    assert available(limiter) == 1
    permits[2].unused()
    await asyncio.sleep(30 + TINY)
    assert available(limiter) == 10 - 4 - 1
    await asyncio.sleep(30 + TINY)
    assert available(limiter) == 10


async def test_a_count_from_before_slots_came_back_lowers_nothing():
    limiter = LocalEndpoint("x", RateLimit(10, per=60))
    for permit in await take(limiter, 9):
        permit.answered({})
    await asyncio.sleep(59.9)
    (late,) = await take(limiter, 1)
    await asyncio.sleep(0.2)  # the nine have come back, while the answer was on its way
    late.answered({"X-RateLimit-Remaining": "0"})
    assert available(limiter) == 9


@pytest.mark.parametrize("text", ["", "abc", "-1", "1.5", "1e3", "٣", "4x", "4" * 5_000])
@pytest.mark.parametrize("header", ["X-RateLimit-Remaining", "X-RateLimit-Limit"])
async def test_unreadable_headers_say_nothing(header, text, caplog):
    limiter = LocalEndpoint("x", RateLimit(10, per=60))
    permits = await take(limiter, 2)
    permits[0].answered({header: text})
    permits[1].answered({})
    assert (available(limiter), limiter.state().requests, caplog.records) == (8, 10, [])


async def test_a_changed_limit_is_adopted_with_one_warning_and_back(caplog):
    limiter = LocalEndpoint("shop", RateLimit(10, per=60))
    with caplog.at_level(logging.INFO, "neuroon_async.limits"):
        before = await take(limiter, 2)
        for permit in await take(limiter, 3):
            permit.answered({"X-RateLimit-Limit": "6"})
        assert (limiter.state().requests, available(limiter)) == (6, 1)
        for permit in before:  # admitted before the change was known: what they say is older
            permit.answered({"X-RateLimit-Limit": "10"})
        assert limiter.state().requests == 6
        assert len(caplog.records) == 1
        assert caplog.records[0].levelno == logging.WARNING
        assert "6 requests in 60 s" in caplog.text
        assert await run_calls(limiter, 8) == pytest.approx([0, *[60] * 6, 120], abs=TINY)
        (permit,) = await take(limiter, 1)
        permit.answered({"X-RateLimit-Limit": "500"})
        assert limiter.state().requests == 10  # never beyond the table
        assert len(caplog.records) == 2
        (permit,) = await take(limiter, 1)
        permit.answered({"X-RateLimit-Limit": "0"})
        assert limiter.state().requests == 10


async def test_a_pause_holds_everyone_until_the_latest_moment():
    limiter = LocalEndpoint("x", RateLimit(10, per=60))
    permits = await take(limiter, 3)
    waiting = asyncio.gather(run_calls(limiter, 2), run_calls(limiter, 2, bulk=True))
    permits[0].answered({}, pause=30)
    permits[1].answered({}, pause=5)  # shorter: lifts nothing
    assert limiter.state().paused_for == pytest.approx(30, abs=TINY)
    await asyncio.sleep(20)
    permits[2].answered({}, pause=40)
    singles, bulk = await waiting
    assert singles == pytest.approx([60, 66], abs=TINY)
    assert bulk == pytest.approx([72, 78], abs=TINY)
    assert limiter.state().paused_for == 0


async def test_nobody_leaves_during_a_pause_and_traffic_returns_one_by_one():
    limiter = LocalEndpoint("x", RateLimit(10, per=60))
    (permit,) = await take(limiter, 1)
    permit.answered({}, pause=30)
    asked = asyncio.gather(run_calls(limiter, 4), run_calls(limiter, 20, bulk=True))
    await asyncio.sleep(10)
    limiter.pause(1)
    limiter.pause(50)
    singles, bulk = await asked
    assert singles == pytest.approx([60, 66, 72, 78], abs=TINY)
    assert bulk[:6] == pytest.approx([84, 90, 96, 102, 108, 114], abs=TINY)
    assert max(bulk) <= 60 + 3 * 60


async def test_retry_after_decides_over_remaining():
    limiter = LocalEndpoint("x", RateLimit(10, per=60))
    (permit,) = await take(limiter, 1)
    permit.answered({"X-RateLimit-Remaining": "0", "Retry-After": "3"}, pause=3)
    assert await run_calls(limiter, 2) == pytest.approx([3, 9], abs=TINY)


async def test_a_pause_that_begins_while_a_call_is_in_the_token_bucket():
    limiter = LocalEndpoint("x", RateLimit(4, per=40, burst=2))
    permits = await take(limiter, 2)
    waiting = asyncio.create_task(run_calls(limiter, 2))
    await asyncio.sleep(5)
    permits[0].answered({}, pause=50)
    permits[1].unused()
    assert await waiting == pytest.approx([55, 65], abs=TINY)


# Bursts and shares


async def test_burst_spaces_requests_out():
    times = await run_calls(LocalEndpoint("x", RateLimit(10, per=60, burst=3)), 8)
    assert times == pytest.approx([0, 0, 0, 6, 12, 18, 24, 30], abs=TINY)


@pytest.mark.parametrize("burst", [1, 5, 99])
@pytest.mark.parametrize("bulk", [False, True])
async def test_burst_costs_no_throughput(burst, bulk):
    times = await run_calls(LocalEndpoint("x", RateLimit(100, per=60, burst=burst)), 300, bulk=bulk, latency=0.1)
    assert sum(time < 180 for time in times) >= 0.98 * 300


async def test_single_calls_pass_a_bulk_that_waits_for_the_bucket():
    limiter = LocalEndpoint("x", RateLimit(100, per=60, burst=1))
    bulk = asyncio.create_task(run_calls(limiter, 90, bulk=True))
    await asyncio.sleep(0.1)
    (waited,) = await run_calls(limiter, 1)
    assert waited <= 2 * 60 / 100
    bulk.cancel()


@pytest.mark.parametrize("limit", [RateLimit(100, per=60), RateLimit(7, per=60, burst=5)])
@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_shares_add_up_to_no_more_than_the_whole(limit, workers):
    share = limit.share_of(workers)
    assert share.requests * workers <= limit.requests < (share.requests + 1) * workers
    assert share.per == limit.per
    assert (share.burst is None) == (limit.burst is None)
    assert share.burst is None or 1 <= share.burst <= share.requests


def test_a_limit_cannot_be_split_among_too_many():
    with pytest.raises(ConfigurationError, match="shared limiter"):
        RateLimit(5, per=300).share_of(6)


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy])
def test_no_process_gets_a_copy_that_spends_the_limit_once_more(duplicate):
    with pytest.raises(TypeError, match="share a MachineLimiter or a RedisLimiter between processes"):
        duplicate({"limiter": LocalLimiter(DOCUMENTED_RATE_LIMITS)})


async def test_limits_tell_of_every_endpoint():
    limiter = LocalLimiter(DOCUMENTED_RATE_LIMITS)
    await limiter.acquire("shop")
    states = limiter.limits()
    assert states.keys() == DOCUMENTED_RATE_LIMITS.keys()
    assert (states["shop"].available, states["shop"].requests, states["shop"].per) == (59, 60, 60)
    assert states["verify_domain"].available == 5


# Everything at once: whatever happens, no window of the server's holds more than the limit


@dataclass(frozen=True)
class Call:
    """One call, in hundredths of a second. It reaches the server at ``travel`` (a share) of its ``latency``."""

    starts: int
    bulk: bool
    latency: int
    travel: float
    fate: str  # "answered", "lost" (no answer), "unsent", "cancelled" (``after`` so long)
    after: int
    says: dict = field(default_factory=dict)
    pause: int | None = None


@dataclass
class Trace:
    """What the server, and those who ask, could see."""

    arrivals: list = field(default_factory=list)
    taken: dict = field(default_factory=dict)  # call → when its slot comes back; None while in flight
    asking: set = field(default_factory=set)
    adopted: list = field(default_factory=list)  # (time, limit)


CALLS = st.lists(
    st.builds(
        Call,
        starts=st.integers(0, 1500),
        bulk=st.booleans(),
        latency=st.integers(0, 400),
        travel=st.floats(0, 1),
        fate=st.sampled_from(["answered", "answered", "answered", "lost", "unsent", "cancelled"]),
        after=st.integers(0, 1500),
    ),
    min_size=1,
    max_size=60,
)
LIMITS = st.builds(
    lambda requests, per, burst: RateLimit(requests, per / 100, None if burst is None else min(burst, requests)),
    st.integers(1, 12),
    st.integers(50, 1000),
    st.none() | st.integers(1, 12),
)
FEEDBACK = st.fixed_dictionaries(
    {},
    optional={
        "X-RateLimit-Limit": st.integers(0, 15).map(str),
        "X-RateLimit-Remaining": st.integers(0, 15).map(str),
        "Retry-After": st.just("1"),
    },
)


async def play(limiter, call, index, trace, per):
    """One call's life, as the transport lives it."""
    permit = None

    async def life():
        nonlocal permit
        await asyncio.sleep(call.starts / 100)
        trace.asking.add(index)
        try:
            permit = await limiter.acquire(bulk=call.bulk)
        finally:
            trace.asking.discard(index)
        trace.taken[index] = None
        if call.fate == "unsent":
            await asyncio.sleep(call.latency / 100)
            return
        await asyncio.sleep(call.latency / 100 * call.travel)
        trace.arrivals.append((now(), index))
        await asyncio.sleep(call.latency / 100 * (1 - call.travel))

    task = asyncio.create_task(life())
    if call.fate == "cancelled":
        asyncio.get_running_loop().call_later(call.after / 100, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
    if permit is None:
        return
    if call.fate == "unsent" and not task.cancelled():
        del trace.taken[index]
        permit.unused()
        return
    answered = call.fate == "answered"
    if not any(arrived == index for _, arrived in trace.arrivals):  # cut short on its way
        trace.arrivals.append((now() + IN_TRANSIT * call.travel, index))
    trace.taken[index] = now() + per + (0 if answered else IN_TRANSIT)
    known = limiter.state().requests
    permit.answered((call.says or {}) if answered else None, pause=None if call.pause is None else call.pause / 100)
    if limiter.state().requests != known:
        trace.adopted.append((now(), limiter.state().requests))


async def check_numbers(limiter, limit, trace, *, exactly):
    """Look at `limits()` now and then, at moments at which nothing else happens."""
    await asyncio.sleep(0.000_137)
    while True:
        state = limiter.state()
        used = sum(back is None or back > now() for back in trace.taken.values())
        assert state.waiting == len(trace.asking)
        assert 0 <= state.available <= state.requests <= limit.requests
        if exactly:
            in_bucket = limiter._in_bucket is not None  # has its slot, and waits for its turn
            assert state.available == limit.requests - used - in_bucket
        await asyncio.sleep(0.31)


def play_all(limit, calls, *, exactly):
    async def scenario():
        limiter = LocalEndpoint("x", limit)
        trace = Trace()
        checks = asyncio.create_task(check_numbers(limiter, limit, trace, exactly=exactly))
        try:
            async with asyncio.timeout(20_000):
                await asyncio.gather(*(play(limiter, call, i, trace, limit.per) for i, call in enumerate(calls)))
        finally:
            if checks.done():
                checks.result()
            checks.cancel()
        await asyncio.sleep(IN_TRANSIT + limit.per + TINY)
        assert limiter.state().waiting == 0
        if exactly:
            assert limiter.state().available == limit.requests
        return trace

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(scenario())


def most_in_a_window(arrivals, per):
    arrivals = sorted(arrivals)
    return max((bisect_left(arrivals, start + per - 1e-6) - i for i, start in enumerate(arrivals)), default=0)


@given(LIMITS, CALLS)
def test_no_window_ever_holds_more_than_the_limit(limit, calls):
    trace = play_all(limit, calls, exactly=True)
    assert most_in_a_window([at for at, _ in trace.arrivals], limit.per) <= limit.requests


@given(LIMITS, CALLS, st.data())
def test_nor_when_the_server_changes_its_mind(limit, calls, data):
    calls = [
        Call(
            call.starts,
            call.bulk,
            call.latency,
            call.travel,
            call.fate,
            call.after,
            says=data.draw(FEEDBACK),
            pause=data.draw(st.none() | st.none() | st.integers(0, 2000)),
        )
        for call in calls
    ]
    trace = play_all(limit, calls, exactly=False)
    arrivals = [at for at, _ in trace.arrivals]
    assert most_in_a_window(arrivals, limit.per) <= limit.requests
    changes = [*trace.adopted, (float("inf"), 0)]
    longest = max(call.latency for call in calls) / 100
    for (since, adopted), (until, _) in pairwise(changes):
        ruled = [at for at in arrivals if since + longest < at <= until]
        assert most_in_a_window(ruled, limit.per) <= adopted
