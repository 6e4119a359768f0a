"""One suite for every backend: what a limiter promises, whatever keeps its slots."""

from __future__ import annotations

import asyncio
import importlib
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress

import pytest

from neuroon_async import LocalLimiter, MachineLimiter, NeuroonClient, RateLimit, RateLimited, RetryPolicy
from neuroon_async.limits.protocols import DeadlineLimiter, takes_deadlines
from neuroon_async.limits.tables import limit_table
from neuroon_async.testing import Emulator, RecordedRequest

pytestmark = pytest.mark.virtual_time

SHOP = "shop_test"
Process = Callable[..., DeadlineLimiter]


@pytest.fixture(params=["local", "machine", pytest.param("redis", marks=pytest.mark.slow)])
async def process(request, tmp_path, monkeypatch) -> AsyncIterator[Process]:
    """Makes what each process of a shop would have: limiters of one budget."""
    async with AsyncExitStack() as stack:
        if request.param == "redis":
            stack.enter_context(asyncio.get_running_loop().in_real_time())
        monkeypatch.setattr("neuroon_async.limits.machine.machine_time", asyncio.get_running_loop().time)
        shared: dict[str, DeadlineLimiter] = {}
        prefix = uuid.uuid4().hex

        async def closing(limiter) -> None:
            await limiter.aclose()

        def new(requests: int = 4, per: float = 0.3, *, shop_id: str = SHOP, **options):
            limits = {"shop": RateLimit(requests, per=per), "sync_products": RateLimit(requests, per=per)}
            if request.param == "local":
                return shared.setdefault(shop_id, LocalLimiter(limit_table(limits)))
            if request.param == "machine":
                limiter = MachineLimiter(tmp_path / "limits", shop_id=shop_id, rate_limits=limits, **options)
            else:
                redis = pytest.importorskip("redis.asyncio").Redis(
                    unix_socket_path=request.getfixturevalue("redis_server").socket
                )
                stack.push_async_callback(redis.aclose)
                from neuroon_async.integrations.redis import RedisLimiter  # noqa: PLC0415 - an extra

                limiter = RedisLimiter(redis, shop_id=shop_id, prefix=prefix, rate_limits=limits, share=None, **options)
            stack.push_async_callback(closing, limiter)
            return limiter

        new.backend = request.param
        yield new


@pytest.fixture
def short_transit(monkeypatch) -> float:
    """Seconds that a request may be on its way, for tests that wait as long."""
    seconds = 2.5
    for module in ("limits.policy", "limits.own_usage", "integrations.redis.slots"):
        with suppress(ModuleNotFoundError):  # an extra
            monkeypatch.setattr(importlib.import_module(f"neuroon_async.{module}"), "IN_TRANSIT", seconds)
    return seconds


A_WHILE = 20.0
"""Seconds in which the busiest of machines does what takes no waiting, and less than any wait that would be wrong."""


def now() -> float:
    return asyncio.get_running_loop().time()


async def reported(limiter) -> None:
    """Until what permits told has arrived where the slots are."""
    if hasattr(limiter, "aclose"):
        await limiter.aclose()


async def spend(limiter, count: int = 1, *, endpoint: str = "shop", **options) -> None:
    for _ in range(count):
        (await limiter.acquire(endpoint, **options)).answered({})
    await reported(limiter)


async def refused(limiter, *, within: float = 2.0, **options) -> float:
    """The seconds after which to come back."""
    with pytest.raises(RateLimited) as caught:
        await limiter.acquire("shop", deadline=now() + within, **options)
    assert caught.value.local
    return caught.value.retry_after


async def seconds(awaitable) -> float:
    started = now()
    await asyncio.wait_for(awaitable, A_WHILE)
    return now() - started


def soon() -> float:
    """A deadline for what should not wait."""
    return now() + A_WHILE


def wait_of(seconds: float, since: float) -> object:
    """As many seconds from a moment between ``since`` and now."""
    passed = now() - since
    return pytest.approx(seconds - passed / 2, abs=passed / 2 + 0.5)


# The rule


async def test_it_tells_when_the_first_of_those_held_back_may_leave(process):
    here, there = process(2, 30.0), process(2, 30.0)
    started = now()
    await spend(there, 2)
    assert here.limits()["shop"].next_in == 0.0
    waiting = [asyncio.create_task(here.acquire("shop", bulk=bulk)) for bulk in (True, False)]
    async with asyncio.timeout(A_WHILE):
        while not here.limits()["shop"].next_in:  # noqa: ASYNC110 - there is no event of it
            await asyncio.sleep(0.01)
    assert here.limits()["shop"].next_in == wait_of(30, started)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert here.limits()["shop"].next_in == 0.0


