"""Calls that would wait too long are refused at once, with nothing reserved."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import VirtualTimeLoop

from neuroon_async import LocalLimiter, RateLimit, RateLimited
from neuroon_async.limits.local import LocalEndpoint
from neuroon_async.limits.protocols import takes_deadlines

pytestmark = pytest.mark.virtual_time

TINY = 1e-3


def now():
    return asyncio.get_running_loop().time()


async def spend(limiter, count, **options):
    for _ in range(count):
        (await limiter.acquire(**options)).answered({})


async def refusal(limiter, within, **options):
    """How long it took to be refused, and what was said."""
    asked = now()
    with pytest.raises(RateLimited) as caught:
        await limiter.acquire(deadline=asked + within, **options)
    return now() - asked, caught.value


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_wait_that_is_too_long_is_refused_at_once(bulk):
    limiter = LocalEndpoint("shop", RateLimit(2, per=60))
    await spend(limiter, 2)
    await asyncio.sleep(10)
    took, error = await refusal(limiter, 49, bulk=bulk)
    assert took <= TINY
    assert error.local
    assert error.retry_after == pytest.approx(50, abs=TINY)
    assert str(error).startswith("shop: not sent, for the wait for the rate limit")
    assert limiter.state().waiting == 0


async def test_coming_back_when_told_is_soon_enough():
    limiter = LocalEndpoint("shop", RateLimit(2, per=60))
    await spend(limiter, 2)
    _, error = await refusal(limiter, 5)
    await asyncio.sleep(error.retry_after)
    await limiter.acquire(deadline=now())


async def test_a_wait_that_fits_the_deadline_is_waited():
    limiter = LocalEndpoint("shop", RateLimit(2, per=60))
    await spend(limiter, 2)
    started = now()
    await limiter.acquire(deadline=started + 61)
    assert now() - started == pytest.approx(60, abs=TINY)


async def test_a_deadline_costs_nothing_where_there_is_no_wait():
    limiter = LocalEndpoint("shop", RateLimit(2, per=60))
    for _ in range(2):
        await limiter.acquire(deadline=now())


@pytest.mark.parametrize("bulk", [False, True])
async def test_those_in_line_before_count(bulk):
    limiter = LocalEndpoint("shop", RateLimit(2, per=60))
    await spend(limiter, 2)
    waiting = [asyncio.create_task(spend(limiter, 1, bulk=bulk)) for _ in range(4)]
    await asyncio.sleep(0)
    _, error = await refusal(limiter, 100, bulk=bulk)
    assert error.retry_after == pytest.approx(180, abs=TINY)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await limiter.acquire(deadline=now() + 61)


async def test_requests_in_flight_come_back_in_a_window_at_the_earliest():
    limiter = LocalEndpoint("shop", RateLimit(1, per=60))
    permit = await limiter.acquire()
    _, error = await refusal(limiter, 59)
    assert error.retry_after == pytest.approx(60, abs=TINY)
    waiting = asyncio.create_task(refusal(limiter, 65))
    await asyncio.sleep(10)
    permit.answered({})  # so the slot comes back at 70
    took, _ = await waiting
    assert took == pytest.approx(10, abs=TINY)


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_wait_for_an_answer_that_does_not_come_ends_with_the_deadline(bulk):
    limiter = LocalEndpoint("shop", RateLimit(1, per=60))
    await limiter.acquire()
    took, error = await refusal(limiter, 70, bulk=bulk)
    assert took == pytest.approx(70, abs=TINY)
    assert error.local
    assert limiter.state().waiting == 0


async def test_a_pause_refuses_those_for_whom_it_is_too_long():
    limiter = LocalEndpoint("shop", RateLimit(3, per=60))
    permit = await limiter.acquire()
    await spend(limiter, 2)
    patient, hurried = (asyncio.create_task(limiter.acquire(deadline=now() + seconds)) for seconds in (300, 100))
    await asyncio.sleep(1)
    permit.answered({}, pause=150)
    with pytest.raises(RateLimited) as caught:
        await hurried
    assert now() == pytest.approx(1_001, abs=TINY)
    assert caught.value.retry_after >= 149
    assert limiter._with_deadline == 1
    await patient
    assert limiter._with_deadline == 0


async def test_a_lowered_limit_refuses_those_for_whom_it_is_too_long():
    limiter = LocalEndpoint("shop", RateLimit(3, per=60))
    permit = await limiter.acquire()
    await spend(limiter, 1)
    await asyncio.sleep(1)
    await spend(limiter, 1)
    waiting = asyncio.create_task(refusal(limiter, 60.5))  # by 61.5, and the first slot comes back at 60
    await asyncio.sleep(1)
    permit.answered({"X-RateLimit-Limit": "1"})  # now all three must come back first, the last at 62
    took, _ = await waiting
    assert took == pytest.approx(1, abs=TINY)


async def test_a_thousand_visitors_who_left_do_not_hold_up_the_next():
    limiter = LocalEndpoint("shop", RateLimit(100, per=60))
    await spend(limiter, 100)
    ghosts = await asyncio.gather(*(limiter.acquire(deadline=now() + 10) for _ in range(1_200)), return_exceptions=True)
    assert {type(ghost) for ghost in ghosts} == {RateLimited}
    assert limiter.state().waiting == 0
    started = now()
    await limiter.acquire()
    assert now() - started <= 60 + TINY


async def test_a_call_in_the_token_bucket_has_a_deadline_too(caplog):
    limiter = LocalEndpoint("shop", RateLimit(4, per=40, burst=1))
    await spend(limiter, 1)
    took, error = await refusal(limiter, 5)
    assert took <= 5 + TINY
    assert error.local
    await asyncio.sleep(10)
    with caplog.at_level(logging.DEBUG):
        await limiter.acquire(deadline=now())
    assert limiter.state().available == 2
    assert caplog.records == []


async def test_cancelled_while_refused():
    limiter = LocalEndpoint("shop", RateLimit(1, per=60))
    permit = await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire(deadline=now() + 70))
    await asyncio.sleep(0)
    permit.answered({}, pause=100)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert limiter.state().waiting == 0


def test_whether_a_limiter_takes_deadlines():
    class Own:
        async def acquire(self, endpoint, *, bulk=False):
            raise NotImplementedError

    assert takes_deadlines(LocalLimiter({}))
    assert not takes_deadlines(Own())


@given(
    st.integers(1, 8),
    st.lists(
        st.tuples(st.integers(0, 300), st.booleans(), st.integers(0, 100), st.none() | st.integers(0, 2_000)),
        min_size=1,
        max_size=40,
    ),
    st.none() | st.integers(1, 3),
)
def test_nobody_is_refused_who_would_have_been_in_time(requests, calls, burst):
    """The first to be refused leaves after its deadline where nobody has one. Those ahead are taken to stay in line."""
    limit = RateLimit(requests, 10.0, None if burst is None else min(burst, requests))

    async def play(patient):
        limiter = LocalEndpoint("x", limit)
        outcomes = {}

        async def one(number, starts, bulk, latency, within):
            await asyncio.sleep(starts / 10 + number * 1e-6)  # timers of one moment go off in any order
            asked = now()
            deadline = None if within is None or patient else asked + within / 10
            try:
                permit = await limiter.acquire(bulk=bulk, deadline=deadline)
            except RateLimited:
                outcomes[number] = ("refused", now(), now() - asked)
                return
            outcomes[number] = ("left", now(), now() - asked)
            await asyncio.sleep(latency / 10)
            permit.answered({})

        await asyncio.gather(*(one(number, *call) for number, call in enumerate(calls)))
        return outcomes

    def run(*, patient):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(play(patient))

    outcomes = run(patient=False)
    for number, (_, _, waited) in outcomes.items():
        within = calls[number][3]
        assert within is None or waited <= within / 10 + TINY
    refused = [(at, number) for number, (outcome, at, _) in outcomes.items() if outcome == "refused"]
    if refused:
        _, first = min(refused)
        _, _, waited = run(patient=True)[first]
        assert waited > calls[first][3] / 10 - TINY
