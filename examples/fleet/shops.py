"""Twenty shops to play with: emulated on loopback, each with a catalog and limits small enough to watch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from neuroon_async import Product, RateLimit
from neuroon_async.testing import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 25
"""Products a request, instead of up to 500."""
LIMITS = {"sync_products": RateLimit(10, per=2.0)}
"""The documented limit is 100 requests in 60 s. Shops and workers must agree on it."""
REGISTRY = "shops"
"""The Redis hash in which the workers look shops up. Yours is a database, with the keys in a secret store."""


class Listing(msgspec.Struct):
    """What the registry holds of a shop."""

    url: str
    api_key: str
    products: int


@dataclass
class PlayedShop:
    """An emulated shop, and how many products it shall end with."""

    emulator: Emulator
    expected: int

    @property
    def shop_id(self) -> str:
        return self.emulator.shop_id

    @property
    def received(self) -> int:
        return len(self.emulator.products)

    @property
    def complete(self) -> bool:
        return self.emulator.products.keys() == {product.external_id for product in catalog(self.expected)}

    @property
    def refused(self) -> int:
        return sum(request.status == 429 for request in self.emulator.requests)

    @property
    def workers(self) -> list[str]:
        """Who has sent something, in order of appearance: a worker's ``User-Agent`` begins with its process id."""
        agents = [request.headers["User-Agent"].split()[0] for request in self.emulator.requests]
        return list(dict.fromkeys(agent.partition("/")[2] for agent in agents))

    @property
    def listing(self) -> Listing:
        return Listing(self.emulator.url, self.emulator.api_key, self.expected)


def played_shops(count: int, products: int) -> list[PlayedShop]:
    """Shops whose catalogs have half to one and a half times ``products``."""
    return [
        PlayedShop(
            Emulator(
                f"shop_{number:02}",
                f"sk_{number:032x}",
                rate_limits=LIMITS,
                algorithm="rolling",
                latency=0.03,
                jitter=0.03,
                keep_bodies=False,
            ),
            max(1, products // 2 + products * number // max(1, count - 1)),
        )
        for number in range(count)
    ]


def catalog(size: int) -> Iterator[Product]:
    for number in range(size):
        name = f"SKU-{number:05}"
        yield Product(external_id=name, name=f"Tea {number}", price=number % 90 + 1, url=f"https://shop.example/{name}")
