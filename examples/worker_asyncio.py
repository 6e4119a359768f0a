"""A worker that keeps the catalogs of several shops up to date, without any framework; Ctrl-C or SIGTERM ends it.

``SHOPS="ES FR"`` names the shops; each has its own NEUROON_API_KEY_ES, NEUROON_SHOP_ID_ES (and NEUROON_API_URL_ES), and
the variables without a suffix stand in for what is missing. All clients share one aiohttp session, and with it the pool
of connections; limits are counted per shop, so each shop has a client of its own.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import aiohttp

from neuroon_async import AuthenticationFailed, NeuroonClient, NeuroonError, PermissionDenied

INTERVAL = float(os.environ.get("SYNC_INTERVAL", "900"))
"""Seconds between two syncs of one shop."""


def client_for(shop: str, session: aiohttp.ClientSession) -> NeuroonClient:
    def setting(variable: str) -> str | None:
        return os.environ.get(f"{variable}_{shop}") or os.environ.get(variable)

    return NeuroonClient.from_env(
        api_key=setting("NEUROON_API_KEY"),
        shop_id=setting("NEUROON_SHOP_ID"),
        base_url=setting("NEUROON_API_URL"),
        session=session,
    )


def products_of(shop: str) -> Iterator[dict[str, Any]]:
    """Stands in for the shop's own database."""
    for number in range(50):
        external_id = f"{shop}-{number}"
        yield {
            "external_id": external_id,
            "name": f"Notebook no. {number}",
            "price": 4 + number,
            "url": f"https://shop.example/{external_id.lower()}",
        }


async def keep_in_sync(shop: str, session: aiohttp.ClientSession) -> None:
    async with client_for(shop, session) as client:  # leaves the shared session open
        while True:
            try:
                report = await client.products.sync(products_of(shop))
            except (AuthenticationFailed, PermissionDenied) as error:
                print(f"{shop}: {error}; this shop is left alone until the worker is started again", flush=True)
                return
            except NeuroonError as error:  # an outage longer than the SDK rides out: the next round tries again
                print(f"{shop}: {error}; so far: {error.report}", flush=True)
            else:
                print(f"{shop}: {report}", flush=True)
            await asyncio.sleep(INTERVAL)


async def work(shops: list[str]) -> None:
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        for shop in shops:
            tasks.create_task(keep_in_sync(shop, session), name=shop)


async def main() -> None:
    worker = asyncio.create_task(work(os.environ.get("SHOPS", "MAIN").split()))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, worker.cancel)
    try:
        await worker
    except asyncio.CancelledError:
        print("ended", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
