import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async.api.clicks import ClickLog
from neuroon_async.api.contract import SyncMode
from neuroon_async.api.models import (
    PRODUCT_FIELDS,
    REQUIRED_FIELDS,
    WIRE_NAMES,
    BatchResult,
    Conversion,
    ConversionItem,
    OrderLine,
    Product,
    Shop,
    SyncRequest,
    Verification,
    VerificationData,
    VerificationRequest,
    encode,
    encode_conversion,
)
from neuroon_async.api.responses import decode_response
from neuroon_async.errors import InvalidProduct

TEA = {"external_id": "SKU-1", "name": "Té", "price": Decimal("4.50"), "url": "https://shop.example/tea"}
DOCUMENTED_FIELDS = {
    "externalId", "name", "price", "url", "sku", "description", "currency", "imageUrl", "categories", "brands", "tags",
    "inStock", "stockQuantity", "rating", "reviewCount", "isActive", "salePrice", "parentExternalId", "attributes",
}  # fmt: skip
OPTIONAL = sorted(set(WIRE_NAMES) - set(REQUIRED_FIELDS))


def test_the_fields_are_the_documented_ones():
    assert set(WIRE_NAMES.values()) == DOCUMENTED_FIELDS
    assert {WIRE_NAMES[name] for name in REQUIRED_FIELDS} == {"externalId", "name", "price", "url"}


def test_what_is_not_set_is_not_sent():
    assert encode(Product(**TEA)) == (
        '{"externalId":"SKU-1","name":"Té","price":4.50,"url":"https://shop.example/tea"}'.encode()
    )


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_is_set_to_none_is_sent_as_null(name):
    sent = json.loads(encode(Product(**TEA, **{name: None})))
    assert sent[WIRE_NAMES[name]] is None
    assert len(sent) == 5


@pytest.mark.parametrize(
    ("name", "falsy"),
    [("in_stock", False), ("stock_quantity", 0), ("description", ""), ("tags", []), ("attributes", {})],
)
def test_what_is_set_to_something_empty_is_sent(name, falsy):
    assert json.loads(encode(Product(**TEA, **{name: falsy})))[WIRE_NAMES[name]] == falsy


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_travel_as_numbers_exactly(price):
    text = encode(Product(**TEA | {"price": price, "sale_price": price})).decode()
    numbers = re.findall(r'"(?:price|salePrice)":([^,}]+)', text)
    assert [Decimal(number) for number in numbers] == [price, price]
    assert all(re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", number) for number in numbers)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1))
def test_floats_and_integers_travel_unchanged(price):
    assert json.loads(encode(Product(**TEA | {"price": price})))["price"] == price


@given(st.text(st.characters(codec="utf-8")))
def test_texts_travel_unchanged(text):
    product = Product(**TEA | {"name": text}, attributes={text: text})
    sent = json.loads(encode(product))
    assert sent["name"] == text
    assert sent["attributes"] == {text: text}


def test_a_sync_request_on_the_wire():
    request = SyncRequest(sync_type=SyncMode.FULL, products=[Product(**TEA)])
    sent = json.loads(encode(request))
    assert sent["syncType"] == "FULL"
    assert [product["externalId"] for product in sent["products"]] == ["SKU-1"]


def test_a_conversion_takes_only_the_lines_that_a_search_led_to():
    lines = [
        OrderLine(product_id="SKU-1", quantity=2, line_total=9),
        OrderLine(product_id="SKU-2", quantity=1, line_total=5),
    ]
    clicks = ClickLog.parse('{"SKU-1":"log-7","SKU-9":"log-8"}')
    conversion = Conversion.from_order(order_id="1", order_value=14, currency="EUR", lines=lines, clicks=clicks)
    assert conversion.conversions == [ConversionItem("SKU-1", "log-7", 2, 9)]
    assert conversion.left_out == ("SKU-2",)
    assert b"SKU-2" not in encode_conversion(conversion)


def test_a_conversion_on_the_wire():
    items = [ConversionItem("SKU-1", "log-1", 2, Decimal("9.00"))]
    conversion = Conversion(order_id="o-1", order_value=Decimal("12.50"), currency="EUR", conversions=items)
    assert encode_conversion(conversion) == (
        b'{"orderId":"o-1","orderValue":12.50,"currency":"EUR",'
        b'"conversions":[{"productId":"SKU-1","searchLogId":"log-1","quantity":2,"lineTotal":9.00}]}'
    )
    assert encode(VerificationRequest("https://shop.example")) == b'{"domain":"https://shop.example"}'


def test_a_product_does_not_change_and_shows_what_was_set():
    product = Product(**TEA)
    with pytest.raises(AttributeError):
        product.name = "Coffee"
    assert "sku" not in repr(product)
    assert "SKU-1" in repr(product)


def mixed_case(draw, names):
    return {draw(st.sampled_from([name, WIRE_NAMES[name]])): name for name in names}


@given(st.data(), st.sets(st.sampled_from(OPTIONAL)))
def test_a_mapping_may_use_either_case_for_each_field(data, optional):
    values = TEA | dict.fromkeys(optional)
    keys = mixed_case(data.draw, values)
    assert Product.from_mapping({key: values[name] for key, name in keys.items()}) == Product(**values)


@given(st.sets(st.sampled_from(REQUIRED_FIELDS), min_size=1))
def test_a_mapping_that_lacks_required_fields_names_each(missing):
    with pytest.raises(InvalidProduct) as caught:
        Product.from_mapping({name: value for name, value in TEA.items() if name not in missing})
    assert set(caught.value.violations) == {(WIRE_NAMES[name], "is required") for name in missing}
    assert caught.value.external_id == (None if "external_id" in missing else "SKU-1")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("externalID", "did you mean 'externalId'?"),
        ("in_stok", "did you mean 'in_stock'?"),
        ("zzzz", "is not a product field"),
        (7, "is not a product field"),
        ("", "is not a product field"),
    ],
)
def test_a_mapping_with_an_unknown_key_is_refused_with_a_hint(key, hint):
    with pytest.raises(InvalidProduct, match=re.escape(hint)) as caught:
        Product.from_mapping(TEA | {key: "x"})
    assert caught.value.field == str(key)
    assert caught.value.external_id == "SKU-1"
    assert "'SKU-1'" in str(caught.value)


