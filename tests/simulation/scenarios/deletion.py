"""Bulk deletions: each id is deleted once in effect, and what was never there is said so."""

from __future__ import annotations

import asyncio

from simulation.invariants import assert_balanced
from simulation.simulator import Simulation
from simulation.sources import product
from simulation.weather import bad_weather, faults
from simulation.world import World

from neuroon_async import NeuroonError

__all__ = ["SCENARIOS"]


async def deletions(simulation: Simulation) -> None:
    """In all weathers, perhaps cancelled: a 404 is a failure only where no earlier attempt can have deleted it."""
    world = World(simulation)
    random = world.random
    names = [f"p{number}" for number in range(random.choice((1, 8, 40)))]
    strangers = [f"never/there?{number}" for number in range(random.choice((0, 3)))]
    copies = random.choice((1, 1, 2))
    ids = (names + strangers) * copies
    random.shuffle(ids)
    async with world.server(), world.worker() as worker:
        await simulation.spawn(worker.client.products.sync([product(name, 1) for name in names]), host=worker.host)
        faults(world, "delete_product", late=False)
        work = worker.client.products.delete_many(ids, concurrency=random.choice((1, 3, 8)))
        task = simulation.spawn(work, host=worker.host)
        if random.random() < 0.3:
            world.some_time(task.cancel)
        report = None
        async with bad_weather(world):
            try:
                report = await task
            except (asyncio.CancelledError, NeuroonError) as error:
                partial = getattr(error, "report", None)
                if partial is not None:
                    assert_balanced(partial)
                    # Of an id that comes twice, the second deletion may count too: a 404 after a lost answer.
                    gone = len(names) - len(world.emulator.products)
                    assert partial.deleted <= copies * (gone + len(strangers)), str(partial)
        await world.settle(worker)
        if report is not None:
            assert_balanced(report)
            assert not world.emulator.products, f"still there: {sorted(world.emulator.products)}"
            unexpected = [str(one) for one in report.failures if one.status != 404]
            assert not unexpected, unexpected
            assert report.deleted == report.accepted >= len(names), str(report)


SCENARIOS = (deletions,)
