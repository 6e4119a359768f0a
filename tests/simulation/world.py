"""The cast of a scenario: one shop's server, the processes that use the SDK, and what may happen to them."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from simulation.connector import SimulatedConnector
from simulation.simulator import Simulation

from neuroon_async import NeuroonClient, RetryBudget, RetryPolicy
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, RecordedRequest

__all__ = ["SERVER", "Killed", "Worker", "World", "not_an_echo", "patient"]

T = TypeVar("T")
SERVER = "shop"
_ECHO = "X-Delivered-Twice"


def not_an_echo(request: RecordedRequest) -> bool:
    """Whether its sender knows of it. One that the network repeats, and the server acts on after 25 seconds, while the
    first delivery was answered at once, could overtake what is sent meanwhile: no client can know.
    """
    return _ECHO not in request.headers


def patient(attempts: int = 12) -> RetryPolicy:
    """Never gives up within any weather that a scenario makes. A fresh budget each time: clients share none."""
    budget = RetryBudget(1_000_000)
    return RetryPolicy(attempts=attempts, initial=0.5, maximum=8.0, outage_patience=50_000.0, budget=budget)


class Killed(Exception):
    """The process on this host died before it came to an end."""


@dataclass
class Worker:
    """A process with a client of the shop. ``host`` is its name in the simulation."""

    host: str
    client: NeuroonClient
    connector: SimulatedConnector


@dataclass
class World:
    """Made again for each run."""

    simulation: Simulation
    emulator: Emulator = field(init=False)
    attempts: int = field(init=False)
    """Of each request in a round: few let an outage's rounds begin, many outlast the longest storm of faults."""

    def __post_init__(self) -> None:
        self.attempts = self.random.choice((12, 40))

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

    def some_time(self, action: Callable[[], object]) -> None:
        """Call ``action`` after a number of steps, or of requests and a few steps more: where a run is vulnerable."""
        random, simulation = self.random, self.simulation
        if random.random() < 0.5:
            simulation.after_steps(random.randint(0, random.choice((30, 300, 5_000))), action)
            return
        requests = len(self.emulator.requests) + random.randint(1, random.choice((2, 40)))
        more = random.choice((0, random.randint(0, 30)))
        simulation.when(lambda: len(self.emulator.requests) >= requests, lambda: simulation.after_steps(more, action))

    async def live(self, work: Coroutine[Any, Any, T], host: str, *, killed: bool = False) -> T:
        """A process on this host does this work. ``killed``: at some time it dies, and `Killed` is raised."""
        process = self.simulation.spawn(work, host=host)
        if not killed:
            return await process
        death: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def kill() -> None:
            if not process.done():
                self.simulation.kill(host)
                death.set_result(None)

        self.some_time(kill)
        await asyncio.wait({process, death}, return_when=asyncio.FIRST_COMPLETED)
        if death.done():
            raise Killed(host)
        return process.result()

    @asynccontextmanager
    async def worker(self, host: str = "worker", *, twice: bool = False, **options: Any) -> AsyncIterator[Worker]:
        """A client of the shop. ``twice``: some of its requests arrive twice."""
        connector = SimulatedConnector(SERVER)
        defaults: dict[str, Any] = {"rate_limits": None, "retry": patient(self.attempts), "timeout": 10.0}
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(self._send_twice,) if twice else (),
        ) as session:
            client = NeuroonClient(
                shop_id=DEFAULT_SHOP_ID,
                api_key=DEFAULT_API_KEY,
                base_url=self.emulator.url,
                session=session,
                **{**defaults, **options},
            )
            async with client:
                yield Worker(host, client, connector)

    async def _send_twice(self, request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        """A network that delivers some requests twice, the second time a little later."""
        if self.random.random() < 0.2:
            body = await request.body.as_bytes() if request.body else b""
            self.simulation.spawn(self._echo(request, body), host="network")
        return await handler(request)

    async def _echo(self, request: aiohttp.ClientRequest, body: bytes) -> None:
        await asyncio.sleep(self.random.choice((0.0, 0.01, 2.0)) * self.random.random())
        headers = request.headers.copy()
        headers[_ECHO] = "1"
        try:
            async with (
                aiohttp.ClientSession(connector=SimulatedConnector(SERVER)) as session,
                session.request(request.method, request.url, data=body or None, headers=headers) as answer,
            ):
                await answer.read()
        except (aiohttp.ClientError, OSError):
            pass

    async def settle(self, worker: Worker) -> None:
        """Nothing of the worker is left: no task, no connection in use. Its last callbacks may still have to run."""
        await self.ended(worker.host)
        assert not worker.connector.in_use, f"{worker.connector.in_use} connections left in use"

    async def ended(self, host: str) -> None:
        """Nothing on this host goes on, apart from what is about to find out that it is done."""
        for _ in range(20):
            if not self.simulation.unfinished(host):
                return
            await asyncio.sleep(0.001)
        left = self.simulation.unfinished(host)
        assert not left, f"tasks left behind: {left}"

    def copy_of(self, *paths: Path, name: str) -> list[Path]:
        """The files of a killed process, as it left them, for the next one."""
        target = self.folder / name
        target.mkdir()
        for path in paths:
            for part in (path, path.with_name(path.name + "-wal")):
                if part.exists():
                    shutil.copy(part, target / part.name)
        return [target / path.name for path in paths]
