"""Bulk syncs: versions in order, parents before variants, refused products singled out, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from simulation.invariants import assert_balanced, assert_same_catalog, assert_versions_in_order
from simulation.simulator import Simulation
from simulation.sources import family_catalog, last_versions, plain_catalog, prices, product, wanted
from simulation.weather import bad_weather, faults
from simulation.world import World

from neuroon_async import Product, SyncReport
from neuroon_async.testing import Fault

__all__ = ["SCENARIOS"]


def options(world: World) -> dict[str, Any]:
    """How the sync is cut into requests."""
    return {
        "concurrency": world.random.choice((1, 2, 3, 8)),
        "batch_size": world.random.choice((1, 2, 5, 20, 500)),
        "max_batch_bytes": world.random.choice((200, 600, 5_000_000)),
    }


def source_of(world: World, products: list[Product]) -> Any:
    """A list, or an async generator that takes its time."""
    if world.random.random() < 0.5:
        return products

    async def slowly() -> AsyncIterator[Product]:
        for item in products:
            if world.random.random() < 0.1:
                await asyncio.sleep(world.random.choice((0.0, 0.001, 0.5)))
            yield item

    return slowly()


async def bulk_order(simulation: Simulation) -> None:
    """Versions of few products, sent side by side in all weathers: the last one of each is what remains."""
    world = World(simulation)
    products = plain_catalog(world.random)
    forgets = len(last_versions(products)) == len(products)
    twice = world.random.random() < 0.3
    async with world.server(), world.worker(twice=twice) as worker:
        if world.random.random() < 0.2:
            # Alone: a success that nobody can read is asked for again only a few times.
            world.emulator.fail("sync_products", Fault.garbage(processed=world.random.random() < 0.5))
        else:
            faults(world, "sync_products")
        async with bad_weather(world, restart=forgets):
            work = worker.client.products.sync(source_of(world, products), **options(world))
            report = await world.simulation.spawn(work, host=worker.host)
        assert_balanced(report)
        assert report.failed == 0, str(report.failures[:3])
        assert report.received == len(products)
        assert_same_catalog(prices(world.emulator.products), wanted(products))
        if not forgets and products == sorted(products, key=lambda item: item.price):
            assert_versions_in_order(world.emulator)
        await world.settle(worker)


async def families(simulation: Simulation) -> None:
    """Variants in any order: each follows its parent, and those without one fail, alone and by name."""
    world = World(simulation)
    products = family_catalog(world.random)
    forgets = len(last_versions(products)) == len(products)
    async with (
        world.server(name_all_missing_parents=world.random.random() < 0.5),
        world.worker() as worker,
    ):
        if world.random.random() < 0.5:
            # A late answer to a variant whose parent has come by then would undo a newer version.
            faults(world, "sync_products", late=False)
        async with bad_weather(world, restart=forgets):
            work = worker.client.products.sync(source_of(world, products), **options(world))
            report = await world.simulation.spawn(work, host=worker.host)
        assert_balanced(report)
        expected = wanted(products, held=world.emulator.products)
        assert_same_catalog(prices(world.emulator.products), expected)
        orphans = last_versions(products).keys() - expected.keys()
        failed = {failure.external_id for failure in report.failures}
        assert failed == orphans, f"failed {failed}, without parents {orphans}"
        assert {failure.status for failure in report.failures} <= {422}, str(report.failures[:3])
        await world.settle(worker)


async def refusals(simulation: Simulation) -> None:
    """The server refuses some products, each for itself or with its whole batch, and bodies above a size."""
    world = World(simulation)
    names = [f"p{number}" for number in range(world.random.choice((1, 10, 60)))]
    products = [product(name, 1, size=world.random.choice((1, 100, 400))) for name in names]
    bad_alone = set(world.random.sample(names, min(len(names), world.random.randint(0, 4))))
    bad_batch = set(world.random.sample(names, min(len(names), world.random.randint(0, 4))))
    status = world.random.choice((400, 422))

    def reject_item(item: dict[str, Any]) -> str | None:
        return "no such colour" if item["externalId"] in bad_alone else None

    def reject_batch(items: list[dict[str, Any]]) -> tuple[int, str] | None:
        hit = any(item["externalId"] in bad_batch for item in items)
        return (status, "name: says nothing of which") if hit else None

    biggest = world.random.choice((None, 700, 1_500))
    async with (
        world.server(reject_item=reject_item, reject_batch=reject_batch, max_body_bytes=biggest),
        world.worker() as worker,
    ):
        faults(world, "sync_products")
        told: list[str | None] = []
        async with bad_weather(world):
            work = worker.client.products.sync(
                products, on_failure=lambda failure: told.append(failure.external_id), **options(world)
            )
            report = await world.simulation.spawn(work, host=worker.host)
        assert_balanced(report)
        held = prices(world.emulator.products)
        failed = {failure.external_id for failure in report.failures}
        assert sorted(map(str, told)) == sorted(str(failure.external_id) for failure in report.failures)
        expected = bad_alone | bad_batch | too_large(report)
        assert failed == expected, f"failed wrongly {failed - expected}, not failed {expected - failed}"
        assert held.keys() == set(names) - failed
        await world.settle(worker)


def too_large(report: SyncReport) -> set[str | None]:
    """Products that alone are above the sync's own limit of bytes: these fail without a request."""
    return {failure.external_id for failure in report.failures if failure.stage == "local"}


SCENARIOS = (bulk_order, families, refusals)
