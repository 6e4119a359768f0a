"""The seven endpoints and the health check, one request each, over real sockets: what leaves, what comes back."""

import json
import re
from contextlib import asynccontextmanager
from datetime import UTC
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

import pytest

from neuroon_async import (
    BatchResult,
    ClickLog,
    ConfigurationError,
    Conflict,
    Conversion,
    ConversionItem,
    InvalidBatch,
    InvalidConversion,
    InvalidProduct,
    NeuroonClient,
    NotFound,
    OrderLine,
    PermissionDenied,
    Product,
    ResponseDecodeError,
    RetryPolicy,
    Shop,
    ValidationFailed,
)
from neuroon_async.testing import Emulator, Fault

SHOPS = "/api/plugin/shops"
ONCE = RetryPolicy(attempts=1)


@asynccontextmanager
async def connected(shop_id="shop_test", *, emulation=None, **options):
    async with Emulator(shop_id, algorithm="off", **(emulation or {})) as emulator:
        options = {"retry": ONCE, "rate_limits": None, **options}
        async with NeuroonClient(shop_id=shop_id, api_key=emulator.api_key, base_url=emulator.url, **options) as client:
            yield emulator, client


@pytest.fixture
async def pair():
    async with connected() as both:
        yield both


def product(external_id="SKU-1", **fields):
    return Product(external_id=external_id, name="Tea", price=Decimal("4.50"), url="https://shop.example/tea", **fields)


def conversion(**changes):
    lines = [ConversionItem(product_id="SKU-1", search_log_id="log-1", quantity=2, line_total=Decimal("9.00"))]
    return Conversion(**{"order_id": "1001", "order_value": 19.9, "currency": "EUR", "conversions": lines, **changes})


CALLS = {
    "shop": (lambda c: c.shop(), "GET", f"{SHOPS}/me", None),
    "sync_products": (
        lambda c: c.products.sync_batch([product()]),
        "POST",
        f"{SHOPS}/shop_test/products/sync",
        (
            b'{"syncType":"INCREMENTAL","products":[{"externalId":"SKU-1","name":"Tea","price":4.50,'
            b'"url":"https://shop.example/tea"}]}'
        ),
    ),
    "delete_product": (lambda c: c.products.delete("SKU-0"), "DELETE", f"{SHOPS}/shop_test/products/SKU-0", None),
    "verify_domain": (
        lambda c: c.domain.verify("https://shop.example"),
        "POST",
        f"{SHOPS}/shop_test/verify",
        b'{"domain":"https://shop.example"}',
    ),
    "verification_data": (
        lambda c: c.domain.verification_data(),
        "GET",
        f"{SHOPS}/shop_test/verification-data",
        None,
    ),
    "unverify_domain": (lambda c: c.domain.unverify(), "DELETE", f"{SHOPS}/shop_test/verify", None),
    "track_conversion": (
        lambda c: c.conversions.track(conversion()),
        "POST",
        f"{SHOPS}/shop_test/track/conversion",
        (
            b'{"orderId":"1001","orderValue":19.9,"currency":"EUR","conversions":[{"productId":"SKU-1",'
            b'"searchLogId":"log-1","quantity":2,"lineTotal":9.00}]}'
        ),
    ),
    "health": (lambda c: c.health(), "GET", "/actuator/health", None),
}


@pytest.mark.parametrize("name", CALLS)
async def test_each_call_is_one_request_as_documented(pair, name):
    emulator, client = pair
    emulator.products["SKU-0"] = {"externalId": "SKU-0"}
    call, method, path, body = CALLS[name]
    await call(client)
    (request,) = emulator.requests
    assert (request.endpoint, request.method, request.raw_path) == (name, method, path)
    assert request.body == (body or b"")
    assert request.headers["X-Shop-API-Key"] == emulator.api_key
    assert request.headers["Accept"] == "application/json"
    assert re.fullmatch(r"neuroon-async/\d[\w.]*", request.headers["User-Agent"])
    assert request.headers.get("Content-Type") == (None if body is None else "application/json; charset=utf-8")
    assert "Origin" not in request.headers
    assert "Accept-Language" not in request.headers
    assert (request.idempotency_key is not None) == (name == "sync_products")


