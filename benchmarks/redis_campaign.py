"""The kill campaign of the ledger in Redis; `campaign` runs it.

Each round interrupts a sync: its process is killed; or stopped for longer than its lease, while another run takes over
with newer prices, and then goes on; or Redis is killed, with a log that it writes before each answer, and started
again. The server drops answers, works on requests that were given up, and knows no idempotency keys. Then the server
is waited for, one run repairs what is in doubt, and the server must hold exactly the catalog. Now and then, once no old
request can live any more, a further run must send nothing.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from real_redis import RedisServer, redis_binary
from sync.sync_shop import prices
from test_ledger_crash import Driver, driven_shop

from neuroon_async.testing import Emulator, Fault, Readings

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

LEASE = 1.0
LIFETIME = 12.0
"""Seconds for which the ledgers take an old request to be alive: longer than any here."""
PATIENCE = 0.8
"""Seconds that a sync waits for an answer."""
CHECKED_FOR_SILENCE = 20
"""Every so many rounds a further run must send nothing."""


class Campaign:
    def __init__(self, emulator: Emulator, drivers: list[Driver], redis: RedisServer, rng: random.Random) -> None:
        self.emulator = emulator
        self.first, self.rival = drivers
        self.redis = redis
        self.rng = rng
        self.outcomes: Counter[str] = Counter()

    async def run(self, driver: Driver, ids: list[str], price: float, **order: Any) -> int:
        order |= {"lease": LEASE, "request_lifetime": LIFETIME, "timeout": PATIENCE}
        return await driver.run(ids, price, delete_missing=True, **order)

    async def insist(self, driver: Driver, ids: list[str], price: float) -> None:
        """Run until it works: a lock may have to end first, or Redis be there again."""
        for _ in range(60):
            if await self.run(driver, ids, price) == 0:
                return
            await asyncio.sleep(LEASE / 4)
        raise AssertionError("no run gets through any more")

    async def killed(self, ids: list[str], price: float) -> float:
        code = await self.run(self.first, ids, price, kill_after=self.rng.uniform(0, 0.5))
        self.outcomes["processes killed" if code == -signal.SIGKILL else "ended first"] += 1
        return price

    async def begun(self, ids: list[str], price: float) -> tuple[asyncio.Task[int], int]:
        """A run that has been at it for a moment, and its process."""
        self.first.child = 0
        run = asyncio.create_task(self.run(self.first, ids, price))
        while not self.first.child:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.001)
        await asyncio.sleep(self.rng.uniform(0, 0.5))
        return run, self.first.child

    async def stopped(self, ids: list[str], price: float) -> float:
        """Its lease ends while it stands still, and it goes on when another run has sent newer prices, or is at it."""
        run, child = await self.begun(ids, price)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGSTOP)
            self.outcomes["processes stopped"] += 1
        await asyncio.sleep(LEASE * self.rng.uniform(1.0, 2.0))
        newer = asyncio.create_task(self.insist(self.rival, ids, price + 1))
        await asyncio.wait([newer], timeout=self.rng.choice((0.05, 0.3, 60)))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)
        await asyncio.gather(run, newer)
        return price + 1

    async def without_redis(self, ids: list[str], price: float) -> float:
        run, _ = await self.begun(ids, price)
        self.redis.stop()
        self.outcomes["Redis killed"] += 1
        await asyncio.sleep(self.rng.choice((0.0, 0.3)))
        self.redis.start()
        await run
        return price

    async def rounds(self, count: int, seconds: float) -> None:
        """So many, or as many as end within this time."""
        deadline = asyncio.get_running_loop().time() + seconds
        price = 1.0
        every = [f"p{number:03}" for number in range(60)]
        for number in range(count):
            if asyncio.get_running_loop().time() > deadline:
                return
            self.outcomes["rounds"] += 1
            self.emulator.requests.clear()
            ids = self.rng.sample(every, self.rng.randint(5, len(every)))
            interrupted: Callable[[list[str], float], Awaitable[float]] = self.rng.choice(
                (self.killed, self.killed, self.stopped, self.stopped, self.without_redis)
            )
            price = await interrupted(ids, price + 1)
            price -= self.rng.random() < 0.3  # sometimes back to what the ledger knew before
            await self.insist(self.first, ids, price)
            await self.insist(self.first, ids, price)  # the first one may have been overtaken by what it follows
            wanted = dict.fromkeys(ids, price)
            found = prices(self.emulator)
            assert found == wanted, f"round {number} ({interrupted.__name__}): the server has something else"
            if number % CHECKED_FOR_SILENCE == 0:
                await self.be_silent(ids, price, wanted)

    async def be_silent(self, ids: list[str], price: float, wanted: dict[str, float]) -> None:
        faults, self.emulator.faults[:] = list(self.emulator.faults), []
        await asyncio.sleep(LIFETIME + LEASE)
        await self.insist(self.first, ids, price)
        before = len(self.emulator.requests)
        await self.insist(self.first, ids, price)
        assert len(self.emulator.requests) == before, "what is known was sent once more"
        assert prices(self.emulator) == wanted, "the server has something else after a while"
        self.outcomes["runs that rightly sent nothing"] += 1
        self.emulator.faults[:] = faults


async def redis_ledgers(rounds: int, rng: random.Random, seconds: float = math.inf) -> Counter[str]:
    binary = redis_binary()
    if binary is None:
        return Counter({"skipped, for there is no redis-server": 1})
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neuroon-")))
        redis = RedisServer(binary, folder, durable=True)
        redis.start()
        stack.callback(redis.stop)
        readings = Readings(idempotency="ignored")
        socket = Path(redis.socket)
        shop = driven_shop(folder, ledger=socket, quiet=True, drivers=2, latency=0.01, jitter=0.03, readings=readings)
        emulator, *drivers = await stack.enter_async_context(shop)
        emulator.fail("sync_products", Fault.slow(2 * PATIENCE), every=9)
        emulator.fail("delete_product", Fault.slow(2 * PATIENCE), every=11)
        emulator.fail(None, Fault.drop(processed=True), every=13)
        campaign = Campaign(emulator, drivers, redis, rng)
        await campaign.rounds(rounds, seconds)
    return campaign.outcomes
