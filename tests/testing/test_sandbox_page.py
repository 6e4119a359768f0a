"""The sandbox's page: what it shows, who may see it, and how it looks and works in a real browser."""

import asyncio
import json
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp
import pytest
from real_browser import open_page, problems_of

from neuroon_async import Conversion, ConversionItem, RateLimit, RetryPolicy
from neuroon_async.testing import Emulator, RecordedRequest
from neuroon_async.testing.sandbox_page import SandboxPage
from neuroon_async.testing.sandbox_view import TROUBLES, SandboxView

HOSTILE = "<img src=x onerror=alert(1)>" + "x" * 200
ORIGIN_HEADERS = (
    {"Origin": "https://evil.example"},
    {"Host": "evil.example"},
    {"Host": "evil.example:80"},
    {"Host": "["},
)


def product(external_id="TEA-1", **fields):
    return {
        "externalId": external_id,
        "name": "Sencha",
        "price": Decimal("4.50"),
        "currency": "EUR",
        "url": "https://shop.example/tea",
        **fields,
    }


@pytest.fixture
async def emulator():
    async with Emulator(shop_url=None, keep_bodies=False) as running:
        SandboxPage(running)
        yield running


@pytest.fixture
async def client(emulator):
    async with emulator.client(retry=RetryPolicy(attempts=1)) as opened:
        yield opened


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as opened:
        yield opened


@asynccontextmanager
async def events(session, emulator):
    """The stream, as a function that reads on until a section is as a condition wants it."""
    async with session.get(f"{emulator.url}/sandbox/events") as response:
        assert response.content_type == "text/event-stream"

        latest = {}

        async def until(section, condition):
            while section not in latest or not condition(latest[section]):
                block = (await response.content.readuntil(b"\n\n")).decode()
                name, data = (line.partition(": ")[2] for line in block.splitlines()[:2])
                latest[name] = json.loads(data)
            return latest[section]

        yield until


# What it tells


@pytest.mark.virtual_time
async def test_products_arrive_with_their_variants(session, emulator, client):
    async with events(session, emulator) as until:
        assert await until("products", lambda _: True) == []
        await client.products.sync_batch(
            [
                product("A", sale_price=4, imageUrl="https://shop.example/a.png"),
                product("A-1", name="Sencha, 50 g", parentExternalId="A"),
                product("B", name="Assam"),
            ]
        )
        cards = await until("products", lambda cards: len(cards) == 2)
        assert [card["externalId"] for card in cards] == ["B", "A"]
        assert cards[1]["imageUrl"] == "https://shop.example/a.png"
        assert (cards[1]["price"], cards[1]["salePrice"], cards[1]["variantCount"]) == (4.5, 4, 1)
        assert cards[1]["variants"][0]["name"] == "Sencha, 50 g"

        await client.products.sync_batch([product("A-1", parentExternalId="B")])
        cards = await until("products", lambda cards: cards[0]["externalId"] == "B" and cards[0]["variantCount"])
        assert cards[1]["variantCount"] == 0
        await client.products.delete("B")
        assert [card["externalId"] for card in await until("products", lambda cards: len(cards) == 1)] == ["A"]


@pytest.mark.virtual_time
async def test_requests_limits_and_conversions(session, emulator, client):
    emulator.set_limit("shop", RateLimit(2, per=60.0))
    async with events(session, emulator) as until:
        for _ in range(3):
            await asyncio.gather(client.shop(), return_exceptions=True)
        shop = (await until("limits", lambda limits: sum(limits[0]["refused"])))[0]
        assert (shop["name"], shop["used"], shop["requests"], shop["window"]) == ("shop", 2, 2, 60)
        assert (sum(shop["answered"]), sum(shop["refused"]), len(shop["answered"])) == (2, 1, 60)
        requests = await until("requests", lambda requests: requests and requests[0]["ended"])
        assert [request["status"] for request in requests] == [429, 200, 200]
        assert [request["number"] for request in requests] == [3, 2, 1]

        item = ConversionItem(product_id="A", search_log_id="log", quantity=1, line_total=9)
        order = Conversion(order_id="1001", order_value=Decimal("9.50"), currency="EUR", conversions=[item])
        await client.conversions.track(order)
        await client.conversions.track(order)
        [shown] = await until("conversions", lambda orders: orders and orders[0]["deliveries"] == 2)
        assert shown == {
            "orderId": "1001", "value": 9.5, "currency": "EUR", "lines": 1, "attributed": 1, "deliveries": 2,
        }  # fmt: skip
        totals = await until("shop", lambda totals: totals["conversions"])
        assert (totals["requests"], totals["throttled"]) == (5, 1)


