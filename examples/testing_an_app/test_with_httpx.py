"""Handlers tested by asynchronous functions, through httpx' ASGI transport (pytest-asyncio in auto mode)."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from fastapi import FastAPI

from neuroon_async import NeuroonClient
from neuroon_async.testing import Fault, ThreadedEmulator


@pytest_asyncio.fixture
async def shop(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),  # httpx does not run it
        httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client,
    ):
        yield client


async def test_a_refused_product_names_its_field(shop: httpx.AsyncClient) -> None:
    answer = await shop.put("/products/TEA-1", params={"name": "x" * 513, "price": "4.50"})
    assert answer.status_code == 422
    assert "name" in answer.text


async def test_publishing_survives_a_passing_error(shop: httpx.AsyncClient, neuroon_emulator: ThreadedEmulator) -> None:
    neuroon_emulator.fail("sync_products", Fault.status(503))
    answer = await shop.put("/products/TEA-1", params={"name": "Tea", "price": "4.50"})
    assert answer.status_code == 200
    await neuroon_emulator.wait_for(lambda: "TEA-1" in neuroon_emulator.products)


async def test_with_the_client_itself(neuroon_client: NeuroonClient, neuroon_emulator: ThreadedEmulator) -> None:
    product = {"external_id": "TEA-1", "name": "Tea", "price": 4.5, "url": "https://shop.example/tea"}
    report = await neuroon_client.products.sync([product])
    assert report.created == 1
    assert list(neuroon_emulator.products) == ["TEA-1"]
