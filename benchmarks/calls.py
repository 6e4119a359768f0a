"""One small call: what the SDK adds to bare aiohttp, and which station costs how much.

    python benchmarks/calls.py [--calls 4000] [--rounds 20]

A call syncs one product, so the body is small and the answer too; the server answers at once, in a process of its
own. Bare aiohttp posts the same body with the same headers and reads the answer, nothing else. Both take turns in one
process, 200 calls at a time, and what is added is the median over these turns. Each row of the second table leaves one
more station out, down to the bare request: the differences between neighbours are what each station costs.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))
import aiohttp
from measuring import goal, pin_client, say
from sink import sink
from yarl import URL

from neuroon_async import NeuroonClient, Product, RateLimit
from neuroon_async.api.contract import SYNC_PRODUCTS
from neuroon_async.api.idempotency import idempotency_key
from neuroon_async.api.requests import encode_single_request
from neuroon_async.transport.calls import Call, CallStats
from neuroon_async.transport.time_limit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[[], Awaitable[object]]

SHOP, KEY = "shop_bench", "sk_" + "0" * 32
AT_ONCE = 256
PRODUCT = Product(external_id="SKU-1", name="Tea", price=4.5, url="https://shop.example/tea")
BODY = encode_single_request("INCREMENTAL", [PRODUCT])
HEADERS = {
    "X-Shop-API-Key": KEY,
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "bare/1.0",
    "Content-Type": "application/json; charset=utf-8",
    "X-Idempotency-Key": idempotency_key(SHOP, BODY),
}


def stations(
    client: NeuroonClient, unlimited: NeuroonClient, session: aiohttp.ClientSession, url: str
) -> dict[str, Ask]:
    """The whole call first, then each time one station less."""
    address = f"{url}/api/plugin/shops/{SHOP}/products/sync"
    transport = unlimited.products._transport  # noqa: SLF001 - its stations are what is measured

    async def whole() -> object:
        return await client.products.sync_batch([PRODUCT])

    async def without_limits() -> object:
        return await unlimited.products.sync_batch([PRODUCT])

    async def transport_alone() -> object:
        return await transport.call(
            SYNC_PRODUCTS, params={"shop_id": SHOP}, body=BODY, idempotency_key=HEADERS["X-Idempotency-Key"]
        )

    async def exchange_alone() -> object:
        call = Call(
            endpoint=SYNC_PRODUCTS,
            url=transport_url,
            body=BODY,
            idempotency_key=HEADERS["X-Idempotency-Key"],
            bulk=False,
            timeout=30.0,
            limit=TimeLimit(),
            stats=CallStats(),
        )
        return await transport.exchange.send(call)

    async def bare() -> object:
        async with session.post(address, data=BODY, headers=HEADERS) as response:
            return await response.read()

    transport_url = URL(address, encoded=True)
    return {
        "the whole call": whole,
        "without the rate limit": without_limits,
        "without check, encoding, key and decoding": transport_alone,
        "one exchange alone": exchange_alone,
        "bare aiohttp": bare,
    }


class Series:
    """The latencies of one way to ask, in seconds, and the processor time of each call."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.costs: list[float] = []
        self.crowd: list[float] = []
        """Seconds that `AT_ONCE` calls took which began together."""

    async def one_after_another(self, ask: Ask, calls: int) -> None:
        started = time.process_time()
        for _ in range(calls):
            began = time.perf_counter()
            await ask()
            self.latencies.append(time.perf_counter() - began)
        self.costs.append((time.process_time() - started) / calls)

    async def together(self, ask: Ask) -> None:
        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
        self.crowd.append(time.perf_counter() - began)

    def latency(self, part: int) -> float:
        """A percentile, in µs."""
        return statistics.quantiles(self.latencies, n=100)[part - 1] * 1e6

    @property
    def cost(self) -> float:
        """Processor time of one call, in µs: the median of the rounds."""
        return statistics.median(self.costs) * 1e6


