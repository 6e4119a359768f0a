"""RedisLimiter in bad weather: clocks, lines, passwords, distances. A real Redis server, limits scaled down."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

pytest.importorskip("redis", reason="needs the extra 'redis'")

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, UnixDomainSocketConnection
from redis.crc import key_slot
from redis.exceptions import RedisClusterException

from neuroon_async import ConnectionFailed, RateLimit, RateLimited, UsageError
from neuroon_async.integrations.redis import RedisLimiter, link, slots
from neuroon_async.integrations.redis.keys import key_base
from neuroon_async.limits.store import Full

SHOP = "shop_test"


@pytest.fixture
async def process(connect):
    prefix = f"test-{uuid.uuid4().hex}"
    made = []

    def new(requests: int = 4, per: float = 0.2, **options) -> RedisLimiter:
        settings = {"shop_id": SHOP, "prefix": prefix, "rate_limits": {"shop": RateLimit(requests, per=per)}, **options}
        made.append(RedisLimiter(settings.pop("redis", None) or connect(), **settings))
        return made[-1]

    new.base = f"{prefix}:{{{SHOP}}}:shop"
    yield new
    for limiter in made:
        await limiter.aclose()


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(link, "PATIENCE", 0.3)
    monkeypatch.setattr(link, "PROBE", 0.05)


async def spend(limiter: RedisLimiter, count: int, **options) -> None:
    for _ in range(count):
        (await limiter.acquire("shop", **options)).answered({})
    await limiter.aclose()


A_WHILE = 20.0
"""Seconds in which the busiest of machines does what takes no waiting, and less than any wait that would be wrong."""


async def seconds(awaitable) -> float:
    started = time.monotonic()
    await asyncio.wait_for(awaitable, 60)
    return time.monotonic() - started


def soon(within: float = 0.0) -> float:
    return asyncio.get_running_loop().time() + within


@asynccontextmanager
async def line_to(server, *, delay: float = 0.0) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A way to Redis that takes ``delay`` seconds in each direction, and can be cut (by clearing the event)."""
    whole = asyncio.Event()
    whole.set()
    pumps: set[asyncio.Task] = set()
    writers = []

    async def pump(reader, writer):
        while data := await reader.read(65_536):
            await asyncio.sleep(delay)
            await whole.wait()
            writer.write(data)

    async def serve(reader, writer):
        await asyncio.sleep(2 * delay)  # the handshake of TCP
        there, back = await asyncio.open_unix_connection(server.socket)
        writers.extend((writer, back))
        pumps.update(asyncio.create_task(pump(*ends)) for ends in ((reader, back), (there, writer)))

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}", whole
    finally:
        listening.close()
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for writer in writers:
            writer.close()


# (0) A Redis that loses its data


@pytest.fixture
def hasty_others(monkeypatch):
    monkeypatch.setattr(slots, "OTHERS_DELAY", 0.05)


async def restarted(redis, server, _base) -> None:
    await redis.aclose()
    server.stop()
    server.start()


async def emptied(redis, _server, _base) -> None:
    await redis.flushall()


async def evicted(redis, _server, base) -> None:
    assert await redis.delete(f"{base}:open") == 1


@pytest.mark.parametrize("lose", [restarted, emptied, evicted])
async def test_what_redis_has_lost_is_told_again(hasty_others, process, mortal_redis_server, caplog, lose):
    redis = Redis(unix_socket_path=mortal_redis_server.socket)
    one, two = (process(4, 30.0, redis=redis) for _ in range(2))
    await spend(one, 2)
    await spend(two, 2)
    await lose(redis, mortal_redis_server, process.base)
    caplog.clear()
    for limiter in (two, one):
        with pytest.raises(RateLimited):
            await limiter.acquire("shop", deadline=soon(A_WHILE))
        await limiter.aclose()
    assert [record for record in caplog.records if "was lost" in record.message]
    assert await redis.zcard(f"{process.base}:open") >= 4
    await redis.aclose()


async def test_a_loss_shows_although_a_request_ends_after_it(hasty_others, process, connect, caplog):
    limiter = process(4, 30.0)
    await spend(limiter, 3)
    permit = await limiter.acquire("shop")
    await emptied(connect(), None, None)
    permit.answered({})
    await limiter.aclose()
    with pytest.raises(RateLimited):
        await limiter.acquire("shop", deadline=soon(A_WHILE))
    assert [record for record in caplog.records if "was lost" in record.message]


