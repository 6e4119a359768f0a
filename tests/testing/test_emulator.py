"""The emulator against its documentation, over real sockets, with nothing but aiohttp on the other side."""

import asyncio
import json
from base64 import urlsafe_b64encode
from decimal import Decimal
from hashlib import sha256
from hmac import new as hmac

import aiohttp
import pytest
from yarl import URL

from neuroon_async.api.contract import RateLimit
from neuroon_async.testing import DEFAULT_API_KEY, Emulator, Fault, FaultRule, InvalidWidgetToken, verify_widget_token
from neuroon_async.testing.limits import FixedWindow, RollingWindow, TokenBucket
from neuroon_async.testing.routing import find_route

pytestmark = pytest.mark.virtual_time
SHOPS = "/api/plugin/shops"
SHOP = f"{SHOPS}/shop_test"
KEY = {"X-Shop-API-Key": DEFAULT_API_KEY}


@pytest.fixture
async def emulator():
    async with Emulator(rate_limits=None) as running:
        yield running


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(headers=KEY, timeout=aiohttp.ClientTimeout(total=60)) as opened:
        yield opened


class Reply:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        return self.json.get("message")


async def call(session, emulator, method, path, **kwargs):
    url = URL(emulator.url + path, encoded=True)
    async with session.request(method, url, **kwargs) as response:
        return Reply(response, await response.read())


def product(external_id="A", **fields):
    return {"externalId": external_id, "name": "Shirt", "price": 9.5, "url": "https://shop.example/a", **fields}


async def sync(session, emulator, products, mode="INCREMENTAL", **kwargs):
    body = {"syncType": mode, "products": products}
    return await call(session, emulator, "POST", f"{SHOP}/products/sync", json=body, **kwargs)


# Credentials, paths, bodies


async def test_health_needs_no_key(emulator):
    async with aiohttp.ClientSession() as anonymous:
        reply = await call(anonymous, emulator, "GET", "/actuator/health")
    assert (reply.status, reply.json) == (200, {"status": "UP"})


@pytest.mark.parametrize("headers", [{}, {"X-Shop-API-Key": "sk_" + "1" * 32}])
async def test_missing_or_wrong_key_is_401(emulator, headers):
    async with aiohttp.ClientSession(headers=headers) as stranger:
        reply = await call(stranger, emulator, "GET", f"{SHOPS}/me")
    assert reply.status == 401
    assert set(reply.json) == {"timestamp", "status", "error", "message", "path"}


async def test_key_of_another_shop_is_403(emulator, session):
    reply = await call(session, emulator, "DELETE", f"{SHOPS}/shop_other/products/A")
    assert reply.status == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("https://shop.example", 200),
        ("http://www.shop.example/", 200),
        ("https://evil.example", 403),
        ("https://shop.example.evil", 403),
    ],
)
async def test_origin_must_match_when_present(emulator, session, origin, status):
    reply = await call(session, emulator, "GET", f"{SHOPS}/me", headers={"Origin": origin} if origin else {})
    assert reply.status == status
    if status == 403:
        assert reply.message == "Origin mismatch — API Key cannot be used from this domain"


async def test_me_gives_the_known_fields_and_more(emulator, session):
    document = (await call(session, emulator, "GET", f"{SHOPS}/me")).json
    assert document["maxProducts"] == 1_000_000
    assert len(document.keys() - {"maxProducts", "maxSearchesPerMonth"}) > 1


@pytest.mark.parametrize("external_id", ["a/b", "a?b#c", "100%", "..", ".", " sp ace ", "naïve-日本", "%2F", "sync"])
async def test_external_id_is_exactly_one_segment(emulator, session, external_id):
    emulator.products[external_id] = product(external_id)
    encoded = "".join(f"%{byte:02X}" for byte in external_id.encode())
    path = f"{SHOP}/products/{encoded}"
    assert (await call(session, emulator, "DELETE", path)).status == 204
    assert emulator.products == {}
    assert emulator.requests[-1].raw_path == path
    again = await call(session, emulator, "DELETE", path)
    assert (again.status, again.json["status"]) == (404, 404)


@pytest.mark.parametrize("path", ["/", "/api", f"{SHOP}/products/a/b", f"{SHOP}/products/", f"{SHOPS}/me/", "//me"])
async def test_unknown_path_is_404(emulator, session, path):
    assert (await call(session, emulator, "DELETE", path)).status == 404
    assert emulator.requests[-1].endpoint is None


