"""The shortest complete program: three products go to the shop's catalog.

NEUROON_API_KEY and NEUROON_SHOP_ID (and NEUROON_API_URL for anything but production) must be set;
``neuroon sandbox`` prints values to try it with.
"""

import asyncio
from decimal import Decimal

from neuroon_async import NeuroonClient, Product

SHOP = "https://shop.example"
PRODUCTS = [
    Product(external_id="TEA-1", name="Earl Grey, 250 g", price=Decimal("8.90"), url=f"{SHOP}/tea-1", currency="EUR"),
    Product(external_id="TEA-2", name="Sencha, 100 g", price=Decimal("12.50"), url=f"{SHOP}/tea-2", currency="EUR"),
    {"externalId": "TEA-3", "name": "Rooibos, 250 g", "price": 6.40, "url": f"{SHOP}/tea-3", "currency": "EUR"},
]


async def main() -> None:
    async with NeuroonClient.from_env() as client:
        report = await client.products.sync(PRODUCTS)
    print(report)
    for failure in report.failures:
        print(failure)


if __name__ == "__main__":
    asyncio.run(main())