async def test_all_but_a_part_of_what_was_left_is_taken_for_used(hasty_others, process, connect):
    limiter = process(100, 30.0, share=4)
    await spend(limiter, 20)
    await emptied(connect(), None, None)
    await spend(limiter, 1)
    assert limiter.limits()["shop"].available == 80 / 4 - 1


async def test_a_process_that_lost_nothing_takes_the_loss_for_none(hasty_others, process, connect, caplog):
    told, silent = process(4, 30.0), process(4, 30.0)
    permit = await silent.acquire("shop")
    await emptied(connect(), None, None)
    await spend(told, 1)
    permit.answered({})
    await spend(silent, 1)
    await spend(told, 1)
    assert not [record for record in caplog.records if "was lost" in record.message]


@pytest.mark.parametrize("latency", [0.0, 60.0])
async def test_slots_that_come_back_are_no_loss(process, caplog, latency):
    limiter = process(3, 0.05, latency=latency)
    for ends in (lambda permit: permit.answered({}), lambda permit: permit.unused()) * 6:
        for permit in [await limiter.acquire("shop") for _ in range(3)]:
            ends(permit)
    await limiter.aclose()
    assert not caplog.records


async def test_a_slot_that_is_asked_for_twice_is_given_once(process):
    """As redis-py does where the connection breaks before the answer is there."""
    store = process(2, 30.0)._endpoints["shop"]._store
    first, again = [await store.take(2, "a", bulk=False) for _ in range(2)]
    assert (first.left, again.left) == (1, 1)
    assert (await store.take(2, "b", bulk=False)).left == 0
    assert (await store.take(2, "b", bulk=False)).left == 0
    assert isinstance(await store.take(2, "c", bulk=False), Full)


# (a) A clock that is set back


async def set_clock_back(redis: Redis, base: str, seconds_back: float) -> None:
    """Leave every time in Redis as a clock would that is set back: that much later than it should be."""
    later = seconds_back * 1e6
    async for key in redis.scan_iter(f"{base}:*"):
        if await redis.type(key) == b"zset":
            for member, score in await redis.zrange(key, 0, -1, withscores=True):
                await redis.zadd(key, {member: score + later})
        else:
            for field in ("opens", "ends"):
                await redis.hincrby(key, field, round(later))
        await redis.persist(key)


async def test_slots_come_back_in_time_after_a_clock_was_set_back(process, connect):
    here, there = process(4, 0.5, latency=60), process(4, 0.5, latency=60)
    await spend(here, 3)
    in_flight = await here.acquire("shop")
    await set_clock_back(connect(), process.base, 3_600)
    took = await seconds(there.acquire("shop"))
    assert 0.3 < took < A_WHILE
    in_flight.answered({})
    await here.aclose()


async def test_a_pause_ends_in_time_after_a_clock_was_set_back(process, connect):
    here, there = process(4, 0.5), process(4, 0.5)
    (await here.acquire("shop")).answered({}, pause=0.4)
    await here.aclose()
    await set_clock_back(connect(), process.base, 3_600)
    assert 0.2 < await seconds(there.acquire("shop")) < A_WHILE
    assert await seconds(there.acquire("shop")) < A_WHILE


async def test_what_others_spend_is_forgotten_in_time_after_a_clock_was_set_back(process, connect):
    here, there = process(4, 0.5), process(4, 0.5)
    (await here.acquire("shop")).answered({"X-RateLimit-Remaining": "0"})
    await here.aclose()
    await set_clock_back(connect(), process.base, 3_600)
    assert await seconds(there.acquire("shop")) < A_WHILE


async def test_the_reserve_shrinks_again_after_a_clock_was_set_back(process, connect):
    limiter = process(100, 0.5)
    await spend(limiter, 20)
    await set_clock_back(connect(), process.base, 3_600)
    await asyncio.sleep(0.5)
    (await limiter.acquire("shop")).answered({})
    assert await connect().zcount(f"{process.base}:singles", "-inf", "+inf") <= 10
    assert float((await connect().zrange(f"{process.base}:singles", -1, -1, withscores=True))[0][1]) < (
        (time.time() + 60) * 1e6
    )