def test_bare_dots_are_no_external_id():
    with pytest.raises(Exception, match="404"):
        find_route("DELETE", f"{SHOP}/products/..")


async def test_only_who_has_the_key_is_told_which_paths_there_are(emulator, session):
    async with aiohttp.ClientSession() as stranger:
        for method, path, status in (("GET", f"{SHOPS}/nothing", 404), ("PUT", f"{SHOP}/products/sync", 405)):
            assert (await call(stranger, emulator, method, path)).status == 401
            assert (await call(session, emulator, method, path)).status == status
        assert (await call(stranger, emulator, "GET", "/elsewhere")).status == 404


async def test_wrong_method_is_405_without_message(emulator, session):
    reply = await call(session, emulator, "PUT", f"{SHOP}/products/sync")
    assert reply.status == 405
    assert reply.headers["Allow"] == "POST, DELETE"  # ``sync`` may be a product's id, too
    assert "message" not in reply.json


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_wrong_content_type_is_415_without_message(emulator, session, headers):
    reply = await call(session, emulator, "POST", f"{SHOP}/products/sync", data=b"{}", headers=headers)
    assert reply.status == 415
    assert "message" not in reply.json


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"products": "\xff"}', b"[]", b"NaN", b"[" * 100_000, b'"\\ud800"', b'{"a":1e%s}' % (b"9" * 20)],
)
async def test_body_that_is_no_json_object_in_utf8_is_400(emulator, session, body):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    reply = await call(session, emulator, "POST", f"{SHOP}/products/sync", data=body, headers=headers)
    assert reply.status == 400


async def test_every_answer_has_its_own_request_id(emulator, session):
    replies = [await call(session, emulator, "GET", path) for path in (f"{SHOPS}/me", "/nowhere", "/actuator/health")]
    ids = [reply.headers["X-Request-ID"] for reply in replies]
    assert ids == [record.request_id for record in emulator.requests]
    assert len(set(ids)) == 3


# Products


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"externalId": ""}, "externalId: External ID is required"),
        ({"externalId": None}, "externalId: External ID is required"),
        ({"name": ""}, "name: Product name is required"),
        ({"name": "x" * 513}, "name: size must be between 1 and 512"),
        ({"price": -1}, "price: Price must be positive"),
        ({"price": "9.5"}, "price: must be a number"),
        ({"price": True}, "price: must be a number"),
        ({"price": None}, "price: must not be null"),
        ({"url": ""}, "url: must not be blank"),
        ({"description": "x" * 5001}, "description: size must be between 0 and 5000"),
        ({"currency": "EURO"}, "currency: size must be between 0 and 3"),
        ({"rating": 5.1}, "rating: must be less than or equal to 5.0"),
        ({"rating": -0.1}, "rating: must be greater than or equal to 0.0"),
        ({"stockQuantity": 1.5}, "stockQuantity: must be an integer"),
        ({"inStock": "yes"}, "inStock: must be a boolean"),
        ({"tags": ["a", 1]}, "tags: must be an array of strings"),
        ({"externalId": 5}, "externalId: must be a string"),
        ({"name": ["x"]}, "name: must be a string"),
        ({"url": {}}, "url: must be a string"),
        ({"sku": 12}, "sku: must be a string"),
        ({"description": 1}, "description: must be a string"),
        ({"currency": 978}, "currency: must be a string"),
        ({"rating": "5"}, "rating: must be a number"),
        ({"salePrice": "1"}, "salePrice: must be a number"),
        ({"reviewCount": True}, "reviewCount: must be an integer"),
        ({"stockQuantity": 1.0}, "stockQuantity: must be an integer"),
        ({"attributes": {"size": 42}}, "attributes: must map strings to strings"),
        (
            {"name": "", "price": -1, "rating": 6},
            "name: Product name is required, price: Price must be positive, rating: must be less than or equal to 5.0",
        ),
    ],
)
async def test_one_bad_product_fails_its_batch_with_the_documented_message(emulator, session, fields, message):
    reply = await sync(session, emulator, [product("good"), product(**fields)])
    assert (reply.status, reply.message) == (400, message)
    assert emulator.products == {}


async def test_a_product_at_every_limit_is_accepted(emulator, session):
    edge = product(
        name="x" * 512, price=0, description="é" * 5000, currency="EUR", rating=5, salePrice=None, reviewCount=0,
        categories=[], attributes={"a": "b"}, somethingNew={"ignored": True},
    )  # fmt: skip
    assert (await sync(session, emulator, [edge])).status == 200
    assert emulator.products["A"]["salePrice"] is None
    assert "somethingNew" not in emulator.products["A"]