@pytest.mark.virtual_time
async def test_a_request_shows_while_it_is_being_answered(session, emulator, client):
    async with events(session, emulator) as until:
        await switch(session, emulator, "hang", "once")
        task = asyncio.create_task(client.shop())
        [request] = await until("requests", lambda requests: requests)
        assert (request["ended"], request["status"], request["ms"]) == (False, None, None)
        task.cancel()


@pytest.mark.virtual_time
async def test_a_sandbox_without_limits_has_charts_all_the_same(session):
    async with Emulator(rate_limits=None) as emulator, emulator.client() as client:
        SandboxPage(emulator)
        async with events(session, emulator) as until:
            await client.shop()
            [shop, *_] = await until("limits", lambda limits: sum(limits[0]["answered"]))
            assert (shop["requests"], shop["used"]) == (None, None)


@pytest.mark.virtual_time
async def test_only_what_has_changed_is_sent_again(session, emulator, client):
    names = []
    async with session.get(f"{emulator.url}/sandbox/events") as response:

        async def read_until(name, count):
            while names.count(name) < count:
                block = await response.content.readuntil(b"\n\n")
                names.append(block.decode().partition("\n")[0].removeprefix("event: "))

        await read_until("faults", 1)  # the last of the first round
        await client.shop()
        await read_until("requests", 2)
    assert names.count("products") == names.count("conversions") == names.count("faults") == 1


# Faults


async def switch(session, emulator, fault, often, **headers):
    body = {"fault": fault, "often": often}
    async with session.post(f"{emulator.url}/sandbox/faults", json=body, headers=headers) as response:
        return response.status


@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", TROUBLES)
async def test_every_fault_can_be_switched_on_and_off(session, emulator, fault):
    async with events(session, emulator) as until:
        assert await switch(session, emulator, fault, "always") == 204
        assert await until("faults", bool) == {fault: {"often": "always", "fired": 0}}
        assert len(emulator.faults) == 1
        assert await switch(session, emulator, fault, None) == 204
        assert await until("faults", lambda faults: not faults) == {}
    assert emulator.faults == []


async def test_a_fault_that_has_struck_once_is_off(session, emulator, client):
    await switch(session, emulator, "unavailable", "once")
    assert not await client.health()
    assert await client.health()
    async with events(session, emulator) as until:
        assert await until("faults", lambda faults: not faults) == {}
    assert emulator.faults == []


async def test_a_fault_that_a_test_took_away_is_off(session, emulator, client):
    await switch(session, emulator, "unavailable", "third")
    assert [await client.health() for _ in range(6)] == [True, True, False] * 2
    emulator.faults.clear()
    assert await switch(session, emulator, "unavailable", None) == 204


@pytest.mark.parametrize(
    "body", ['{"fault": "none", "often": "once"}', '{"fault": "slow", "often": "never"}', "[]", "{", "5"]
)
async def test_what_is_no_fault_is_refused(session, emulator, body):
    headers = {"Content-Type": "application/json"}
    async with session.post(f"{emulator.url}/sandbox/faults", data=body, headers=headers) as response:
        assert response.status == 400
    assert emulator.faults == []


# Who may see it


