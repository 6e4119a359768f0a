"""A delta sync in which nothing has changed: products/s, where the time goes, memory, and the size of the ledger.

    python benchmarks/delta.py [--products 1000000] [--rounds 3]

The first run, which is not measured, fills the ledger through a sink process. Each measured run is a fresh process
that must not send a single request. The generator of products, the benchmark's own part, is timed alone as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bulk import products, resident
from sink import sink

from neuroon_async import NeuroonClient, SQLiteLedger, SyncReport


async def sync(url: str, ledger: Path, count: int) -> SyncReport:
    async with NeuroonClient(shop_id="shop_bench", api_key="sk_" + "0" * 32, base_url=url, rate_limits=None) as client:
        return await client.products.sync(products(count), ledger=SQLiteLedger(ledger))


def measure(url: str, ledger: Path, count: int) -> dict[str, float]:
    """One run in this process: it is started for nothing else, so that its peak memory is the run's."""
    asyncio.run(sync(url, ledger, 5_000))  # imports and caches are warm
    started = time.perf_counter()
    deque(products(count), maxlen=0)
    generating = time.perf_counter() - started
    before, cpu, started = resident(), time.process_time(), time.perf_counter()
    report = asyncio.run(sync(url, ledger, count))
    seconds = time.perf_counter() - started
    assert report.unchanged == report.received == count, report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "rate": count / seconds,
        "rate without the generator": count / (seconds - generating),
        "generator": generating / count * 1e6,
        "wall": seconds / count * 1e6,
        "cpu": (time.process_time() - cpu) / count * 1e6,
        "memory": (max(peak, resident()) - before) / 2**20,
        "requests": report.requests,
    }


def in_own_process(url: str, ledger: Path, count: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--run", url, str(ledger), "--products", str(count)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs=2, metavar=("URL", "LEDGER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measure(options.run[0], Path(options.run[1]), options.products)))
        return
    with tempfile.TemporaryDirectory() as folder, sink(0.0) as url:
        ledger = Path(folder) / "catalog.ledger"
        started = time.perf_counter()
        report = asyncio.run(sync(url, ledger, options.products))
        filled = time.perf_counter() - started
        assert report.accepted == options.products, report
        size = ledger.stat().st_size
        runs = [in_own_process(url, ledger, options.products) for _ in range(options.rounds)]
    print(f"{options.products:,} products; the first run, which sends all: {options.products / filled:,.0f} products/s")
    print(f"ledger {size / 2**20:.1f} MB, {size / options.products:.1f} bytes a product")
    for run in runs:
        print(
            f"{run['rate']:>9,.0f} products/s ({run['rate without the generator']:>9,.0f} without the generator)"
            f"  {run['wall']:.2f} µs a product, generator {run['generator']:.2f}, {run['cpu']:.2f} µs CPU"
            f"  {run['memory']:.1f} MB peak growth  {run['requests']:.0f} requests"
        )
    print(f"median {statistics.median(run['rate'] for run in runs):,.0f} products/s")


if __name__ == "__main__":
    main()