@pytest.mark.parametrize("count", [0, 501])
async def test_batch_size_is_1_to_500(emulator, session, count):
    reply = await sync(session, emulator, [product(str(n)) for n in range(count)])
    assert (reply.status, reply.message) == (400, "products: Must provide between 1 and 500 products per batch")


async def test_a_product_must_be_an_object(emulator, session):
    assert (await sync(session, emulator, ["A"])).message == "products: every product must be an object"


async def test_a_path_that_is_not_utf8_is_400(emulator, session):
    assert (await call(session, emulator, "DELETE", f"{SHOP}/products/%FF")).status == 400


async def test_a_client_that_asks_whether_to_send_its_body_is_told_to(emulator, session):
    body = {"syncType": "INCREMENTAL", "products": [product()]}
    reply = await call(session, emulator, "POST", f"{SHOP}/products/sync", json=body, expect100=True)
    assert (reply.status, list(emulator.products)) == (200, ["A"])


async def test_a_client_that_leaves_mid_body_is_no_failure_of_the_emulator(session):
    async with Emulator(rate_limits=None) as emulator:
        _, writer = await asyncio.open_connection(emulator.host, emulator.port)
        head = f"POST {SHOP}/products/sync HTTP/1.1\r\nHost: x\r\nX-Shop-API-Key: {DEFAULT_API_KEY}\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        await arrival_of(1, emulator)
        writer.close()
        await writer.wait_closed()
        while emulator.requests[0].finished is None:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.001)
    assert emulator.requests[0].status is None


async def test_unknown_sync_type_is_400(emulator, session):
    assert (await sync(session, emulator, [product()], mode="PARTIAL")).message.startswith("syncType: ")


async def test_incremental_merges_and_leaves_the_rest(emulator, session):
    await sync(session, emulator, [product("A", sku="1"), product("B")])
    answer = (await sync(session, emulator, [product("A", price=1), product("C")])).json
    assert answer == {
        "newProducts": 1, "updatedProducts": 1, "failed": 0,
        "productsCount": 3, "remainingProducts": 999_997, "errors": [],
    }  # fmt: skip
    assert emulator.products["A"] == product("A", sku="1", price=1)


async def test_price_is_kept_exactly(emulator, session):
    body = (
        b'{"syncType":"INCREMENTAL","products":[{"externalId":"A","name":"n","price":0.1000000000000000055,"url":"u"}]}'
    )
    await call(
        session, emulator, "POST", f"{SHOP}/products/sync", data=body, headers={"Content-Type": "application/json"}
    )
    assert emulator.products["A"]["price"] == Decimal("0.1000000000000000055")


async def test_full_deletes_and_reinserts(emulator, session):
    await sync(session, emulator, [product("A", sku="1"), product("B")])
    answer = (await sync(session, emulator, [product("B"), product("C")], mode="FULL")).json
    assert emulator.products == {"B": product("B"), "C": product("C")}
    assert (answer["newProducts"], answer["updatedProducts"]) == (1, 1)


async def test_full_may_mark_the_absent_instead(session):
    async with Emulator(rate_limits=None, full_semantics="mark_absent") as emulator:
        await sync(session, emulator, [product("A"), product("B")])
        await sync(session, emulator, [product("B")], mode="FULL")
        assert emulator.products == {"A": product("A", isActive=False), "B": product("B")}


async def test_duplicates_are_a_conflict_in_full_only(emulator, session):
    twice = [product("A", price=1), product("A", price=2)]
    conflict = await sync(session, emulator, twice, mode="FULL")
    assert conflict.status == 409
    assert "message" not in conflict.json
    assert emulator.products == {}
    answer = (await sync(session, emulator, twice)).json
    assert (answer["newProducts"], answer["updatedProducts"]) == (1, 1)
    assert emulator.products["A"]["price"] == 2


async def test_parent_must_be_in_batch_or_catalog(emulator, session):
    child = product("child", parentExternalId="P")
    refused = await sync(session, emulator, [child, product("x", parentExternalId="Q")])
    assert (refused.status, refused.message) == (422, "parentExternalId 'P' not found")
    assert (await sync(session, emulator, [child, product("P")])).status == 200
    assert (await sync(session, emulator, [product("child2", parentExternalId="P")])).status == 200
    emulator.shop.name_all_missing_parents = True
    refused = await sync(session, emulator, [product("y", parentExternalId="Y"), product("z", parentExternalId="Z")])
    assert refused.message == "parentExternalId 'Y' not found, parentExternalId 'Z' not found"


