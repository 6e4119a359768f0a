"""Handlers tested by plain functions, through FastAPI's ``TestClient``. Needs no asynchronous plugin."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from neuroon_async.testing import Fault, ThreadedEmulator


@pytest.fixture
def shop(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:  # `with` runs the app's lifespan, which opens the Neuroon client
        yield client


def test_a_published_product_is_in_the_catalog(shop: TestClient, neuroon_emulator: ThreadedEmulator) -> None:
    answer = shop.put("/products/TEA-1", params={"name": "Tea", "price": "4.50"})
    assert answer.json() == {"created": 1, "updated": 0}
    assert neuroon_emulator.products["TEA-1"]["price"] == Decimal("4.50")


def test_a_lost_answer_makes_no_second_order(shop: TestClient, neuroon_emulator: ThreadedEmulator) -> None:
    neuroon_emulator.fail("track_conversion", Fault.drop(processed=True))
    shop.cookies["neuroon_clicks"] = "%7B%22TEA-1%22%3A%22log-1%22%7D"
    order = {"number": "1001", "total": "9.00", "lines": [{"sku": "TEA-1", "quantity": 2, "total": "9.00"}]}
    assert shop.post("/orders", json=order).json() == {"reported": True}
    assert neuroon_emulator.conversions["1001"].deliveries == 2  # sent again, counted once


def test_an_outage_is_told_as_such(shop: TestClient, neuroon_emulator: ThreadedEmulator) -> None:
    neuroon_emulator.fail("sync_products", Fault.status(503), times=None)
    assert shop.put("/products/TEA-1", params={"name": "Tea", "price": "4.50"}).status_code == 502
    assert len(neuroon_emulator.requests_to("sync_products")) == 3