@pytest.mark.parametrize("path", ["/", "/sandbox/page.css", "/sandbox/page.js", "/sandbox/events", "/sandbox/nothing"])
@pytest.mark.parametrize("headers", ORIGIN_HEADERS)
async def test_it_is_for_browsers_on_this_machine(session, emulator, path, headers):
    async with session.get(emulator.url + path, headers=headers) as response:
        assert response.status == 403


@pytest.mark.parametrize("headers", ORIGIN_HEADERS)
async def test_no_other_site_can_switch_a_fault(session, emulator, headers):
    assert await switch(session, emulator, "slow", "always", **headers) == 403
    async with session.post(f"{emulator.url}/sandbox/faults", data='{"fault": "slow", "often": "always"}') as response:
        assert response.status == 415
    assert emulator.faults == []
    own = {"Origin": emulator.url}
    assert await switch(session, emulator, "slow", "always", **own) == 204


async def test_the_key_is_nowhere(session, emulator, client):
    await client.products.sync_batch([product(name=f"the key is {emulator.api_key}")])
    texts = []
    for path in ("/", "/sandbox/page.css", "/sandbox/page.js", "/widget.js", f"/?key={emulator.api_key}"):
        async with session.get(emulator.url + path) as response:
            texts.append(await response.text())
    async with session.get(f"{emulator.url}/unknown/{emulator.api_key}", headers={"X-Shop-API-Key": "x"}) as response:
        assert response.status == 404
    async with events(session, emulator) as until:
        texts.append(json.dumps(await until("products", lambda cards: cards)))
        texts.append(json.dumps(await until("requests", lambda requests: requests)))
    assert "the key is …" in json.loads(texts[-2])[0]["name"]
    assert emulator.api_key not in "".join(texts)


async def test_the_page_is_beside_the_api(session, emulator, client):
    async with session.get(f"{emulator.url}/") as response:
        assert response.status == 200
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "{{" not in await response.text()
    async with session.get(f"{emulator.url}/sandbox/none") as response:
        assert response.status == 404
    async with session.delete(f"{emulator.url}/") as response:
        assert (response.status, response.content_type) == (404, "application/json")
    assert [request.raw_path for request in emulator.requests] == ["/"]
    await client.shop()


async def test_an_emulator_without_the_page_has_none(session):
    async with Emulator() as emulator, session.get(f"{emulator.url}/") as response:
        assert response.status == 404


async def test_an_open_page_does_not_keep_the_sandbox_from_ending(session):
    async with asyncio.timeout(20), Emulator(grace=60.0) as emulator:
        SandboxPage(emulator)
        response = await session.get(f"{emulator.url}/sandbox/events")
        await response.content.readuntil(b"\n\n")
        await emulator.stop()
        response.close()


# The view, by a clock of the test's own


def test_bars_move_with_the_window_and_everything_is_bounded():
    now = 1_000.0
    emulator = Emulator(rate_limits={"shop": RateLimit(60, per=120.0)})
    emulator.remaining = lambda endpoint: 7  # the counters go by a loop's clock
    view = SandboxView(emulator, clock=lambda: now)
    for number in range(500):
        record = RecordedRequest(number, "shop", "GET", "/me", {}, 1, now, status=429 if number % 2 else 200)
        view._see_request(record)
        record.finished = now
        view._see_request(record)
        emulator.products[f"P{number}"] = product(f"P{number}")
        view._see_product(f"P{number}")
    sections = view.sections()
    assert (len(sections["requests"]), len(sections["products"])) == (80, 48)
    assert sections["products"][0]["externalId"] == "P499"
    assert (sections["limits"][0]["answered"][-1], sections["limits"][0]["refused"][-1]) == (250, 250)
    now += 20.0  # ten bars of two seconds
    assert view.sections()["limits"][0]["answered"][-11:] == [250] + [0] * 10
    now += 100.0
    assert not any(view.sections()["limits"][0]["answered"])


# In a browser