async def test_locale_origin_and_user_agent_travel_on_every_request():
    async with connected(locale="es_ES", origin="https://www.shop.example", user_agent="my-shop/2.1") as (emulator, c):
        await c.shop()
        headers = emulator.requests[0].headers
    assert headers["Accept-Language"] == "es-ES"
    assert headers["Origin"] == "https://www.shop.example"
    assert re.fullmatch(r"my-shop/2\.1 neuroon-async/\d[\w.]*", headers["User-Agent"])


async def test_a_wrong_origin_is_permission_denied_with_a_hint():
    async with connected(origin="https://elsewhere.example") as (_, client):
        with pytest.raises(PermissionDenied, match=r"Origin mismatch.*the Origin may not match"):
            await client.shop()


# Path parameters


@pytest.mark.parametrize(
    "text", ["a/b", "a?b#c", "100%", "%2F", "..", ".", " sp ace ", "naïve-日本", "a;b=c", "{x}", "a\\b", "a\nb", "+&:@"]
)
async def test_an_external_id_of_any_characters_is_one_segment(pair, text):
    emulator, client = pair
    emulator.products[text] = {"externalId": text}
    await client.products.delete(text)
    assert emulator.products == {}
    assert emulator.requests[0].raw_path.count("/") == 6
    with pytest.raises(NotFound):
        await client.products.delete(text)


async def test_a_shop_id_of_any_characters_is_one_segment():
    async with connected("shop/ä?#%2F..") as (emulator, client):
        assert (await client.products.sync_batch([product()])).created == 1
        assert await client.conversions.track(conversion())
        assert emulator.requests[0].raw_path.startswith(f"{SHOPS}/shop%2F%C3%A4%3F%23%252F../products/")


@pytest.mark.parametrize("bad", ["", None, True, 7.0, b"7", "\ud800"])
async def test_what_cannot_be_an_external_id_is_refused_before_anything_is_sent(pair, bad):
    emulator, client = pair
    with pytest.raises(ConfigurationError, match="external_id"):
        await client.products.delete(bad)
    assert emulator.requests == []


# Shop and health


PLAIN = {"name": "Cup", "price": 1, "url": "https://shop.example/cup"}


class Unshowable:
    def __repr__(self):
        raise RuntimeError("its session is closed")


async def test_ids_as_databases_have_them_are_deleted_as_they_were_synced(pair):
    emulator, client = pair
    ids = [7, UUID(int=7), "SKU-7"]
    report = await client.products.sync([{**PLAIN, "externalId": each} for each in ids])
    assert (report.accepted, set(emulator.products)) == (3, {"7", str(UUID(int=7)), "SKU-7"})
    for each in ids:
        await client.products.delete(each)
    assert emulator.products == {}
    emulator.products.update({str(each): {"externalId": str(each)} for each in ids})
    report = await client.products.delete_many([*ids, True, 1.5, Unshowable(), "\ud800"])
    assert (report.deleted, report.failed, emulator.products) == (3, 4, {})
    assert [failure.reason for failure in report.failures] == [
        "externalId: must be text, got true",
        "externalId: must be text, got 1.5",
        "externalId: cannot be read: RuntimeError",
        "externalId: holds a lone surrogate at character 0, which UTF-8 cannot express",
    ]


async def test_shop_gives_the_documented_fields(pair):
    shop = await pair[1].shop()
    assert (shop.max_products, shop.max_searches_per_month) == (1_000_000, 10_000)


@pytest.mark.parametrize(
    ("fault", "healthy"),
    [
        (None, True),
        (Fault.garbage(b'{"status":"DOWN"}'), False),
        (Fault.garbage(b'{"status":null}'), False),
        (Fault.garbage(b"<p>OK</p>"), False),
        (Fault.status(503), False),
        (Fault.drop(), False),
    ],
)
async def test_health(pair, fault, healthy):
    emulator, client = pair
    if fault is not None:
        emulator.fail("health", fault)
    assert await client.health() is healthy


async def test_health_of_a_service_that_is_not_there(pair):
    emulator, client = pair
    await emulator.stop()
    assert await client.health() is False


# Products


async def test_sync_batch_sends_one_request_and_returns_its_figures():
    def reject(item):
        return "no stock" if item["externalId"] == "C" else None

    async with connected(emulation={"reject_item": reject, "max_products": 10}) as (emulator, client):
        emulator.products["A"] = {"externalId": "A"}
        mapping = {"externalId": "B", "name": "Pot", "price": 1, "url": "https://shop.example/b"}
        result = await client.products.sync_batch([product("A"), mapping, product("C")])
        assert (result.created, result.updated, result.failed) == (1, 1, 1)
        assert (result.products_count, result.remaining_products) == (2, 8)
        assert [(error.external_id, error.error) for error in result.errors] == [("C", "no stock")]
        assert emulator.products["A"]["price"] == Decimal("4.50")


