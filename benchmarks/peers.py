"""The same catalog to the same server, by this SDK and by the clients of other search services.

    python benchmarks/peers.py [--products 100000] [--rounds 5] [--latency 0 0.05 0.2] [--only NAME ...] [--streamed]

Client and server have a processor each; the clients take turns, each run in a fresh process. The server counts the
documents, and answers each client in its own protocol. Up to 100,000 products the catalog is a list of dicts (or of
`Product`s) that is there before the clock starts. With ``--streamed`` it is a generator, as from a database; a client
that takes nothing but lists then makes one of it.

Their work differs. This SDK checks every documented rule of every product, keeps versions and variants in order, makes
an idempotency key, and accounts for every product. None of the others looks at a document: that is their servers'.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))
import aiohttp
from bulk import products
from measuring import goal, in_own_process, measured, middle, pairs, pin_client, ratios, say
from sink import counted, sink

from neuroon_async import NeuroonClient
from neuroon_async.api.models import PRODUCT_FIELDS
from neuroon_async.catalogs import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH = 500
AT_ONCE = 8
SHOP, KEY = "shop_bench", "sk_" + "0" * 32


# The catalog, in the shape that each client takes


def camel_case(count: int) -> Iterator[dict[str, Any]]:
    """Dicts with the API's keys: prices are floats, which all encoders know."""
    for i, product in enumerate(products(count)):
        yield {
            "externalId": product.external_id,
            "name": product.name,
            "price": (i % 20000 + 99) / 100,
            "url": product.url,
            "sku": product.sku,
            "description": product.description,
            "currency": product.currency,
            "imageUrl": product.image_url,
            "categories": product.categories,
            "brands": product.brands,
            "inStock": product.in_stock,
            "stockQuantity": product.stock_quantity,
            "attributes": product.attributes,
        }


def snake_case(count: int) -> Iterator[dict[str, Any]]:
    return ({PRODUCT_FIELDS[key]: value for key, value in item.items()} for item in camel_case(count))


def with_id(name: str) -> Callable[[int], Iterator[dict[str, Any]]]:
    """Documents that name their id as a service wants it."""
    return lambda count: ({**item, name: item["externalId"]} for item in camel_case(count))


def actions(count: int) -> Iterator[dict[str, Any]]:
    """What Elasticsearch's helpers take."""
    return ({"_index": "products", "_id": item["externalId"], "_source": item} for item in camel_case(count))


def as_file(count: int) -> Path:
    """A JSON Lines file, which is gone when the process is."""
    folder = tempfile.TemporaryDirectory(prefix="neuroon-")
    path = Path(folder.name) / "catalog.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps(item, separators=(",", ":")) + "\n" for item in camel_case(count))
    _folders.append(folder)
    return path


_folders: list[tempfile.TemporaryDirectory[str]] = []


# The clients


async def neuroon(url: str, source: Any) -> None:
    if isinstance(source, Path):
        source = Catalog(source)
    async with NeuroonClient(shop_id=SHOP, api_key=KEY, base_url=url, rate_limits=None) as client:
        report = await client.products.sync(source, concurrency=AT_ONCE)
    assert report.accepted == report.received, report


async def hand_written(url: str, source: Iterable[dict[str, Any]]) -> None:
    import orjson  # noqa: PLC0415 - only where it is measured

    rest = iter(source)
    headers = {"X-Shop-API-Key": KEY, "Content-Type": "application/json; charset=utf-8"}

    async def worker(session: aiohttp.ClientSession) -> None:
        while batch := list(islice(rest, BATCH)):
            body = orjson.dumps({"syncType": "INCREMENTAL", "products": batch})
            async with session.post(f"{url}/api/plugin/shops/{SHOP}/products/sync", data=body, headers=headers) as said:
                assert said.status == 200
                await said.read()

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker(session))


