"""Delta syncs in which nothing, or one percent, has changed: products/s, where the time goes, memory, ledger size.

    python benchmarks/delta.py [--products 1000000] [--rounds 3] [--command]

The first run fills the ledger through a sink process. Each measured run is a fresh process with that ledger, or with
a copy where it is about to change; where nothing has changed it must not send a single request. The generator of
products, the benchmark's own part, is timed alone as well. ``--command`` measures ``neuroon sync FILE --ledger`` of
an unchanged file of JSON Lines instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
from bulk import products
from measuring import goal, resident
from msgspec.structs import replace
from sink import sink

from neuroon_async import NeuroonClient, Product, SQLiteLedger, SyncReport
from neuroon_async.api.models import encode
from neuroon_async.catalogs import read_catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def catalog(count: int, changed: int) -> Iterator[Product]:
    """The benchmark's products, of which so many in a thousand, here and there, have another price."""
    chance = random.Random(1)  # noqa: S311 - the same ones in every run
    for product in products(count):
        yield replace(product, price=product.price + 1) if changed and chance.randrange(1000) < changed else product


async def sync(url: str, ledger: Path, source: Iterable[Product]) -> SyncReport:
    async with NeuroonClient(shop_id="shop_bench", api_key="sk_" + "0" * 32, base_url=url, rate_limits=None) as client:
        return await client.products.sync(source, ledger=SQLiteLedger(ledger))


def measure(url: str, ledger: Path, count: int, changed: int) -> dict[str, float]:
    """One run in this process: it is started for nothing else, so that its peak memory is the run's."""
    asyncio.run(sync(url, ledger, products(5_000)))  # imports and caches are warm
    source = catalog(count, changed) if changed else products(count)
    started = time.perf_counter()
    deque(catalog(count, changed) if changed else products(count), maxlen=0)
    generating = time.perf_counter() - started
    before, cpu, started = resident(), time.process_time(), time.perf_counter()
    report = asyncio.run(sync(url, ledger, source))
    seconds = time.perf_counter() - started
    assert report.received == count == report.unchanged + report.accepted, report
    assert changed or report.requests == 0, report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "rate": count / seconds,
        "rate without the generator": count / (seconds - generating),
        "generator": generating / count * 1e6,
        "wall": seconds / count * 1e6,
        "cpu": (time.process_time() - cpu) / count * 1e6,
        "memory": (max(peak, resident()) - before) / 2**20,
        "sent": report.accepted,
        "requests": report.requests,
    }


def command_unchanged(count: int, rounds: int) -> None:
    """``neuroon sync`` of a file that has not changed: start, reading, ledger, and end."""
    with tempfile.TemporaryDirectory() as folder, sink(0.0) as url:
        ledger, file = Path(folder) / "catalog.ledger", Path(folder) / "catalog.jsonl"
        with file.open("wb") as lines:
            for product in products(count):
                lines.write(encode(product) + b"\n")
        cpu, started = time.process_time(), time.perf_counter()
        report = asyncio.run(sync(url, ledger, read_catalog(file)))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        assert report.accepted == count, report
        print(
            f"{count:,} products of a file of {file.stat().st_size / 2**20:,.0f} MB; the first run, from the file: "
            f"{count / seconds:,.0f} products/s ({cpu / count * 1e6:.1f} µs CPU a product)\n"
        )
        goal("products/s of a first run with a ledger, from a file", "35k (45k)", f"{count / seconds:,.0f}", 1)
        access = {"NEUROON_SHOP_ID": "shop_bench", "NEUROON_API_KEY": "sk_" + "0" * 32, "NEUROON_API_URL": url}
        # As wherever it is installed: Python's bytecode is there, and was not to be made anew for each start.
        access |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
        subprocess.run(
            [Path(sys.executable).with_name("neuroon"), "--version"],
            env=os.environ | access,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        took: list[float] = []
        for _ in range(rounds):
            command = [Path(sys.executable).with_name("neuroon"), "sync", str(file), "--ledger", str(ledger), "--json"]
            started = time.perf_counter()
            process = subprocess.Popen(command, env=os.environ | access, stdout=subprocess.PIPE)
            told = json.loads(process.stdout.read())
            _, _, used = os.wait4(process.pid, 0)
            took.append(seconds := time.perf_counter() - started)
            assert (told["unchanged"], told["requests"]) == (count, 0), told
            print(
                f"- neuroon sync, unchanged: {seconds:.2f} s ({count / seconds:,.0f} products/s), "
                f"{(used.ru_utime + used.ru_stime) / count * 1e6:.2f} µs CPU a product, "
                f"peak {used.ru_maxrss / 1024:.1f} MB",
                flush=True,
            )
        goal(
            f"`neuroon sync` of {count:,} unchanged JSON Lines",
            "11 s (8 s)",
            f"{statistics.median(took):.1f} s",
            rounds,
        )


def in_own_process(url: str, ledger: Path, count: int, changed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.ledger"
        shutil.copyfile(ledger, copy)
        command = [sys.executable, __file__, "--run", url, str(copy), str(changed), "--products", str(count)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--command", action="store_true", help="measure the command")
    parser.add_argument("--run", nargs=3, metavar=("URL", "LEDGER", "CHANGED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        url, ledger, changed = options.run
        print(json.dumps(measure(url, Path(ledger), options.products, int(changed))))
        return
    if options.command:
        command_unchanged(options.products, options.rounds)
        return
    runs: dict[int, list[dict[str, float]]] = {0: [], 10: []}
    with tempfile.TemporaryDirectory() as folder, sink(0.0) as url:
        ledger = Path(folder) / "catalog.ledger"
        started = time.perf_counter()
        report = asyncio.run(sync(url, ledger, products(options.products)))
        filled = time.perf_counter() - started
        assert report.accepted == options.products, report
        size = ledger.stat().st_size
        for _ in range(options.rounds):
            for changed, results in runs.items():
                results.append(in_own_process(url, ledger, options.products, changed))
    print(f"{options.products:,} products; the first run, which sends all: {options.products / filled:,.0f} products/s")
    print(f"ledger {size / 2**20:.1f} MB, {size / options.products:.1f} bytes a product")
    for changed, results in runs.items():
        print(f"\n{changed / 10:g} % changed:")
        for run in results:
            print(
                f"{run['rate']:>9,.0f} products/s ({run['rate without the generator']:>9,.0f} without the generator)"
                f"  {run['wall']:.2f} µs a product, generator {run['generator']:.2f}, {run['cpu']:.2f} µs CPU"
                f"  {run['memory']:.1f} MB peak growth  {run['sent']:,.0f} sent in {run['requests']:.0f} requests"
            )
        print(f"median {statistics.median(run['rate'] for run in results):,.0f} products/s")


if __name__ == "__main__":
    main()
