"""Bulk sync against a bare loop: products/s, CPU and memory, at 0 and 50 ms of server latency.

    python benchmarks/bulk.py [--products 100000] [--rounds 5] [--latency 0 0.05]

The bare loop is what a careful engineer would write by hand and stop at: the same generator of `Product`s, msgspec
encoding, sha256 of the body as idempotency key, one aiohttp session, eight tasks, nothing else: no checks, no order,
no retries, no accounting. The SDK runs with the same `Products`, with a source that vouches for them (as catalogs do),
and with flush_after from an async source. All take turns, each run in a fresh process, against one sink process.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
from measuring import goal, in_own_process, measured, middle, pairs, pin_client, ratios, say
from sink import sink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

import aiohttp

from neuroon_async import NeuroonClient, Product
from neuroon_async.api.models import encode

TASKS = 8
DESCRIPTION = "A light and durable running shoe for road and trail, with a breathable upper and a grippy sole. " * 4


def products(count: int) -> Iterator[Product]:
    """Products of some 700 bytes on the wire, as a shop's export has them."""
    for i in range(count):
        yield Product(
            external_id=f"SKU-{i:07d}",
            name=f"Trail running shoe, model {i}",
            price=Decimal(i % 20000 + 99) / 100,
            url=f"https://shop.example/products/trail-running-shoe-{i}",
            sku=f"TRS-{i}",
            description=DESCRIPTION,
            currency="EUR",
            image_url=f"https://cdn.shop.example/images/{i}.jpg",
            categories=["Shoes", f"Line {i % 40}"],
            brands=[f"Brand {i % 90}"],
            in_stock=i % 7 != 0,
            stock_quantity=i % 50,
            attributes={"colour": "blue", "size": str(36 + i % 12)},
        )


async def bare(url: str, count: int) -> None:
    source = products(count)
    address = f"{url}/api/plugin/shops/shop_bench/products/sync"
    headers = {"X-Shop-API-Key": "sk_" + "0" * 32, "Content-Type": "application/json; charset=utf-8"}

    async def worker(session: aiohttp.ClientSession) -> None:
        while batch := list(islice(source, 500)):
            body = encode({"syncType": "INCREMENTAL", "products": batch})
            key = hashlib.sha256(body).hexdigest()
            async with session.post(address, data=body, headers={**headers, "X-Idempotency-Key": key}) as response:
                await response.read()

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(worker(session))


class Checked:
    """The same products, by a source that has checked them."""

    yields_checked_products = True

    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[Product]:
        return products(self._count)


async def feed(count: int) -> AsyncIterator[Product]:
    for product in products(count):
        yield product


async def run_sdk(url: str, count: int, source: object, **options: float) -> None:
    async with NeuroonClient(shop_id="shop_bench", api_key="sk_" + "0" * 32, base_url=url, rate_limits=None) as client:
        report = await client.products.sync(source, concurrency=TASKS, **options)
    assert report.accepted == report.received == count, report


async def sdk(url: str, count: int) -> None:
    await run_sdk(url, count, products(count))


async def checked(url: str, count: int) -> None:
    await run_sdk(url, count, Checked(count))


async def flushed(url: str, count: int) -> None:
    await run_sdk(url, count, feed(count), flush_after=60.0)


KINDS = {"bare": bare, "sdk": sdk, "checked": checked, "flushed": flushed}
LABELS = {"bare": "bare loop", "sdk": "neuroon_async", "checked": "checked source", "flushed": "flush_after"}


def measure(kind: str, url: str, count: int) -> dict[str, float]:
    """One run in this process: it is started for nothing else, so that its peak memory is the run's."""
    pin_client()
    work = KINDS[kind]
    asyncio.run(work(url, 5_000))  # imports, connections and caches are warm
    return measured(lambda: asyncio.run(work(url, count)), count)


GOALS = {
    "sdk": ("`sync` of `Product`s over the bare loop", 0.80),
    "checked": ("`sync` of checked `Product`s over the bare loop", 0.95),
}


def compare(latency: float, count: int, rounds: int) -> None:
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with sink(latency) as url:
        for number in range(rounds):
            for kind, results in runs.items():
                results.append(in_own_process(__file__, "--run", kind, url, "--products", str(count)))
            say(f"{latency * 1000:.0f} ms, {count:,} products, round {number + 1} of {rounds}")
    print(f"{count:,} products, answers after {latency * 1000:.0f} ms:\n")
    print("| client | products/s | over the bare loop (pairs) | µs CPU a product | peak growth |")
    print("|---|---:|---|---:|---:|")
    for kind, label in LABELS.items():
        figures = middle(runs[kind])
        over = "" if kind == "bare" else pairs(ratios(runs[kind], runs["bare"]))
        print(f"| {label} | {figures['rate']:,.0f} | {over} | {figures['cpu']:.2f} | {figures['memory']:.1f} MB |")
        if kind in GOALS and latency == 0 and rounds > 1:
            goal(*GOALS[kind], over, rounds)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.05], help="seconds")
    parser.add_argument("--run", nargs=2, metavar=("KIND", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measure(*options.run, options.products)))
        return
    for latency in options.latency:
        compare(latency, options.products, options.rounds)


if __name__ == "__main__":
    main()
