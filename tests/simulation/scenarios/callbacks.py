"""Callbacks and sources that raise: the run ends with their exception, a truthful report, and nothing left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from simulation.invariants import assert_accepted_is_held, assert_balanced, assert_same_catalog
from simulation.scenarios.bulk import options
from simulation.simulator import Simulation
from simulation.sources import prices, product, wanted
from simulation.weather import bad_weather, faults
from simulation.world import World

from neuroon_async import Product

__all__ = ["SCENARIOS"]


class Broken(Exception):
    """What the user's own code raises."""


async def user_code_raises(simulation: Simulation) -> None:
    """At any call of any callback, or in the middle of the source."""
    world = World(simulation)
    random = world.random
    names = [f"p{number}" for number in range(random.choice((1, 10, 80)))]
    products = [product(name, 1) for name in names]
    bad = set(random.sample(names, random.randint(0, len(names) // 2)))
    async with (
        world.server(reject_item=lambda item: "no" if item["externalId"] in bad else None),
        world.worker() as worker,
    ):
        if random.random() < 0.5:
            faults(world, "sync_products")
        raising = {name: breaking(world, name) for name in ("on_progress", "on_failure") if random.random() < 0.6}
        work = worker.client.products.sync(failing_source(world, products), **raising, **options(world))
        async with bad_weather(world):
            try:
                report = await simulation.spawn(work, host=worker.host)
            except Broken as error:
                report = error.report  # type: ignore[attr-defined]
        assert_balanced(report)
        assert_accepted_is_held(report, products, world.emulator.products)
        await world.settle(worker)
        bad.clear()
        world.emulator.faults.clear()
        world.emulator.idempotency.clear()
        await asyncio.sleep(60.0)
        assert_balanced(await simulation.spawn(worker.client.products.sync(products), host=worker.host))
        assert_same_catalog(prices(world.emulator.products), wanted(products))
        await world.settle(worker)


def breaking(world: World, name: str) -> Callable[[Any], Awaitable[None] | None]:
    """A callback, plain or async, that raises at its n-th call."""
    left = world.random.choice((0, 1, 5, 1_000))

    def called(_what: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Broken(name)

    async def slowly(what: Any) -> None:
        await asyncio.sleep(world.random.choice((0.0, 0.05)))
        called(what)

    return slowly if world.random.random() < 0.5 else called


def failing_source(world: World, products: list[Product]) -> Any:
    """The products, as they are or from a generator, plain or async, that may raise before its end."""
    end = world.random.choice((len(products) + 1, len(products) + 1, world.random.randint(0, len(products))))

    def plain() -> Iterator[Product]:
        for number, item in enumerate(products):
            if number == end:
                raise Broken("source")
            yield item

    async def slow() -> AsyncIterator[Product]:
        for item in plain():
            await asyncio.sleep(world.random.choice((0.0, 0.0, 0.01)))
            yield item

    return world.random.choice((lambda: products, plain, slow))()


SCENARIOS = (user_code_raises,)
