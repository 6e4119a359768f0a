"""The cast of a scenario: one shop's server, the processes that use the SDK, and what may happen to them."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from simulation.connector import SimulatedConnector
from simulation.simulator import Simulation

from neuroon_async import NeuroonClient, RetryBudget, RetryPolicy
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator

__all__ = ["SERVER", "Worker", "World", "patient"]

SERVER = "shop"


def patient() -> RetryPolicy:
    """Never gives up within any weather that a scenario makes. A fresh budget each time: clients share none."""
    budget = RetryBudget(1_000_000)
    return RetryPolicy(attempts=12, initial=0.5, maximum=8.0, outage_patience=50_000.0, budget=budget)


@dataclass
class Worker:
    """A process with a client of the shop. ``host`` is its name in the simulation."""

    host: str
    client: NeuroonClient
    connector: SimulatedConnector


@dataclass
class World:
    """Made anew for each run."""

    simulation: Simulation
    emulator: Emulator = field(init=False)
    restarting: bool = False

    @property
    def random(self) -> random.Random:
        return self.simulation.random

    @property
    def folder(self) -> Path:
        return self.simulation.folder

    @asynccontextmanager
    async def server(self, **options: Any) -> AsyncIterator[Emulator]:
        """The emulator, listening on a host of its own."""
        defaults: dict[str, Any] = {"algorithm": "off", "seed": self.simulation.seed}
        wall_clock = self.simulation.wall_clock
        self.emulator = Emulator(**{**defaults, **options}, wall_clock=wall_clock, keepalive_timeout=20.0)
        await self.on_server(self.emulator.start())
        try:
            yield self.emulator
        finally:
            await self.on_server(self.emulator.__aexit__(None, None, None))

    async def on_server(self, work: Any) -> None:
        await self.simulation.spawn(work, host=SERVER)

    @asynccontextmanager
    async def worker(self, host: str = "worker", **options: Any) -> AsyncIterator[Worker]:
        """A client of the shop. Leaving this closes it, and finds out what it left behind."""
        connector = SimulatedConnector(SERVER)
        defaults: dict[str, Any] = {"rate_limits": None, "retry": patient(), "timeout": 10.0}
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            client = NeuroonClient(
                shop_id=DEFAULT_SHOP_ID,
                api_key=DEFAULT_API_KEY,
                base_url=self.emulator.url,
                session=session,
                **{**defaults, **options},
            )
            async with client:
                yield Worker(host, client, connector)

    async def settle(self, worker: Worker) -> None:
        """Nothing of the worker is left: no task, no connection in use. Its last callbacks may still have to run."""
        for _ in range(20):
            if not self.simulation.unfinished(worker.host) and not worker.connector.in_use:
                return
            await asyncio.sleep(0.001)
        left = self.simulation.unfinished(worker.host)
        assert not left, f"tasks left behind: {left}"
        assert not worker.connector.in_use, f"{worker.connector.in_use} connections left in use"

    def copy_of(self, *paths: Path, name: str) -> list[Path]:
        """The files of a killed process, as it left them, for the next one."""
        target = self.folder / name
        target.mkdir()
        for path in paths:
            for part in (path, path.with_name(path.name + "-wal")):
                if part.exists():
                    shutil.copy(part, target / part.name)
        return [target / path.name for path in paths]
