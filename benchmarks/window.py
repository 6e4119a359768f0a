"""Requests over time against the server's window: this SDK, a loop by hand, and the loop with aiolimiter.

    python benchmarks/window.py [--save FILE]

100 requests in 10 s, counted in a fixed window, for three windows; 24 requests at once, answers after 20-50 ms. The
loop by hand sends, and where it gets a 429 it sleeps as long as ``Retry-After`` says; that is what thirty lines of
httpx or aiohttp commonly do. The second one has aiolimiter's token bucket before every request as well. Client and
server are in processes of their own; the three take place side by side, as they mostly wait.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))
import aiohttp
from aiolimiter import AsyncLimiter
from limits import CALLS_AT_ONCE, Setting, bulk_sync
from limits import __file__ as server_script

from neuroon_async import NeuroonClient, RateLimit
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SETTING = Setting(RateLimit(100, per=10.0), windows=3)
PRODUCT = {"externalId": "SKU-1", "name": "Shirt", "price": 10, "url": "https://shop.example/shirt"}


async def sdk(url: str) -> None:
    limits: dict[str, RateLimit | None] = {"sync_products": SETTING.limit}
    async with NeuroonClient(
        shop_id=DEFAULT_SHOP_ID, api_key=DEFAULT_API_KEY, base_url=url, rate_limits=limits
    ) as client:
        await bulk_sync(client, 2 * SETTING.allowed, lambda _: None)


async def retry_after_only(url: str) -> None:
    await _loop(url, None)


async def aiolimiter_alone(url: str) -> None:
    await _loop(url, AsyncLimiter(SETTING.limit.requests, SETTING.limit.per))


async def _loop(url: str, bucket: AsyncLimiter | None) -> None:
    headers = {"X-Shop-API-Key": DEFAULT_API_KEY}
    body = {"syncType": "INCREMENTAL", "products": [PRODUCT]}
    address = f"{url}/api/plugin/shops/{DEFAULT_SHOP_ID}/products/sync"

    async def worker(session: aiohttp.ClientSession) -> None:
        while True:
            if bucket is not None:
                await bucket.acquire()
            async with session.post(address, json=body, headers=headers) as response:
                await response.read()
                if response.status == 429:
                    await asyncio.sleep(float(response.headers["Retry-After"]))

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(CALLS_AT_ONCE):
            group.create_task(worker(session))


CONTENDERS: dict[str, Callable[[str], Awaitable[None]]] = {
    "this SDK": sdk,
    "a loop with Retry-After only": retry_after_only,
    "the loop with aiolimiter": aiolimiter_alone,
}


async def record(send: Callable[[str], Awaitable[None]]) -> list[tuple[float, int]]:
    """When each request arrived, in seconds since the first one, and the status that it got."""
    arguments = json.dumps([{"algorithm": "fixed"}, SETTING.limit.requests, SETTING.limit.per])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        server_script,
        "--serve",
        arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    try:
        async with asyncio.timeout(SETTING.seconds):
            await send(url)
    except TimeoutError:
        pass  # as meant: there is always more to send
    output, _ = await process.communicate(b"\n")
    log = json.loads(output)
    began = log[0][0]
    return [(round(at - began, 3), status) for at, status in log if at - began < SETTING.seconds]


async def run() -> dict[str, Any]:
    logs = await asyncio.gather(*(record(send) for send in CONTENDERS.values()))
    return dict(zip(CONTENDERS, logs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", type=Path, help="write every request's time and status to this file, as JSON")
    options = parser.parse_args()
    logs = asyncio.run(run())
    limit = SETTING.limit
    print(f"{limit.requests} requests in {limit.per:g} s, {SETTING.windows} windows, {SETTING.allowed} allowed.\n")
    print("| client | answers of 429 | let through | of the allowed |\n|---|---:|---:|---:|")
    for name, log in logs.items():
        refused = sum(status == 429 for _, status in log)
        through = len(log) - refused
        print(f"| {name} | {refused} | {through} | {through / SETTING.allowed:.1%} |")
    if options.save:
        said = {"requests": limit.requests, "per": limit.per, "windows": SETTING.windows, "logs": logs}
        options.save.write_text(json.dumps(said, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