async def compare(url: str, calls: int, rounds: int) -> dict[str, Series]:
    options: dict[str, Any] = {"shop_id": SHOP, "api_key": KEY, "base_url": url}
    found: dict[str, Series] = {}
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        NeuroonClient(**options, rate_limits=_generous()) as client,
        NeuroonClient(**options, rate_limits=None) as unlimited,
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        asks = stations(client, unlimited, session, url)
        for name, ask in asks.items():
            found[name] = Series()
            await Series().together(ask)  # connections and caches are warm
            await Series().one_after_another(ask, 200)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for name, ask in asks.items():
                await found[name].one_after_another(ask, calls // rounds)
                if number % 4 == 0:
                    await found[name].together(ask)
    return found


def _generous() -> dict[str, Any]:
    """A limit that counts every request and holds none back."""
    return {"sync_products": RateLimit(1_000_000, per=0.001)}


def import_time(rounds: int) -> tuple[float, list[tuple[str, float]]]:
    """Milliseconds that ``import neuroon_async`` takes (median), and the dearest modules of one run by themselves."""
    took = []
    for _ in range(rounds):
        command = [sys.executable, "-X", "importtime", "-c", "import neuroon_async"]
        told = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True).stderr
        lines = re.findall(r"import time: +(\d+) \| +(\d+) \| ( *)(\S+)", told)
        took.append(next(int(total) / 1000 for _, total, _, name in lines if name == "neuroon_async"))
    packages: dict[str, float] = {}
    for alone, _, _, name in lines:
        package = name.partition(".")[0]
        packages[package] = packages.get(package, 0.0) + int(alone) / 1000
    return statistics.median(took), sorted(packages.items(), key=lambda item: -item[1])[:6]


def added(one: Series, other: Series) -> float:
    """Processor time, in µs, by which calls of one kind are dearer: the median of the rounds; both took turns."""
    return statistics.median((a - b) * 1e6 for a, b in zip(one.costs, other.costs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4_000, help="one after another, of each kind")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    pin_client()
    with sink(0.0) as url:
        found = asyncio.run(compare(url, options.calls, options.rounds))
    whole, bare = found["the whole call"], found["bare aiohttp"]
    crowds = len(bare.crowd)
    print(f"{options.calls:,} calls one after another, in {options.rounds} turns; {crowds} times {AT_ONCE} at once.\n")
    print("| | this SDK | bare aiohttp | added |\n|---|---:|---:|---:|")
    rows = {
        "p50, µs": (whole.latency(50), bare.latency(50)),
        "p99, µs": (whole.latency(99), bare.latency(99)),
        "processor time, µs": (whole.cost, bare.cost),
        f"{AT_ONCE} at once, ms in all": tuple(statistics.median(one.crowd) * 1000 for one in (whole, bare)),
    }
    for name, (ours, theirs) in rows.items():
        more = added(whole, bare) if name.startswith("processor") else ours - theirs
        print(f"| {name} | {ours:,.1f} | {theirs:,.1f} | {more:,.1f} |")
    print("\n| processor time of a call, µs | | this station |\n|---|---:|---:|")
    names = list(found)
    for name, less in zip(names, [*names[1:], None], strict=True):
        station = "" if less is None else f"{added(found[name], found[less]):.0f}"
        print(f"| {name} | {found[name].cost:.0f} | {station} |")
    milliseconds, dearest = import_time(min(5, options.rounds))
    print(f"\n`import neuroon_async`: {milliseconds:.0f} ms, of which", end=" ")
    print(", ".join(f"{package} {cost:.0f}" for package, cost in dearest) + ".")
    goal(
        "the SDK's own processor time a request over bare aiohttp",
        "130 µs (stretch 90)",
        f"{added(whole, bare):.0f} µs ({100 * added(whole, bare) / bare.cost:.0f} % of bare aiohttp's {bare.cost:.0f})",
        options.rounds,
    )


if __name__ == "__main__":
    main()
