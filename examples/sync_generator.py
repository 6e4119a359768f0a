"""Products that arrive page by page, with progress, and with a file for those that fail.

`products` stands in for whatever yields a catalog bit by bit: another HTTP API, a message queue. It is read only as
fast as batches leave, so the whole catalog is never in memory.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from neuroon_async import DeadLetterFile, NeuroonClient, SyncProgress

PAGES = 12
PER_PAGE = 100


async def fetch_page(number: int) -> list[dict[str, Any]]:
    await asyncio.sleep(0.001)  # the network
    return [
        {"id": f"SKU-{number}-{item}", "title": f"Candle {number}-{item}", "cents": 495 + item, "left": item % 7}
        for item in range(PER_PAGE)
    ]


async def products() -> AsyncIterator[dict[str, Any]]:
    for number in range(PAGES):
        for record in await fetch_page(number):
            yield {
                "external_id": record["id"],
                "name": record["title"],
                "price": record["cents"] / 100,
                "url": f"https://shop.example/p/{record['id'].lower()}",
                "currency": "EUR",
                "in_stock": record["left"] > 0,
                "stock_quantity": record["left"],
            }


def show(progress: SyncProgress) -> None:
    waiting = " (waiting for the rate limit)" if progress.waiting_for_limit else ""
    print(f"{progress.done:,} of {progress.received:,} read, {progress.rate:,.0f} a second{waiting}")


async def main() -> None:
    async with NeuroonClient.from_env() as client:
        with DeadLetterFile("failed.jsonl") as dead_letters:
            report = await client.products.sync(products(), on_progress=show, on_failure=dead_letters)
    print(report)


if __name__ == "__main__":
    asyncio.run(main())
