"""What goes wrong in a run: faults of the server, of the network, and restarts. All of it ends, so that work can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from simulation.world import SERVER, World, not_an_echo

from neuroon_async.testing import Fault, RecordedRequest

__all__ = ["bad_weather", "faults", "network_trouble", "restarts"]

_HARMLESS = (
    Fault.drop(),
    Fault.drop(processed=True),
    Fault.reset(),
    Fault.reset(processed=True),
    Fault.truncated(),
    Fault.hang(),
    Fault.hang(processed=True),
    Fault.close_after(),
    Fault.html(502),
    Fault.html(503, processed=True),
    Fault.status(500, "boom"),
    Fault.status(503, "circuit breaker open", processed=True),
    Fault.status(503, "maintenance", headers={"Retry-After": "7"}),
    Fault.too_many_requests(3),
    Fault.too_many_requests(None),
)
"""After any of these a repetition is right, and helps."""
_LATE = (Fault.slow(3.0), Fault.slow(25.0))
_STORM = 0.9
_KINDS = 6
"""Of faults in one run, at most."""
_LONGEST_STORM = 72
"""Faults in all."""


def faults(world: World, endpoint: str | None = None, *, late: bool = True) -> None:
    """Sprinkle faults over the requests, or let them come as a storm in which hardly anything gets through.

    ``late``: among them such after which the server acts on a request that its sender gave up long ago.
    """
    chance = world.random.choice((0.0, 0.05, 0.2, 0.5, _STORM))
    # A request that fails for two rounds while others are answered is given up, rightly: no storm may be that long.
    most = 3 if chance == _STORM and world.attempts < _LONGEST_STORM // 2 else _LONGEST_STORM // _KINDS
    kinds = _HARMLESS + (_LATE if late else ())
    for fault in world.random.sample(kinds, world.random.randint(1, _KINDS)):
        times = world.random.randint(1, most)
        world.emulator.fail(endpoint, fault, times=times, when=_by_chance(world, chance, late=fault in _LATE))


def _by_chance(world: World, chance: float, *, late: bool) -> Callable[[RecordedRequest], bool]:
    return lambda request: world.random.random() < chance and (not late or not_an_echo(request))


async def network_trouble(world: World, hosts: list[str], *, cuts: bool) -> None:
    """Connections reset with what is under way in them, and links cut for a while. Runs for a bounded time."""
    random, simulation = world.random, world.simulation
    for _ in range(random.randint(0, 12)):
        await asyncio.sleep(random.choice((0.001, 0.02, 0.3, 2.0, 20.0)) * random.random())
        if not cuts or random.random() < 0.7:
            simulation.reset_connections(random.choice((0.3, 1.0)))
            continue
        host = random.choice(hosts)
        simulation.cut(host, SERVER)
        await asyncio.sleep(random.choice((0.05, 1.0, 15.0, 90.0)))
        simulation.join(host, SERVER)


async def restarts(world: World) -> None:
    """The server goes away and comes back, with its memory of idempotency keys and counts or without it."""
    random, emulator = world.random, world.emulator
    for _ in range(random.randint(0, 3)):
        await asyncio.sleep(random.choice((0.01, 0.5, 10.0)) * random.random())
        await world.on_server(emulator.stop())
        if random.random() < 0.5:
            emulator.idempotency.clear()
        await asyncio.sleep(random.choice((0.01, 2.0, 60.0)) * random.random())
        await world.on_server(emulator.start())


@asynccontextmanager
async def bad_weather(world: World, *hosts: str, restart: bool = True, cuts: bool = True) -> AsyncIterator[None]:
    """Network trouble and restarts beside what happens within; over when it is left."""
    troubles = [
        asyncio.create_task(network_trouble(world, list(hosts) or ["worker"], cuts=cuts), name="network trouble")
    ]
    if restart and world.random.random() < 0.5:
        troubles.append(asyncio.create_task(restarts(world), name="restarts"))
    try:
        yield
    finally:
        # To their ends, not cancelled: a server that is down stays down otherwise.
        await asyncio.gather(*troubles)
