"""The outbox: every order whose enqueueing was acknowledged arrives, and counts once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from simulation.simulator import Simulation
from simulation.weather import bad_weather, faults
from simulation.world import Killed, World

from neuroon_async import Conversion, ConversionItem
from neuroon_async.outbox import ConversionOutbox
from neuroon_async.testing import Fault

__all__ = ["SCENARIOS"]

ENDPOINT = "track_conversion"
LEASE = 600.0
A_DAY = 86_400.0


async def orders_arrive_once(simulation: Simulation) -> None:
    """Processes share a file, enqueue, deliver, are cancelled and killed at any step, while clocks jump."""
    world = World(simulation)
    random = world.random
    path = simulation.folder / "orders.sqlite3"
    acknowledged: dict[str, Conversion] = {}
    async with world.server():
        faults(world, ENDPOINT)
        if random.random() < 0.3:
            for status in random.sample((400, 401, 403, 404, 409, 413, 422), 2):
                world.emulator.fail(ENDPOINT, Fault.status(status, "a storm"), times=random.randint(1, 5))
        hosts = [f"till{number}" for number in range(random.randint(1, 3))]
        clock = asyncio.create_task(jumping_clock(world))
        async with bad_weather(world, *hosts):
            ended = await asyncio.gather(*(one_till(world, path, host, acknowledged) for host in hosts))
        jumped = await clock
        world.emulator.faults.clear()
        orderly = all(ended) and not jumped
        await world.live(deliver_the_rest(world, path, within=0.9 * LEASE if orderly else A_DAY), "last")
        await world.ended("last")
        arrived = world.emulator.conversions
        missing = acknowledged.keys() - arrived.keys()
        assert not missing, f"acknowledged, but never arrived: {sorted(missing)}"
        for order_id, order in acknowledged.items():
            assert float(arrived[order_id].body["orderValue"]) == float(order.order_value), f"{order_id} was altered"


async def jumping_clock(world: World) -> int:
    """The wall clock is set forward and back, never by as much as what is delivered is kept. Gives how often."""
    jumps = world.random.choice((0, 0, 3))
    for _ in range(jumps):
        await asyncio.sleep(world.random.random() * 30)
        world.simulation.clock_skew = world.random.choice((-A_DAY, -60.0, 0.0, 60.0, A_DAY))
    return jumps


async def one_till(world: World, path: Path, host: str, acknowledged: dict[str, Conversion]) -> bool:
    """``False`` where it was killed."""
    fate = world.random.choice(("ends", "ends", "cancelled", "killed"))
    work = till(world, path, host, acknowledged, delivers=world.random.random() < 0.8)
    if fate == "cancelled":
        task = world.simulation.spawn(work, host=host)
        world.some_time(task.cancel)
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
    else:
        try:
            await world.live(work, host, killed=fate == "killed")
        except Killed:
            return False
    await world.ended(host)
    return True


def outbox_of(world: World, path: Path) -> ConversionOutbox:
    return ConversionOutbox(
        path, lease=LEASE, max_backoff=8.0, poll_interval=1.0, clock=world.simulation.wall_clock, concurrency=3
    )


async def till(world: World, path: Path, host: str, acknowledged: dict[str, Conversion], *, delivers: bool) -> None:
    random = world.random
    async with world.worker(host, twice=random.random() < 0.2) as worker:
        outbox = outbox_of(world, path)
        opened: Any = outbox.delivering(worker.client, drain_timeout=random.choice((0.1, 30.0))) if delivers else outbox
        async with opened:
            await asyncio.gather(*(shopper(world, outbox, f"{host}-{one}", acknowledged) for one in range(3)))


async def shopper(world: World, outbox: ConversionOutbox, name: str, acknowledged: dict[str, Conversion]) -> None:
    random = world.random
    for number in range(random.randint(0, 4)):
        order = Conversion(
            order_id=f"{name}-{number}",
            order_value=random.randint(1, 1_000),
            currency="EUR",
            conversions=[ConversionItem("p1", "click-1", 1, 5)],
        )
        for _ in range(random.choice((1, 1, 2))):
            await asyncio.sleep(random.choice((0.0, 0.01, 3.0)) * random.random())
            if await outbox.enqueue(order):
                acknowledged[order.order_id] = order


async def deliver_the_rest(world: World, path: Path, *, within: float) -> None:
    """In peace, with what the server once refused given another chance: nothing stays pending.

    Where no process was killed, none of them has left a lease behind, so nobody waits for the end of one.
    """
    ends = world.simulation.time() + within
    async with world.worker("last") as worker, outbox_of(world, path).delivering(worker.client) as outbox:
        await outbox.retry_dead()
        while (stats := await outbox.stats()).pending and world.simulation.time() < ends:  # noqa: ASYNC110 - a state
            await asyncio.sleep(min(5.0, within / 20))
        assert (stats.pending, stats.dead) == (0, 0), f"after {within} s: {stats}"


SCENARIOS = (orders_arrive_once,)
