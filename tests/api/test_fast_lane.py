"""The fast lane against the careful one: whatever it takes, the careful lane takes too, with an equal product."""

import json
import math
from collections import UserString
from decimal import Decimal
from enum import StrEnum

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from neuroon_async.api import fast_lane
from neuroon_async.api.fast_lane import from_dict, from_dicts, from_json
from neuroon_async.api.models import REQUIRED_FIELDS, WIRE_NAMES, Product, encode
from neuroon_async.api.requests import _carefully, as_product
from neuroon_async.errors import InvalidProduct

TEA = {"external_id": "SKU-1", "name": "Tea", "price": Decimal("4.50"), "url": "https://shop.example/tea"}
WHOLE = TEA | {
    "sku": "S-1",
    "description": "Green tea",
    "currency": "EUR",
    "image_url": "https://shop.example/tea.jpg",
    "categories": ["Tea", "Green"],
    "brands": ["Hills"],
    "tags": [],
    "in_stock": True,
    "stock_quantity": 4,
    "rating": 4.5,
    "review_count": 0,
    "is_active": False,
    "sale_price": 4,
    "parent_external_id": "SKU-0",
    "attributes": {"size": "L", "": ""},
}


def camel(fields):
    return {WIRE_NAMES.get(name, name): value for name, value in fields.items()}


class Fancy(str):
    __slots__ = ()


class Size(StrEnum):
    LARGE = "L"


class Count(int):
    pass


@pytest.mark.parametrize("names", [camel, dict], ids=["camelCase", "snake_case"])
@pytest.mark.parametrize(
    "fields", [TEA, WHOLE, TEA | dict.fromkeys(set(WHOLE) - set(TEA))], ids=["least", "all", "nulls"]
)
def test_plain_mappings_take_the_fast_lane(names, fields):
    product = from_dict(names(fields))
    assert product == Product(**fields)
    assert type(product) is Product
    assert encode(product) == encode(Product(**fields))
    with pytest.raises(AttributeError):
        product.name = "Coffee"


@pytest.mark.parametrize("names", [camel, dict], ids=["camelCase", "snake_case"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        *({field: {"Tea"}} for field in ("categories", "brands", "tags")),
        *({"price": price} for price in ("4.50", True, -1, math.nan, math.inf, Decimal("sNaN"), Decimal("-Infinity"))),
        *({field: -0.1} for field in ("sale_price", "rating")),
        *({field: math.nan} for field in ("sale_price", "rating")),
        {"rating": 5.1},
        {"url": "/tea"},
        {"image_url": "tea.jpg"},
        {"typo": 1},
    ],
    ids=lambda change: "-".join(map(str, *change.items())) if change else "none",
)
def test_many_are_taken_as_each_of_them_alone(names, change):
    crowd = [names(item) for item in (TEA, WHOLE, TEA | change, WHOLE | change, TEA | {"sale_price": None})]
    apart = [from_dict(item) for item in crowd]
    assert exact_list(from_dicts(crowd)) == exact_list(apart)
    assert (None in apart) == bool(change)
    both_spellings = [*crowd, camel(TEA), TEA]
    assert exact_list(from_dicts(both_spellings)) == exact_list([from_dict(item) for item in both_spellings])


@pytest.mark.parametrize("names", [camel, dict], ids=["camelCase", "snake_case"])
def test_json_takes_the_fast_lane_and_keeps_prices_exact(names):
    text = b'{"price":4.50,"sale_price":0.1}' if names is dict else b'{"price":4.50,"salePrice":0.1}'
    rest = {name: value for name, value in TEA.items() if name != "price"}
    product = from_json(encode(names(rest))[:-1] + b"," + text[1:])
    assert product == Product(**TEA, sale_price=Decimal("0.1"))
    assert encode(product).count(b"4.50") == 1


def test_a_product_shares_nothing_with_its_mapping():
    fields = {name: value.copy() if isinstance(value, (list, dict)) else value for name, value in WHOLE.items()}
    product = from_dict(fields)
    for name in ("categories", "brands", "tags"):
        fields[name].append("x")
    fields["attributes"]["x"] = "y"
    fields["name"] = "Coffee"
    assert product == Product(**WHOLE)


