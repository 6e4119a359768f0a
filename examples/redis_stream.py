"""A Redis stream of product changes, synced for ever and acknowledged only once the server has accepted them.

    redis-cli XADD products '*' product '{"externalId": "SKU-1", "name": "Tea", "price": 4.5, "url": "https://…"}'
    python redis_stream.py

Needs ``pip install 'neuroon-async[redis]'`` and the variables NEUROON_API_KEY and NEUROON_SHOP_ID; REDIS_URL names the
Redis. Every change arrives at least once: what was read but never accepted is read again after a restart. Changes that
were refused stay in the stream's pending list, where ``XPENDING products neuroon`` shows them.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator

from redis.asyncio import Redis

from neuroon_async import NeuroonClient, Product, ProductFailure

STREAM, GROUP, CONSUMER = "products", "neuroon", "worker-1"
UNACKNOWLEDGED, NEW = "0", ">"


class ChangeFeed:
    """The stream as products: first what an earlier run read and never saw accepted, then what is new."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._entries: dict[int, tuple[Product, str]] = {}
        """The stream's entry of each product that is under way."""

    async def __aiter__(self) -> AsyncIterator[Product | ProductFailure]:
        position = UNACKNOWLEDGED
        while True:
            answer = await self._redis.xreadgroup(GROUP, CONSUMER, {STREAM: position}, count=500, block=1_000)
            entries = answer[0][1] if answer else []
            if position != NEW:
                position = entries[-1][0] if entries else NEW
            for entry, fields in entries:
                try:
                    product = Product.from_mapping(json.loads(fields["product"]))
                except (KeyError, TypeError, ValueError) as error:
                    yield ProductFailure(None, f"entry {entry}: {error}", "local")
                    continue
                self._entries[id(product)] = (product, entry)
                yield product

    async def accepted(self, product: Product) -> None:
        _, entry = self._entries.pop(id(product))
        await self._redis.xack(STREAM, GROUP, entry)

    def failed(self, failure: ProductFailure) -> None:
        self._entries.pop(id(failure.product), None)
        if not failure.unsent:
            print(f"left in the pending list: {failure}")


async def main() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with (
        Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1"), decode_responses=True) as redis,
        NeuroonClient.from_env() as client,
    ):
        if not await redis.exists(STREAM) or GROUP not in {g["name"] for g in await redis.xinfo_groups(STREAM)}:
            await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        feed = ChangeFeed(redis)
        # Two seconds after a change at the latest it is on its way; until then changes share a request.
        await client.products.sync(feed, flush_after=2.0, on_accepted=feed.accepted, on_failure=feed.failed)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped; what was not accepted is read again next time")