async def test_currencies_may_not_mix(emulator, session):
    reply = await sync(session, emulator, [product("A", currency="EUR"), product("B", currency="USD"), product("C")])
    assert reply.status == 422
    assert "mismatch" in reply.message.lower()


async def test_items_over_quota_or_rejected_come_back_in_errors(session):
    def reject(item):
        return "banned" if item["externalId"] == "bad" else None

    async with Emulator(rate_limits=None, max_products=2, reject_item=reject) as emulator:
        answer = (await sync(session, emulator, [product(name) for name in ("a", "bad", "b", "c")])).json
        assert (answer["newProducts"], answer["failed"], answer["remainingProducts"]) == (2, 2, 0)
        assert answer["errors"] == [
            {"externalId": "bad", "error": "banned"},
            {"externalId": "c", "error": "Product limit of 2 reached"},
        ]
        assert (await sync(session, emulator, [product("a")])).json["updatedProducts"] == 1


async def test_a_hook_can_reject_the_whole_batch(emulator, session):
    emulator.shop.reject_batch = lambda products: (422, "no") if len(products) > 1 else None
    assert (await sync(session, emulator, [product("A"), product("B")])).message == "no"
    assert (await sync(session, emulator, [product("A")])).status == 200


async def test_an_exception_in_a_hook_is_not_swallowed(session, caplog):
    with pytest.raises(ExceptionGroup) as raised:
        async with Emulator(rate_limits=None, reject_item=lambda item: 1 / 0) as emulator:
            assert (await sync(session, emulator, [product()])).status == 500
    assert isinstance(raised.value.exceptions[0], ZeroDivisionError)


async def test_idempotency_key_replays_or_drifts(emulator, session):
    key = {"X-Idempotency-Key": "k1"}
    first = await sync(session, emulator, [product("A")], headers=key)
    del emulator.products["A"]
    again = await sync(session, emulator, [product("A")], headers=key)
    assert (again.status, again.body) == (200, first.body)
    assert emulator.products == {}
    assert [record.replayed for record in emulator.requests] == [False, True]
    assert emulator.idempotency["k1"].replays == 1
    assert emulator.requests[0].idempotency_key == "k1"
    drift = await sync(session, emulator, [product("A", price=1)], headers=key)
    assert drift.status == 409
    assert emulator.products == {}


async def test_a_refused_batch_does_not_use_its_key_up(emulator, session):
    key = {"X-Idempotency-Key": "k1"}
    child = product("child", parentExternalId="P")
    assert (await sync(session, emulator, [child], headers=key)).status == 422
    emulator.products["P"] = product("P")
    assert (await sync(session, emulator, [child], headers=key)).status == 200


async def test_a_large_body_gets_a_proxys_413(session):
    async with Emulator(rate_limits=None, max_body_bytes=1000) as emulator:
        reply = await sync(session, emulator, [product("A", description="x" * 1000)])
        assert reply.status == 413
        assert reply.body.startswith(b"<html>")


async def test_a_body_over_one_mebibyte_is_taken(emulator, session):
    products = [product(str(n), description="x" * 5000) for n in range(500)]
    body = json.dumps({"syncType": "INCREMENTAL", "products": products}).encode()
    headers = {"Content-Type": "application/json"}
    with pytest.warns(ResourceWarning):
        reply = await call(session, emulator, "POST", f"{SHOP}/products/sync", data=body, headers=headers)
    assert (reply.status, len(emulator.products)) == (200, 500)


# Domain and conversions


@pytest.mark.parametrize("path", [f"{SHOP}/verify", f"{SHOPS}/verify"])
async def test_domain_life(emulator, session, path):
    data_path = f"{SHOP}/verification-data"
    assert (await call(session, emulator, "GET", data_path)).json["verified"] is False
    verified = (await call(session, emulator, "POST", path, json={"domain": "https://shop.example"})).json
    assert verified == {
        "shopId": "shop_test", "verificationCode": emulator.verification_code,
        "domain": "https://shop.example", "name": "Test shop",
    }  # fmt: skip
    assert emulator.verified
    conflict = await call(session, emulator, "POST", path, json={"domain": "https://shop.example"})
    assert (conflict.status, conflict.message) == (409, None)
    assert "verifiedAt" in (await call(session, emulator, "GET", data_path)).json
    gone = await call(session, emulator, "DELETE", f"{SHOP}/verify")
    assert (gone.status, gone.body) == (204, b"")
    assert not emulator.verified
    assert {record.endpoint for record in emulator.requests} == {
        "verification_data",
        "verify_domain",
        "unverify_domain",
    }