async def test_a_full_sync_in_one_request_replaces_the_catalog(pair):
    emulator, client = pair
    emulator.products["old"] = {"externalId": "old"}
    await client.products.sync_batch([product("new")], mode="FULL")
    assert list(emulator.products) == ["new"]


@pytest.mark.parametrize("count", [0, 501])
async def test_a_batch_that_no_request_can_carry_is_refused_before_anything_is_sent(pair, count):
    emulator, client = pair
    with pytest.raises(InvalidBatch, match=f"got {count}"):
        await client.products.sync_batch([product(f"P{i}") for i in range(count)])
    assert emulator.requests == []


async def test_a_batch_holds_500_products(pair):
    emulator, client = pair
    await client.products.sync_batch(product(f"P{i}") for i in range(500))
    assert len(emulator.products) == 500


async def test_a_bad_product_is_named_before_anything_is_sent(pair):
    emulator, client = pair
    with pytest.raises(InvalidProduct, match=r"product 'B': rating: .*5"):
        await client.products.sync_batch([product("A"), product("B", rating=6)])
    assert emulator.requests == []


async def test_an_unknown_mode_is_refused(pair):
    with pytest.raises(ConfigurationError, match="mode must be one of INCREMENTAL, FULL"):
        await pair[1].products.sync_batch([product()], mode="PARTIAL")


async def test_the_idempotency_key_is_a_hash_of_shop_and_body_unless_given(pair):
    emulator, client = pair
    await client.products.sync_batch([product()])
    await client.products.sync_batch([product()])
    await client.products.sync_batch([product(brands=["x"])])
    await client.products.sync_batch([product()], idempotency_key="mine-1")
    first, same, other, given = emulator.requests
    assert first.idempotency_key == sha256(b"shop_test\0" + first.body).hexdigest() == same.idempotency_key
    assert other.idempotency_key != first.idempotency_key
    assert given.idempotency_key == "mine-1"


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "a\nb", "", "ü", "a\0"])
async def test_an_idempotency_key_that_no_header_can_carry_is_refused(pair, key):
    emulator, client = pair
    with pytest.raises(ConfigurationError, match="idempotency_key"):
        await client.products.sync_batch([product()], idempotency_key=key)
    assert emulator.requests == []


async def test_what_the_server_refuses_carries_its_fields_and_request_id(pair):
    emulator, client = pair
    emulator.fail("sync_products", Fault.status(400, "name: Product name is required, price: Price must be positive"))
    with pytest.raises(ValidationFailed) as caught:
        await client.products.sync_batch([product()])
    assert caught.value.field_errors == {"name": "Product name is required", "price": "Price must be positive"}
    assert caught.value.request_id == emulator.requests[0].request_id
    assert caught.value.path == emulator.requests[0].raw_path


async def test_a_success_that_is_not_the_documented_json_says_so(pair):
    emulator, client = pair
    emulator.fail("sync_products", Fault.garbage(b"<html>welcome</html>"))
    with pytest.raises(ResponseDecodeError, match="a web page answered instead of the API: 'welcome'") as caught:
        await client.products.sync_batch([product()])
    assert (caught.value.status, caught.value.request_id) == (200, emulator.requests[0].request_id)
    assert "SKU-1" in emulator.products


async def test_deleting_what_is_not_there_is_not_found(pair):
    with pytest.raises(NotFound):
        await pair[1].products.delete("SKU-9")


@pytest.mark.parametrize("odd", ["unlimited", "1,234", -1, [], {}, True, None, 2**70, 0.5], ids=repr)
async def test_an_odd_figure_costs_neither_the_batch_nor_the_shop(pair, odd):
    emulator, client = pair
    names = ("newProducts", "updatedProducts", "failed", "productsCount", "remainingProducts", "maxProducts")
    body = json.dumps(dict.fromkeys(names, odd)).encode()
    emulator.fail("sync_products", Fault.garbage(body), times=2)
    emulator.fail("shop", Fault.garbage(body))
    assert await client.products.sync_batch([product()]) == BatchResult()
    report = await client.products.sync([product(), product("SKU-2")])
    assert report.ok
    assert (report.accepted, report.remaining_products, report.quota_exhausted) == (2, None, False)
    assert await client.shop() == Shop()


