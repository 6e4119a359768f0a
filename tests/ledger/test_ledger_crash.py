"""Killed at any moment: the next run sends what was not acknowledged, and skips nothing that the server lacks."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from crash_driver import BATCH_SIZE, CONCURRENCY
from ledger_shop import sent
from sync.sync_shop import prices, shop

from neuroon_async.testing import Emulator

pytestmark = pytest.mark.slow

IDS = [f"p{number:03}" for number in range(150)]
DRIVER = Path(__file__).with_name("crash_driver.py")


class Driver:
    """Syncs in other processes. ``run`` gives the exit code: 0 or minus SIGKILL."""

    def __init__(self, process: asyncio.subprocess.Process, emulator: Emulator, ledger: Path) -> None:
        self.process = process
        self.emulator = emulator
        self.ledger = str(ledger)
        self.child = 0
        """The process of the sync that was begun last; 0 until it is there."""

    async def run(self, ids: list[str], price: float, kill_after: float | None = None, **order: Any) -> int:
        self.child = 0
        order |= {"url": self.emulator.url, "ledger": self.ledger, "ids": ids, "price": price}
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        child = self.child = int(await self.process.stdout.readline())
        ended = asyncio.create_task(self.process.stdout.readline())
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            if not ended.done():
                with suppress(ProcessLookupError):  # it ended in this very moment, and its word is under way
                    os.kill(child, signal.SIGKILL)
        code = int(await ended)
        while any(request.finished is None for request in self.emulator.requests):  # noqa: ASYNC110 - on the other side of a socket
            await asyncio.sleep(0.001)  # the server works off what it got
        return code


@asynccontextmanager
async def driven_shop(
    tmp_path: Path, *, ledger: Path | None = None, drivers: int = 1, quiet: bool = False, **emulator: Any
) -> AsyncIterator[tuple[Any, ...]]:
    """The emulator and its drivers. ``quiet``: what goes wrong in them is expected, and not shown."""
    async with AsyncExitStack() as stack:
        server, _ = await stack.enter_async_context(shop(**emulator))
        driving = [
            await stack.enter_async_context(driver_of(server, ledger or tmp_path / "catalog.ledger", quiet=quiet))
            for _ in range(drivers)
        ]
        yield server, *driving


@asynccontextmanager
async def driver_of(server: Emulator, ledger: Path, *, quiet: bool) -> AsyncIterator[Driver]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        DRIVER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL if quiet else None,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield Driver(process, server, ledger)
    finally:
        process.stdin.close()
        await process.wait()


def sent_since(emulator: Emulator, first: int) -> list[str]:
    return [external_id for ids in sent(emulator)[first:] for external_id in ids]


@pytest.mark.parametrize("seed", range(2))
async def test_killed_at_random_moments_while_versions_go_back_and_forth(tmp_path, seed):
    chance = random.Random(seed)
    killed = 0
    async with driven_shop(tmp_path, latency=0.001, jitter=0.004, seed=seed) as (emulator, driver):
        for _ in range(20):
            # Two versions only: a digest that outlived another version's request would soon hide a difference.
            first = len(emulator.requests)
            price = chance.randrange(1, 3)
            code = await driver.run(IDS, price, kill_after=chance.uniform(0, 0.12))
            killed += code == -signal.SIGKILL
            assert code in (0, -signal.SIGKILL)
            if chance.random() < 0.4:
                assert await driver.run(IDS, price) == 0
                assert prices(emulator) == dict.fromkeys(IDS, price)
                twice = len(sent_since(emulator, first)) - len(set(sent_since(emulator, first)))
                assert twice <= CONCURRENCY * BATCH_SIZE
        assert await driver.run(IDS, 3) == 0
        assert prices(emulator) == dict.fromkeys(IDS, 3)
        before = len(emulator.requests)
        assert await driver.run(IDS, 3) == 0
        assert len(emulator.requests) == before
    assert killed >= 5


async def test_killed_around_each_write_to_the_ledger(tmp_path):
    ids = IDS[:30]
    async with driven_shop(tmp_path) as (emulator, driver):
        assert await driver.run(ids, 1) == 0
        price = 1
        for moment in range(100):
            price = 3 - price
            code = await driver.run(ids, price, die_at=moment)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            price = 3 - price  # back to what the ledger knew
            assert await driver.run(ids, price) == 0
            assert prices(emulator) == dict.fromkeys(ids, price), moment
        assert moment == 12  # three invalidations and three records, before and after each


async def test_killed_in_the_midst_of_deletions(tmp_path):
    ids, staying = IDS[:12], IDS[:4]
    async with driven_shop(tmp_path) as (emulator, driver):
        for moment in range(100):
            assert await driver.run(ids, 1) == 0
            assert prices(emulator) == dict.fromkeys(ids, 1), moment  # what came back was sent again
            code = await driver.run(staying, 1, delete_missing=True, die_at=moment)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            if moment % 4 < 2:
                assert await driver.run(staying, 1, delete_missing=True) == 0
                assert sorted(emulator.products) == staying, moment
                before = len(emulator.requests)
                assert await driver.run(staying, 1, delete_missing=True) == 0
                assert len(emulator.requests) == before
        assert moment == 20  # the page of those that stay, one doubt for all others, eight deletions


async def test_a_product_whose_first_request_was_killed_is_found_missing(tmp_path):
    async with driven_shop(tmp_path) as (emulator, driver):
        assert await driver.run(IDS[:5], 1) == 0
        # Killed before the record of what the server took: 1 is the end of the doubt, 2 the beginning of the record.
        assert await driver.run([*IDS[:5], "new"], 1, die_at=2) == -signal.SIGKILL
        assert "new" in emulator.products
        assert await driver.run(IDS[:5], 1, delete_missing=True) == 0
        assert sorted(emulator.products) == IDS[:5]