@pytest.mark.slow
async def test_in_a_browser_by_keyboard_alone(emulator, client):
    emulator.set_limit("verification_data", RateLimit(1, per=60.0))
    async with open_page(width=1600, height=1000) as page:
        problems = problems_of(page)
        await page.goto(emulator.url)
        await page.get_by_text("Live", exact=True).wait_for()
        assert await page.get_by_text("No products yet.").is_visible()

        await client.products.sync_batch([product("A"), product("A-1", name="Sencha, 50 g", parentExternalId="A")])
        card = page.locator("#product-list > li")
        await card.get_by_text("1 variant").wait_for()
        assert (await card.inner_text()).split("\n") == ["S", "Sencha", "A", "€4.50", "1 variant", "50 g"]
        await client.domain.verification_data()
        await asyncio.gather(client.domain.verification_data(), return_exceptions=True)
        await page.locator(".status", has_text="429").wait_for()
        await page.get_by_text("1 × 429").wait_for()
        chart = page.get_by_role("img", name="Verification data: 1 of 1 in 60 s; 1 refused with 429")
        assert await chart.is_visible()

        await page.get_by_role("radio", name="All").focus()
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        fault = page.get_by_role("switch", name="503")
        await fault.and_(page.locator("[aria-checked=true]")).wait_for()
        assert (await page.locator("#fault-status").inner_text()) == "503 is on"
        assert not await client.health()
        await fault.and_(page.locator("[aria-checked=false]")).wait_for()
        assert await client.health()

        await page.get_by_role("searchbox", name="Search the shop").focus()
        await page.keyboard.type("sen")
        link = page.get_by_role("link", name="Sencha · 4.5 EUR")
        await link.focus()
        await page.keyboard.press("Enter")
        await page.get_by_text("is remembered in the cookie").wait_for()
        assert "neuroon_clicks" in {cookie["name"] for cookie in await page.context.cookies()}
        assert page.url == f"{emulator.url}/"
        assert emulator.api_key not in await page.content()

        await emulator.stop()
        await page.get_by_text("The sandbox has ended").wait_for()
        assert [problem for problem in problems if "ERR_" not in problem] == []


@pytest.mark.slow
async def test_it_fits_every_screen_and_axe_finds_nothing(emulator, client):
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe-playwright-python is not installed")
    async with open_page(width=1600, height=1000) as page:
        await page.goto(emulator.url)
        for filled in (False, True):
            if filled:
                await fill(emulator, client)
                await page.get_by_role("searchbox", name="Search the shop").fill("a")
                await page.get_by_text("counted once").wait_for()
                await page.locator("#neuroon-search a").first.wait_for()
                await page.get_by_role("switch", name="Slow").click()
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                for width in (400, 800, 1600):
                    await page.set_viewport_size({"width": width, "height": 900})
                    assert await page.evaluate("document.documentElement.scrollWidth") <= width
                    found = await axe.Axe().run(page, options={"resultTypes": ["violations"]})
                    assert found.violations_count == 0, found.generate_report()
        assert await page.locator(".variants", has_text="<img src=x").count() == 1
        assert await page.locator("img").count() == 0


async def fill(emulator, client):
    emulator.set_limit("shop", RateLimit(2, per=60.0))
    products = [product(f"T-{n}", name=f"Tea no. {n} " + "long " * n, salePrice=4, inStock=n != 3) for n in range(9)]
    await client.products.sync_batch([*products, product("V", parentExternalId="T-1", name=HOSTILE)])
    await asyncio.gather(*(client.shop() for _ in range(4)), return_exceptions=True)
    await asyncio.gather(client.products.delete("none " * 30), return_exceptions=True)
    item = ConversionItem(product_id="A", search_log_id="log", quantity=1, line_total=9)
    for _ in range(2):
        await client.conversions.track(
            Conversion(order_id="order " * 12, order_value=9, currency="EUR", conversions=[item])
        )
