"""Report an order, with the searches that led to its products.

In a shop, ``cookie`` is what the browser sent under the name ``neuroon_clicks`` with the request that placed the order.
In a web app use the outbox (`neuroon_async.outbox`) instead of waiting for `track` while the shopper looks on.
"""

import asyncio
from decimal import Decimal

from neuroon_async import ClickLog, Conversion, NeuroonClient, OrderLine


def conversion_of(order_id: str, cookie: str | None) -> Conversion:
    lines = [
        OrderLine(product_id="TEA-1", quantity=2, line_total=Decimal("17.80")),  # of the line, not of one piece
        OrderLine(product_id="TEA-2", quantity=1, line_total=Decimal("12.50")),
    ]
    return Conversion.from_order(
        order_id=order_id,
        order_value=Decimal("30.30"),
        currency="EUR",
        lines=lines,
        clicks=ClickLog.parse(cookie),  # never raises, whatever the browser sent
    )


async def main() -> None:
    cookie = "%7B%22TEA-1%22%3A%22log-81f2%22%7D"
    conversion = conversion_of("ORDER-1001", cookie)
    async with NeuroonClient.from_env() as client:
        sent = await client.conversions.track(conversion)
        await client.conversions.track(conversion)  # safe: the server counts an order once
    print(f"sent: {sent}; not found by a search: {', '.join(conversion.left_out)}")

    unattributed = conversion_of("ORDER-1002", cookie=None)
    async with NeuroonClient.from_env() as client:
        print(f"an order without a search, sent: {await client.conversions.track(unattributed)}")


if __name__ == "__main__":
    asyncio.run(main())