def meilisearch(at_once: int | None) -> Callable[[str, Any], Awaitable[None]]:
    async def send(url: str, source: Any) -> None:
        from meilisearch_python_sdk import AsyncClient  # noqa: PLC0415
        from meilisearch_python_sdk.json_handler import OrjsonHandler  # noqa: PLC0415

        documents = source if isinstance(source, list) else list(source)
        async with AsyncClient(url, KEY, json_handler=OrjsonHandler(), timeout=600) as client:
            await client.index("products").add_documents_in_batches(
                documents, batch_size=BATCH, primary_key="externalId", concurrency_limit=at_once
            )

    return send


async def algolia(url: str, source: Any) -> None:
    from algoliasearch.http.hosts import Host, HostsCollection  # noqa: PLC0415
    from algoliasearch.search.client import SearchClient  # noqa: PLC0415
    from algoliasearch.search.config import SearchConfig  # noqa: PLC0415

    host, _, port = url.removeprefix("http://").partition(":")
    config = SearchConfig("app", KEY)
    config.hosts = HostsCollection([Host(host, scheme="http", port=int(port))])
    async with SearchClient.create_with_config(config) as client:
        await client.save_objects("products", source, batch_size=BATCH)


async def elasticsearch(url: str, source: Any) -> None:
    from elasticsearch import AsyncElasticsearch, OrjsonSerializer  # noqa: PLC0415
    from elasticsearch.helpers import async_streaming_bulk  # noqa: PLC0415

    async with AsyncElasticsearch(url, serializers={"application/json": OrjsonSerializer()}) as client:
        async for ok, _ in async_streaming_bulk(client, source, chunk_size=BATCH):
            assert ok


async def typesense(url: str, source: Any) -> None:
    from typesense.async_.client import AsyncClient  # noqa: PLC0415

    host, _, port = url.removeprefix("http://").partition(":")
    node = {"host": host, "port": int(port), "protocol": "http"}
    client = AsyncClient({"nodes": [node], "api_key": KEY, "connection_timeout_seconds": 600})
    documents = source if isinstance(source, list) else list(source)
    said = await client.collections["products"].documents.import_(documents, {"action": "upsert"}, batch_size=BATCH)
    assert all(one["success"] for one in said)
    await client.api_call.aclose()


@dataclass(frozen=True)
class Client:
    send: Callable[[str, Any], Awaitable[None]]
    catalog: Callable[[int], Any]
    does: str
    package: str | None = None
    """Of the peer, as it is installed by."""


CHECKS = "checks every rule, keeps order, counts every product"
CLIENTS = {
    "this SDK, camelCase dicts": Client(neuroon, camel_case, CHECKS),
    "this SDK, snake_case dicts": Client(neuroon, snake_case, f"{CHECKS}; renames every key"),
    "this SDK, Products": Client(neuroon, products, f"{CHECKS}; prices are exact decimals"),
    "this SDK, a JSON Lines file": Client(neuroon, as_file, f"{CHECKS}; reads and decodes the file"),
    "aiohttp + orjson by hand": Client(hand_written, camel_case, "checks nothing, 8 in flight", "orjson"),
    "meilisearch-python-sdk, 8 in flight": Client(
        meilisearch(AT_ONCE), camel_case, "checks nothing; takes lists only; orjson", "meilisearch-python-sdk"
    ),
    "meilisearch-python-sdk, unbounded": Client(
        meilisearch(None), camel_case, "the same, every request at once", "meilisearch-python-sdk"
    ),
    "elasticsearch, async_streaming_bulk": Client(
        elasticsearch, actions, "reads a verdict on each document; one request after another; orjson", "elasticsearch"
    ),
    "algoliasearch, save_objects": Client(
        algolia, with_id("objectID"), "checks nothing; one request after another; json", "algoliasearch"
    ),
    "typesense, import_": Client(
        typesense,
        with_id("id"),
        "reads a verdict on each document; takes lists only; one after another; json",
        "typesense",
    ),
}
ENOUGH = 5
"""Rounds whose median says something about a goal."""
OURS, FASTEST = "this SDK, camelCase dicts", "meilisearch-python-sdk, 8 in flight"


# One run, and all of them


