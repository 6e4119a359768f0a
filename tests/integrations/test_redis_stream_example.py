"""The consumer of a Redis stream in the examples, as real processes: every change arrives at least once."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from neuroon_async.testing import Emulator, Fault

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def consumer(redis_server, emulator):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / "redis_stream.py"),
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "REDIS_URL": f"unix://{redis_server.socket}",
            "NEUROON_API_URL": emulator.url,
            "NEUROON_API_KEY": emulator.api_key,
            "NEUROON_SHOP_ID": emulator.shop_id,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def add(redis, numbers, price):
    for number in numbers:
        product = {"externalId": f"p{number}", "name": "x", "price": price, "url": "https://shop.example/x"}
        await redis.xadd("products", {"product": json.dumps(product)})


async def until(condition):
    async with asyncio.timeout(120):
        while not await condition():  # noqa: ASYNC110 - what changes is in other processes
            await asyncio.sleep(0.05)


async def test_changes_are_acknowledged_once_accepted_and_survive_a_kill(mortal_redis_server):
    async with (
        Redis.from_url(f"unix://{mortal_redis_server.socket}", decode_responses=True) as redis,
        Emulator(algorithm="off", require_verified=False) as emulator,
    ):

        async def pending():
            return (await redis.xpending("products", "neuroon"))["pending"]

        async def nothing_pending():
            groups = await redis.xinfo_groups("products")
            return groups and groups[0]["last-delivered-id"] == last and await pending() == 0

        await add(redis, range(50), price=1)
        await redis.xadd("products", {"nonsense": "1"})
        async with consumer(mortal_redis_server, emulator) as process:
            await until(lambda: _holds(emulator, {f"p{n}": 1 for n in range(50)}))
            await until(lambda: _equals(pending, 1))  # what nobody can read stays pending
            entry = (await redis.xpending_range("products", "neuroon", "-", "+", 10))[0]["message_id"]
            await redis.xack("products", "neuroon", entry)
            hanging = True
            emulator.fail("sync_products", Fault.hang(), when=lambda _: hanging)
            await add(redis, range(40, 90), price=2)
            await until(lambda: _equals(pending, 50))
            process.kill()  # read, perhaps sent, and never accepted
            await process.wait()
        hanging = False
        async with consumer(mortal_redis_server, emulator) as process:
            last = (await redis.xinfo_stream("products"))["last-generated-id"]
            await until(nothing_pending)
            expected = {**{f"p{n}": 1 for n in range(40)}, **{f"p{n}": 2 for n in range(40, 90)}}
            assert {key: product["price"] for key, product in emulator.products.items()} == expected
            process.terminate()
            output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert b"stopped; what was not accepted is read again next time" in output
    assert b"Traceback" not in output


async def _holds(emulator, prices):
    return {key: product["price"] for key, product in emulator.products.items()} == prices


async def _equals(function, value):
    return await function() == value
