"""The shared limiter against a real Redis server, in real time, with limits scaled down to tenths of a second.

A "process" here is a limiter with a Redis connection of its own: all that separate processes share is Redis.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

pytest.importorskip("redis", reason="needs the extra 'redis'")

from redis.asyncio import Redis

from neuroon_async import NeuroonClient, RateLimit, RetryPolicy
from neuroon_async.errors import ConfigurationError, ConnectionFailed, RateLimited
from neuroon_async.integrations.redis import RedisLimiter, link
from neuroon_async.limits.protocols import Permit
from neuroon_async.testing import Emulator

SHOP = "shop_test"
Process = Callable[..., RedisLimiter]


@pytest.fixture
async def process(connect) -> AsyncIterator[Process]:
    """Makes limiters that share a prefix of this test's own."""
    prefix = f"test-{uuid.uuid4().hex}"
    made: list[RedisLimiter] = []

    def new(requests: int = 4, per: float = 0.2, **options) -> RedisLimiter:
        settings = {"shop_id": SHOP, "prefix": prefix, "rate_limits": {"shop": RateLimit(requests, per=per)}, **options}
        made.append(RedisLimiter(settings.pop("redis", None) or connect(), **settings))
        return made[-1]

    yield new
    for limiter in made:
        await limiter.aclose()


async def spend(limiter: RedisLimiter, count: int, **options) -> None:
    for _ in range(count):
        (await limiter.acquire("shop", **options)).answered({})
    await limiter.aclose()


A_WHILE = 20.0
"""Seconds in which the busiest of machines does what takes no waiting, and less than any wait that would be wrong."""


async def seconds_until_admitted(limiter: RedisLimiter, **options) -> float:
    started = time.monotonic()
    permit = await asyncio.wait_for(limiter.acquire("shop", **options), 60)
    elapsed = time.monotonic() - started
    permit.unused()
    await limiter.aclose()
    return elapsed


async def available(limiter: RedisLimiter) -> int:
    """What is left for all. Asked for by taking a slot, which is given back."""
    permit = await asyncio.wait_for(limiter.acquire("shop"), 60)
    left = limiter.limits()["shop"].available
    permit.unused()
    await limiter.aclose()
    return left + 1


async def tell(limiter: RedisLimiter, permit: Permit, **headers: str) -> None:
    permit.answered({f"X-RateLimit-{name.title()}": text for name, text in headers.items()})
    await limiter.aclose()


# The promise. What holds for every backend is held to in tests/limits/test_backends.py


async def test_a_process_that_died_in_flight_holds_its_slot_for_the_latency_and_no_longer(process):
    here, there = process(1, 0.1, latency=0.15), process(1, 0.1, latency=0.15)
    await here.acquire("shop")  # and never a word again
    assert 0.24 <= await seconds_until_admitted(there) < A_WHILE


async def test_shops_endpoints_and_prefixes_have_budgets_of_their_own(process):
    await spend(process(1, 30.0), 1)
    assert await seconds_until_admitted(process(1, 30.0, shop_id="shop_other")) < A_WHILE
    assert await seconds_until_admitted(process(1, 30.0, prefix=uuid.uuid4().hex)) < A_WHILE
    (await process(1, 30.0).acquire("delete_product")).unused()


async def test_the_budget_needs_no_agreement_between_the_clocks_of_the_hosts(process, monkeypatch):
    await spend(process(2, 30.0), 2)
    monkeypatch.setattr(time, "time", lambda: 9e9)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process(2, 30.0).acquire("shop"), 0.05)


async def test_redis_is_asked_again_only_when_a_slot_comes_back(process, redis_server):
    class Counting(Redis):
        commands = 0

        async def execute_command(self, *args, **options):
            self.commands += 1
            return await super().execute_command(*args, **options)

    async with Counting(unix_socket_path=redis_server.socket) as redis:
        limiter = process(2, 0.2, redis=redis)
        for _ in range(2):  # the second time, with slots that have come back
            await spend(limiter, 2)
            redis.commands = 0
            await spend(limiter, 1)
            assert redis.commands <= 4
            await asyncio.sleep(0.2)


async def test_keys_expire_when_nobody_uses_them(process, connect, monkeypatch):
    monkeypatch.setattr("neuroon_async.integrations.redis.slots.IN_TRANSIT", 0.1)
    limiter = process(4, 0.1, latency=0.1, prefix=(prefix := uuid.uuid4().hex))
    await spend(limiter, 2)
    await tell(limiter, await limiter.acquire("shop"), remaining="0")  # one of the four is spent elsewhere
    await asyncio.sleep(0.25)
    assert await connect().keys(f"{prefix}*") == []


# Pauses and headers