# (b) Without fallback


async def test_all_callers_learn_at_once_that_redis_is_away(hurried, process, mortal_redis_server):
    async with Redis(unix_socket_path=mortal_redis_server.socket) as redis:
        limiter = process(100, 30.0, share=None, redis=redis)
        await spend(limiter, 1)
        os.kill(mortal_redis_server._process.pid, signal.SIGSTOP)
        try:
            outcomes = []

            async def call(name: str) -> None:
                with pytest.raises(ConnectionFailed):
                    await limiter.acquire(name, bulk=len(outcomes) % 2 == 0)
                outcomes.append(name)

            took = await seconds(asyncio.gather(*(call(name) for name in ["shop"] * 30 + ["delete_product"] * 30)))
            assert took < 9  # one after the other they would take 18 s
            assert len(outcomes) == 60
            assert await seconds(call("shop")) < 9  # and whoever comes next
        finally:
            os.kill(mortal_redis_server._process.pid, signal.SIGCONT)
        await asyncio.sleep(0.2)
        await spend(limiter, 1)


# (c) One bad line


async def test_a_process_with_a_bad_line_holds_nobody_up(hurried, process, redis_server):
    async with line_to(redis_server) as (url, whole), Redis.from_url(url) as redis:
        bad, good = process(50, 30.0, redis=redis), process(50, 30.0)
        await spend(bad, 1)
        await spend(good, 1)
        whole.clear()
        (await bad.acquire("shop")).answered({})  # by itself
        await spend(good, 1)
        whole.set()
        await asyncio.sleep(0.2)
        (await bad.acquire("shop")).answered({})
        await bad.aclose()
        assert await seconds(spend(good, 1)) < A_WHILE
        assert good.limits()["shop"].available == 50 - 6


async def test_processes_that_were_not_heard_of_are_waited_for(hurried, process, redis_server):
    async with line_to(redis_server) as (url, whole), Redis.from_url(url) as redis:
        bad, silent = process(50, 1.0, redis=redis), process(50, 1.0)
        await spend(bad, 1)
        await spend(silent, 1)
        whole.clear()
        (await bad.acquire("shop")).answered({})
        whole.set()
        await asyncio.sleep(0.2)
        assert await seconds(spend(bad, 1)) > 1
        await silent.aclose()


# (d) Uneven use


async def test_a_process_that_used_less_than_its_part_knows_what_is_left(hurried, process, mortal_redis_server):
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(Redis(unix_socket_path=mortal_redis_server.socket)) for _ in range(2)
        ]
        idle, busy = (process(20, 2.0, share=2, redis=redis) for redis in clients)
        started = time.monotonic()
        await spend(idle, 1)
        await spend(busy, 18)
        await spend(idle, 1)
        assert idle.limits()["shop"].available == 0
        mortal_redis_server.stop()
        await asyncio.gather(*(idle.acquire("shop") for _ in range(3)))
        assert time.monotonic() - started >= 2.0


async def test_what_is_left_is_divided_as_well(hurried, process, mortal_redis_server):
    async with Redis(unix_socket_path=mortal_redis_server.socket) as redis:
        limiter = process(20, 30.0, share=4, redis=redis)
        others = process(20, 30.0, redis=redis)
        await spend(others, 11)
        await spend(limiter, 1)  # eight are left, and of its part four
        mortal_redis_server.stop()
        for _ in range(2):
            await limiter.acquire("shop", deadline=soon(2))
        with pytest.raises(RateLimited):
            await limiter.acquire("shop", deadline=soon(2))


# (e) A Redis far away


async def test_a_redis_far_away_is_used(process, redis_server, monkeypatch, caplog):
    monkeypatch.setattr(link, "PATIENCE", 0.25)
    monkeypatch.setattr(link, "PROBE", 0.05)
    async with line_to(redis_server, delay=0.05) as (url, _), Redis.from_url(url) as redis:
        limiter = process(100, 30.0, redis=redis)
        with caplog.at_level(logging.WARNING, "neuroon_async.limits"):
            for _ in range(3):
                await limiter.acquire("shop", deadline=soon(5))
            await asyncio.sleep(1)
            await asyncio.gather(*(limiter.acquire("shop", bulk=number % 2 == 0) for number in range(4)))
            await limiter.aclose()
        assert caplog.text.count("cannot be reached") <= 1
        assert limiter.limits()["shop"].available < 97
        assert not limiter._slots._away


