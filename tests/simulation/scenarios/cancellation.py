"""A run that is cancelled at any await leaves a truthful report, and nothing else."""

from __future__ import annotations

import asyncio

from simulation.invariants import assert_balanced, assert_same_catalog
from simulation.scenarios.bulk import options, source_of
from simulation.simulator import Simulation
from simulation.sources import family_catalog, plain_catalog, prices, wanted
from simulation.weather import faults
from simulation.world import Worker, World

from neuroon_async import Product, RateLimit, SyncReport

__all__ = ["SCENARIOS"]

LIMIT = RateLimit(3, 4.0)


async def cancelled_sync(simulation: Simulation) -> None:
    """Cancelled after any number of steps; what it says was accepted is on the server, and the next run goes well."""
    await cancelled_then_whole(simulation, keys_remembered=False)


async def repeated_under_known_keys(simulation: Simulation) -> None:
    """As `cancelled_sync`, and the server still knows the keys of the cancelled run when the same source comes again.

    Cut into other batches, an older version may come under a new key, and the newer one under a known key, which the
    server then only answers from memory.
    """
    await cancelled_then_whole(simulation, keys_remembered=True)


async def cancelled_then_whole(simulation: Simulation, *, keys_remembered: bool) -> None:
    world = World(simulation)
    products = world.random.choice((plain_catalog, family_catalog))(world.random)
    limits = {"sync_products": LIMIT}
    algorithm = world.random.choice(("fixed", "rolling", "bucket"))
    async with (
        world.server(algorithm=algorithm, rate_limits=limits),
        world.worker(rate_limits=limits) as worker,
    ):
        if world.random.random() < 0.5:
            faults(world, "sync_products")
        for _ in range(world.random.choice((1, 1, 3))):
            report = await cancelled(world, worker, products)
            if report is not None:
                assert_balanced(report)
                accepted = len(world.emulator.products)
                assert report.created <= accepted, f"{report.created} created, {accepted} on the server"
            await world.settle(worker)
        world.emulator.faults.clear()
        await asyncio.sleep(LIMIT.per + 60.0)
        if not keys_remembered:
            world.emulator.idempotency.clear()
        state = worker.client.limits()["sync_products"]
        assert (state.available, state.waiting) == (state.requests, 0), f"slots lost: {state}"
        work = worker.client.products.sync(products, **options(world))
        assert_balanced(await simulation.spawn(work, host=worker.host))
        held = world.emulator.products
        assert_same_catalog(prices(held), wanted(products, held=held))
        await world.settle(worker)


async def cancelled(world: World, worker: Worker, products: list[Product]) -> SyncReport | None:
    """Run a sync, cancel it in the middle, and give its report; ``None`` where it had not begun."""
    work = worker.client.products.sync(source_of(world, products), **options(world))
    task = world.simulation.spawn(work, host=worker.host)
    for _ in range(world.random.choice((1, 1, 2))):  # a second one may come while the first is being dealt with
        world.some_time(task.cancel)
    try:
        return await task
    except asyncio.CancelledError as error:
        return getattr(error, "report", None)


SCENARIOS = (cancelled_sync,)
KNOWN = (repeated_under_known_keys,)
"""Shows a weakness that is known and not mended: run by name only."""
