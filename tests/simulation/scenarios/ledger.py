"""Delta syncs with a ledger: whatever interrupts a run, the next one leaves the server as the source is."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Literal

from simulation.invariants import assert_balanced, assert_same_catalog
from simulation.scenarios.bulk import options, source_of
from simulation.simulator import Simulation
from simulation.sources import prices, product, wanted
from simulation.weather import bad_weather, faults
from simulation.world import Killed, World, not_an_echo, patient

from neuroon_async import NeuroonError, Product, RetryPolicy, SQLiteLedger, SyncReport
from neuroon_async.testing import Fault, Readings

__all__ = ["SCENARIOS"]

LIFETIME = 120.0
"""Seconds for which a request may be processed after its sender has gone: no link or fault holds one longer."""
QUIET = 200.0
"""Seconds until all that was under way has been processed or is lost, and no doubt is left."""
SOON = 6.0
"""Seconds after which the next process starts while a request of the one before may still be worked on."""

KEYS: tuple[Literal["conflict", "ignored"], ...] = ("conflict", "ignored")
"""Whether the server knows the key of a request again."""


class Shop:
    """The shop's own catalog as it changes. Remembers every version that there ever was."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._version = 0
        self._versions: defaultdict[str, list[Product]] = defaultdict(list)
        self._current: dict[str, Product] = {}
        self._backups: list[dict[str, Product]] = []
        for number in range(random.choice((1, 8, 40, 300))):
            self._set(f"p{number}")

    def _set(self, name: str) -> None:
        self._version += 1
        self._current[name] = product(name, self._version)
        self._versions[name].append(self._current[name])

    def change(self) -> None:
        """Some products change, go, come, or are again what they once were; or all are, from a backup."""
        random = self._random
        self._backups.append(dict(self._current))
        if random.random() < 0.3:
            self._current = dict(random.choice(self._backups))
            return
        share = random.choice((0.0, 0.05, 0.5, 1.0))
        for name in list(self._current):
            if random.random() < share:
                fate = random.random()
                if fate < 0.4:
                    self._set(name)
                elif fate < 0.6:
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

    def backup(self) -> list[Product]:
        """All products as they were at some time."""
        return list(self._random.choice(self._backups).values())

    def mixture(self) -> list[Product]:
        """Every product in any version that it ever had: should the ledger hold a wrong digest, it shows here."""
        return [self._random.choice(versions) for versions in self._versions.values()]


async def ledger_rounds(simulation: Simulation) -> None:
    """Runs that end well, are cancelled, or die with their process; deletions among them; then one in peace.

    A run may begin while the server still works on a request of the one before, and then be overtaken by it: by one
    that was never answered, or by an attempt that was given up and repeated.
    """
    world = World(simulation)
    random = world.random
    shop = Shop(random)
    path = simulation.folder / "catalog.ledger"
    async with world.server(readings=Readings(idempotency=random.choice(KEYS))):
        for number in range(random.randint(1, 4)):
            for endpoint in ("sync_products", "delete_product"):
                if random.random() < 0.5:
                    faults(world, endpoint)
            host = f"worker{number}"
            async with bad_weather(world, host):
                path = await one_round(world, shop.catalog(), path, host)
            world.emulator.faults.clear()
            await asyncio.sleep(random.choice((SOON, QUIET)))
            shop.change()
        await asyncio.sleep(QUIET)
        final = random.choice((shop.mixture, shop.catalog, shop.backup))()
        await world.live(in_peace(world, final, path), "last")
        assert_same_catalog(prices(world.emulator.products), wanted(final))


async def one_round(world: World, catalog: list[Product], path: Path, host: str) -> Path:
    """Gives where the ledger is afterwards: a killed process leaves a copy of its files as they were."""
    fate = world.random.choice(("ends", "cancelled", "killed"))
    work = process(world, catalog, path, host, cancelled=fate == "cancelled")
    try:
        await world.live(work, host, killed=fate == "killed")
    except Killed:
        (path,) = world.copy_of(path, name=f"after {host}")
    else:
        await world.ended(host)
    return path


async def process(world: World, catalog: list[Product], path: Path, host: str, *, cancelled: bool) -> SyncReport | None:
    retry = world.random.choice((patient, hasty))()
    async with world.worker(host, twice=world.random.random() < 0.3, retry=retry) as worker:
        task = asyncio.create_task(
            worker.client.products.sync(
                source_of(world, catalog),
                ledger=ledger_at(path),
                delete_missing=world.random.random() < 0.6,
                max_delete_fraction=1.0,
                **options(world),
            )
        )
        if cancelled:
            world.some_time(task.cancel)
        try:
            report = await task
        except (asyncio.CancelledError, NeuroonError) as error:
            report = getattr(error, "report", None)
        if report is not None:
            assert_balanced(report)
        return report


def ledger_at(path: Path) -> SQLiteLedger:
    """By the simulated clock. Once it was quiet one peaceful run makes all right, and the next one sends nothing."""
    return SQLiteLedger(path, request_lifetime=LIFETIME, clock=asyncio.get_running_loop().time)


def hasty() -> RetryPolicy:
    """Gives up soon: what it could not do is left for the next run."""
    return RetryPolicy(attempts=2, initial=0.1, outage_patience=1.0)


async def in_peace(world: World, catalog: list[Product], path: Path) -> None:
    async with world.worker("last") as worker:
        for again in (False, True):
            report = await worker.client.products.sync(
                catalog, ledger=ledger_at(path), delete_missing=True, max_delete_fraction=1.0
            )
            assert_balanced(report)
            assert report.failed == 0, str(report.failures[:3])
            if again:
                assert (report.unchanged, report.requests) == (len(catalog), 0), f"not all was known: {report}"


async def ledger_there_and_back(simulation: Simulation) -> None:
    """A catalog goes over to another and back, and the second run may be interrupted: what follows sets all right.

    The third run may be overtaken by a request of the second one that the server is slow with.
    """
    world = World(simulation)
    random = world.random
    first = {f"p{number}": product(f"p{number}", 1) for number in range(random.choice((3, 12, 150)))}
    second = dict(first)
    for name in random.sample(sorted(first), random.choice((1, len(first) // 2))):
        if random.random() < 0.5 and len(second) > 1:
            del second[name]
        else:
            second[name] = product(name, 2)
    path = simulation.folder / "catalog.ledger"
    async with world.server(readings=Readings(idempotency=random.choice(KEYS))):
        await world.live(in_peace(world, list(first.values()), path), "last")
        endpoint = random.choice(("sync_products", "delete_product"))
        if random.random() < 0.5:
            world.emulator.fail(endpoint, Fault.slow(25.0), times=random.randint(1, 5), when=not_an_echo)
        elif random.random() < 0.5:
            faults(world, endpoint)
        if random.random() < 0.3:
            world.emulator.fail("delete_product", Fault.status(409, "locked"), times=random.randint(1, 5))
        path = await one_round(world, list(second.values()), path, "worker")
        world.emulator.faults.clear()
        final = list(random.choice((first, first, second)).values())
        if random.random() < 0.5:
            await asyncio.sleep(SOON)
            path = await one_round(world, final, path, "overtaken")
        await asyncio.sleep(QUIET)
        await world.live(in_peace(world, final, path), "last")
        assert_same_catalog(prices(world.emulator.products), wanted(final))


SCENARIOS = (ledger_rounds, ledger_there_and_back)
