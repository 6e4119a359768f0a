"""Who stands in line for a local limit: what they are told, when they are sent away, and what is left of them."""

import asyncio
import gc
import weakref

import pytest

from neuroon_async import LocalLimiter, RateLimit, RateLimited, UsageError
from neuroon_async.limits.local import LocalEndpoint

pytestmark = pytest.mark.virtual_time

TINY = 1e-3
"""Seconds: what the turns of the virtual clock add up to, at most."""


def now():
    return asyncio.get_running_loop().time()


async def spend(limiter, count):
    for _ in range(count):
        (await limiter.acquire()).answered({})


async def in_line(limiter, *withins, bulk=False):
    """Let one call after the other ask, each with so many seconds until its deadline."""
    tasks = []
    for within in withins:
        deadline = None if within is None else now() + within
        tasks.append(asyncio.create_task(limiter.acquire(bulk=bulk, deadline=deadline)))
        await asyncio.sleep(0)
    return tasks


async def outcome(task):
    """When a call ended, from the start of the virtual clock, and its refusal, if it was refused."""
    try:
        await task
    except RateLimited as error:
        return now() - 1_000, error
    return now() - 1_000, None


async def cancel(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


# A pause


async def test_a_pause_refuses_at_once_whoever_it_makes_late_in_its_place_of_the_line():
    limiter = LocalEndpoint("shop", RateLimit(4, per=40))
    await spend(limiter, 4)
    tasks = await in_line(limiter, 105, 115, 115)
    limiter.pause(100)  # they return one every ten seconds
    at, error = await outcome(tasks[2])
    assert at <= TINY
    assert error.retry_after == pytest.approx(120, abs=TINY)
    assert (error.limit, error.remaining, error.local) == (4, 0, True)
    assert limiter.state().waiting == 2
    for task, moment in zip(tasks[:2], (100, 110), strict=True):
        at, error = await outcome(task)
        assert error is None
        assert at == pytest.approx(moment, abs=TINY)


async def test_a_pause_puts_off_the_next_one_who_waits():
    limiter = LocalEndpoint("shop", RateLimit(1, per=0.5))
    await spend(limiter, 1)
    (task,) = await in_line(limiter, None)
    assert limiter.state().next_in == pytest.approx(0.5, abs=TINY)
    limiter.pause(30)
    assert limiter.state().next_in == pytest.approx(30, abs=TINY)
    assert limiter.state().waiting == 1
    await cancel(task)
    assert limiter.state().next_in == 0


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_late_answer_refuses_bulk_calls_for_what_they_leave_to_single_ones(bulk):
    limiter = LocalEndpoint("shop", RateLimit(20, per=60))
    await spend(limiter, 1)
    permits = [await limiter.acquire() for _ in range(19)]
    (task,) = await in_line(limiter, 90, bulk=bulk)
    await asyncio.sleep(50)
    for permit in permits:
        permit.answered({})  # so one slot comes back at 60, all the others at 110
    at, error = await outcome(task)
    assert at == pytest.approx(50 if bulk else 60, abs=TINY)
    assert (error is not None) is bulk


async def test_who_was_cancelled_just_now_is_not_refused_as_well():
    limiter = LocalEndpoint("shop", RateLimit(1, per=60))
    await spend(limiter, 1)
    (task,) = await in_line(limiter, 70)
    task.cancel()
    limiter.pause(100)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert limiter.state().waiting == 0


async def test_who_was_cancelled_just_now_holds_up_nobody_and_hides_nobody():
    limiter = LocalEndpoint("shop", RateLimit(4, per=40))
    await spend(limiter, 4)
    first, second, third = await in_line(limiter, None, 105, 105)
    first.cancel()
    limiter.pause(100)  # they return one every ten seconds
    assert await outcome(second) == (pytest.approx(100, abs=TINY), None)
    assert third.done()
    assert isinstance(third.exception(), RateLimited)


async def test_whoever_is_refused_stands_in_line_no_longer():
    limiter = LocalEndpoint("shop", RateLimit(1, per=60))
    await spend(limiter, 1)
    patient, late = await in_line(limiter, None, 130)
    assert limiter.state().waiting == 2
    limiter.pause(100)
    assert limiter.state().waiting == 1
    await cancel(patient, late)


# A deadline


async def test_whoever_waits_in_vain_is_told_how_long_it_takes_now():
    limiter = LocalEndpoint("shop", RateLimit(1, per=60))
    await limiter.acquire()
    (task,) = await in_line(limiter, 70)
    at, error = await outcome(task)
    assert at == pytest.approx(70, abs=TINY)
    assert error.retry_after == pytest.approx(60, abs=TINY)
    assert str(error).startswith("shop: not sent")


async def test_whoever_waited_in_vain_stands_in_line_no_longer():
    limiter = LocalEndpoint("shop", RateLimit(1, per=60))
    await limiter.acquire()
    (task,) = await in_line(limiter, 70)
    waiting = []
    asyncio.get_running_loop().call_at(now() + 70 + 1e-10, lambda: waiting.append(limiter.state().waiting))
    await outcome(task)  # in the same turn of the loop
    assert waiting == [0]


async def test_cancelled_in_the_moment_of_the_deadline(caplog):
    limiter = LocalEndpoint("shop", RateLimit(1, per=60))
    await limiter.acquire()
    deadline = now() + 70
    task = asyncio.create_task(limiter.acquire(deadline=deadline))
    asyncio.get_running_loop().call_at(deadline - 1e-10, task.cancel)  # just before, in the same turn of the loop
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1)
    assert caplog.records == []


