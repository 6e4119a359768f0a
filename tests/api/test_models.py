import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async.api.clicks import ClickLog
from neuroon_async.api.contract import SyncMode
from neuroon_async.api.models import (
    PRODUCT_FIELDS,
    REQUIRED_FIELDS,
    WIRE_NAMES,
    Conversion,
    ConversionItem,
    OrderLine,
    Product,
    SyncRequest,
    VerificationRequest,
    encode,
    encode_conversion,
)
from neuroon_async.api.validation import check_conversion
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


@pytest.mark.parametrize("kind", [Decimal, int, "int64"])
def test_an_order_of_a_database_is_taken_as_it_is(kind):
    np = pytest.importorskip("numpy")
    number = getattr(np, kind)(2) if isinstance(kind, str) else kind(2)
    lines = [OrderLine(product_id=number, quantity=number, line_total=np.float32(4.1))]
    clicks = ClickLog.parse('{"2":"log-7"}')
    order = Conversion.from_order(order_id=number, order_value=np.int64(5), currency="EUR", lines=lines, clicks=clicks)
    check_conversion(order)
    line = ConversionItem("2", "log-7", 2, 4.1)
    assert order == Conversion(order_id="2", order_value=5, currency="EUR", conversions=[line])


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
