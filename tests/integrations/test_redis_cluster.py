"""Limits and ledgers over a real Redis Cluster of three nodes: their keys, a slot that moves, a node that dies."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack

import pytest

pytest.importorskip("redis", reason="needs the extra 'redis'")

from real_redis_cluster import redis_cluster
from redis.asyncio import Redis, RedisCluster

from neuroon_async import LedgerError, RateLimit
from neuroon_async.errors import ConfigurationError, ConnectionFailed
from neuroon_async.integrations.redis import RedisLedger, RedisLimiter
from neuroon_async.integrations.redis.keys import key_base

__all__ = ["redis_cluster"]

pytestmark = pytest.mark.slow
SHOPS = ["shop_1", "shop_2", "a}b", "{x}", "}y", "{", "{}", "é:{ü}:%7B \n"]
ONE = b"1" * 16


@pytest.fixture
async def connect(redis_cluster):
    async with AsyncExitStack() as stack:

        def new() -> RedisCluster:
            redis = RedisCluster(host="127.0.0.1", port=redis_cluster.nodes[0].port)
            stack.push_async_callback(redis.aclose)
            return redis

        yield new


@pytest.fixture
def prefix():
    return f"test-{uuid.uuid4().hex}"


def limiter_of(redis, shop: str, prefix: str, **options) -> RedisLimiter:
    limits = {"shop": RateLimit(4, per=60)}
    return RedisLimiter(redis, **{"shop_id": shop, "prefix": prefix, "rate_limits": limits, "share": None} | options)


async def used(limiter: RedisLimiter) -> int:
    """Take what there is. How much was that?"""
    count = 0
    loop = asyncio.get_running_loop()
    while True:
        try:
            permit = await limiter.acquire("shop", deadline=loop.time() + 5)
        except Exception as error:
            if getattr(error, "local", False):
                await limiter.aclose()
                return count
            raise
        permit.answered({})
        count += 1


async def test_any_shop_has_its_keys_on_one_node_and_processes_share_them(redis_cluster, connect, prefix):
    for shop in SHOPS:
        first = limiter_of(connect(), shop, prefix)
        (await first.acquire("shop")).answered({})
        assert await used(limiter_of(connect(), shop, prefix)) == 3
        await first.aclose()
        async with RedisLedger(connect(), prefix).run(shop) as run:
            await run.invalidate(["p", "q"])
            await run.record({"p": ONE, "q": ONE})
        async with RedisLedger(connect(), prefix).run(shop) as run:
            with pytest.raises(LedgerError, match="another run"):
                await RedisLedger(connect(), prefix).run(shop).__aenter__()
            assert await run.unchanged({"p": ONE}) == {"p"}
            await run.seen(["p"])
            assert [external_id async for external_id in run.missing_ids()] == ["q"]


async def test_a_slot_that_moves_is_followed(redis_cluster, connect, prefix):
    limiter = limiter_of(connect(), "moved", prefix)
    (await limiter.acquire("shop")).answered({})
    await limiter.aclose()
    ledger = RedisLedger(connect(), prefix)
    async with ledger.run("moved") as run:
        await run.record({"p": ONE})
    for base in (key_base(prefix, "moved"), key_base(f"{prefix}:ledger", "moved")):
        redis_cluster.move(base)  # with its keys, to another node; this client still asks the one before
    assert await used(limiter) == 3
    async with ledger.run("moved") as run:
        assert await run.unchanged({"p": ONE}) == {"p"}


async def test_a_node_that_dies_is_told_and_comes_back_with_what_it_knew(redis_cluster, connect, prefix):
    redis = connect()
    ledger = RedisLedger(redis, prefix)
    node = redis_cluster.node_of(key_base(f"{prefix}:ledger", "lost"))
    limiters = {shop: limiter_of(redis, shop, prefix, share=share) for shop, share in (("alone", None), ("sharing", 2))}
    async with ledger.run("lost") as run:
        await run.record({"p": ONE})
    for limiter in limiters.values():
        (await limiter.acquire("shop")).answered({})
        await limiter.aclose()
    nodes = {node, redis_cluster.node_of(key_base(prefix, "alone")), redis_cluster.node_of(key_base(prefix, "sharing"))}
    for each in nodes:
        each.kill()
    with pytest.raises(LedgerError, match="cannot be used"):
        await ledger.run("lost").__aenter__()
    with pytest.raises(ConnectionFailed, match="shared rate limit in Redis cannot be reached"):
        await limiters["alone"].acquire("shop")
    (await limiters["sharing"].acquire("shop")).answered({})  # of its own part
    for each in nodes:
        each.start()
    async with asyncio.timeout(30):
        while not redis_cluster.is_whole():  # noqa: ASYNC110 - in other processes
            await asyncio.sleep(0.1)
        while True:
            try:
                (await limiters["alone"].acquire("shop")).answered({})
                break
            except ConnectionFailed:
                await asyncio.sleep(0.2)
        async with ledger.run("lost") as run:
            assert await run.unchanged({"p": ONE}) == {"p"}
    for limiter in limiters.values():
        await limiter.aclose()


async def test_a_client_of_one_node_is_told_what_it_needs(redis_cluster, prefix):
    async with Redis(port=redis_cluster.nodes[0].port) as redis:
        shop = next(
            name
            for name in map(str, range(100))
            if redis_cluster.node_of(key_base(f"{prefix}:ledger", name)) is not redis_cluster.nodes[0]
        )
        with pytest.raises(
            LedgerError, match=r"Error: .*; it is a node of a cluster: give a redis\.asyncio\.RedisCluster"
        ):
            await RedisLedger(redis, prefix).run(shop).__aenter__()


def test_a_prefix_that_would_scatter_the_keys_of_a_shop_is_refused():
    with pytest.raises(ConfigurationError, match="several nodes of a cluster"):
        RedisLedger(None, "a{}b")