# (f) What is wrong, by its name


async def logged(limiter, caplog, *, calls: int = 3) -> list[str]:
    with caplog.at_level(logging.WARNING, "neuroon_async.limits"):
        for _ in range(calls):
            await limiter.acquire("shop", deadline=soon(5))
            await asyncio.sleep(0.1)
    await limiter.aclose()
    return [record.message for record in caplog.records if record.name == "neuroon_async.limits"]


async def test_a_wrong_password_is_logged_once_as_what_it_is(hurried, process, mortal_redis_server, caplog):
    async with Redis(unix_socket_path=mortal_redis_server.socket) as admin:
        await admin.config_set("requirepass", "right")
    async with Redis(unix_socket_path=mortal_redis_server.socket, password="wrong") as redis:
        (message,) = await logged(process(100, 30.0, redis=redis), caplog)
    assert "invalid username-password pair" in message
    assert "wrong" not in message.replace("WRONGPASS", "")


async def test_a_replica_is_logged_once_as_what_it_is(hurried, process, mortal_redis_server, caplog):
    async with Redis(unix_socket_path=mortal_redis_server.socket) as redis:
        await redis.replicaof("127.0.0.1", "1")
        (message,) = await logged(process(100, 30.0, redis=redis), caplog)
    assert "ReadOnlyError" in message or "READONLY" in message
    assert message.endswith("; it is a replica: have the client ask the primary, such as by master_for of a Sentinel")


async def test_a_redis_that_is_loading_is_logged_once_as_what_it_is(hurried, process, caplog):
    async def loading(reader, writer):
        while await reader.readline():
            writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")
        writer.close()

    server = await asyncio.start_server(loading, "127.0.0.1", 0)
    async with Redis(port=server.sockets[0].getsockname()[1]) as redis:
        (message,) = await logged(process(100, 30.0, redis=redis), caplog)
    server.close()
    await server.wait_closed()
    assert "BusyLoadingError" in message


async def test_a_pool_that_others_have_exhausted_is_logged_as_what_it_is(hurried, process, redis_server, caplog):
    pool = ConnectionPool(UnixDomainSocketConnection, path=redis_server.socket, max_connections=1)
    async with Redis(connection_pool=pool, single_connection_client=True), Redis.from_pool(pool) as redis:
        (message,) = await logged(process(100, 30.0, redis=redis), caplog)
    assert "Too many connections" in message


@pytest.mark.parametrize("kind", [ConnectionPool, BlockingConnectionPool])
async def test_a_pool_of_100_connections_is_enough_for_any_number_of_limiters(process, redis_server, caplog, kind):
    pool = kind(connection_class=UnixDomainSocketConnection, path=redis_server.socket, max_connections=100)
    async with Redis.from_pool(pool) as redis:
        limiters = [process(100, 30.0, redis=redis, shop_id=f"shop_{number}") for number in range(300)]
        with caplog.at_level(logging.WARNING, "neuroon_async.limits"):
            permits = await asyncio.gather(
                *(limiter.acquire("shop", bulk=bulk) for limiter in limiters for bulk in (False, True))
            )
            for permit in permits:
                permit.answered({})
            await asyncio.gather(*(limiter.aclose() for limiter in limiters))
        assert caplog.records == []
        assert (await redis.info("clients"))["connected_clients"] < 60


# (g) Processes that disagree


async def test_processes_that_disagree_on_the_limits_are_told(process, caplog):
    one, other = process(10, 0.3), process(20, 0.3)
    with caplog.at_level(logging.WARNING, "neuroon_async.limits"):
        for _ in range(2):
            for limiter in (one, other):
                await spend(limiter, 1)
            await asyncio.sleep(0.31)
    messages = sorted(record.message for record in caplog.records)
    assert len(messages) == 2, messages
    assert "shares 10 requests in 0.3 s, but another one 20 requests in 0.3 s" in messages[0]
    assert "shares 20 requests in 0.3 s, but another one 10 requests in 0.3 s" in messages[1]