@pytest.mark.parametrize("domain", [None, "", "shop.example", "ftp://shop.example", 5])
async def test_domain_must_be_a_url(emulator, session, domain):
    reply = await call(session, emulator, "POST", f"{SHOP}/verify", json={"domain": domain})
    assert reply.status == 400


async def test_products_may_need_a_verified_domain(session):
    async with Emulator(rate_limits=None, require_verified=True) as emulator:
        assert (await sync(session, emulator, [product()])).status == 403
        emulator.verified = True
        assert (await sync(session, emulator, [product()])).status == 200


def order(**line):
    lines = [{"productId": "A", "searchLogId": "log", "quantity": 1, "lineTotal": 9.5, **line}]
    return {"orderId": "o1", "orderValue": 9.5, "currency": "EUR", "conversions": lines}


async def test_conversions_count_once_by_order(emulator, session):
    path = f"{SHOP}/track/conversion"
    assert (await call(session, emulator, "POST", path, json=order())).status == 200
    assert (await call(session, emulator, "POST", path, json=order(quantity=7))).status == 200
    received = emulator.conversions["o1"]
    assert received.deliveries == 2
    assert received.body["conversions"][0]["quantity"] == 1


async def test_a_line_without_search_log_id_under_both_readings(emulator, session):
    path = f"{SHOP}/track/conversion"
    assert (await call(session, emulator, "POST", path, json=order(searchLogId=None))).status == 200
    assert emulator.conversions["o1"].attributed == 0
    emulator.shop.require_search_log_id = True
    refused = await call(session, emulator, "POST", path, json=order(searchLogId=None))
    assert (refused.status, refused.message) == (400, "conversions[0].searchLogId: must not be blank")


@pytest.mark.parametrize("broken", [{}, {"orderId": 5}, {"orderId": "o", "orderValue": "9", "currency": "EUR"}])
async def test_a_malformed_conversion_is_400(emulator, session, broken):
    assert (await call(session, emulator, "POST", f"{SHOP}/track/conversion", json=broken)).status == 400


# Limits


def test_fixed_window_forgets_at_its_edge():
    window = FixedWindow(RateLimit(2, per=10))
    assert [window.take(now) for now in (3, 12, 12.9, 13, 13)] == [True, True, False, True, True]
    assert window.remaining(22.9) == 0
    assert window.remaining(23) == 2


def test_fixed_window_may_follow_the_clock():
    window = FixedWindow(RateLimit(2, per=10), aligned="clock")
    assert [window.take(now) for now in (9, 9, 9.9, 10, 10, 19)] == [True, True, False, True, True, False]


def test_rolling_window_admits_n_in_any_interval():
    window = RollingWindow(RateLimit(2, per=10))
    assert [window.take(now) for now in (0, 6, 9.9, 10, 15.9, 16)] == [True, True, False, True, False, True]
    assert window.remaining(16) == 0
    assert window.remaining(20) == 1


def test_token_bucket_refills_evenly():
    bucket = TokenBucket(RateLimit(2, per=10))
    assert [bucket.take(now) for now in (0, 0, 4.9, 5, 9.9, 10)] == [True, True, False, True, False, True]
    assert bucket.remaining(100) == 2