# Domain


@pytest.mark.parametrize("short", [False, True])
async def test_the_life_of_a_verification(pair, short):
    emulator, client = pair
    before = await client.domain.verification_data()
    assert (before.verified, before.verified_at) == (False, None)
    assert before.verification_code in before.instructions

    started = await client.domain.verify("https://shop.example", short_path=short)
    assert (started.shop_id, started.domain, started.name) == ("shop_test", "https://shop.example", "Test shop")
    assert started.verification_code == emulator.verification_code
    assert emulator.requests[1].raw_path == (f"{SHOPS}/verify" if short else f"{SHOPS}/shop_test/verify")

    after = await client.domain.verification_data()
    assert after.domain == "https://shop.example"
    assert after.verified_at.tzinfo is UTC or after.verified_at.utcoffset().total_seconds() == 0

    with pytest.raises(Conflict):
        await client.domain.verify("https://shop.example", short_path=short)
    await client.domain.unverify()
    assert not emulator.verified


async def test_a_verification_that_was_held_back_may_find_the_domain_verified():
    async with connected(retry=RetryPolicy(attempts=2, initial=0.0)) as (emulator, client):
        emulator.verified = True
        emulator.fail("verify_domain", Fault.status(429, headers={"Retry-After": "0"}), times=1)
        found = await client.domain.verify("https://shop.example")
    assert (found.shop_id, found.domain) == ("shop_test", "https://shop.example")
    assert len(emulator.requests) == 2


@pytest.mark.parametrize("domain", ["shop.example", "", None, 7, "https://\ud800", "https://u:p@shop.example"])
async def test_a_domain_that_is_no_url_is_refused_before_anything_is_sent(pair, domain):
    emulator, client = pair
    with pytest.raises(ConfigurationError, match="domain"):
        await client.domain.verify(domain)
    assert emulator.requests == []


# Conversions


async def test_a_conversion_from_an_order_and_its_cookie(pair):
    emulator, client = pair
    order = Conversion.from_order(
        order_id="7",
        order_value=Decimal("30.10"),
        currency="EUR",
        lines=[
            OrderLine(product_id="SKU-1", quantity=1, line_total=Decimal("10.10")),
            OrderLine(product_id="SKU-2", quantity=2, line_total=20),
        ],
        clicks=ClickLog.parse("%7B%22SKU-1%22%3A%22log-7%22%7D"),
    )
    assert await client.conversions.track(order) is True
    assert emulator.conversions["7"].body == {
        "orderId": "7",
        "orderValue": Decimal("30.10"),
        "currency": "EUR",
        "conversions": [{"productId": "SKU-1", "searchLogId": "log-7", "quantity": 1, "lineTotal": Decimal("10.10")}],
    }


async def test_an_order_that_no_search_led_to_is_not_sent(pair):
    emulator, client = pair
    assert await client.conversions.track(conversion(conversions=[])) is False
    assert emulator.requests == []


async def test_a_bad_conversion_is_named_before_anything_is_sent(pair):
    emulator, client = pair
    line = ConversionItem(product_id="SKU-1", search_log_id="", quantity=1, line_total=1)
    with pytest.raises(InvalidConversion, match=r"order '1001': conversions\[0\].searchLogId"):
        await client.conversions.track(conversion(conversions=[line]))
    assert emulator.requests == []


@pytest.mark.parametrize("page", [b"<!doctype html><title>Sign in</title>", b"<p>OK</p>"])
@pytest.mark.parametrize("name", ["track_conversion", "delete_product", "unverify_domain"])
async def test_a_web_page_is_no_success_even_there(pair, name, page):
    emulator, client = pair
    emulator.fail(name, Fault.garbage(page))
    with pytest.raises(ResponseDecodeError, match="a web page answered"):
        await CALLS[name][0](client)


@pytest.mark.parametrize("body", [b"", b"OK", b"{}", b"[1]", b"\xff"])
@pytest.mark.parametrize("name", ["track_conversion", "delete_product", "unverify_domain"])
async def test_where_no_answer_is_documented_any_success_will_do(pair, name, body):
    emulator, client = pair
    emulator.fail(name, Fault.garbage(body))
    await CALLS[name][0](client)
    assert emulator.requests[0].status == 200
