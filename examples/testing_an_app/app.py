"""A small shop backend with two handlers that use Neuroon: what the tests beside it test.

``uvicorn app:app`` runs it, with NEUROON_API_KEY and NEUROON_SHOP_ID in the environment.
"""

from decimal import Decimal
from typing import Annotated

from fastapi import Cookie, Depends, FastAPI
from pydantic import BaseModel

from neuroon_async import ClickLog, Conversion, NeuroonClient, OrderLine, RetryPolicy
from neuroon_async.integrations.starlette import exception_handlers, get_client, neuroon_lifespan

Client = Annotated[NeuroonClient, Depends(get_client)]


class Line(BaseModel):
    sku: str
    quantity: int
    total: Decimal


class Order(BaseModel):
    number: str
    total: Decimal
    lines: list[Line]


def create_app(retry: RetryPolicy | None = None) -> FastAPI:
    """The app; ``retry`` lets a test take the waiting out."""
    app = FastAPI(
        lifespan=neuroon_lifespan(lambda: NeuroonClient.from_env(retry=retry)), exception_handlers=exception_handlers()
    )

    @app.put("/products/{sku}")
    async def publish(sku: str, name: str, price: Decimal, client: Client) -> dict[str, int | None]:
        product = {"external_id": sku, "name": name, "price": price, "url": f"https://shop.example/{sku}"}
        result = await client.products.sync_batch([product])
        return {"created": result.created, "updated": result.updated}

    @app.post("/orders")
    async def place(order: Order, client: Client, neuroon_clicks: Annotated[str, Cookie()] = "") -> dict[str, bool]:
        conversion = Conversion.from_order(
            order_id=order.number,
            order_value=order.total,
            currency="EUR",
            lines=[
                OrderLine(product_id=line.sku, quantity=line.quantity, line_total=line.total) for line in order.lines
            ],
            clicks=ClickLog.parse(neuroon_clicks),
        )
        if conversion.conversions:
            await client.conversions.track(conversion)
        return {"reported": bool(conversion.conversions)}

    return app


app = create_app()
