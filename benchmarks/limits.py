"""Rate limiting, measured: how many 429s, and how much of the allowed throughput, under each counting algorithm.

    python benchmarks/limits.py          20 requests per 2 s, six windows: well under a minute
    python benchmarks/limits.py --real   the documented 100 requests per 60 s, three windows: three minutes

The server (the emulator) and the client live in separate processes and in real time. Every contender has more to send
than the limit allows, over 24 calls at once, with the SDK's usual retries; what arrives within the measured windows
counts. "allowed" is the limit times the number of windows, and a token bucket lets more than that through at first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from aiolimiter import AsyncLimiter
from measuring import goal

from neuroon_async import NeuroonClient, NeuroonError, Product, RateLimit
from neuroon_async.limits.local import LocalEndpoint
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator

CALLS_AT_ONCE = 24
ROUNDS_OF_A_WINDOW = 5
LATENCY = 0.02
JITTER = 0.03
SERVERS = {
    "fixed window": {"algorithm": "fixed"},
    "fixed window, by the clock": {"algorithm": "fixed", "aligned": "clock"},
    "rolling window": {"algorithm": "rolling"},
    "token bucket": {"algorithm": "bucket"},
}


@dataclass(frozen=True)
class Setting:
    limit: RateLimit
    windows: int

    @property
    def seconds(self) -> float:
        return self.limit.per * self.windows

    @property
    def allowed(self) -> int:
        return self.limit.requests * self.windows


SCALED = Setting(RateLimit(20, per=2.0), windows=6)
DOCUMENTED = Setting(RateLimit(100, per=60.0), windows=3)


# The contenders


class AiolimiterAlone:
    """A token bucket before every request, and nothing else: what is commonly written by hand."""

    def __init__(self, limit: RateLimit) -> None:
        self._bucket = AsyncLimiter(limit.requests, limit.per)

    async def acquire(self, endpoint: str, *, bulk: bool = False) -> AiolimiterAlone:  # noqa: ARG002
        await self._bucket.acquire()
        return self

    def answered(self, headers: object, *, pause: float | None = None) -> None:
        pass

    def unused(self) -> None:
        pass

    def limits(self) -> dict[str, object]:
        return {}


def product(i: int) -> Product:
    return Product(external_id=f"SKU-{i}", name="Shirt", price=10, url="https://shop.example/shirt")


async def single_calls(client: NeuroonClient, count: int, failed: Callable[[object], None]) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for i in numbers:
            try:
                await client.products.sync_batch([product(i)])
            except NeuroonError as error:
                failed(error)

    await asyncio.gather(*(worker() for _ in range(CALLS_AT_ONCE)))


async def bulk_sync(client: NeuroonClient, count: int, failed: Callable[[object], None]) -> None:
    source = (product(i) for i in range(count))
    await client.products.sync(source, batch_size=1, concurrency=CALLS_AT_ONCE, on_failure=failed)


Send = Callable[[NeuroonClient, int, Callable[[object], None]], Awaitable[None]]


def contenders(limit: RateLimit) -> dict[str, tuple[dict[str, Any], Send]]:
    return {
        "retries only": ({"rate_limits": None}, single_calls),
        "aiolimiter alone": ({"limiter": AiolimiterAlone(limit)}, single_calls),
        "this SDK, single calls": ({"rate_limits": {"sync_products": limit}}, single_calls),
        "this SDK, bulk sync": ({"rate_limits": {"sync_products": limit}}, bulk_sync),
    }


# One run


async def measure(server: str, name: str, setting: Setting) -> tuple[int, int, int]:
    """How many 429s, requests let through, and calls that failed for good there were in the setting's windows."""
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    options, send = contenders(setting.limit)[name]
    arguments = json.dumps([SERVERS[server], setting.limit.requests, setting.limit.per])
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with NeuroonClient(shop_id=DEFAULT_SHOP_ID, api_key=DEFAULT_API_KEY, base_url=url, **options) as client:
        ends = loop.time() + setting.seconds

        def failed(failure: object) -> None:
            if loop.time() < ends:  # later on, it was merely cut off
                failures.append(failure)

        try:
            async with asyncio.timeout_at(ends):
                await send(client, 2 * setting.allowed, failed)
        except TimeoutError:
            pass  # as meant: there is always more to send
    output, _ = await process.communicate(b"\n")
    log = json.loads(output)
    statuses = [status for arrived, status in log if arrived < log[0][0] + setting.seconds]
    return statuses.count(429), len(statuses) - statuses.count(429), len(failures)