@pytest.mark.parametrize(
    "changes",
    [
        {"price": True},
        {"price": "4.50"},
        {"price": [4.5]},
        {"price": float("nan")},
        {"price": Decimal("sNaN")},
        {"price": None},
        {"price": UNSET},
        {"price": -1},
        {"sale_price": float("inf")},
        {"rating": 5.01},
        {"rating": False},
        {"tags": {"a"}},
        {"tags": frozenset()},
        {"categories": "Tea"},
        {"stock_quantity": 1.0},
        {"stock_quantity": True},
        {"in_stock": 1},
        {"attributes": {"size": 42}},
        {"attributes": {1: "L"}},
        {"name": "x" * 513},
        {"name": ""},
        {"description": "x" * 5001},
        {"currency": "EURO"},
        {"parent_external_id": ""},
        {"url": "javascript:alert(1)"},
        {"image_url": "ftp://shop.example/tea.jpg"},
        {"in_stok": True},
        {"external_id": 7},
        {7: "x"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("names", [camel, dict], ids=["camelCase", "snake_case"])
def test_what_is_not_plain_is_declined(names, changes):
    assert from_dict(names(TEA | changes)) is None


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"null", b'{"externalId":"\xff"}', b"[" * 100_000])
def test_what_is_no_object_is_declined(text):
    assert from_json(text) is None


def carefully(fields):
    """What the careful lane makes of them; ``None`` where it refuses them."""
    try:
        return _carefully(fields)
    except InvalidProduct:
        return None


def as_json(product):
    """What is sent; ``None`` where JSON in UTF-8 cannot hold it."""
    try:
        return encode(product)
    except (ValueError, OverflowError):  # UnicodeEncodeError is a ValueError
        return None


def exact_list(products):
    return [None if product is None else exactly(product) for product in products]


def exactly(product):
    """Equal products, whose values are of the same types too."""
    return {
        name: (type(value) if not isinstance(value, str) else str, value)
        for name in WIRE_NAMES
        if (value := getattr(product, name)) is not UNSET
    }


TEXT = st.sampled_from(
    ["", "Tea", "x" * 3, "x" * 4, "x" * 512, "x" * 513, "x" * 5000, "x" * 5001, "ñ" * 512, "a\ud800"]
)
TEXT |= st.text(max_size=5) | st.sampled_from([Fancy("tea"), Size.LARGE, "\U0001f469" * 512])
ADDRESS = st.sampled_from(
    ["https://shop.example/a", "http://a", "HTTPS://a", "/a", "a", "", "ftp://a", "javascript:1", " https://a", "//a"]
)
AMOUNT = st.floats() | st.decimals() | st.integers() | st.booleans() | st.sampled_from([0, 5, 5.5, 10**400, Count(3)])
AMOUNT |= st.sampled_from([Decimal("sNaN"), Decimal("-0"), Decimal("5.0000000000000000001"), float("inf"), "4.50"])
TEXTS = st.lists(TEXT | st.integers(), max_size=2)
VALUE = st.one_of(
    st.none(),
    st.just(UNSET),
    TEXT,
    ADDRESS,
    AMOUNT,
    TEXTS,
    TEXTS.map(tuple),
    st.sets(st.sampled_from(["a", "b"])),
    st.frozensets(st.sampled_from(["a", "b"])),
    st.dictionaries(TEXT | st.integers(), TEXT | st.integers(), max_size=2),
    st.sampled_from([b"x", UserString("x"), object]),
)
FITTING = {
    **dict.fromkeys(("external_id", "name", "sku", "description", "currency", "parent_external_id"), TEXT),
    **dict.fromkeys(("url", "image_url"), ADDRESS),
    **dict.fromkeys(("price", "sale_price", "rating"), AMOUNT),
    **dict.fromkeys(("in_stock", "is_active"), st.booleans() | st.none()),
    **dict.fromkeys(("stock_quantity", "review_count"), st.integers() | st.none()),
    **dict.fromkeys(("categories", "brands", "tags"), TEXTS | TEXTS.map(tuple)),
    "attributes": st.dictionaries(TEXT, TEXT, max_size=2),
}


@st.composite
def changes(draw):
    """Some fields of a product, most with values of the right kind."""
    names = draw(st.sets(st.sampled_from(sorted(WIRE_NAMES)), max_size=4))
    return {name: draw(FITTING[name] | VALUE) for name in names}


@st.composite
def mappings(draw):
    fields = TEA | draw(changes())
    for name in draw(st.sets(st.sampled_from(REQUIRED_FIELDS), max_size=1)) if draw(st.booleans()) else ():
        fields.pop(name)
    if draw(st.integers(0, 9)) == 0:
        fields[draw(st.sampled_from(["in_stok", "", 7, None]))] = "x"
    names = draw(st.sampled_from(["camel", "snake", "mixed"]))
    if names == "mixed":
        return {(WIRE_NAMES.get(name, name) if draw(st.booleans()) else name): value for name, value in fields.items()}
    return camel(fields) if names == "camel" else fields


@settings(max_examples=4 * settings.default.max_examples)
@given(mappings())
@example(TEA | {"tags": {"a", "b"}})
@example(TEA | {"price": True})
@example(TEA | {"rating": Decimal("5.0000000000000000001")})
@example(TEA | {"image_url": "javascript:alert(1)"})
@example(TEA | {"image_url": ""})
@example(TEA | {"url": "javascript:alert(1)"})
@example(TEA | {"name": Fancy("")})
def test_whatever_the_fast_lane_takes_the_careful_lane_takes_too(fields):
    product = from_dict(fields)
    assert exact_list(from_dicts([TEA, fields])) == exact_list([from_dict(TEA), product]), "alone or in company"
    if product is not None:
        careful = carefully(fields)
        # What no JSON can carry, a lone surrogate say, may be left: encoding brings that to light.
        assert as_json(product) == (None if careful is None else as_json(careful))
        if careful is not None:
            assert exactly(product) == exactly(careful)
    elif (careful := carefully(fields)) is not None:
        assert as_product(fields) == careful
    else:
        with pytest.raises(InvalidProduct):
            as_product(fields)


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=3 * settings.default.max_examples)
@given(st.dictionaries(st.sampled_from(sorted({*WIRE_NAMES, *WIRE_NAMES.values(), "x"})), JSON_VALUE, max_size=4))
@example({"stockQuantity": 3.0})
@example({"price": "NaN"})
@example({"price": 1e400})
def test_json_in_the_fast_lane_is_what_the_careful_lane_makes_of_it(fields):
    for names in (camel, dict):
        rest = {name: value for name, value in TEA.items() if name not in fields and WIRE_NAMES[name] not in fields}
        text = json.dumps(names(rest) | fields, default=float)
        product = from_json(text.encode("utf-8", "surrogatepass"))
        if product is not None:
            assert exactly(product) == exactly(_carefully(json.loads(text, parse_float=Decimal)))


