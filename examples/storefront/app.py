"""A small shop, from the catalog to the reported order: ``python examples/storefront/app.py`` and open the page.

It runs against the emulator of this package, which also serves a stand-in for the search widget. What matters for
a real shop is in `create_app`, `render` and `place_order`.
"""

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, quote, unquote, urlencode
from uuid import uuid4

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse

sys.path.insert(0, str(Path(__file__).parent))

import pages
from catalog import TEAS, products

from neuroon_async import ClickLog, Conversion, NeuroonClient, OrderLine
from neuroon_async.integrations.starlette import exception_handlers, get_client, neuroon_lifespan, readiness
from neuroon_async.outbox import ConversionOutbox
from neuroon_async.testing import Emulator

BASKET_COOKIE = "basket"
CLICKS_COOKIE = "neuroon_clicks"

QUANTITIES = {str(number) for number in range(1, 21)}

shop = APIRouter()
Client = Annotated[NeuroonClient, Depends(get_client)]


def create_app(make_client: Callable[[], NeuroonClient], *, outbox: Path, widget_url: str) -> FastAPI:
    """The shop as an ASGI app. ``outbox`` is the file that keeps orders until they are reported."""

    @asynccontextmanager
    async def open_shop(app: FastAPI) -> AsyncIterator[Mapping[str, object]]:
        async with ConversionOutbox(outbox).delivering(app.state.neuroon) as conversions:
            yield {"outbox": conversions, "widget_url": widget_url}

    app = FastAPI(
        lifespan=neuroon_lifespan(make_client, lifespan=open_shop),
        exception_handlers=exception_handlers(),
        openapi_url=None,
    )
    app.include_router(shop)
    app.add_route("/ready", readiness)
    return app


@shop.get("/")
async def front_page(request: Request, client: Client) -> HTMLResponse:
    return render(request, client, "Tea", pages.shelf())


@shop.get("/teas/{sku}")
async def tea_page(sku: str, request: Request, client: Client) -> HTMLResponse:
    if sku not in TEAS:
        raise HTTPException(404)
    return render(request, client, TEAS[sku].name, pages.tea(TEAS[sku]))


@shop.post("/basket")
async def add_to_basket(request: Request) -> RedirectResponse:
    form = dict(parse_qsl((await request.body()).decode(errors="replace")))
    sku, quantity = form.get("sku", ""), form.get("quantity", "1")
    if sku not in TEAS or quantity not in QUANTITIES:
        raise HTTPException(422)
    basket = read_basket(request)
    basket[sku] = int(quantity)
    answer = RedirectResponse("/checkout", status_code=303)
    answer.set_cookie(BASKET_COOKIE, quote(urlencode(basket)), httponly=True, samesite="lax")
    return answer


@shop.get("/checkout")
async def checkout(request: Request, client: Client) -> HTMLResponse:
    return render(request, client, "Checkout", pages.checkout(read_basket(request)))


@shop.post("/checkout")
async def place_order(request: Request, client: Client) -> HTMLResponse:
    basket = read_basket(request)
    if not basket:
        raise HTTPException(422)
    conversion = Conversion.from_order(
        order_id=f"LL-{uuid4().hex[:8].upper()}",
        order_value=pages.total(basket),
        currency="EUR",
        lines=[
            OrderLine(product_id=sku, quantity=quantity, line_total=TEAS[sku].price * quantity)
            for sku, quantity in basket.items()
        ],
        clicks=ClickLog.parse(request.cookies.get(CLICKS_COOKIE)),
    )
    # On disk before the shopper is thanked; delivered in the background, whatever state the API is in.
    await request.state.outbox.enqueue(conversion)
    request.cookies.pop(BASKET_COOKIE)  # so that the page shows it empty already
    answer = render(request, client, "Thank you", pages.thanks(conversion))
    answer.delete_cookie(BASKET_COOKIE)
    return answer


def render(request: Request, client: NeuroonClient, title: str, content: str) -> HTMLResponse:
    # The token expires, so the tag is made again for each page; a page that holds one must not be cached for a day.
    widget = client.widget.script_tag(script_url=request.state.widget_url)
    return HTMLResponse(pages.page(title, content, widget=widget, in_basket=sum(read_basket(request).values())))


def read_basket(request: Request) -> dict[str, int]:
    """The basket from its cookie; what cannot be right is left out."""
    pairs = parse_qsl(unquote(request.cookies.get(BASKET_COOKIE, "")))
    return {sku: int(quantity) for sku, quantity in pairs if sku in TEAS and quantity in QUANTITIES}


@asynccontextmanager
async def demo_server(
    folder: Path, emulator: Emulator
) -> AsyncIterator[tuple[uvicorn.Server, list[socket.socket], str]]:
    """The emulator, and a server for the shop that is ready to ``serve``, with its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shop_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with emulator as api:

            def make_client() -> NeuroonClient:
                return NeuroonClient(shop_id=api.shop_id, api_key=api.api_key, base_url=api.url)

            # A job of its own, not part of the app's start: the shop opens whatever state the API is in.
            async with make_client() as client:
                await client.products.sync(products(shop_url))
            widget_url = f"{api.url}/widget.js"
            app = create_app(make_client, outbox=folder / "conversions.sqlite3", widget_url=widget_url)
            yield uvicorn.Server(uvicorn.Config(app, log_level="warning")), [listener], shop_url


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with demo_server(Path(folder), Emulator()) as (server, sockets, url):
            print(f"The shop is open: {url}  (Ctrl-C closes it)")
            await server.serve(sockets=sockets)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("The shop is closed.")
