"""An outbox with a backlog: how fast it is delivered, and how long a shopper waits for `enqueue` meanwhile.

    python benchmarks/outbox_backlog.py [--queued 1000000] [--seconds 10] [--limit 0]

The backlog is written straight into the file. Then the outbox delivers to a sink process, without a rate limit unless
``--limit`` names requests in 60 s, while one order after another is enqueued, alone and now and then.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from sink import sink

from neuroon_async import Conversion, ConversionItem, NeuroonClient, RateLimit
from neuroon_async.outbox import ConversionOutbox
from neuroon_async.outbox.bodies import stored_body


def order(name: str) -> Conversion:
    return Conversion(
        order_id=name, order_value=10, currency="EUR", conversions=[ConversionItem("P1", f"log-{name}", 1, 10)]
    )


def fill(path: Path, count: int) -> None:
    now = time.time()
    rows = ((f"B{n}", stored_body(order(f"B{n}")), now - 60 + n * 1e-5, now - 60 + n * 1e-5) for n in range(count))
    with closing(sqlite3.connect(path)) as file:
        file.executemany("INSERT INTO conversions (order_id, body, enqueued_at, due_at) VALUES (?, ?, ?, ?)", rows)
        file.commit()


async def measure(url: str, path: Path, seconds: float, limit: int) -> None:
    limits = {"track_conversion": RateLimit(limit, per=60)} if limit else None
    waits: list[float] = []
    async with (
        NeuroonClient(shop_id="shop_bench", api_key="sk_" + "0" * 32, base_url=url, rate_limits=limits) as client,
        ConversionOutbox(path).delivering(client, drain_timeout=0) as outbox,
    ):
        before = (await outbox.stats()).delivered
        started, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() < started + seconds:
            asked = time.perf_counter()
            await outbox.enqueue(order(f"N{len(waits)}"))
            waits.append(time.perf_counter() - asked)
            await asyncio.sleep(0.02)
        elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
        asked = time.perf_counter()
        stats = await outbox.stats()
        counting = time.perf_counter() - asked
    waits.sort()
    rate = (stats.delivered - before) / elapsed
    print(f"{stats.pending:,} pending; {rate:,.0f} delivered a second, {cpu / elapsed * 100:.0f} % of a core")
    print(
        f"enqueue, {len(waits)} alone: p50 {statistics.median(waits) * 1e3:.1f} ms,"
        f" p99 {waits[len(waits) * 99 // 100] * 1e3:.1f} ms, longest {waits[-1] * 1e3:.1f} ms;"
        f" stats {counting * 1e3:.0f} ms"
    )


async def create(path: Path) -> None:
    async with ConversionOutbox(path):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queued", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--limit", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sink(0.0) as url:
        path = Path(folder) / "outbox.sqlite3"
        asyncio.run(create(path))
        fill(path, options.queued)
        print(f"{path.stat().st_size / 2**20:.0f} MB")
        asyncio.run(measure(url, path, options.seconds, options.limit))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