def test_the_types_say_what_the_rules_say():
    schema = msgspec.json.schema(Product)["$defs"]["Product"]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {WIRE_NAMES[name] for name in REQUIRED_FIELDS}
    properties = schema["properties"]
    assert properties["price"] == {"type": "number", "minimum": 0}
    assert properties["rating"]["maximum"] == 5
    assert properties["name"] == {"type": "string", "minLength": 1, "maxLength": 512}


@pytest.mark.parametrize("spelled", [dict, camel])
def test_many_plain_items_are_taken_in_one_go(spelled, monkeypatch):
    one_by_one = []
    monkeypatch.setattr(fast_lane, "from_dict", one_by_one.append)
    items = [spelled(WHOLE), spelled(TEA)]
    assert from_dicts(items) == [_carefully(items[0]), _carefully(items[1])]
    assert one_by_one == []
    from_dicts([spelled(TEA | {"tags": ["a"]}), spelled(TEA | {"tags": {"a"}})])
    assert len(one_by_one) == 2, "a set has no order: it is looked at with more care"


@pytest.mark.parametrize("camel_case", [False, True])
def test_one_broken_object_leaves_the_others_alone(camel_case):
    text = encode(camel(TEA) if camel_case else TEA)
    decoder = fast_lane.ProductDecoder(camel_case=camel_case)
    assert decoder.decode([text, b"{", text]) == [Product(**TEA), None, Product(**TEA)]
