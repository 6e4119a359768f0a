"""What the SDK costs a web app: added latency per call, and how long an enqueued conversion takes to be on disk.

    python benchmarks/app_latency.py        about a minute

A Starlette app under uvicorn has two endpoints that report one conversion and wait for the answer: with this SDK's
client, and with bare aiohttp on the same kind of session. Load generator, app and the server behind it (`sink.py`,
50 ms) are three processes. 300 shoppers, each with a pause between its requests, so that the app is busy, but not
saturated; endpoints take turns, so both meet the same disturbances. The times are those of the awaited call, taken
in the app; the processor time is the app's whole process.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import uvicorn
from sink import sink
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from neuroon_async import Conversion, ConversionItem, NeuroonClient
from neuroon_async.integrations.starlette import get_client, neuroon_lifespan
from neuroon_async.outbox import ConversionOutbox
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from starlette.requests import Request

SINK_LATENCY = 0.05
SHOPPERS = 300
PAUSE = 1.0
ROUNDS = 4
SECONDS_A_ROUND = 3.0
CONTENDERS = ("bare", "sdk")


def order(number: object) -> Conversion:
    lines = [ConversionItem(f"SKU-{line}", f"log-{number}", 1, 9.5) for line in range(3)]
    return Conversion(order_id=str(number), order_value=28.5, currency="EUR", conversions=lines)


# The app


def app_against(url: str) -> Starlette:
    address = f"{url}/api/plugin/shops/{DEFAULT_SHOP_ID}/track/conversion"
    headers = {"X-Shop-API-Key": DEFAULT_API_KEY, "Accept": "application/json"}

    @asynccontextmanager
    async def bare_session(_app: Starlette) -> AsyncIterator[dict[str, aiohttp.ClientSession]]:
        connector = aiohttp.TCPConnector(limit=128, keepalive_timeout=30.0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield {"session": session}

    async def sdk(request: Request) -> None:
        await get_client(request).conversions.track(order(request.query_params["order"]))

    async def bare(request: Request) -> None:
        document = {
            "orderId": request.query_params["order"],
            "orderValue": 28.5,
            "currency": "EUR",
            "conversions": [
                {"productId": f"SKU-{line}", "searchLogId": "log-1", "quantity": 1, "lineTotal": 9.5}
                for line in range(3)
            ],
        }
        async with request.state.session.post(address, json=document, headers=headers) as response:
            response.raise_for_status()
            await response.read()

    def timed(call: Callable[[Request], Awaitable[None]]) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def endpoint(request: Request) -> JSONResponse:
            started = time.perf_counter()
            await call(request)
            return JSONResponse({"seconds": time.perf_counter() - started})

        return endpoint

    async def processor_time(_request: Request) -> JSONResponse:
        return JSONResponse({"seconds": time.process_time()})

    def client() -> NeuroonClient:
        return NeuroonClient(shop_id=DEFAULT_SHOP_ID, api_key=DEFAULT_API_KEY, base_url=url, rate_limits=None)

    return Starlette(
        routes=[
            Route("/sdk", timed(sdk)),
            Route("/bare", timed(bare)),
            Route("/cpu", processor_time),
        ],
        lifespan=neuroon_lifespan(client, lifespan=bare_session),
    )


async def serve_app(url: str) -> None:
    server = uvicorn.Server(
        uvicorn.Config(app_against(url), port=0, log_level="warning", access_log=False, timeout_keep_alive=60)
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving


@contextmanager
def app_process(url: str) -> Iterator[str]:
    command = [sys.executable, __file__, "serve", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


# The load


async def seconds_of(session: aiohttp.ClientSession, url: str) -> float:
    async with session.get(url) as response:
        response.raise_for_status()
        return (await response.json())["seconds"]


async def one_round(session: aiohttp.ClientSession, app: str, contender: str) -> tuple[list[float], float]:
    """The seconds of each call, and the processor seconds of a request."""
    ends = time.perf_counter() + SECONDS_A_ROUND
    calls: list[float] = []

    async def shopper(number: int) -> None:
        await asyncio.sleep(random.uniform(0, PAUSE))  # noqa: S311
        while time.perf_counter() < ends:
            calls.append(await seconds_of(session, f"{app}/{contender}?order={number}-{len(calls)}"))
            await asyncio.sleep(random.uniform(0.5, 1.5) * PAUSE)  # noqa: S311

    before = await seconds_of(session, f"{app}/cpu")
    async with asyncio.TaskGroup() as shoppers:
        for number in range(SHOPPERS):
            shoppers.create_task(shopper(number))
    return calls, (await seconds_of(session, f"{app}/cpu") - before) / len(calls)


async def one_by_one(session: aiohttp.ClientSession, app: str, contender: str) -> list[float]:
    return [await seconds_of(session, f"{app}/{contender}?order=one-{number}") for number in range(60)]


async def measure_app(app: str) -> dict[str, dict[str, float]]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        single: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        busy: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        processor: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        for warm_up in CONTENDERS:
            await one_by_one(session, app, warm_up)
        for number in range(ROUNDS):
            for name in CONTENDERS if number % 2 else reversed(CONTENDERS):
                single[name] += await one_by_one(session, app, name)
                calls, seconds = await one_round(session, app, name)
                busy[name] += calls
                processor[name].append(seconds)
    return {
        name: {
            "calls": len(busy[name]),
            "alone p50": median(single[name]),
            "busy p50": median(busy[name]),
            "busy p99": percentile(busy[name], 99),
            "processor": median(processor[name]),
        }
        for name in CONTENDERS
    }


# The outbox


async def measure_outbox(url: str, folder: Path) -> dict[str, tuple[float, float]]:
    """p50 and p99 of `enqueue`, in seconds, while delivery is running."""
    async with (
        NeuroonClient(shop_id=DEFAULT_SHOP_ID, api_key=DEFAULT_API_KEY, base_url=url, rate_limits=None) as client,
        ConversionOutbox(folder / "outbox.sqlite3").delivering(client, drain_timeout=0.1) as outbox,
    ):

        async def enqueue(number: object) -> float:
            started = time.perf_counter()
            assert await outbox.enqueue(order(number))
            return time.perf_counter() - started

        alone = [await enqueue(number) for number in range(1000)]
        crowded: list[float] = []
        for burst in range(20):
            crowded += await asyncio.gather(*(enqueue(f"{burst}-{number}") for number in range(100)))
    return {
        "one after another": (median(alone), percentile(alone, 99)),
        "100 at once": (median(crowded), percentile(crowded, 99)),
    }


def median(values: list[float]) -> float:
    return statistics.median(values)


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def main() -> None:
    with sink(SINK_LATENCY) as url, tempfile.TemporaryDirectory() as folder:
        with app_process(url) as app:
            figures = asyncio.run(measure_app(app))
        outbox = asyncio.run(measure_outbox(url, Path(folder)))

    bare, sdk = figures["bare"], figures["sdk"]
    print(f"{'ms per call':24}{'bare aiohttp':>14}{'SDK':>10}{'added':>10}")
    for name, label in (
        ("alone p50", "one at a time, p50"),
        ("busy p50", f"{SHOPPERS} shoppers, p50"),
        ("busy p99", f"{SHOPPERS} shoppers, p99"),
        ("processor", "processor time"),
    ):
        print(f"{label:24}{bare[name] * 1e3:14.2f}{sdk[name] * 1e3:10.2f}{(sdk[name] - bare[name]) * 1e3:+10.2f}")
    print(f"({bare['calls'] + sdk['calls']} calls; the server answers after {SINK_LATENCY * 1e3:.0f} ms)\n")
    print(f"{'enqueue, ms':24}{'p50':>14}{'p99':>10}")
    for label, (p50, p99) in outbox.items():
        print(f"{label:24}{p50 * 1e3:14.2f}{p99 * 1e3:10.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve_app(sys.argv[2]))
    else:
        main()