async def test_a_limit_that_the_server_lowered_is_no_disagreement(process, caplog):
    one, other = process(10, 0.3), process(10, 0.3)
    (await one.acquire("shop")).answered({"X-RateLimit-Limit": "5"})
    caplog.clear()
    for limiter in (one, other):
        await spend(limiter, 1)
    assert caplog.records == []


# (h) A cluster


@pytest.mark.parametrize("shop_id", ["shop_1", "}", "{", "{}", "}{", "a}b", "%7D", "ñ", "a:b c"])
def test_the_keys_of_a_shop_lie_on_one_node(shop_id):
    for prefix in ("neuroon", "a}b", "a{b}c", "{", "}"):
        base = key_base(prefix, shop_id)
        keys = (f"{base}:{rest}" for rest in ("shop:open", "shop:pause", "sync_products:open"))
        assert len({key_slot(key.encode()) for key in keys}) == 1, prefix


def test_shops_keep_keys_of_their_own():
    ids = ["}", "{", "%7D", "%7B", "%", "a}b", "a%7Db", "shop_1"]
    assert len({key_base("neuroon", shop_id) for shop_id in ids}) == len(ids)
    assert key_base("neuroon", "shop_1") == "neuroon:{shop_1}"


def test_a_prefix_that_scatters_keys_is_refused():
    with pytest.raises(UsageError, match="prefix"):
        key_base("{}", "shop_1")


async def test_the_errors_of_a_cluster_are_typed(process, connect, monkeypatch):
    redis = connect()

    async def scattered(*_args, **_options):
        raise RedisClusterException("EVALSHA - all keys must map to the same key slot")

    monkeypatch.setattr(redis, "execute_command", scattered)
    limiter = process(100, 30.0, share=None, redis=redis)
    with pytest.raises(ConnectionFailed, match="all keys must map") as caught:
        await limiter.acquire("shop")
    assert caught.value.maybe_processed is False


# Event loops


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_limiter_goes_on_in_the_next_event_loop(redis_server):
    redis = Redis(unix_socket_path=redis_server.socket)
    limiter = RedisLimiter(
        redis, shop_id=SHOP, prefix=uuid.uuid4().hex, rate_limits={"shop": RateLimit(2, per=0.4)}, share=None
    )

    async def job(*, close: bool) -> float:
        took = await seconds(spend(limiter, 1))
        if close:
            await redis.aclose()
        return took

    started = time.monotonic()
    for close in (True, True, False):
        assert asyncio.run(job(close=close)) < A_WHILE
    assert time.monotonic() - started >= 0.4
    with pytest.raises(UsageError, match="event loop that has ended"):
        asyncio.run(job(close=False))
    redis.connection_pool.reset()
    gc.collect()  # the connection of the ended loop, while its warning is ignored


async def test_limits_can_be_read_from_any_thread(process):
    limiter = process(10, 30.0)
    assert (await asyncio.to_thread(limiter.limits))["shop"].available == 10
    await spend(limiter, 2)
    assert (await asyncio.to_thread(limiter.limits))["shop"].available == 8


# Deadlines


async def test_a_wait_known_to_be_too_long_is_refused_at_once_and_nothing_is_reserved(process):
    limiter = process(2, 30.0)
    await spend(limiter, 2)
    patient = asyncio.create_task(limiter.acquire("shop"))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    refused = await asyncio.gather(
        *(limiter.acquire("shop", bulk=bulk, deadline=soon(10)) for bulk in (False, True) * 20), return_exceptions=True
    )
    assert time.monotonic() - started < 9  # of the ten seconds that they would have waited
    assert {type(error) for error in refused} == {RateLimited}
    assert all(error.local and 15 < error.retry_after <= 31 for error in refused[::2])
    assert limiter.limits()["shop"].waiting <= 2
    patient.cancel()
    await asyncio.wait([patient])
    assert limiter.limits()["shop"].waiting == 0


async def test_those_who_wait_are_refused_when_a_pause_makes_it_too_long(process):
    limiter = process(2, 0.5)
    permit = await limiter.acquire("shop")
    await spend(limiter, 1)
    waiting = asyncio.create_task(limiter.acquire("shop", deadline=soon(5)))
    await asyncio.sleep(0.05)
    permit.answered({}, pause=20)
    with pytest.raises(RateLimited) as caught:
        await asyncio.wait_for(waiting, 60)
    assert 10 < caught.value.retry_after <= 20
