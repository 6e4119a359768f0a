"""Where the documentation contradicts itself: the emulator plays each reading, and the SDK works under all of them."""

import json
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from neuroon_async import Conversion, ConversionItem, RateLimit, RateLimited, RetryPolicy
from neuroon_async.api.contract import Locale
from neuroon_async.testing import Emulator, Fault, Readings

SHOPS = "/api/plugin/shops"
SHOP = f"{SHOPS}/shop_test"
SYNC = f"{SHOP}/products/sync"
TRACK = f"{SHOP}/track/conversion"


class Caller:
    """Raw requests to an emulator, with the right key."""

    def __init__(self, emulator, session):
        self.emulator = emulator
        self._session = session

    async def __call__(self, method, path, document=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(
            method,
            self.emulator.url + path,
            json=document,
            headers={"X-Shop-API-Key": self.emulator.api_key, **headers},
        ) as response:
            body = await response.read()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(body) if body and is_json else body, response.headers


@pytest.fixture
async def call():
    async with Emulator(rate_limits=None) as emulator, aiohttp.ClientSession() as session:
        yield Caller(emulator, session)


def read(call, **readings):
    call.emulator.readings = Readings(**readings)


def product(external_id="A", **fields):
    return {"externalId": external_id, "name": "Tea", "price": 4.5, "url": "https://shop.example/tea", **fields}


def batch(*products, mode="INCREMENTAL"):
    return {"syncType": mode, "products": list(products)}


ORDER = {
    "orderId": "1",
    "orderValue": 9,
    "currency": "EUR",
    "conversions": [{"productId": "A", "searchLogId": "log", "quantity": 1, "lineTotal": 9}],
}


@pytest.mark.parametrize("readings", Readings.each(), ids=str)
async def test_the_sdk_works_under_each_reading(readings):
    emulator = Emulator(readings=readings, rate_limits={"shop": RateLimit(2, per=60.0)})
    async with emulator, emulator.client(retry=RetryPolicy(attempts=2, initial=0.0)) as client:
        report = await client.products.sync([product("A"), product("B"), product("C", price=0)])
        accepted = 2 if readings.zero_price == "refused" else 3
        assert (report.accepted, report.failed) == (accepted, 3 - accepted)
        assert report.created == len(emulator.products) == accepted
        await client.products.delete("A")
        assert "A" not in emulator.products

        await client.domain.verify("https://shop.example", short_path=readings.verify_path == "without_shop_id")
        emulator.verified = True  # the code has been published
        data = await client.domain.verification_data()
        assert data.is_verified
        assert data.verification_code == emulator.verification_code
        await client.domain.unverify()
        assert not (await client.domain.verification_data()).is_verified

        item = ConversionItem(product_id="B", search_log_id="log", quantity=1, line_total=9)
        await client.conversions.track(Conversion(order_id="1", order_value=9, currency="EUR", conversions=[item]))
        assert emulator.conversions["1"].attributed == 1

        await client.shop()
        await client.shop()
        if readings.limits == "announced":
            await client.shop()
        else:
            once = client.with_options(retry=RetryPolicy(attempts=1))
            with pytest.raises(RateLimited) as caught:
                await once.shop()
            assert caught.value.retry_after == 60
            assert caught.value.limit == 2


def test_each_reading_differs_from_the_default_in_one_place():
    readings = Readings.each()
    assert str(readings[0]) == "default"
    assert all(", " not in str(reading) for reading in readings)
    assert len(set(readings)) == len(readings) > 20
    assert "answers=older" in map(str, readings)
    assert "errors=nested" in map(str, readings)


@pytest.mark.parametrize(("name", "value"), [("answers", "oldest"), ("foreign_shop", 404), ("errors", "xml")])
def test_an_unknown_reading_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"Readings\.{name} must be one of .*, got {value!r}"):
        Readings(**{name: value})


# One test for each


async def test_older_answers(call):
    read(call, answers="older")
    _, body, _ = await call("POST", SYNC, batch(product("A"), product("B")))
    assert body == {"synced": 2, "created": 2, "updated": 0, "failed": 0, "errors": []}
    assert (await call("DELETE", f"{SHOP}/products/A"))[:2] == (200, {"deleted": True})
    assert (await call("DELETE", f"{SHOP}/products/A"))[0] == 404


async def test_invalid_products_fail_alone(call):
    read(call, invalid_products="fail_alone")
    products = [product("A"), product("B", name=""), {"name": "x"}, 5, product("V", parentExternalId="none")]
    status, body, _ = await call("POST", SYNC, batch(*products, product("W", parentExternalId="V")))
    assert status == 200
    assert (body["newProducts"], body["failed"]) == (1, 5)
    assert [error["externalId"] for error in body["errors"]] == ["B", None, None, "V", "W"]
    assert body["errors"][0]["error"] == "name: Product name is required"
    assert body["errors"][3]["error"] == "parentExternalId 'none' not found"
    assert list(call.emulator.products) == ["A"]
    assert (await call("POST", SYNC, batch(product("A"), mode="SOME")))[0] == 400