async def test_a_429_pauses_every_process_and_only_ever_for_longer(process):
    here, there, fresh = process(10, 0.2), process(10, 0.2), process(10, 0.2)
    throttled, shorter, elsewhere = [await limiter.acquire("shop") for limiter in (here, here, there)]
    started = time.monotonic()
    throttled.answered({}, pause=0.5)
    await here.aclose()
    shorter.answered({}, pause=0.01)
    elsewhere.answered({}, pause=0.01)
    paused_for, passed = here.limits()["shop"].paused_for, time.monotonic() - started
    assert paused_for >= 0.49 - passed  # a busy machine may take as long to ask
    await there.aclose()
    await fresh.acquire("shop")
    assert 0.49 <= time.monotonic() - started < A_WHILE


async def test_the_servers_own_limit_is_believed_where_it_is_lower(process):
    limiter = process(4, 30.0)
    (await limiter.acquire("shop")).answered({"X-RateLimit-Limit": "2"})
    (await limiter.acquire("shop")).answered({"X-RateLimit-Limit": "nonsense"})
    assert limiter.limits()["shop"].requests == 2
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(limiter.acquire("shop"), 0.05)


async def test_an_answer_to_an_older_request_tells_an_older_limit(process):
    limiter = process(10, 30.0)
    older, newer = await limiter.acquire("shop"), await limiter.acquire("shop")
    newer.answered({"X-RateLimit-Limit": "6"})
    older.answered({"X-RateLimit-Limit": "10"})
    assert limiter.limits()["shop"].requests == 6
    (await limiter.acquire("shop")).answered({"X-RateLimit-Limit": "500"})
    assert limiter.limits()["shop"].requests == 10  # never beyond the table


# What something else spends


