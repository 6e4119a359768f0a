"""The scripts in Redis say what the policy says: both are asked the same, while time passes for both alike."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

pytest.importorskip("redis", reason="needs the extra 'redis'")

from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from neuroon_async import RateLimit
from neuroon_async.integrations.redis.link import RedisLink
from neuroon_async.integrations.redis.slots import SCRIPTS, RedisSlots
from neuroon_async.limits.policy import Admission
from neuroon_async.limits.store import Taken

LATENCY = 1_000.0
STEPS = st.lists(
    st.tuples(
        st.integers(0, 25),  # seconds, and a half, since the step before
        st.sampled_from(["single", "single", "bulk", "bulk", "bulk", "answer", "answer", "unused", "lost", "pause"]),
        st.sampled_from([1, 2, 5, 40]),  # how often
        st.none() | st.integers(0, 30),  # how many the server says it has counted
    ),
    max_size=25,
)


async def let_pass(redis: Redis, base: str, seconds: float) -> None:
    """Every time in Redis lies that much less far ahead."""
    async for key in redis.scan_iter(f"{base}:*"):
        if await redis.type(key) == b"zset":
            for member, score in await redis.zrange(key, 0, -1, withscores=True):
                await redis.zadd(key, {member: score - seconds * 1e6})
        else:
            for field in ("opens", "ends"):
                await redis.hincrby(key, field, round(-seconds * 1e6))
        await redis.persist(key)


def waits(admission: Admission, limit: RateLimit, now: float, *, bulk: bool) -> tuple[float, float]:
    """What the policy says how long to wait, at least and at most."""
    moment = admission.next_admission(now, bulk=bulk)
    earliest = admission.earliest(now, ahead=0, bulk=bulk)
    if moment is None:
        moment = max(earliest, now + limit.per / limit.requests)
    if admission.external.seen:  # the script looks again when the first of what others spend is over
        earliest = now
    return earliest - now, moment - now


async def compare(socket: str, limit: RateLimit, steps) -> None:
    async with Redis(unix_socket_path=socket) as redis:
        base = f"test-{uuid.uuid4().hex}:{{s}}:shop"
        slots = RedisSlots(RedisLink.of(redis, SCRIPTS), redis, base, limit, latency=LATENCY, process="p")
        admission = Admission(limit)
        began = time.monotonic()
        now = 0.0
        passed = 0.0  # for Redis, whose stamps lie that much less far back
        in_flight = []
        for wait, step, times, counted in steps:
            now += wait + 0.5
            passed += wait + 0.5
            await let_pass(redis, base, wait + 0.5)
            if step == "pause":
                admission.pause(now + times)
                await slots.pause(times)
                continue
            for _ in range(times):
                if step in ("single", "bulk"):
                    bulk = step == "bulk"
                    member = uuid.uuid4().hex
                    expected = admission.take(now, bulk=bulk)
                    given_ = await slots.take(limit.requests, member, bulk=bulk)
                    assert isinstance(given_, Taken) == (expected is not None), (step, now)
                    if isinstance(given_, Taken):
                        assert given_.left == admission.available(now)
                        in_flight.append((member, expected, given_.stamp, passed))
                        continue
                    least, most = waits(admission, limit, now, bulk=bulk)
                    assert least - (time.monotonic() - began) - 0.01 <= given_.wait <= most + 0.25, (step, now)
                    break
                if in_flight:
                    member, stamp, granted, at = in_flight.pop(0)
                    if step == "unused":
                        admission.unused(now)
                        await slots.free(member)
                    elif step == "lost":
                        admission.unanswered(now)
                        await slots.cool_late(member)
                    else:
                        admission.answered(now, stamp=stamp, counted=counted)
                        granted -= round((passed - at) * 1e6)
                        await slots.cool(member, stamp=granted, counted=counted)


@settings(max_examples=40)
@given(limit=st.builds(RateLimit, st.sampled_from([1, 9, 20, 20, 30]), st.sampled_from([30.0, 60.0])), steps=STEPS)
def test_the_scripts_decide_as_the_policy_does(redis_server, limit, steps):
    asyncio.run(compare(redis_server.socket, limit, steps))