async def test_a_price_of_zero(call):
    assert (await call("POST", SYNC, batch(product(price=0))))[0] == 200
    read(call, zero_price="refused")
    for zero in (0, 0.0):
        status, body, _ = await call("POST", SYNC, batch(product(price=zero)))
        assert (status, body["message"]) == (400, "price: Price must be positive")


@pytest.mark.parametrize(
    ("reading", "statuses", "price"),
    [("conflict", [200, 200, 409], 1), ("replay", [200] * 3, 1), ("ignored", [200] * 3, 2)],
)
async def test_an_idempotency_key_seen_before(call, reading, statuses, price):
    read(call, idempotency=reading)
    bodies = [batch(product(price=1)), batch(product(price=1)), batch(product(price=2))]
    answers = [await call("POST", SYNC, body, X_Idempotency_Key="k") for body in bodies]
    assert [status for status, _, _ in answers] == statuses
    assert call.emulator.products["A"]["price"] == price
    replayed = [request.replayed for request in call.emulator.requests]
    assert replayed == [False, reading != "ignored", reading == "replay"]


async def test_a_foreign_shop(call):
    path = f"{SHOPS}/shop_other/products/A"
    assert (await call("DELETE", path))[0] == 403
    read(call, foreign_shop=401)
    assert (await call("DELETE", path))[0] == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Referer": "https://www.shop.example/cart?step=2"}, 200),
        ({"Referer": "HTTPS://SHOP.EXAMPLE"}, 200),
        ({"Referer": "https://evil.example/https://shop.example"}, 403),
        ({"Referer": "shop.example.evil"}, 403),
        ({"Referer": "https://evil.example/", "Origin": "https://shop.example"}, 200),
        ({"Referer": "https://shop.example/", "Origin": "https://evil.example"}, 403),
    ],
)
async def test_the_referer(call, headers, status):
    assert (await call("GET", f"{SHOPS}/me", **headers))[0] == status
    read(call, referer="ignored")
    assert (await call("GET", f"{SHOPS}/me", **headers))[0] == (403 if "evil" in headers.get("Origin", "") else 200)
    call.emulator.shop_url = None
    assert (await call("GET", f"{SHOPS}/me", **headers))[0] == 200


@pytest.mark.parametrize(
    ("reading", "long", "short"),
    [("both", 200, 200), ("with_shop_id", 200, 404), ("without_shop_id", 405, 200)],
)
async def test_the_path_of_verification(call, reading, long, short):
    read(call, verify_path=reading)
    domain = {"domain": "https://shop.example"}
    assert (await call("POST", f"{SHOP}/verify", domain))[0] == long
    call.emulator.verified = False
    assert (await call("POST", f"{SHOPS}/verify", domain))[0] == short
    assert (await call("DELETE", f"{SHOP}/verify"))[0] == 204


async def test_what_verifies_a_domain(call):
    path, other = f"{SHOP}/verify", {"domain": "https://other.example"}
    assert (await call("POST", path, other))[0] == 200
    assert call.emulator.verified

    call.emulator.verified = False
    read(call, verification="by_registered_url")
    assert (await call("POST", path, other))[0] == 422
    assert (await call("POST", path, {"domain": "http://www.shop.example/"}))[0] == 200
    assert call.emulator.verified

    call.emulator.verified = False
    read(call, verification="by_published_code")
    for _ in range(2):
        status, body, _ = await call("POST", path, other)
        assert (status, body["verificationCode"]) == (200, call.emulator.verification_code)
        assert not call.emulator.verified
    call.emulator.verified = True
    assert call.emulator.domain == "https://other.example"
    assert (await call("POST", path, other))[0] == 409


@pytest.mark.parametrize(
    ("reading", "before", "after"),
    [
        ("by_state", {"verificationCode", "instructions", "verified"}, {"domain", "verificationCode", "verifiedAt"}),
        ("instructions", *[{"verificationCode", "instructions", "verified"}] * 2),
        ("verified_at", *[{"domain", "verificationCode", "verifiedAt"}] * 2),
    ],
)
async def test_both_shapes_of_verification_data(call, reading, before, after):
    read(call, verification_data=reading)
    assert set((await call("GET", f"{SHOP}/verification-data"))[1]) == before
    call.emulator.verified = True
    assert set((await call("GET", f"{SHOP}/verification-data"))[1]) == after


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_the_status_of_a_conversion(call, status):
    read(call, conversion_status=status)
    answer = await call("POST", TRACK, ORDER)
    assert (answer[0], answer[1] == b"") == (status, status == 204)


