"""Delta syncs with a ledger: whatever interrupts a run, the next one leaves the server as the source is."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from random import Random

from simulation.catalogs import prices, product, wanted
from simulation.invariants import assert_balanced, assert_same_catalog
from simulation.scenarios.bulk import options, source_of
from simulation.simulator import Simulation
from simulation.weather import bad_weather, faults
from simulation.world import World

from neuroon_async import NeuroonError, Product, SQLiteLedger, SyncReport

__all__ = ["SCENARIOS"]

QUIET = 200.0
"""Seconds until all that was under way has arrived or is lost: a process takes its time to come back."""


class Shop:
    """The shop's own catalog as it changes. Remembers every version that there ever was."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._version = 0
        self._versions: defaultdict[str, list[Product]] = defaultdict(list)
        self._current: dict[str, Product] = {}
        for number in range(random.choice((1, 8, 40, 300))):
            self._set(f"p{number}")

    def _set(self, name: str) -> None:
        self._version += 1
        self._current[name] = product(name, self._version)
        self._versions[name].append(self._current[name])

    def change(self) -> None:
        """Some products change, go, come, or are again what they once were."""
        random = self._random
        share = random.choice((0.0, 0.05, 0.5))
        for name in list(self._current):
            if random.random() < share:
                fate = random.random()
                if fate < 0.5:
                    self._set(name)
                elif fate < 0.8:
                    self._current[name] = random.choice(self._versions[name])
                elif len(self._current) > 1:
                    del self._current[name]
        for _ in range(random.choice((0, 0, 3))):
            self._set(f"n{random.randrange(30)}")

    def catalog(self) -> list[Product]:
        items = list(self._current.values())
        if self._random.random() < 0.3:
            self._random.shuffle(items)
        return items

    def mixture(self) -> list[Product]:
        """Every product in any version that it ever had: should the ledger hold a wrong digest, it shows here."""
        return [self._random.choice(versions) for versions in self._versions.values()]


async def ledger_rounds(simulation: Simulation) -> None:
    """Runs that end well, are cancelled, or die with their process; deletions among them; then one in peace."""
    world = World(simulation)
    random = world.random
    shop = Shop(random)
    path = simulation.folder / "catalog.ledger"
    async with world.server():
        for number in range(random.randint(1, 4)):
            for endpoint in ("sync_products", "delete_product"):
                if random.random() < 0.5:
                    faults(world, endpoint, late=False)
            host = f"worker{number}"
            async with bad_weather(world, host):
                path = await one_round(world, shop.catalog(), path, host)
            world.emulator.faults.clear()
            await asyncio.sleep(QUIET)
            shop.change()
        final = shop.mixture() if random.random() < 0.5 else shop.catalog()
        await world.live(in_peace(world, final, path), "last")
        assert_same_catalog(prices(world.emulator.products), wanted(final))


async def one_round(world: World, catalog: list[Product], path: Path, host: str) -> Path:
    """Gives where the ledger is afterwards: a killed process leaves a copy of its files as they were."""
    random = world.random
    fate = random.choice(("ends", "cancelled", "killed"))
    steps = random.randint(0, random.choice((50, 500, 5_000)))
    work = process(world, catalog, path, host, cancelled_after=steps if fate == "cancelled" else None)
    killed_after = steps if fate == "killed" else None
    report = await world.live(work, host, killed_after=killed_after)
    if report is None and killed_after is not None:
        (path,) = world.copy_of(path, name=f"after {host}")
    else:
        await world.ended(host)
    return path


async def process(
    world: World, catalog: list[Product], path: Path, host: str, *, cancelled_after: int | None
) -> SyncReport | None:
    async with world.worker(host, twice=world.random.random() < 0.3) as worker:
        task = asyncio.create_task(
            worker.client.products.sync(
                source_of(world, catalog),
                ledger=SQLiteLedger(path),
                delete_missing=world.random.random() < 0.6,
                max_delete_fraction=1.0,
                **options(world),
            )
        )
        if cancelled_after is not None:
            world.simulation.after_steps(cancelled_after, task.cancel)
        try:
            report = await task
        except (asyncio.CancelledError, NeuroonError) as error:
            report = getattr(error, "report", None)
        if report is not None:
            assert_balanced(report)
            if report.unchanged == len(catalog):
                assert report.requests == report.deleted + report.retries, f"unchanged, but requests: {report}"
        return report


async def in_peace(world: World, catalog: list[Product], path: Path) -> None:
    async with world.worker("last") as worker:
        for again in (False, True):
            report = await worker.client.products.sync(
                catalog, ledger=SQLiteLedger(path), delete_missing=True, max_delete_fraction=1.0
            )
            assert_balanced(report)
            assert report.failed == 0, str(report.failures[:3])
            if again:
                assert (report.unchanged, report.requests) == (len(catalog), 0), f"not all was known: {report}"


SCENARIOS = (ledger_rounds,)