@pytest.mark.parametrize("algorithm", ["fixed", "rolling", "bucket"])
async def test_the_limit_answers_429_as_documented_and_recovers(session, algorithm):
    async with Emulator(rate_limits={"shop": RateLimit(3, per=0.15)}, algorithm=algorithm) as emulator:
        emulator.spend("shop", 1)
        replies = [await call(session, emulator, "GET", f"{SHOPS}/me") for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["1", "0", "0"]
        assert replies[0].headers["X-RateLimit-Limit"] == "3"
        assert replies[2].headers["Retry-After"] == "1"
        document = replies[2].json
        assert set(document) == {"error", "message", "retryAfter", "limit", "remaining", "timestamp"}
        assert (document["error"], document["limit"], document["remaining"]) == ("rate_limit_exceeded", 3, 0)
        await asyncio.sleep(0.16)
        assert (await call(session, emulator, "GET", f"{SHOPS}/me")).status == 200


async def test_limits_are_per_endpoint_and_can_change(session):
    async with Emulator(algorithm="rolling", retry_after=False, rate_headers=False) as emulator:
        emulator.set_limit("shop", RateLimit(1, per=60))
        assert (await call(session, emulator, "GET", f"{SHOPS}/me")).status == 200
        refused = await call(session, emulator, "GET", f"{SHOPS}/me")
        assert refused.status == 429
        assert not {"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining"} & set(refused.headers)
        assert (await call(session, emulator, "GET", f"{SHOP}/verification-data")).status == 200
        emulator.set_limit("shop", None)
        assert (await call(session, emulator, "GET", f"{SHOPS}/me")).status == 200


async def test_the_documented_limits_hold_by_default(session):
    async with Emulator() as emulator:
        assert emulator.spend("verify_domain", 10) == 5
        reply = await call(session, emulator, "POST", f"{SHOPS}/verify", json={"domain": "https://a.example"})
        assert (reply.status, reply.headers["Retry-After"]) == (429, "300")


async def test_a_request_counts_when_it_arrives_not_when_it_is_answered(session):
    limits = {"shop": RateLimit(1, per=0.1)}
    async with Emulator(rate_limits=limits, algorithm="rolling", latency=0.11) as emulator:
        first = await call(session, emulator, "GET", f"{SHOPS}/me")
        second = await call(session, emulator, "GET", f"{SHOPS}/me")
        assert (first.status, second.status) == (200, 200)


async def test_a_request_without_the_key_spends_nothing(session):
    async with Emulator(rate_limits={"shop": RateLimit(1, per=60)}) as emulator:
        async with aiohttp.ClientSession() as stranger:
            assert (await call(stranger, emulator, "GET", f"{SHOPS}/me")).status == 401
        assert (await call(session, emulator, "GET", f"{SHOPS}/me")).status == 200


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="unknown endpoint 'shops'"):
        Emulator().set_limit("shops", None)
    with pytest.raises(ValueError, match="algorithm must be"):
        Emulator(algorithm="leaky")


# Faults


@pytest.mark.parametrize(
    ("fault", "keys"),
    [
        (Fault.status(500), {"timestamp", "status", "error", "message", "path"}),
        (Fault.status(500, shape="bare"), {"timestamp", "status", "error", "path"}),
        (Fault.status(500, shape="coded"), {"code", "message", "details"}),
        (Fault.status(500, shape="nested"), {"error"}),
        (Fault.status(500, body={"odd": 1}), {"odd"}),
    ],
)
async def test_every_documented_error_body_can_be_had(emulator, session, fault, keys):
    emulator.fail("sync_products", fault)
    reply = await sync(session, emulator, [product()])
    assert (reply.status, set(reply.json)) == (500, keys)
    assert emulator.products == {}
    assert (await sync(session, emulator, [product()])).status == 200


async def test_nested_body_tells_retry_after_too(emulator, session):
    emulator.fail(None, Fault.status(503, shape="nested", headers={"Retry-After": "7"}))
    reply = await call(session, emulator, "GET", f"{SHOPS}/me")
    assert (reply.headers["Retry-After"], reply.json["error"]["retryAfter"]) == ("7", 7)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault.html(502), 502, b"<html>"),
        (Fault.status(503, shape="empty"), 503, b""),
        (Fault.status(503, body=b"raw"), 503, b"raw"),
        (Fault.garbage(), 200, b"<p>OK</p>"),
    ],
)
async def test_bodies_of_proxies(emulator, session, fault, status, body):
    emulator.fail(None, fault)
    reply = await call(session, emulator, "GET", f"{SHOPS}/me")
    assert reply.status == status
    assert reply.body.startswith(body) if body else reply.body == b""


@pytest.mark.parametrize(("retry_after", "header"), [(7, "7"), (None, None), ("Wed, 21 Oct 2099 07:28:00 GMT",) * 2])
async def test_scripted_429(emulator, session, retry_after, header):
    emulator.fail("shop", Fault.too_many_requests(retry_after))
    reply = await call(session, emulator, "GET", f"{SHOPS}/me")
    assert (reply.status, reply.headers.get("Retry-After")) == (429, header)