async def test_it_takes_deadlines_and_tells_of_every_endpoint(process):
    limiter = process(7, 30.0)
    assert takes_deadlines(limiter)
    state = limiter.limits()["shop"]
    assert (state.requests, state.per, state.available, state.waiting, state.paused_for) == (7, 30.0, 7, 0, 0.0)
    assert limiter.limits()["verify_domain"].requests == 5


async def test_the_whole_limit_leaves_at_once_and_not_one_more(process):
    here, there = process(6, 30.0), process(6, 30.0)
    started = now()
    for limiter in (here, there) * 3:
        await limiter.acquire("shop", deadline=soon())
    assert await refused(here) == wait_of(30, started)
    assert await refused(there) == wait_of(30, started)


async def test_a_slot_comes_back_one_window_after_the_answer_not_after_admission(process):
    here, there = process(2, 0.4), process(2, 0.4)
    slow = [await here.acquire("shop") for _ in range(2)]
    waiting = asyncio.create_task(there.acquire("shop"))
    await asyncio.sleep(0.3)
    answered = now()
    for permit in slow:
        permit.answered({})
    await waiting
    assert 0.39 <= now() - answered < A_WHILE


async def test_a_slot_without_an_answer_comes_back_when_its_request_can_no_longer_arrive(process, short_transit):
    here, there = process(2, 0.3), process(2, 0.3)
    cancelled, answered = [await here.acquire("shop") for _ in range(2)]
    ended = now()
    cancelled.answered(None)
    answered.answered({})
    await reported(here)
    await there.acquire("shop", deadline=soon())  # the answered one is back after one window, though it ended last
    assert now() - ended < short_transit
    await there.acquire("shop", deadline=soon())
    assert now() - ended >= short_transit + 0.29


async def test_a_refused_call_is_told_when_such_a_slot_is_back(process):
    limiter = process(2, 30.0)
    lost, in_flight = [await limiter.acquire("shop") for _ in range(2)]
    started = now()
    lost.answered(None)
    await reported(limiter)
    assert await refused(limiter) == wait_of(30, started)  # the other one may be answered now
    in_flight.answered(None)
    await reported(limiter)
    assert await refused(limiter) == wait_of(35, started)


async def test_a_refused_call_is_told_the_later_of_a_pause_and_the_next_slot(process):
    for pause, wait in ((1, 30), (60, 60)):
        limiter = process(2, 30.0, shop_id=f"shop_{pause}")
        permits = [await limiter.acquire("shop") for _ in range(2)]
        started = now()
        for permit in permits:
            permit.answered({}, pause=pause)
        await reported(limiter)
        other = process(2, 30.0, shop_id=f"shop_{pause}")
        assert await refused(other, within=0.5) == wait_of(wait, started)


async def test_a_request_that_never_left_gives_its_slot_back_to_all(process):
    here, there = process(1, 30.0), process(1, 30.0)
    (await here.acquire("shop")).unused()
    await reported(here)
    await there.acquire("shop", deadline=soon())


async def test_shops_and_endpoints_have_budgets_of_their_own(process):
    await spend(process(1, 30.0), 1)
    await process(1, 30.0, shop_id="shop_other").acquire("shop", deadline=soon())
    await process(1, 30.0).acquire("sync_products", deadline=soon())
    assert await refused(process(1, 30.0)) > 25


# Single and bulk


async def test_bulk_leaves_two_slots_or_those_that_come_back_within_six_seconds(process):
    limiter = process(100, 60.0)
    started = now()
    await spend(limiter, 98, bulk=True)
    assert await refused(limiter, bulk=True) == wait_of(54, started)
    for _ in range(2):
        await limiter.acquire("shop", deadline=soon())
    assert await refused(limiter) == wait_of(60, started)


async def test_single_calls_seen_lately_enlarge_the_reserve_up_to_a_tenth(process):
    limiter = process(100, 60.0)
    for _ in range(20):
        (await limiter.acquire("shop")).unused()
    await reported(limiter)
    await spend(limiter, 90, bulk=True)
    await refused(limiter, bulk=True)


async def test_where_all_comes_back_soon_bulk_takes_everything(process):
    limiter = process(20, 2.0)
    await spend(limiter, 20, bulk=True, deadline=soon())


async def test_single_calls_go_before_bulk_ones_and_each_kind_in_its_order(process):
    limiter = process(1, 0.2)
    first = await limiter.acquire("shop")  # answered when all the others wait, however long that takes
    order: list[str] = []

    async def call(name: str, *, bulk: bool) -> None:
        permit = await limiter.acquire("shop", bulk=bulk)
        order.append(name)
        permit.answered({})

    async with asyncio.TaskGroup() as tasks:
        for name in ("bulk 1", "bulk 2", "single 1", "single 2"):
            tasks.create_task(call(name, bulk=name.startswith("bulk")))
            await asyncio.sleep(0.02)
        first.answered({})
    assert order == ["single 1", "single 2", "bulk 1", "bulk 2"]


# What the server tells


