"""The example shop in a real browser: from the search to the attributed order."""

import asyncio
import sys
import time
from contextlib import asynccontextmanager, nullcontext
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from real_browser import open_page, problems_of

from neuroon_async import ClickLog
from neuroon_async.testing import Emulator, Fault, verify_widget_token

STOREFRONT = Path(__file__).parents[1] / "examples" / "storefront"


@pytest.fixture
def storefront(monkeypatch):
    """The example's module; it and its neighbours are forgotten again afterwards."""
    monkeypatch.syspath_prepend(STOREFRONT)
    yield __import__("app")
    for name in ("app", "pages", "catalog"):
        sys.modules.pop(name, None)


@asynccontextmanager
async def open_shop(storefront, folder, emulator):
    async with storefront.demo_server(folder, emulator) as (server, sockets, url):
        server.capture_signals = nullcontext  # pytest keeps its own
        task = asyncio.create_task(server.serve(sockets=sockets))
        try:
            async with asyncio.timeout(60):
                while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.01)
            yield url
        finally:
            server.should_exit = True
            await task


async def delivered(emulator, count):
    async with asyncio.timeout(60):
        while len(emulator.conversions) < count:  # noqa: ASYNC110 - the other side of a socket
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_search_leads_to_an_attributed_order(storefront, tmp_path):
    emulator = Emulator(require_search_log_id=True)
    async with open_shop(storefront, tmp_path, emulator) as url, open_page(width=1200, height=860) as page:
        problems = problems_of(page)
        await page.goto(url)
        assert "Leaf" in await page.title()
        assert await page.locator(".card").count() == len(emulator.products) == 8

        token = await page.locator("script[data-token]").get_attribute("data-token")
        content = await page.content()
        assert emulator.api_key not in content

        async with page.expect_response(lambda response: "/widget/search" in response.url) as searched:
            await page.locator("#neuroon-search input").fill("gyokuro")
        response = await searched.value
        assert response.status == 200
        assert parse_qs(urlsplit(response.url).query)["token"] == [token]
        search_log_id = (await response.json())["searchLogId"]

        await page.get_by_role("link", name="Gyokuro Yame · 29 EUR").click()
        await page.wait_for_url("**/teas/T-02")
        cookies = {cookie["name"]: cookie["value"] for cookie in await page.context.cookies()}
        assert ClickLog.parse(cookies["neuroon_clicks"]).get("T-02") == search_log_id

        await page.locator("input[name=quantity]").fill("2")
        await page.get_by_role("button", name="Add to basket").click()
        await page.goto(f"{url}/teas/T-08")  # found by looking around, not by a search
        await page.get_by_role("button", name="Add to basket").click()
        await page.get_by_role("button", name="Place the order").click()
        await page.get_by_text("1 of 2 lines came from a search").wait_for()
        order_id = await page.locator("section.thanks p b").inner_text()
        assert await page.locator(".basket b").inner_text() == "0"

        await delivered(emulator, 1)
        assert problems == []
    order = emulator.conversions[order_id]
    assert order.attributed == 1
    assert order.body == {
        "orderId": order_id,
        "orderValue": Decimal("65.60"),
        "currency": "EUR",
        "conversions": [
            {"productId": "T-02", "searchLogId": search_log_id, "quantity": 2, "lineTotal": Decimal("58.00")}
        ],
    }


async def test_the_pages_without_a_browser(storefront, tmp_path):
    emulator = Emulator(algorithm="off")
    async with open_shop(storefront, tmp_path, emulator) as url, httpx.AsyncClient(base_url=url) as http:
        front = await http.get("/")
        token = front.text.partition('data-token="')[2].partition('"')[0]
        assert verify_widget_token(token, api_key=emulator.api_key, now=time.time()) == emulator.shop_id
        assert emulator.api_key not in front.text
        assert (await http.get("/ready")).json() == {"neuroon": "up"}
        assert "Sencha" in (await http.get("/teas/T-01")).text
        assert (await http.get("/teas/none")).status_code == 404
        assert "basket is empty" in (await http.get("/checkout")).text
        assert (await http.post("/checkout")).status_code == 422
        for form in ({"sku": "none"}, {"sku": "T-01", "quantity": "0"}, {"sku": "T-01", "quantity": "²"}, {}):
            assert (await http.post("/basket", data=form)).status_code == 422
        await http.post("/basket", data={"sku": "T-01", "quantity": "3"})
        thanks = await http.post("/checkout")
        assert "nothing to report" in thanks.text
    assert emulator.requests_to("track_conversion") == []


async def test_an_order_that_could_not_be_delivered_is_delivered_when_the_shop_reopens(storefront, tmp_path):
    emulator = Emulator(algorithm="off")
    clicks = {"neuroon_clicks": "%7B%22T-01%22%3A%22log-1%22%7D"}
    async with (
        open_shop(storefront, tmp_path, emulator) as url,
        httpx.AsyncClient(base_url=url, cookies=clicks) as http,
    ):
        rule = emulator.fail("track_conversion", Fault.status(401, "key rotated"), every=1)
        await http.post("/basket", data={"sku": "T-01"})
        assert "1 of 1 lines" in (await http.post("/checkout")).text
    assert rule.fired
    assert emulator.conversions == {}
    emulator.faults.clear()
    async with open_shop(storefront, tmp_path, emulator):
        await delivered(emulator, 1)
    [order] = emulator.conversions.values()
    assert order.body["conversions"][0]["searchLogId"] == "log-1"
