"""The workers' side, as it would be in your project: a broker, a pool of shops, one task.

Start any number of workers, on any number of machines:

    taskiq worker tasks:broker --workers 4 --max-async-tasks 4
"""

import os

import msgspec
from redis.asyncio import Redis
from shops import BATCH, LIMITS, REGISTRY, Listing, catalog
from taskiq import TaskiqDepends

from neuroon_async import NeuroonClient
from neuroon_async.integrations.taskiq import LeasedStreamBroker, ShopCredentials, ShopPool, install, shop_client

REDIS_URL = os.environ.get("FLEET_REDIS_URL", "redis://localhost")
LEASE = 3.0
"""Seconds until a dead worker's shop is taken over. The default, 60, is kinder to a busy fleet."""


async def look_up(shop_id: str) -> Listing:
    async with Redis.from_url(REDIS_URL) as redis:
        listing = await redis.hget(REGISTRY, shop_id)
    if listing is None:
        raise LookupError(f"{shop_id} is not registered")
    return msgspec.json.decode(listing, type=Listing)


async def credentials(shop_id: str) -> ShopCredentials:
    shop = await look_up(shop_id)
    return ShopCredentials(api_key=shop.api_key, base_url=shop.url)


broker = LeasedStreamBroker(REDIS_URL, lease=LEASE)
pool = ShopPool(credentials, REDIS_URL, rate_limits=LIMITS, timeout=2.0, user_agent=f"worker/{os.getpid()}")
install(broker, pool)


@broker.task
async def sync_shop(shop_id: str, client: NeuroonClient = TaskiqDepends(shop_client)) -> int:  # noqa: B008 - taskiq's way
    """Send what the shop's ledger does not have yet. Taken over from a dead worker, it goes on where that one was."""
    shop = await look_up(shop_id)
    ledger = pool.ledger(lease=LEASE / 2)
    report = await client.products.sync(catalog(shop.products), batch_size=BATCH, concurrency=4, ledger=ledger)
    return report.accepted + report.unchanged