async def serve(arguments: str) -> None:
    counting, requests, per = json.loads(arguments)
    limits = {"sync_products": RateLimit(requests, per)}
    async with Emulator(rate_limits=limits, latency=LATENCY, jitter=JITTER, **counting) as emulator:
        print(emulator.url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        log = [(request.arrived, request.status) for request in emulator.requests]
    print(json.dumps(log))


async def report(servers: list[str], names: list[str], setting: Setting) -> None:
    limit = setting.limit
    print(f"{limit.requests} requests per {limit.per:g} s, {setting.windows} windows, {setting.allowed} allowed\n")
    print("| the server counts by | client | 429s | calls failed for good | let through | of the allowed |")
    print("|---|---|---:|---:|---:|---:|")
    # Side by side: all of them mostly wait. Two servers at a time: all four would be short of processors.
    at_once = 2 * len(contenders(limit))
    runs = [(server, name) for server in servers for name in names]
    for i in range(0, len(runs), at_once):
        results = await asyncio.gather(*(measure(*run, setting) for run in runs[i : i + at_once]))
        for (server, name), (refused, let_through, failed) in zip(runs[i:], results, strict=False):
            share = let_through / setting.allowed
            print(f"| {server} | {name} | {refused} | {failed} | {let_through} | {share:.1%} |", flush=True)


# A bulk run that fits into one window


async def within_one_window() -> None:
    """A bulk run of 95 requests, under the documented limit and without any."""
    took = {}
    documented = DOCUMENTED.limit
    limits: dict[str, dict[str, RateLimit] | None] = {"held": {"sync_products": documented}, "free": None}
    for name, rate_limits in limits.items():
        took[name] = []
        for _ in range(ROUNDS_OF_A_WINDOW):
            async with (
                Emulator(algorithm="off", latency=LATENCY, jitter=0) as emulator,
                emulator.client(rate_limits=rate_limits) as client,
            ):
                source = (product(i) for i in range(95))
                report = await client.products.sync(source, batch_size=1)
            assert report.requests == 95, report
            took[name].append(report.elapsed)
    held, free = (statistics.median(times) for times in took.values())
    limit = f"{documented.requests} in {documented.per:g} s"
    print(f"\n95 requests of a bulk run under {limit}: {held:.2f} s; without a limit: {free:.2f} s")
    goal("a bulk run of 95 requests under 100 / 60 s", f"no limit: {free:.2f} s", f"{held:.2f} s", ROUNDS_OF_A_WINDOW)


# What waiting costs


async def waiters(count: int) -> None:
    """Processor time for each of many calls that wait for admission, without any request."""
    limiter = LocalEndpoint("sync_products", RateLimit(500, per=0.02))

    async def waiting() -> None:
        (await limiter.acquire(bulk=True)).answered({})

    async def bare() -> None:
        await asyncio.sleep(0)

    costs = []
    for task in (bare, waiting):
        started = time.process_time()
        await asyncio.gather(*(task() for _ in range(count)))
        costs.append((time.process_time() - started) / count * 1e6)
    bare_cost, cost = costs
    print(
        f"\n{count:,} calls waiting at once: {cost:.0f} µs of processor time each ({bare_cost:.0f} µs for a bare task)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="the documented limit, over three minutes")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
    elif options.real:
        asyncio.run(report(list(SERVERS), ["this SDK, single calls", "this SDK, bulk sync"], DOCUMENTED))
    else:
        asyncio.run(report(list(SERVERS), list(contenders(SCALED.limit)), SCALED))
        asyncio.run(within_one_window())
        asyncio.run(waiters(10_000))


if __name__ == "__main__":
    main()