@pytest.mark.parametrize(
    ("shape", "keys"),
    [
        ("standard", {"timestamp", "status", "error", "message", "path"}),
        ("bare", {"timestamp", "status", "error", "path"}),
        ("coded", {"code", "message", "details"}),
        ("nested", {"error"}),
    ],
)
async def test_one_shape_for_all_errors(call, shape, keys):
    read(call, errors=shape)
    call.emulator.set_limit("shop", RateLimit(1, per=60.0))
    await call("GET", f"{SHOPS}/me")
    answers = [
        await call("GET", f"{SHOPS}/me"),
        await call("GET", f"{SHOPS}/nowhere"),
        await call("POST", SYNC, batch()),
        await call("GET", SYNC),
    ]
    assert [status for status, _, _ in answers] == [429, 404, 400, 405]
    assert all(set(body) == keys for _, body, _ in answers)
    if shape == "nested":
        assert answers[0][1]["error"]["retryAfter"] == 60


async def test_errors_without_json(call):
    read(call, errors="html")
    assert b"<h1>404 Not Found</h1>" in (await call("GET", "/nowhere"))[1]
    read(call, errors="empty")
    assert (await call("GET", "/nowhere"))[:2] == (404, b"")


async def test_times_without_an_offset(call):
    call.emulator.set_limit("shop", RateLimit(1, per=60.0))
    await call("GET", f"{SHOPS}/me")
    for times, ends_in_z in (("with_z", True), ("without_offset", False)):
        read(call, times=times)
        call.emulator.verified = True
        answers = [
            await call("GET", f"{SHOPS}/me"),
            await call("GET", "/nowhere"),
            await call("GET", f"{SHOP}/verification-data"),
        ]
        written = [body.get("timestamp") or body["verifiedAt"] for _, body, _ in answers]
        assert [time.endswith("Z") for time in written] == [ends_in_z] * 3
        assert "+" not in "".join(written)


async def test_limits_that_are_only_announced(call):
    read(call, limits="announced")
    call.emulator.set_limit("shop", RateLimit(2, per=60.0))
    answers = [await call("GET", f"{SHOPS}/me") for _ in range(4)]
    assert [status for status, _, _ in answers] == [200] * 4
    assert [headers["X-RateLimit-Remaining"] for _, _, headers in answers] == ["1", "0", "0", "0"]


async def test_answers_without_rate_limit_headers(call):
    call.emulator.set_limit("shop", RateLimit(1, per=60.0))
    read(call, rate_headers="missing")
    answers = [await call("GET", f"{SHOPS}/me") for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 429]
    assert not any("X-RateLimit-Limit" in headers for _, _, headers in answers)
    assert answers[1][2]["Retry-After"] == "60"


async def test_a_line_without_search_log_id(call):
    line = {"productId": "A", "quantity": 1, "lineTotal": 9}
    assert (await call("POST", TRACK, ORDER | {"conversions": [line]}))[0] == 200
    assert call.emulator.conversions["1"].attributed == 0
    read(call, search_log_id="required")
    assert (await call("POST", TRACK, ORDER | {"conversions": [line]}))[0] == 400


async def test_a_full_sync(call):
    for reading, left in (("mark_absent", {"A": False, "B": None}), ("replace", {"B": None})):
        read(call, full_sync=reading)
        await call("POST", SYNC, batch(product("A")))
        assert (await call("POST", SYNC, batch(product("B"), mode="FULL")))[0] == 200
        assert {name: stored.get("isActive") for name, stored in call.emulator.products.items()} == left


async def test_answers_without_a_request_id(call):
    assert "X-Request-ID" in (await call("GET", f"{SHOPS}/me"))[2]
    read(call, request_id="missing")
    assert "X-Request-ID" not in (await call("GET", f"{SHOPS}/me"))[2]
    call.emulator.fail("shop", Fault.status(500))
    assert "X-Request-ID" not in (await call("GET", f"{SHOPS}/me"))[2]


async def test_retry_after_as_a_date():
    limits = {"shop": RateLimit(1, per=60.0)}
    async with (
        Emulator(rate_limits=limits, retry_after="date", wall_clock=lambda: 1_000_000.0) as emulator,
        aiohttp.ClientSession() as session,
    ):
        call = Caller(emulator, session)
        await call("GET", f"{SHOPS}/me")
        status, _, headers = await call("GET", f"{SHOPS}/me")
    assert status == 429
    assert parsedate_to_datetime(headers["Retry-After"]).timestamp() == 1_000_060


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        (None, Locale.ES),
        ("en", Locale.EN),
        ("de-AT", Locale.DE),
        ("PT-br", Locale.PT),
        ("gl", Locale.GL),
        ("ja", Locale.ES),
        ("english", Locale.ES),
        ("*", Locale.ES),
        ("", Locale.ES),
    ],
)
async def test_the_language_of_an_answer(call, header, locale):
    await call("GET", f"{SHOPS}/me", **({} if header is None else {"Accept-Language": header}))
    assert call.emulator.requests[-1].locale is locale