async def test_a_429_pauses_everyone_and_only_ever_for_longer(process):
    here, there = process(10, 0.3), process(10, 0.3)
    first, second = [await here.acquire("shop") for _ in range(2)]
    started = now()
    first.answered({}, pause=0.4)
    second.answered({}, pause=0.01)
    paused_for, passed = here.limits()["shop"].paused_for, now() - started
    assert paused_for >= 0.39 - passed  # a busy machine may take as long to ask
    await reported(here)
    await there.acquire("shop")
    assert 0.39 <= now() - started < A_WHILE


async def test_after_a_pause_calls_return_one_by_one(process):
    here, there = process(10, 2.0), process(10, 2.0)
    (await here.acquire("shop")).answered({}, pause=0.05)
    await reported(here)
    started = now()
    await there.acquire("shop")
    await asyncio.gather(here.acquire("shop"), there.acquire("shop"))
    assert now() - started >= 0.39  # twice 2 s / 10


async def test_the_servers_own_limit_is_kept_to_where_it_is_lower(process):
    limiter = process(4, 30.0)
    (await limiter.acquire("shop")).answered({"X-RateLimit-Limit": "2"})
    await limiter.acquire("shop", deadline=soon())
    assert limiter.limits()["shop"].requests == 2
    await refused(limiter)


async def test_remaining_lowers_what_is_left_for_all(process):
    here, there = process(10, 30.0), process(10, 30.0)
    permit = await here.acquire("shop")
    permit.answered({"X-RateLimit-Remaining": "3"})
    await reported(here)
    for _ in range(3):
        await there.acquire("shop", deadline=soon())
    assert await refused(there) == pytest.approx(30, abs=3)


async def test_what_others_spend_is_over_one_window_later(process):
    limiter = process(3, 0.4)
    permit = await limiter.acquire("shop")
    started = now()
    permit.answered({"X-RateLimit-Remaining": "0"})
    await reported(limiter)
    await seconds(limiter.acquire("shop"))
    assert now() - started > 0.39


async def test_retry_after_decides_over_remaining(process):
    limiter = process(4, 30.0)
    (await limiter.acquire("shop")).answered({"X-RateLimit-Remaining": "0", "Retry-After": "1"})
    await reported(limiter)
    await limiter.acquire("shop", deadline=soon())


# Deadlines and cancellation


async def test_a_refused_call_reserves_nothing(process):
    limiter = process(1, 0.5)
    await spend(limiter)
    for _ in range(5):
        await refused(limiter, within=0.01)
    assert limiter.limits()["shop"].waiting == 0
    await seconds(limiter.acquire("shop"))


async def test_a_wait_that_fits_the_deadline_is_waited(process):
    limiter = process(1, 0.3)
    await spend(limiter)
    await limiter.acquire("shop", deadline=soon())


async def test_cancelled_callers_leave_nothing_behind(process):
    limiter = process(3, 30.0)
    for moment in range(24):
        task = asyncio.create_task(limiter.acquire("shop", bulk=moment % 2 == 0))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            (await task).unused()
        await reported(limiter)
    assert limiter.limits()["shop"].waiting == 0
    await reported(limiter)
    for _ in range(3):
        await limiter.acquire("shop", deadline=soon())


async def test_limits_can_be_read_from_any_thread(process):
    limiter = process(5, 30.0)
    await spend(limiter, 2)
    assert (await asyncio.to_thread(limiter.limits))["shop"].available == 3


# All of it


async def test_processes_use_the_budget_and_never_see_a_429(process):
    """However the server counts. The three ways are tried side by side, for nearly all of the time is spent waiting."""
    algorithms = ("fixed", "rolling", "bucket")
    seen = await asyncio.gather(*(use_the_budget(process, algorithm) for algorithm in algorithms))
    for algorithm, requests in zip(algorithms, seen, strict=True):
        assert {request.status for request in requests} <= {200, None}, algorithm


async def use_the_budget(process, algorithm: str) -> list[RecordedRequest]:
    """Four processes, four callers each, until the server has seen more than two windows hold.

    How long they take for that is for the benchmarks to measure: here a busy machine may take its time.
    """
    limit = RateLimit(20, per=1.0)
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(
            Emulator(f"shop_{algorithm}", rate_limits={"shop": limit}, algorithm=algorithm, latency=0.002, jitter=0.004)
        )
        clients = [
            await stack.enter_async_context(
                emulator.client(
                    limiter=process(limit.requests, limit.per, shop_id=emulator.shop_id), retry=RetryPolicy(attempts=1)
                )
            )
            for _ in range(4)
        ]

        async def work(client: NeuroonClient) -> None:
            while True:
                await client.shop()

        tasks = [asyncio.create_task(work(client)) for client in clients for _ in range(4)]
        await emulator.wait_for(lambda: len(emulator.requests) > 2 * limit.requests, timeout=120.0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return emulator.requests