def measure(name: str, url: str, count: int, *, streamed: bool) -> dict[str, float]:
    """One run in this process, which is started for nothing else."""
    pin_client()
    client = CLIENTS[name]
    asyncio.run(client.send(url, _given(client, 1_000, streamed=False)))  # imports and connections are warm
    source = _given(client, count, streamed=streamed)
    counted(url)
    figures = measured(lambda: asyncio.run(client.send(url, source)), count)
    arrived = counted(url)
    assert arrived["documents"] == count, arrived
    return {**figures, "bytes": arrived["bytes"] / count, "requests": arrived["requests"]}


def _given(client: Client, count: int, *, streamed: bool) -> Any:
    catalog = client.catalog(count)
    return catalog if streamed or isinstance(catalog, Path) else list(catalog)


def run(names: list[str], latency: float, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    streamed = ["--streamed"] if options.streamed else []
    with sink(latency) as url:
        for number in range(options.rounds):
            for name, results in runs.items():
                arguments = ["--run", name, url, "--products", str(options.products), *streamed]
                results.append(in_own_process(__file__, *arguments))
                say(
                    f"{latency * 1000:.0f} ms, round {number + 1} of {options.rounds}: {name}: "
                    f"{results[-1]['rate']:,.0f} products/s"
                )
    return runs


def table(runs: dict[str, list[dict[str, float]]]) -> None:
    columns = "products/s", "over meilisearch, 8 (pairs)", "µs CPU each (over it)", "peak growth", "bytes", "requests"
    print(f"| client | {' | '.join(columns)} |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for name, results in runs.items():
        figures = middle(results)
        beside = FASTEST in runs and name != FASTEST
        over = pairs(ratios(results, runs[FASTEST])) if beside else ""
        cheaper = f" ({statistics.median(ratios(runs[FASTEST], results, 'cpu')):.2f})" if beside else ""
        print(
            f"| {name} | {figures['rate']:,.0f} | {over} | {figures['cpu']:.2f}{cheaper} | {figures['memory']:.1f} MB "
            f"| {figures['bytes']:.0f} | {figures['requests']:.0f} |"
        )
    print()


def installed(names: Iterable[str]) -> list[str]:
    """Those that can be measured here; the others are named with the reason."""
    found = []
    for name in names:
        package = CLIENTS[name].package
        try:
            if package is not None:
                importlib.metadata.version(package)
            found.append(name)
        except importlib.metadata.PackageNotFoundError:
            print(f"Skipped: {name}: {package} is not installed (pip install 'neuroon-async[bench]')\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.05, 0.2], help="seconds")
    parser.add_argument("--only", nargs="+", choices=list(CLIENTS), default=list(CLIENTS), metavar="NAME")
    parser.add_argument("--streamed", action="store_true", help="from a generator instead of a list")
    parser.add_argument("--save", type=Path, help="write all figures to this file, as JSON")
    parser.add_argument("--run", nargs=2, metavar=("NAME", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measure(*options.run, options.products, streamed=options.streamed)))
        return
    names = installed(options.only)
    given = "a generator" if options.streamed else "a list"
    print(
        f"{options.products:,} products from {given}, batches of {BATCH}, rounds: {options.rounds}.", versions(), "\n"
    )
    everything = {}
    for latency in options.latency:
        print(f"Answers after {latency * 1000:.0f} ms:\n")
        everything[latency] = runs = run(names, latency, options)
        table(runs)
        if latency == 0 and not options.streamed and {OURS, FASTEST} <= runs.keys() and options.rounds >= ENOUGH:
            over = pairs(ratios(runs[OURS], runs[FASTEST]))
            over += f"; by processor time {pairs(ratios(runs[FASTEST], runs[OURS], 'cpu'))}"
            goal(
                "`sync` of camelCase mappings, over meilisearch-python-sdk + orjson, 8 in flight",
                0.90,
                over,
                options.rounds,
            )
    for name in names:
        print(f"- {name}: {CLIENTS[name].does}.")
    if options.save:
        options.save.write_text(json.dumps(everything, indent=1))


def versions() -> str:
    packages = sorted({client.package for client in CLIENTS.values() if client.package} | {"aiohttp", "msgspec"})
    told = []
    for package in packages:
        try:
            told.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, {', '.join(told)}."


if __name__ == "__main__":
    main()