@pytest.mark.parametrize("processed", [False, True])
@pytest.mark.parametrize("kind", [Fault.drop, Fault.reset, Fault.truncated, Fault.hang])
async def test_lost_answers_before_and_after_processing(emulator, session, kind, processed):
    emulator.fail("sync_products", kind(processed=processed))
    failures = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
    with pytest.raises(failures) as raised:
        patience = aiohttp.ClientTimeout(total=0.1 if kind is Fault.hang else 10)
        await sync(session, emulator, [product()], timeout=patience)
    assert isinstance(raised.value, TimeoutError) == (kind is Fault.hang)
    if kind is Fault.reset:
        assert isinstance(raised.value, ConnectionResetError) or "reset" in str(raised.value).lower()
    assert list(emulator.products) == (["A"] if processed else [])
    assert (await sync(session, emulator, [product()])).status == 200


async def test_processed_but_answered_500(emulator, session):
    emulator.fail("sync_products", Fault.status(500, processed=True))
    assert (await sync(session, emulator, [product()])).status == 500
    assert list(emulator.products) == ["A"]


async def test_a_connection_closed_after_its_answer_is_not_used_again(emulator, session):
    emulator.fail("shop", Fault.close_after())
    assert (await call(session, emulator, "GET", f"{SHOPS}/me")).status == 200
    await asyncio.sleep(0.01)
    assert (await call(session, emulator, "GET", f"{SHOPS}/me")).status == 200
    assert (await call(session, emulator, "GET", f"{SHOPS}/me")).status == 200
    first, second, third = (record.connection for record in emulator.requests)
    assert first != second == third


async def test_rules_choose_what_they_strike(emulator, session):
    every_third = emulator.fail("shop", Fault.status(500), every=3)
    statuses = [(await call(session, emulator, "GET", f"{SHOPS}/me")).status for _ in range(6)]
    assert statuses == [200, 200, 500, 200, 200, 500]
    assert (every_third.seen, every_third.fired) == (6, 2)
    emulator.faults.clear()
    emulator.fail(None, Fault.status(422), when=lambda record: "poison" in record.external_ids)
    assert (await sync(session, emulator, [product("A")])).status == 200
    assert (await sync(session, emulator, [product("A"), product("poison")])).status == 422
    assert emulator.requests[-1].fault is not None


async def test_a_rule_without_a_count_strikes_always(emulator, session):
    rule = emulator.fail("shop", Fault.status(503), times=None)
    assert [(await call(session, emulator, "GET", f"{SHOPS}/me")).status for _ in range(4)] == [503] * 4
    assert (rule.times, rule.fired) == (None, 4)
    assert repr(rule) == "<FaultRule for shop, always, every=1, fired=4>"


def test_counts_below_their_minimum_are_refused():
    with pytest.raises(ValueError, match="every must be a whole number, 1 or more; got 0"):
        FaultRule(Fault.drop(), every=0)
    with pytest.raises(ValueError, match="times must be a whole number, 0 or more, or None; got -1"):
        FaultRule(Fault.drop(), times=-1)


async def test_slow_and_latency_delay_the_answer(session):
    async with Emulator(rate_limits=None, latency=0.02, jitter=0.01, seed=3) as emulator:
        emulator.fail("shop", Fault.slow(0.05))
        await call(session, emulator, "GET", f"{SHOPS}/me")
        await call(session, emulator, "GET", f"{SHOPS}/me")
        slow, usual = (record.finished - record.arrived for record in emulator.requests)
        assert slow >= 0.07
        assert usual >= 0.02


async def test_a_client_that_gives_up_does_not_stop_the_server(session):
    async with Emulator(rate_limits=None, latency=0.05) as emulator:
        with pytest.raises(TimeoutError):
            await sync(session, emulator, [product()], timeout=aiohttp.ClientTimeout(total=0.02))
        await asyncio.sleep(0.06)
        assert list(emulator.products) == ["A"]


# The log, and life


async def test_the_log_tells_what_was_sent(emulator, session):
    await sync(session, emulator, [product("A"), product("B")], headers={"User-Agent": "me/1"})
    record = emulator.requests_to("sync_products")[0]
    assert (record.method, record.status, record.external_ids) == ("POST", 200, ["A", "B"])
    assert record.headers["user-agent"] == "me/1"
    assert record.parsed["syncType"] == "INCREMENTAL"
    assert record.body_size == len(record.body)
    assert record.arrived <= record.finished
    assert DEFAULT_API_KEY not in repr(record) + repr(emulator)


async def test_bodies_need_not_be_kept(session):
    async with Emulator(rate_limits=None, keep_bodies=False) as emulator:
        await sync(session, emulator, [product("A")])
        record = emulator.requests[0]
        assert (record.body, record.external_ids) == (None, [])
        assert record.body_size > 0


