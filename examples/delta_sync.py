"""Send only what changed, and delete what is gone: ``python examples/delta_sync.py``, again and again.

The ledger remembers what the server has acknowledged. The first run sends the whole catalog; a second one finds
everything unchanged but what the day brought: a new price, a new product, one product less.
"""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

from neuroon_async import NeuroonClient, SQLiteLedger, UnsafeDeletion


def products(day: int) -> Iterator[dict[str, Any]]:
    """A catalog of 1,000 products that moves on by one a day."""
    for number in range(day, day + 1000):
        yield {
            "external_id": f"BOOK-{number}",
            "name": f"Book no. {number}",
            "price": 10 + day if number == 500 else 10,
            "url": f"https://shop.example/books/{number}",
        }


async def main(day: int) -> None:
    ledger = SQLiteLedger("catalog.ledger")
    async with NeuroonClient.from_env() as client:
        try:
            report = await client.products.sync(products(day), ledger=ledger, delete_missing=True)
        except UnsafeDeletion as error:  # a source that lost a fifth of its products is more likely broken than right
            print(error)
            report = error.report
    print(report)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
