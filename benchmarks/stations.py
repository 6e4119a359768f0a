"""What a bulk sync costs a product before anything reaches the network, beside encoding and hashing alone.

    python benchmarks/stations.py [--products 20000] [--rounds 8]

The whole SDK runs but the exchange, which answers at once; the bare loop encodes and hashes the same batches. All take
turns in one process, and the least processor time of each counts: whatever else the machine does only adds to it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))
from bulk import TASKS, Checked, products
from measuring import pin_client, say
from peers import camel_case, snake_case

from neuroon_async import NeuroonClient
from neuroon_async.api.models import encode
from neuroon_async.api.responses import Response
from neuroon_async.transport.exchange import ExchangeResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from neuroon_async import Product
    from neuroon_async.transport.calls import Call

ANSWER = b'{"newProducts": 500, "updatedProducts": 0, "failed": 0, "errors": []}'


class NoNetwork:
    """An exchange that is always successful, a few turns of the loop later."""

    def ready(self) -> None:
        pass

    async def send(self, call: Call, more_headers: Mapping[str, str] | None = None) -> ExchangeResult:  # noqa: ARG002
        call.sent = True
        await some_turns()
        return ExchangeResult(Response(200, ANSWER, None), {})


async def some_turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


class CheckedList:
    """A list of products, by a source that has checked them."""

    yields_checked_products = True

    def __init__(self, given: list[Product]) -> None:
        self._given = given

    def __iter__(self) -> Iterator[Product]:
        return iter(self._given)


async def sdk(source: Any) -> None:
    async with NeuroonClient(
        shop_id="shop_bench", api_key="sk_" + "0" * 32, base_url="http://127.0.0.1:1", rate_limits=None
    ) as client:
        client.products._transport.exchange = NoNetwork()  # noqa: SLF001 - everything but the network is measured
        await client.products.sync(source, concurrency=TASKS)


async def bare(source: Iterable[Any]) -> None:
    rest = iter(source)

    async def worker() -> None:
        while batch := list(islice(rest, 500)):
            body = encode({"syncType": "INCREMENTAL", "products": batch})
            hashlib.sha256(body).hexdigest()
            await some_turns()

    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(worker())


def ways(count: int) -> dict[str, Callable[[], Any]]:
    """Each way to run, by name: a function that gives a fresh coroutine."""
    made, camel, snake = list(products(count)), list(camel_case(count)), list(snake_case(count))
    return {
        "a list of products: bare": lambda: bare(made),
        "a list of products: checked source": lambda: sdk(CheckedList(made)),
        "a list of products: SDK": lambda: sdk(made),
        "a generator of products: bare": lambda: bare(products(count)),
        "a generator of products: checked source": lambda: sdk(Checked(count)),
        "a generator of products: SDK": lambda: sdk(products(count)),
        "a list of dicts: bare": lambda: bare(camel),
        "a list of dicts: SDK, camelCase": lambda: sdk(camel),
        "a list of dicts: SDK, snake_case": lambda: sdk(snake),
        "a generator of dicts: SDK, camelCase": lambda: sdk(camel_case(count)),
    }


def cost(run: Callable[[], Any]) -> float:
    started = time.process_time()
    asyncio.run(run())
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    pin_client()
    found = ways(options.products)
    costs: dict[str, list[float]] = {name: [] for name in found}
    for number in range(options.rounds):
        for name, run in found.items():
            costs[name].append(cost(run))
        say(f"round {number + 1} of {options.rounds}")
    print("| from | µs a product |\n|---|---:|")
    for name, turns in costs.items():
        print(f"| {name} | {min(turns) / options.products * 1e6:.2f} |")


if __name__ == "__main__":
    main()
