"""A limiter that outlives its event loop, or is read from outside of it."""

import asyncio
import threading

import pytest
from virtual_time import VirtualTimeLoop

from neuroon_async import LocalLimiter, NeuroonClient, RateLimit, UsageError
from neuroon_async.limits.local import LocalEndpoint

LIMIT = RateLimit(2, per=0.3)


async def spend(limiter, count=1, **options):
    for _ in range(count):
        (await limiter.acquire(**options)).answered({})


async def give_up(limiter):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(limiter.acquire(), 0.01)


def run(main):
    """Like `asyncio.run`, on a clock that jumps to the next timer."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


async def seconds(awaitable):
    started = asyncio.get_running_loop().time()
    await awaitable
    return asyncio.get_running_loop().time() - started


def test_the_next_loop_wakes_when_the_slots_of_the_last_one_come_back():
    limiter = LocalEndpoint("shop", LIMIT)

    async def first():
        await spend(limiter, 2)
        await give_up(limiter)

    run(first())
    assert LIMIT.per - 0.02 <= run(seconds(spend(limiter))) < 20  # the first loop has waited the rest
    run(spend(limiter, 2))


@pytest.mark.parametrize("bulk", [False, True])
def test_callers_left_behind_in_an_ended_loop_are_forgotten(bulk, caplog):
    limiter = LocalEndpoint("shop", LIMIT)
    loop = VirtualTimeLoop()
    loop.run_until_complete(spend(limiter, 2))
    waiting = loop.create_task(limiter.acquire(bulk=bulk))
    loop.run_until_complete(asyncio.sleep(0))
    assert limiter.state().waiting == 1
    loop.close()  # without cancelling anything, as no `asyncio.run` would
    waiting._log_destroy_pending = False
    assert run(seconds(spend(limiter))) < 20
    assert limiter.state().waiting == 0
    assert caplog.records == []


def test_what_was_in_flight_in_an_ended_loop_comes_back():
    limiter = LocalEndpoint("shop", LIMIT)

    async def leave_two():
        return [await limiter.acquire() for _ in range(2)]

    for _ in range(2):  # each ended loop has its own
        permits = run(leave_two())
        assert 0.29 <= run(seconds(spend(limiter))) < 20
        permits[0].answered({})  # by a garbage collector, say: it has been counted
        permits[1].unused()
        assert limiter.state().available == 1


def test_a_token_bucket_goes_on_in_the_next_loop():
    limiter = LocalEndpoint("shop", RateLimit(4, per=0.4, burst=1))
    run(spend(limiter, 2))
    assert run(seconds(spend(limiter, 2))) >= 0.09  # the slots are free, yet one follows the other
    run(spend(limiter, 2))


@pytest.mark.parametrize("waited", [0, 1_000])
def test_loops_with_clocks_of_their_own(waited):
    limiter = LocalEndpoint("shop", RateLimit(2, per=60))

    async def first():
        await asyncio.sleep(waited)
        await spend(limiter, 2)

    run(first())
    assert 59 < run(seconds(spend(limiter))) <= 60.1
    assert asyncio.run(seconds(spend(limiter))) < 5  # one slot is left


def test_two_loops_at_once_are_refused():
    limiter = LocalLimiter({"shop": RateLimit(1, per=5.0)})
    ready, done = threading.Event(), threading.Event()

    async def hold():
        await limiter.acquire("shop")
        waiting = asyncio.create_task(limiter.acquire("shop"))
        await asyncio.sleep(0)
        ready.set()
        await asyncio.to_thread(done.wait)
        waiting.cancel()

    thread = threading.Thread(target=asyncio.run, args=[hold()])
    thread.start()
    ready.wait()
    try:
        with pytest.raises(UsageError, match="in use in another event loop"):
            asyncio.run(limiter.acquire("shop"))
    finally:
        done.set()
        thread.join()


def test_a_loop_that_rests_keeps_its_callers():
    limiter = LocalEndpoint("shop", LIMIT)
    resting = VirtualTimeLoop()
    resting.run_until_complete(spend(limiter, 2))
    waiting = [resting.create_task(limiter.acquire(bulk=bulk)) for bulk in (False, True)]
    resting.run_until_complete(asyncio.sleep(0))
    with pytest.raises(UsageError):
        asyncio.run(limiter.acquire())
    resting.run_until_complete(asyncio.gather(*waiting))
    resting.close()


def test_limits_can_be_read_from_any_thread_and_without_a_loop():
    client = NeuroonClient(shop_id="shop_1", api_key="sk_" + "0" * 32, rate_limits={"shop": LIMIT})
    assert client.limits()["shop"].available == 2

    async def inside():
        permit = await client._transport.limiter.acquire("shop")
        assert (await asyncio.to_thread(client.limits))["shop"].available == 1
        permit.answered({})

    asyncio.run(inside())
    assert client.limits()["shop"].available == 1
    asyncio.run(asyncio.sleep(0.31))
    assert client.limits()["shop"].available == 2
