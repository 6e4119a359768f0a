"""FULL syncs: the catalog becomes the source, or stays as it was."""

from __future__ import annotations

import asyncio

from simulation.invariants import assert_balanced, assert_same_catalog
from simulation.simulator import Simulation
from simulation.sources import prices, product
from simulation.weather import bad_weather, faults
from simulation.world import World

from neuroon_async import NeuroonError

__all__ = ["SCENARIOS"]


async def full_or_nothing(simulation: Simulation) -> None:
    """In all weathers, with a source that may fail, and cancelled at any await: never a part of the catalog."""
    world = World(simulation)
    random = world.random
    before = [product(f"old{number}", 1) for number in range(random.choice((0, 5, 40)))]
    after = [product(f"{random.choice(('old', 'new'))}{number}", 2) for number in range(random.choice((1, 10, 60)))]
    breaks = random.random() < 0.2

    def source():
        yield from after[: len(after) // 2 if breaks else None]
        if breaks:
            raise LookupError("the database went away")

    async with world.server(), world.worker() as worker:
        if before:
            await simulation.spawn(worker.client.products.sync(before), host=worker.host)
        faults(world, "sync_products", late=False)
        work = worker.client.products.sync(source(), mode="FULL", batch_size=random.choice((1, 500)))
        task = simulation.spawn(work, host=worker.host)
        cancels = random.random() < 0.4
        if cancels:
            world.some_time(task.cancel)
        async with bad_weather(world):
            report = None
            try:
                report = await task
            except (asyncio.CancelledError, LookupError, NeuroonError) as error:
                partial = getattr(error, "report", None)
                if partial is not None:
                    assert_balanced(partial)
        await asyncio.sleep(60.0)
        held = prices(world.emulator.products)
        old, new = ({item.external_id: float(item.price) for item in some} for some in (before, after))
        if report is not None:
            assert_balanced(report)
            assert report.failed == 0, str(report.failures[:3])
            assert_same_catalog(held, new)
        elif breaks:
            assert_same_catalog(held, old)
        else:
            assert cancels
            assert held in (old, new), "neither the old catalog nor the new one"
        await world.settle(worker)


SCENARIOS = (full_or_nothing,)
