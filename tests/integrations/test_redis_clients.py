"""Clients of Redis of every kind: how they encode, how many connections they have, which event loop they are of."""

from __future__ import annotations

import asyncio
import gc
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("redis", reason="needs the extra 'redis'")

from redis import Redis as BlockingRedis
from redis.asyncio import Redis, RedisCluster, Sentinel

from neuroon_async import LedgerError, RateLimit, UsageError
from neuroon_async.integrations.redis import RedisLedger, RedisLimiter
from neuroon_async.integrations.redis import ledger as redis_ledger
from neuroon_async.integrations.redis.commands import Commands

SHOP = "tienda ñ€ {}"
ONE = b"1" * 16
IDS = ["é", "Ã©", "ü€", "\ud800", "plain"]
CLIENTS = {
    "bytes": {},
    "decoding": {"decode_responses": True},
    "latin-1": {"encoding": "latin-1", "decode_responses": True},
    "utf-16": {"encoding": "utf-16", "decode_responses": True, "encoding_errors": "ignore"},
    "RESP3": {"protocol": 3, "decode_responses": True},
    "one connection": {"single_connection_client": True},
}


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid.uuid4().hex}"


def limiter_of(redis: Redis, prefix: str, requests: int = 4) -> RedisLimiter:
    limits = {"shop": RateLimit(requests, per=300)}
    return RedisLimiter(redis, shop_id=SHOP, prefix=prefix, rate_limits=limits, share=None)


async def test_all_of_them_mean_the_same_ledger(connect, prefix):
    for options in CLIENTS.values():
        async with RedisLedger(connect(**options), prefix).run(SHOP) as run:
            await run.record(dict.fromkeys(IDS, ONE))
            for others in CLIENTS.values():
                with pytest.raises(LedgerError, match="another run"):
                    await RedisLedger(connect(**others), prefix).run(SHOP).__aenter__()
        async with RedisLedger(connect(**options), prefix).run(SHOP) as run:
            assert await run.unchanged(dict.fromkeys(IDS, ONE)) == {*IDS}
            assert sorted([external_id async for external_id in run.missing_ids()]) == sorted(IDS)


async def test_all_of_them_mean_the_same_limit(connect, prefix):
    for options in CLIENTS.values():
        async with limiter_of(connect(**options), prefix, len(CLIENTS) + 1) as limiter:
            (await limiter.acquire("shop")).answered({})
            (await limiter.acquire("shop")).unused()
    async with limiter_of(connect(), prefix, len(CLIENTS) + 1) as limiter:
        await limiter.acquire("shop")
        assert limiter.limits()["shop"].available == 0


async def test_a_pool_of_one_connection_is_enough(connect, prefix, caplog):
    redis = connect(max_connections=1)
    with caplog.at_level(logging.WARNING, "neuroon_async"):
        async with RedisLedger(redis, prefix).run(SHOP) as run, limiter_of(redis, prefix, 40) as limiter:
            await asyncio.gather(
                *(run.record({f"P-{number}": ONE}) for number in range(40)),
                *(limiter.acquire("shop") for _ in range(40)),
            )
            assert run.lease_lost() is None
    async with RedisLedger(redis, prefix).run(SHOP) as run:
        assert (await run.missing())[1] == 40
    assert caplog.records == []


@asynccontextmanager
async def all_in_use(redis: Redis, other: Redis, key: str) -> AsyncIterator[None]:
    """The only connection of this client's pool is in use."""
    busy = asyncio.create_task(redis.blpop(key))
    async with asyncio.timeout(30):
        while not (await other.info("clients"))["blocked_clients"]:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.01)
    yield
    await other.rpush(key, "x")
    await busy


async def test_a_pool_that_stays_exhausted_is_told_as_what_it_is(connect, prefix, monkeypatch):
    monkeypatch.setattr(redis_ledger, "PATIENCE", 0.2)
    redis = connect(max_connections=1)
    async with all_in_use(redis, connect(), f"{prefix}:never"):
        with pytest.raises(LedgerError, match=r"as the client's pool has no free connection: Too many connections"):
            await RedisLedger(redis, prefix).run(SHOP).__aenter__()


async def test_who_is_cancelled_while_there_is_no_connection_asks_for_nothing_later(connect, prefix):
    redis = connect(max_connections=1)
    await redis.ping()
    commands = Commands(30.0)
    async with all_in_use(redis, connect(), f"{prefix}:never"):
        for turns in range(8):
            task = asyncio.create_task(commands.run(lambda: redis.incr(f"{prefix}:asked")))
            for _ in range(turns + 1):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.wait_for(commands.settled(), 20)
    assert await redis.get(f"{prefix}:asked") is None


async def test_scripts_that_redis_has_forgotten_are_sent_again(connect, prefix):
    redis = connect()
    async with RedisLedger(redis, prefix).run(SHOP) as run, limiter_of(redis, prefix) as limiter:
        for number in range(3):
            await redis.script_flush()
            await run.record({f"P-{number}": ONE})
            (await limiter.acquire("shop")).answered({})
        assert await run.unchanged(dict.fromkeys(["P-0", "P-1", "P-2"], ONE)) == {"P-0", "P-1", "P-2"}
    assert limiter.limits()["shop"].available == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_ledger_goes_on_in_the_next_event_loop_or_says_what_is_to_be_done(redis_server, prefix):
    redis = Redis(unix_socket_path=redis_server.socket)
    ledger = RedisLedger(redis, prefix)

    async def job(*, close: bool) -> None:
        async with ledger.run(SHOP) as run:
            await run.record({"P": ONE})
        if close:
            await redis.aclose()

    for close in (True, True, False):
        asyncio.run(job(close=close))
    with pytest.raises(UsageError, match="event loop that has ended"):
        asyncio.run(job(close=False))
    redis.connection_pool.reset()
    gc.collect()  # the connection of the ended loop, while its warning is ignored


def wrong_clients():
    yield "blocking", BlockingRedis()
    yield "address", "redis://localhost"
    yield "none", None
    yield "class", Redis
    yield "pipeline", Redis().pipeline()
    yield "pipeline of a cluster", RedisCluster("127.0.0.1").pipeline()
    yield "sentinel", Sentinel([("127.0.0.1", 1)])


@pytest.mark.parametrize(
    "make", [lambda redis: RedisLimiter(redis, shop_id=SHOP), RedisLedger], ids=["limiter", "ledger"]
)
async def test_what_is_no_client_of_redis_asyncio_is_refused(make):
    for name, given in wrong_clients():
        with pytest.raises(UsageError, match=r"^redis must be a redis.asyncio.Redis or RedisCluster, got "):
            make(given)
            pytest.fail(name)