async def test_remaining_lowers_what_is_left_to_all_and_never_raises_it(process):
    here, there, fresh = process(20, 30.0), process(20, 30.0), process(20, 30.0)
    permits = [await here.acquire("shop") for _ in range(3)]
    in_flight = [await there.acquire("shop") for _ in range(2)]
    await tell(here, permits[0], remaining="9")  # of eleven, five may be ours
    assert await available(fresh) == 20 - 5 - 6
    await tell(there, in_flight[0], remaining="18")
    assert await available(fresh) == 9
    await tell(here, permits[1], remaining="5")
    assert await available(fresh) == 5
    await spend(fresh, 5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(there.acquire("shop"), 0.05)


async def test_remaining_is_counted_from_the_limit_in_the_same_answer(process):
    limiter = process(20, 30.0)
    await tell(limiter, await limiter.acquire("shop"), limit="10", remaining="8")
    assert await available(limiter) == 10 - 1 - 1


async def test_nothing_left_elsewhere_holds_even_the_reserve_of_every_process_back(process):
    here, there = process(10, 0.3), process(10, 0.3)
    permit = await here.acquire("shop")
    started = time.monotonic()
    await tell(here, permit, remaining="0")
    await there.acquire("shop")
    assert 0.3 <= time.monotonic() - started < A_WHILE


async def test_what_others_were_last_seen_to_spend_holds_for_one_window(process):
    """Where a busy machine was too late to look while something held, a longer window shows it."""
    for window in (0.6, 2.4, 9.6, 38.4):
        fresh = uuid.uuid4().hex
        here, there = process(10, window, prefix=fresh), process(10, window, prefix=fresh)
        permits = [await here.acquire("shop") for _ in range(2)]
        began = time.monotonic()
        await tell(here, permits[0], remaining="1")  # seven elsewhere
        first_over = time.monotonic() + window
        await asyncio.sleep(window / 2)
        between = time.monotonic()
        await tell(here, permits[1], remaining="4")  # four of them, or four others
        second_over = time.monotonic() + window
        both = await available(there)
        if time.monotonic() >= began + window:
            continue
        await asyncio.sleep(first_over - time.monotonic())
        second = await available(there)
        if time.monotonic() >= between + window:
            continue
        await asyncio.sleep(second_over - time.monotonic())
        assert (both, second, await available(there)) == (10 - 7 - 2, 10 - 4 - 1, 10)
        return
    pytest.fail("this machine was too busy in all four windows")


async def test_a_count_from_before_slots_came_back_lowers_nothing(process):
    here, there = process(10, 0.3), process(10, 0.3)
    late = await here.acquire("shop")
    await spend(there, 9)
    await asyncio.sleep(0.3)  # the nine have come back, while the answer was on its way
    assert await available(there) == 9
    await tell(here, late, remaining="0")
    assert await available(there) == 9


async def test_a_count_of_what_came_back_before_the_request_is_of_something_else(process):
    here, there = process(10, 0.3), process(10, 0.3)
    await spend(there, 9)
    await asyncio.sleep(0.3)
    await tell(here, await here.acquire("shop"), remaining="3")
    assert await available(there) == 3


async def test_what_redis_has_forgotten_shows_in_what_is_left(process, connect):
    limiter = process(20, 30.0, prefix=(prefix := uuid.uuid4().hex))
    await spend(limiter, 15)
    redis = connect()
    await redis.delete(*await redis.keys(f"{prefix}*"))
    newcomer = process(20, 30.0, prefix=prefix)  # it cannot know that something is missing
    await tell(newcomer, await newcomer.acquire("shop"), remaining="4")
    assert await available(newcomer) == 4


@pytest.mark.parametrize("text", ["", "abc", "-1", "1.5", "٣", "4" * 5_000])
async def test_unreadable_headers_say_nothing(process, text):
    limiter = process(10, 30.0)
    await tell(limiter, await limiter.acquire("shop"), limit=text, remaining=text)
    assert (await available(limiter), limiter.limits()["shop"].requests) == (9, 10)


async def test_no_429_beside_a_client_that_knows_nothing_of_this_redis(process):
    """It has spent eight of twenty when two processes come with more than the window has left."""
    limit = RateLimit(20, per=0.8)

    async def under(algorithm: str) -> None:
        async with AsyncExitStack() as stack:
            emulator = await stack.enter_async_context(Emulator(rate_limits={"shop": limit}, algorithm=algorithm))

            async def client(limiter: RedisLimiter | None) -> NeuroonClient:
                options = {"rate_limits": None} if limiter is None else {"limiter": limiter}
                return await stack.enter_async_context(
                    NeuroonClient(
                        shop_id=emulator.shop_id,
                        api_key=emulator.api_key,
                        base_url=emulator.url,
                        retry=RetryPolicy(attempts=1),
                        **options,
                    )
                )

            foreigner = await client(None)
            ours = [await client(process(limit.requests, limit.per, shop_id=algorithm)) for _ in range(2)]
            for _ in range(8):
                await foreigner.shop()
            for _ in range(16):
                for one in ours:
                    await one.shop()
            assert {request.status for request in emulator.requests} == {200}

    async with asyncio.TaskGroup() as tasks:
        for algorithm in ("fixed", "rolling", "bucket"):
            tasks.create_task(under(algorithm))


# Order


async def test_bulk_leaves_a_tenth_to_single_calls_of_any_process(process):
    bulk, web = process(20, 30.0), process(20, 30.0)
    running = asyncio.create_task(spend(bulk, 100, bulk=True))
    while bulk.limits()["shop"].available > 1:  # noqa: ASYNC110 - Redis, in another process, sets no event
        await asyncio.sleep(0.01)
    assert await seconds_until_admitted(web) < A_WHILE
    running.cancel()
    await asyncio.wait([running])


async def test_bulk_takes_the_reserve_as_soon_as_enough_comes_back(process):
    limiter = process(20, 30.0)
    started = time.monotonic()
    await spend(limiter, 18, bulk=True)
    with pytest.raises(RateLimited) as caught:
        await limiter.acquire("shop", bulk=True, deadline=asyncio.get_running_loop().time() + 20)
    passed = time.monotonic() - started
    assert 30 - 6 - passed - 0.5 < caught.value.retry_after < 30 - 6 + 0.5


# Cancellation and the connection


async def test_cancelled_callers_leave_nothing_behind(process, connect):
    prefix = uuid.uuid4().hex
    limiter = process(50, 30.0, prefix=prefix)
    for moment in range(40):  # before, during and after the question to Redis
        task = asyncio.create_task(limiter.acquire("shop"))
        for _ in range(moment % 8):
            await asyncio.sleep(0)
        if task.done() or not task.cancel():
            task.result().unused()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            task.result().unused()
    await limiter.aclose()
    await asyncio.sleep(0.02)
    assert limiter.limits()["shop"].waiting == 0
    assert await connect().zcard(f"{prefix}:{{{SHOP}}}:shop:open") == 0
    (await limiter.acquire("shop")).unused()


async def test_no_cancellation_is_swallowed_on_the_way_to_redis(process):
    limiter = process(1000, 0.05)

    async def call_for_ever() -> None:
        while True:
            (await limiter.acquire("shop")).answered({})

    for moment in range(60):
        tasks = [asyncio.create_task(call_for_ever()) for _ in range(4)]
        await asyncio.sleep(moment * 5e-5)
        for task in tasks:
            task.cancel()
        _, still_calling = await asyncio.wait(tasks, timeout=60)
        assert not still_calling


async def test_the_users_connection_is_used_and_never_closed(process, connect):
    redis = connect()
    async with process(redis=redis) as limiter:
        await spend(limiter, 1)
    assert await redis.ping()


async def test_limits_tell_what_redis_told(process):
    limiter = process(10, 30.0)
    assert limiter.limits()["shop"].available == 10
    await spend(process(10, 30.0), 4)
    await spend(limiter, 1)
    state = limiter.limits()["shop"]
    assert (state.requests, state.per, state.available, state.waiting, state.paused_for) == (10, 30.0, 5, 0, 0.0)


# Redis away


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(link, "PATIENCE", 0.3)
    monkeypatch.setattr(link, "PROBE", 0.05)


async def test_without_redis_each_process_keeps_to_its_part_less_what_it_has_used(
    hurried, mortal_redis_server, process, caplog
):
    async with Redis(unix_socket_path=mortal_redis_server.socket) as redis:
        limiter = process(20, 30.0, share=4, redis=redis)
        await spend(limiter, 2)
        mortal_redis_server.stop()
        with caplog.at_level(logging.WARNING, "neuroon_async.limits"):
            await spend(limiter, 3)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(limiter.acquire("shop"), 0.2)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "cannot be reached in Redis" in caplog.text


async def test_redis_is_told_what_was_used_without_it(hurried, mortal_redis_server, process, caplog):
    async with Redis(unix_socket_path=mortal_redis_server.socket) as redis:
        limiter = process(20, 3.0, share=4, redis=redis, prefix="p")
        await spend(limiter, 2)
        mortal_redis_server.stop()
        await spend(limiter, 2)
        in_flight = await limiter.acquire("shop")
        mortal_redis_server.start()  # and has forgotten everything
        with caplog.at_level(logging.WARNING, "neuroon_async.limits"):
            (await limiter.acquire("shop")).answered({})
            in_flight.answered({})
            await limiter.aclose()
        assert caplog.text.count("can be reached again") == 1
        # Two before, two without it, the one in flight, and the one after.
        assert await redis.zcard(f"p:{{{SHOP}}}:shop:open") == 6


@pytest.fixture
async def silent_redis() -> AsyncIterator[Redis]:
    """Accepts connections and says nothing."""
    silence = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silence.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with Redis(port=server.sockets[0].getsockname()[1]) as redis:
        yield redis
    silence.set()
    server.close()


@pytest.fixture
async def late_loop(monkeypatch) -> AsyncIterator[None]:
    """Every turn of the event loop takes longer than Redis has to answer."""
    monkeypatch.setattr(link, "PATIENCE", 0.004)

    async def hog() -> None:
        while True:
            time.sleep(0.005)  # noqa: ASYNC251 - that is the point
            await asyncio.sleep(0)

    hogging = asyncio.create_task(hog())
    yield
    hogging.cancel()
    await asyncio.wait([hogging])


async def test_a_redis_that_accepts_and_says_nothing_holds_nobody_up_for_long(hurried, silent_redis, process):
    limiter = process(20, 30.0, redis=silent_redis)
    assert await seconds_until_admitted(limiter) < A_WHILE
    await limiter.aclose()


async def test_a_late_event_loop_is_not_taken_for_a_redis_that_is_away(late_loop, process, caplog):
    limiter = process(20, 30.0, share=None)
    with caplog.at_level(logging.WARNING, "neuroon_async.limits"):
        await spend(limiter, 3)
    assert caplog.records == []


async def test_a_silent_redis_is_found_to_be_away_in_a_late_event_loop_too(late_loop, silent_redis, process, caplog):
    limiter = process(20, 30.0, redis=silent_redis)
    with caplog.at_level(logging.WARNING, "neuroon_async.limits"):
        assert await seconds_until_admitted(limiter) < A_WHILE
    assert "cannot be reached in Redis: TimeoutError: no answer" in caplog.text


@pytest.mark.parametrize("options", [{"share": None}, {"share": 3}], ids=["by choice", "more processes than requests"])
async def test_where_no_part_can_be_kept_to_calls_fail_clearly(hurried, process, tmp_path, options):
    async with Redis(unix_socket_path=str(tmp_path / "none")) as redis:
        limiter = process(2, 30.0, redis=redis, **options)
        with pytest.raises(ConnectionFailed, match=r"^shop: not sent, for the shared rate limit in Redis") as caught:
            await limiter.acquire("shop")
        assert caught.value.maybe_processed is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate_limits": {"shops": RateLimit(1, per=1)}}, "no endpoint shops"),
        ({"rate_limits": {"shop": RateLimit(9, per=1, burst=2)}}, "a shared limit cannot shape bursts"),
        ({"latency": -1.0}, "latency"),
        ({"latency": math.nan}, "latency"),
        ({"latency": 1e300}, "latency"),
        ({"rate_limits": {"shop": RateLimit(9, per=1e10)}}, r"rate_limits\['shop'\]\.per must be"),
        ({"share": 0}, "share"),
    ],
)
async def test_settings_that_cannot_work_are_refused(connect, options, message):
    with pytest.raises(ConfigurationError, match=message):
        RedisLimiter(connect(), shop_id=SHOP, **options)