async def arrival_of(count, emulator):
    while len(emulator.requests) < count:  # noqa: ASYNC110 - the emulator has no use for an event of its own
        await asyncio.sleep(0.001)


async def test_closing_leaves_no_task_and_no_hanging_client(session):
    before = asyncio.all_tasks()
    async with Emulator(rate_limits=None, grace=0.05) as emulator:
        emulator.fail("shop", Fault.hang())
        emulator.fail("sync_products", Fault.slow(30))
        calls = [
            asyncio.create_task(call(session, emulator, "GET", f"{SHOPS}/me")),
            asyncio.create_task(sync(session, emulator, [product()])),
        ]
        await arrival_of(2, emulator)
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 20  # of the thirty for which one is delayed
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, aiohttp.ClientError) for outcome in outcomes), outcomes
    assert asyncio.all_tasks() <= before


async def test_closing_does_not_wait_for_hanging_requests(session):
    async with Emulator(rate_limits=None, grace=30) as emulator:
        emulator.fail("shop", Fault.hang())
        hanging = asyncio.create_task(call(session, emulator, "GET", f"{SHOPS}/me"))
        await arrival_of(1, emulator)
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 20
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_closing_cancels_work_for_clients_that_have_gone(session):
    before = asyncio.all_tasks()
    async with Emulator(rate_limits=None, grace=0.05, latency=30) as emulator:
        with pytest.raises(TimeoutError):
            await sync(session, emulator, [product()], timeout=aiohttp.ClientTimeout(total=0.02))
        await asyncio.sleep(0.01)
    assert asyncio.all_tasks() <= before
    assert emulator.requests[0].finished is not None
    assert emulator.requests[0].status is None


async def test_closing_lets_requests_in_progress_finish(session):
    async with Emulator(rate_limits=None, latency=0.05) as emulator:
        reply = asyncio.create_task(sync(session, emulator, [product()]))
        await arrival_of(1, emulator)
    assert (await reply).status == 200


async def test_a_stopped_emulator_comes_back_with_its_state_on_its_port(emulator, session):
    await sync(session, emulator, [product()])
    url = emulator.url
    await emulator.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await call(session, emulator, "GET", f"{SHOPS}/me")
    await emulator.start()
    assert emulator.url == url
    assert (await call(session, emulator, "GET", f"{SHOPS}/me")).json["productsCount"] == 1


# The widget


def widget_token(signed_at, shop_id="shop_test", key=DEFAULT_API_KEY):
    message = f"{shop_id}:{signed_at}"
    signature = hmac(key.encode(), message.encode(), sha256).hexdigest()
    return urlsafe_b64encode(f"{message}:{signature}".encode()).decode().rstrip("=")


def test_widget_token_is_valid_for_24_hours():
    token = widget_token(1_000_000)
    for now in (1_000_000, 1_086_399.9):
        assert verify_widget_token(token, api_key=DEFAULT_API_KEY, now=now) == "shop_test"
    for now, reason in ((1_086_400, "expired"), (999_999, "future")):
        with pytest.raises(InvalidWidgetToken, match=reason):
            verify_widget_token(token, api_key=DEFAULT_API_KEY, now=now)


@pytest.mark.parametrize("token", ["", "=", "x", "aGVsbG8", widget_token(1) + "=", widget_token(1, key="sk_other")])
def test_any_other_widget_token_is_refused(token):
    with pytest.raises(InvalidWidgetToken):
        verify_widget_token(token, api_key=DEFAULT_API_KEY, now=2)


async def test_widget_searches_the_catalog(session):
    async with Emulator(rate_limits=None, wall_clock=lambda: 1000.0) as emulator:
        await sync(session, emulator, [product("A"), product("B", name="Trousers"), product("C", isActive=False)])
        async with aiohttp.ClientSession() as browser:
            script = await call(browser, emulator, "GET", "/widget.js")
            found = await call(browser, emulator, "GET", f"/widget/search?q=shirt&token={widget_token(1000)}")
            refused = await call(browser, emulator, "GET", "/widget/search?q=shirt&token=no")
        assert b"neuroon_clicks" in script.body
        assert [hit["externalId"] for hit in found.json["results"]] == ["A"]
        assert found.json["searchLogId"]
        assert {reply.headers["Access-Control-Allow-Origin"] for reply in (script, found, refused)} == {"*"}
        assert refused.status == 401