async def test_no_timer_outlives_the_wait():
    limiter = LocalEndpoint("shop", RateLimit(1, per=60))
    await spend(limiter, 1)
    (task,) = await in_line(limiter, 900)
    (await task).answered({})
    await cancel(*await in_line(limiter, None))
    kept = weakref.ref(limiter)
    del limiter, task
    gc.collect()
    assert kept() is None


# A token bucket


async def test_a_burst_makes_those_late_who_stand_too_far_behind():
    limiter = LocalEndpoint("shop", RateLimit(20, per=60, burst=2))
    await spend(limiter, 2)
    tasks = await in_line(limiter, *[None] * 11)  # one of them is at the bucket
    assert limiter.state().waiting == 11
    asked = now()
    with pytest.raises(RateLimited) as caught:
        await limiter.acquire(deadline=asked + 26.9)
    assert now() == asked
    assert caught.value.retry_after == pytest.approx(27, abs=TINY)  # one every three seconds, after two at once
    with pytest.raises(RateLimited):
        await limiter.acquire(deadline=asked + 27)
    assert now() == pytest.approx(asked + 27, abs=TINY)  # for it might have been in time
    await cancel(*(task for task in tasks if not task.done()))


async def test_a_short_pause_holds_for_the_call_at_the_bucket():
    limiter = LocalEndpoint("shop", RateLimit(4, per=40, burst=1))
    await spend(limiter, 1)
    (task,) = await in_line(limiter, None)
    await asyncio.sleep(9.8)
    limiter.pause(0.7)
    at, _ = await outcome(task)
    assert at == pytest.approx(10.5, abs=TINY)


async def test_a_call_at_the_bucket_is_told_how_long_a_pause_lasts():
    limiter = LocalEndpoint("shop", RateLimit(4, per=40, burst=1))
    await spend(limiter, 1)
    (task,) = await in_line(limiter, 20)
    await asyncio.sleep(5)
    limiter.pause(100)
    at, error = await outcome(task)
    assert at == pytest.approx(20, abs=TINY)
    assert error.retry_after == pytest.approx(85, abs=TINY)
    assert str(error).startswith("shop: not sent")


async def test_a_call_at_the_bucket_is_told_when_that_gains_a_token_and_not_to_leave_slots_to_others():
    limiter = LocalEndpoint("shop", RateLimit(20, per=60, burst=10))
    await spend(limiter, 19)  # all slots but one
    (task,) = await in_line(limiter, 1)
    _, error = await outcome(task)
    assert error.retry_after == pytest.approx(3, abs=TINY)


async def test_cancelled_at_the_bucket_in_the_moment_of_the_deadline():
    limiter = LocalEndpoint("shop", RateLimit(4, per=40, burst=1))
    await spend(limiter, 1)
    deadline = now() + 5
    task = asyncio.create_task(limiter.acquire(deadline=deadline))
    asyncio.get_running_loop().call_at(deadline - 1e-10, task.cancel)  # just before, in the same turn of the loop
    with pytest.raises(asyncio.CancelledError):
        await task
    assert limiter.state().available == 3


async def test_cancelled_at_the_bucket():
    limiter = LocalEndpoint("shop", RateLimit(4, per=40, burst=1))
    await spend(limiter, 1)
    (task,) = await in_line(limiter, None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# The limits of a shop


async def test_a_refusal_names_the_endpoint():
    limiter = LocalLimiter({"shop": RateLimit(1, per=60)})
    await limiter.acquire("shop")
    with pytest.raises(RateLimited, match=r"^shop: not sent"):
        await limiter.acquire("shop", deadline=now() + 1)


async def test_a_limit_that_is_switched_off_holds_nobody_back():
    limiter = LocalLimiter({"shop": None})
    assert limiter.limits() == {}
    for name in ("shop", "missing"):
        (await limiter.acquire(name, deadline=now())).answered(None)


def test_what_is_no_table_is_refused():
    with pytest.raises(UsageError, match=r"^rate_limits\['shop'\] must be a RateLimit or None, got 5"):
        LocalLimiter({"shop": 5})


@pytest.mark.parametrize(
    ("endpoint", "options", "message"),
    [
        (5, {}, "^endpoint must be "),
        ("shop", {"bulk": 1}, "^bulk must be "),
        ("shop", {"deadline": "soon"}, "^deadline must be a time of the event loop, or None; got 'soon'"),
    ],
    ids=["endpoint", "bulk", "deadline"],
)
async def test_what_is_no_name_flag_or_time_is_refused(endpoint, options, message):
    with pytest.raises(UsageError, match=message):
        await LocalLimiter({}).acquire(endpoint, **options)
