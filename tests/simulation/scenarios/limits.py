"""Limits: whatever the server's way of counting, it never counts more than it allows."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from simulation.invariants import assert_accepted_is_held, assert_balanced, assert_never_throttled
from simulation.simulator import Simulation
from simulation.sources import prices, product
from simulation.weather import bad_weather
from simulation.world import Worker, World

from neuroon_async import LocalLimiter, RateLimit, TransportError

__all__ = ["SCENARIOS"]


async def no_429(simulation: Simulation) -> None:
    """Bulk runs and single calls side by side, some cancelled, at the limit all the time: not one 429.

    Links are not cut here: a request that the network holds back until long after its sender has given it up may be
    counted at any time.
    """
    await at_the_limit(simulation, cancelling=0.0)


async def no_429_after_cancellation(simulation: Simulation) -> None:
    """As `no_429`, and some of the calls are cancelled, perhaps while their request is on its way."""
    await at_the_limit(simulation, cancelling=0.2)


async def at_the_limit(simulation: Simulation, *, cancelling: float) -> None:
    world = World(simulation)
    random = world.random
    names = ("sync_products", "delete_product", "shop")
    limits = {name: RateLimit(random.choice((1, 2, 5, 20)), random.choice((0.5, 3.0, 60.0))) for name in names}
    if random.random() < 0.3:
        limits = {name: RateLimit(limit.requests, limit.per, burst=1) for name, limit in limits.items()}
    async with (
        world.server(
            algorithm=random.choice(("fixed", "rolling", "bucket")),
            aligned=random.choice(("first", "clock")),
            rate_limits=limits,
            rate_headers=random.random() < 0.8,
            latency=random.choice((0.0, 0.2)),
            jitter=random.choice((0.0, 0.5, 4.0)),
        ),
        AsyncExitStack() as stack,
    ):
        limiter = LocalLimiter(limits)  # one, where several clients of a process share the key
        shared = [world.worker(limiter=limiter) for _ in range(random.randint(1, 3))]
        workers = [await stack.enter_async_context(one) for one in shared]
        async with bad_weather(world, restart=False, cuts=False):
            await asyncio.gather(
                *(
                    sync_some(world, random.choice(workers), number, cancelling)
                    for number in range(random.randint(1, 3))
                ),
                *(ask(world, random.choice(workers), cancelling) for _ in range(random.randint(0, 12))),
                delete_some(world, workers[0]),
            )
        assert_never_throttled(world.emulator, limits)
        for worker in workers:
            await world.settle(worker)


async def neighbours(simulation: Simulation) -> None:
    """Processes that know nothing of one another spend one budget: there are 429s, and in the end all has arrived."""
    world = World(simulation)
    random = world.random
    limits = {"sync_products": RateLimit(random.choice((5, 10)), random.choice((1.0, 10.0)))}
    hosts = [f"worker{number}" for number in range(random.randint(2, 4))]
    algorithm = random.choice(("fixed", "rolling", "bucket"))
    headers, retry_after = random.random() < 0.7, random.choice((True, False))
    async with world.server(algorithm=algorithm, rate_limits=limits, rate_headers=headers, retry_after=retry_after):

        async def process(host: str) -> None:
            products = [product(f"{host}-{item}", 1) for item in range(random.randint(1, 40))]
            async with world.worker(host, rate_limits=limits) as worker:
                report = await worker.client.products.sync(products, concurrency=random.randint(1, 8), batch_size=3)
            assert_balanced(report)
            assert report.failed == 0, str(report.failures[:3])
            assert_accepted_is_held(report, products, world.emulator.products)

        async with bad_weather(world, *hosts):
            await asyncio.gather(*(world.live(process(host), host) for host in hosts))
        for host in hosts:
            await world.ended(host)


async def sync_some(world: World, worker: Worker, number: int, cancelling: float) -> None:
    products = [product(f"{number}-{item}", 1) for item in range(world.random.randint(1, 60))]
    work = worker.client.products.sync(products, concurrency=world.random.randint(1, 8), batch_size=2)
    task = world.simulation.spawn(work, host=worker.host)
    if world.random.random() < cancelling:
        world.simulation.after_steps(world.random.randint(0, 2_000), task.cancel)
    try:
        report = await task
    except asyncio.CancelledError:
        return
    assert_balanced(report)
    assert report.failed == 0
    held = prices(world.emulator.products)
    assert all(item.external_id in held for item in products)


async def delete_some(world: World, worker: Worker) -> None:
    ids = [f"gone-{number}" for number in range(world.random.randint(0, 30))]
    work = worker.client.products.delete_many(ids, concurrency=world.random.randint(1, 8))
    assert_balanced(await world.simulation.spawn(work, host=worker.host))


async def ask(world: World, worker: Worker, cancelling: float) -> None:
    await asyncio.sleep(world.random.choice((0.0, 0.1, 5.0)) * world.random.random())
    task = world.simulation.spawn(worker.client.shop(), host=worker.host)
    if world.random.random() < cancelling:
        world.simulation.after_steps(world.random.randint(0, 400), task.cancel)
    try:
        await task
    except (asyncio.CancelledError, TransportError):
        pass  # a link that is cut for longer than its attempts last


SCENARIOS = (no_429, no_429_after_cancellation, neighbours)