@given(st.sampled_from([name for name, wire in WIRE_NAMES.items() if name != wire]))
def test_a_field_under_both_names_is_refused(name):
    with pytest.raises(InvalidProduct, match="given twice") as caught:
        Product.from_mapping(TEA | {name: "x", WIRE_NAMES[name]: "x"})
    assert caught.value.field == WIRE_NAMES[name]


def test_a_mapping_with_an_unusable_id_names_nobody():
    with pytest.raises(InvalidProduct) as caught:
        Product.from_mapping({"external_id": 7})
    assert caught.value.external_id is None


def test_every_name_leads_to_its_field():
    assert set(PRODUCT_FIELDS) == set(WIRE_NAMES) | set(WIRE_NAMES.values())


def test_a_batch_result_reads_the_vendors_names():
    body = {
        "newProducts": 1,
        "updatedProducts": 2,
        "failed": 1,
        "productsCount": 10,
        "remainingProducts": 90,
        "errors": [{"externalId": "SKU-9", "error": "no such parent", "more": 1}, {}],
        "unknown": {"x": 1},
    }
    result = decode_response(json.dumps(body).encode(), BatchResult)
    assert (result.created, result.updated, result.failed) == (1, 2, 1)
    assert (result.products_count, result.remaining_products) == (10, 90)
    assert [(e.external_id, e.error) for e in result.errors] == [("SKU-9", "no such parent"), (None, None)]


@pytest.mark.parametrize("body", [b"{}", b'{"errors":null,"newProducts":null}'])
def test_a_batch_result_may_say_nothing(body):
    result = decode_response(body, BatchResult)
    assert (result.created, result.updated, result.failed, result.errors) == (None, None, None, [])


def test_empty_results_do_not_share_their_errors():
    one, other = decode_response(b"{}", BatchResult), decode_response(b"{}", BatchResult)
    one.errors.append("x")
    assert other.errors == []


def test_numbers_in_strings_are_accepted_in_responses():
    assert decode_response(b'{"newProducts":"3"}', BatchResult).created == 3


def test_the_shop():
    assert decode_response(b'{"maxProducts":500,"maxSearchesPerMonth":10,"plan":"x"}', Shop) == Shop(
        max_products=500, max_searches_per_month=10
    )


def test_verification():
    body = b'{"shopId":"shop_1","verificationCode":"abc","domain":"https://shop.example","name":"Shop"}'
    assert decode_response(body, Verification) == Verification(
        shop_id="shop_1", verification_code="abc", domain="https://shop.example", name="Shop"
    )


@pytest.mark.parametrize("when", ["2026-03-01T10:00:00", "2026-03-01T10:00:00Z", "2026-03-01T12:00:00+02:00"])
def test_a_time_without_an_offset_is_utc(when):
    data = decode_response(json.dumps({"verifiedAt": when}).encode(), VerificationData)
    assert data.verified_at == datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def test_both_shapes_of_verification_data():
    one = decode_response(b'{"verificationCode":"abc","instructions":"Put it","verified":false}', VerificationData)
    assert (one.verification_code, one.instructions, one.verified, one.verified_at) == ("abc", "Put it", False, None)
    other = decode_response(b'{"domain":"d","verificationCode":"abc","verifiedAt":null}', VerificationData)
    assert (other.domain, other.verified, other.verified_at) == ("d", None, None)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"newProducts":"many"}', b'{"newProducts":\xff}'])
def test_what_is_no_answer_is_told(body):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_response(body, BatchResult)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ('[{"externalId":7,"error":{"code":"bad"}}]', [("7", '{"code":"bad"}')]),
        ('["SKU-1: bad", null]', [(None, "SKU-1: bad"), (None, None)]),
        ('{"SKU-1":"bad"}', [("SKU-1", "bad")]),
        ("{}", []),
        ('"all bad"', [(None, "all bad")]),
    ],
)
def test_errors_of_another_shape_are_kept_as_text(errors, expected):
    result = decode_response(f'{{"failed":1,"errors":{errors}}}'.encode(), BatchResult)
    assert [(error.external_id, error.error) for error in result.errors] == expected


def test_a_time_of_verification_that_is_none_is_none():
    assert decode_response(b'{"verifiedAt":""}', VerificationData).verified_at is None
    assert decode_response(b'{"verifiedAt":"2024-05-01"}', VerificationData).is_verified
