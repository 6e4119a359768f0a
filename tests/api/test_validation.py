import json
import math
from collections import UserDict
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from neuroon_async.api import columns
from neuroon_async.api.columns import all_plainly_valid
from neuroon_async.api.models import (
    PRODUCT_FIELDS,
    REQUIRED_FIELDS,
    WIRE_NAMES,
    Conversion,
    ConversionItem,
    Product,
    encode,
)
from neuroon_async.api.validation import (
    _shown,
    _violations,
    check_conversion,
    check_product,
    encoding_problems,
    plainly_valid,
)
from neuroon_async.errors import InvalidConversion, InvalidProduct
from neuroon_async.ledger.digests import content_digests

TEA = {"external_id": "SKU-1", "name": "Tea", "price": Decimal("4.50"), "url": "https://shop.example/tea"}
SURROGATE = "a\ud800"
HUGE = 10**5000

TEXT_FIELDS = ("sku", "image_url", "currency", "description", "parent_external_id", "external_id", "name", "url")
AMOUNT_FIELDS = ("price", "sale_price", "rating")
WHOLE_FIELDS = ("stock_quantity", "review_count")
FLAG_FIELDS = ("in_stock", "is_active")
LIST_FIELDS = ("categories", "brands", "tags")


def tea(**changes):
    return Product(**TEA | changes)


def broken_rules():  # noqa: C901, PLR0912 - a table in the shape of loops
    """Every rule: field, a value that breaks it, and what the message says."""
    for name in TEXT_FIELDS:
        for value in (7, 1.5, b"x", ["x"], True):
            yield name, value, "must be text"
    for name in AMOUNT_FIELDS:
        for value in (True, False, "4.50", [], {}, complex(1, 1)):
            yield name, value, "must be a number"
        not_finite = (math.nan, math.inf, -math.inf, *map(Decimal, ("NaN", "sNaN", "-sNaN", "Infinity", "-Infinity")))
        for value in not_finite:
            yield name, value, "must be a finite number"
        for value in (-1, -0.01, Decimal("-0.01"), -HUGE):
            yield name, value, "must be 0 or more"
    for value in (5.01, 6, Decimal("5.0000000000000000001"), HUGE):
        yield "rating", value, "must be at most 5"
    for name in WHOLE_FIELDS:
        for value in (True, 1.0, 1.5, "1", Decimal(1), math.nan):
            yield name, value, "must be a whole number"
    for name in FLAG_FIELDS:
        for value in (0, 1, "true", "", []):
            yield name, value, "must be true or false"
    for name in LIST_FIELDS:
        for value in ("tea", {"a", "b"}, {"a": "b"}, 7, iter(["a"])):
            yield name, value, "must be a list of texts"
        yield name, ["a", 7], "item 1 must be text, got 7"
        yield name, ["a", None], "item 1 must be text"
        yield name, ["a", SURROGATE, 7], "item 2 must be text"
    yield "attributes", ["a"], "must map texts to texts"
    yield "attributes", "a", "must map texts to texts"
    yield "attributes", {1: "a"}, "key must be text, got 1"
    yield "attributes", {"size": 42}, "'size' must be text, got 42"
    yield "attributes", {"size": None}, "'size' must be text"
    for name in ("external_id", "name", "url", "parent_external_id"):
        yield name, "", "must not be empty"
    for name in REQUIRED_FIELDS:
        yield name, None, "is required"
        yield name, UNSET, "is required"
    yield "name", "x" * 513, "must be at most 512 characters, got 513"
    yield "description", "x" * 5001, "must be at most 5000 characters, got 5001"
    yield "currency", "EURO", "must be at most 3 characters, got 4"


def identify(value):
    """The same in every process, as parallel runs need: no addresses, no order of sets, no endless numbers."""
    return value[:30] if isinstance(value, str) and value.isascii() else type(value).__name__


@pytest.mark.parametrize("field", WIRE_NAMES)
def test_a_broken_rule_names_product_field_and_rule(field):
    broken = [(value, says) for name, value, says in broken_rules() if name == field]
    assert broken, "every field has a rule that can be broken"
    for value, says in broken:
        product = tea(**{field: value})
        assert not plainly_valid(product), type(value)
        for crowd in ([tea(), product, tea()], [product, product]):
            assert not all_plainly_valid(crowd), type(value)
        with pytest.raises(InvalidProduct) as caught:
            check_product(product)
        error = caught.value
        assert error.field == WIRE_NAMES[field]
        assert len(error.violations) == 1
        assert says in error.rule
        assert error.external_id == (None if field == "external_id" else "SKU-1")
        assert f"{WIRE_NAMES[field]}: " in str(error)
        assert len(str(error)) < 250


def test_every_broken_rule_is_told_at_once():
    with pytest.raises(InvalidProduct) as caught:
        check_product(tea(price=-1, name="", rating=9, tags=[1]))
    assert [field for field, _ in caught.value.violations] == ["name", "price", "tags", "rating"]
    assert str(caught.value).startswith("product 'SKU-1': name: must not be empty; price: must be 0 or more")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "x" * 512, "description": "x" * 5000, "currency": "EUR"},
        {"price": 0, "sale_price": 0.0, "rating": 0},
        {"price": Decimal("-0"), "rating": Decimal("5.0")},
        {"price": 5e-324, "sale_price": 1.7e308, "rating": 5},
        {"stock_quantity": -3, "review_count": 0},
        {"stock_quantity": -(2**63) - 1, "review_count": 2**64},
        {"description": "", "currency": "", "sku": "", "image_url": "", "tags": [], "attributes": {}},
        {"in_stock": True, "is_active": False},
        {"attributes": {"": "", "color": "ñ"}, "categories": ["a", ""]},
        {"categories": ("a", "b")},
        dict.fromkeys(set(WIRE_NAMES) - set(REQUIRED_FIELDS)),
    ],
)
def test_what_the_rules_allow_passes(changes):
    check_product(tea(**changes))
    assert encoding_problems(tea(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"name": SURROGATE}, "name", "lone surrogate at character 1"),
        ({"external_id": SURROGATE}, "externalId", "lone surrogate"),
        ({"tags": ["ok", SURROGATE]}, "tags", "lone surrogate"),
        ({"attributes": {SURROGATE: "x"}}, "attributes", "lone surrogate"),
        ({"attributes": {"x": SURROGATE}}, "attributes", "lone surrogate"),
        ({"price": HUGE}, "price", "cannot be written as JSON"),
        ({"review_count": HUGE}, "reviewCount", "cannot be written as JSON"),
    ],
    ids=identify,
)
def test_what_no_json_can_carry_is_told_by_field(changes, field, says):
    [(found, problem)] = encoding_problems(tea(**changes))
    assert found == field
    assert says in problem
    with pytest.raises(ValueError):
        encode(tea(**changes))
    # The closer look, which any field out of the plain types brings on, tells it too.
    with pytest.raises(InvalidProduct, match=says):
        check_product(tea(**{"brands": ("a tuple",)} | changes))


class Fancy(str):
    """As template engines and parsers have them."""

    __slots__ = ()

    def __str__(self):
        return "something else"


class Size(StrEnum):
    LARGE = "L"


class Amount(float):
    pass


class Count(int):
    pass


class Money(Decimal):
    pass


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({"name": Fancy("tea")}, {"name": "tea"}),
        ({"sku": Size.LARGE}, {"sku": "L"}),
        ({"price": Amount(4.5), "stock_quantity": Count(3)}, {"price": 4.5, "stockQuantity": 3}),
        ({"price": Money("4.50")}, {"price": Decimal("4.50")}),
        ({"tags": [Fancy("a")], "attributes": {Fancy("k"): Fancy("v")}}, {"tags": ["a"], "attributes": {"k": "v"}}),
    ],
    ids=identify,
)
def test_other_kinds_of_text_and_number_travel_as_what_they_stand_for(changes, sent):
    product = tea(**changes)
    check_product(product)
    wire = json.loads(encode(product), parse_float=Decimal)
    assert {name: wire[name] for name in sent} == sent
    plain = tea(**{PRODUCT_FIELDS[name]: value for name, value in sent.items()})
    assert content_digests([product]) == content_digests([plain])  # and are no change


@pytest.mark.parametrize("changes", [{"price": Amount("nan")}, {"name": Fancy("")}, {"sale_price": Money(-1)}])
def test_other_kinds_keep_the_same_rules(changes):
    with pytest.raises(InvalidProduct):
        check_product(tea(**changes))


def test_what_is_no_conversion_is_told():
    with pytest.raises(InvalidConversion, match=r"must be a Conversion, got \{.*\}"):
        check_conversion({"orderId": "1"})


ANY_TEXT = st.text() | st.just("")
ANY_NUMBER = st.floats() | st.decimals() | st.integers() | st.booleans() | st.sampled_from([HUGE, Decimal("sNaN")])
ANYTHING = st.one_of(
    st.none(),
    st.just(UNSET),
    ANY_TEXT,
    st.sampled_from(["x" * 3, "x" * 4, "x" * 512, "x" * 513, "x" * 5000, "x" * 5001, SURROGATE]),
    ANY_NUMBER,
    st.sampled_from([0, 5, 5.5]),
    st.lists(ANY_TEXT | st.integers(), max_size=2),
    st.dictionaries(ANY_TEXT | st.integers(), ANY_TEXT | st.integers(), max_size=2),
)
CHANGES = st.dictionaries(st.sampled_from(sorted(WIRE_NAMES)), ANYTHING, max_size=3)


@given(CHANGES)
@example({"parent_external_id": ""})
@example({"price": HUGE})
def test_the_quick_yes_agrees_with_the_table(changes):
    product = tea(**changes)
    if plainly_valid(product):
        # Only what no JSON can carry may be left, and encoding brings that to light.
        assert _violations(product) == encoding_problems(product)


@given(st.lists(CHANGES, min_size=1, max_size=3))
@example([{"attributes": UserDict(a="b")}])
@example([{"attributes": MappingProxyType({"a": "b"})}])
@example([{}, {"tags": ("a",)}])
@example([{}, {"stock_quantity": 5.0}])
@example([{"price": UNSET}, {}])
@example([{"url": "javascript:alert(1)"}])
@example([{"image_url": "javascript:alert(1)"}, {}])
def test_the_quick_yes_to_many_agrees_with_the_table(crowd):
    products = [tea(**changes) for changes in crowd]
    if all_plainly_valid(products):
        for product in products:
            assert _violations(product) == encoding_problems(product)
            # It is made again out of its JSON where it is wanted, so it may hold no other kind of container.
            containers = [getattr(product, name) for name in (*LIST_FIELDS, "attributes")]
            assert {type(held) for held in containers} <= {list, dict, type(None), UnsetType}


@pytest.mark.parametrize("name", sorted(WIRE_NAMES))
@given(value=ANYTHING)
def test_what_passes_all_checks_arrives_as_json(name, value):
    product = tea(**{name: value})
    if not plainly_valid(product) and _violations(product):
        with pytest.raises(InvalidProduct) as caught:
            check_product(product)
        assert {field for field, _ in caught.value.violations} == {WIRE_NAMES[name]}
    elif not encoding_problems(product):
        check_product(product)
        sent = json.loads(encode(product), parse_constant=pytest.fail, parse_float=Decimal)
        assert (WIRE_NAMES[name] in sent) == (value is not UNSET)


LINE = {"product_id": "SKU-1", "search_log_id": "log-1", "quantity": 2, "line_total": Decimal("9.00")}


def order(line=None, **changes):
    lines = [ConversionItem(**LINE), ConversionItem(**LINE | (line or {}))]
    given_order = {"order_id": "o-1", "order_value": 12.5, "currency": "EUR", "conversions": lines}
    return Conversion(**given_order | changes)


def test_a_good_conversion_passes():
    check_conversion(order())
    check_conversion(order(conversions=(ConversionItem(**LINE),)))
    check_conversion(order(conversions=[]))  # track() does not send it


@pytest.mark.parametrize(
    ("conversion", "field", "says"),
    [
        (order(order_id=""), "orderId", "must not be empty"),
        (order(order_id=7), "orderId", "must be text"),
        (order(order_value=-1), "orderValue", "must be 0 or more"),
        (order(order_value="12.50"), "orderValue", "must be a number"),
        (order(order_value=math.nan), "orderValue", "must be a finite number"),
        (order(order_value=Decimal("sNaN")), "orderValue", "must be a finite number"),
        (order(order_value=True), "orderValue", "must be a number"),
        (order(currency="EURO"), "currency", "at most 3"),
        (order(currency=None), "currency", "must be text"),
        (order(conversions=None), "conversions", "must be a list"),
        (order(conversions=iter([ConversionItem(**LINE)])), "conversions", "must be a list"),
        (order(conversions=[LINE]), "conversions[0]", "must be a ConversionItem"),
        (order({"product_id": ""}), "conversions[1].productId", "must not be empty"),
        (order({"search_log_id": None}), "conversions[1].searchLogId", "must be text"),
        (order({"quantity": 0}), "conversions[1].quantity", "must be 1 or more"),
        (order({"quantity": -HUGE}), "conversions[1].quantity", "must be 1 or more"),
        (order({"quantity": 1.0}), "conversions[1].quantity", "must be a whole number"),
        (order({"quantity": True}), "conversions[1].quantity", "must be a whole number"),
        (order({"line_total": math.inf}), "conversions[1].lineTotal", "must be a finite number"),
        (order({"line_total": -0.01}), "conversions[1].lineTotal", "must be 0 or more"),
        (order({"product_id": SURROGATE}), "conversion", "lone surrogate"),
        (order({"quantity": HUGE}), "conversion", "cannot be written as JSON"),
    ],
    ids=lambda value: "" if isinstance(value, Conversion) else identify(value),
)
def test_a_bad_conversion_names_order_field_and_rule(conversion, field, says):
    with pytest.raises(InvalidConversion) as caught:
        check_conversion(conversion)
    assert caught.value.violations[0][0] == field
    assert says in caught.value.rule
    assert len(caught.value.violations) == 1
    assert repr(caught.value.order_id) in str(caught.value)


def test_every_broken_rule_of_a_conversion_is_told_at_once():
    with pytest.raises(InvalidConversion) as caught:
        check_conversion(order({"quantity": 0, "line_total": -1}, currency="EURO"))
    assert [field for field, _ in caught.value.violations] == [
        "currency",
        "conversions[1].quantity",
        "conversions[1].lineTotal",
    ]


LONGEST = {
    "external_id": "x",
    "name": "n" * 512,
    "price": 0,
    "url": "https://shop.example/x",
    "sku": "s",
    "description": "d" * 5000,
    "currency": "EUR",
    "image_url": "https://shop.example/x.png",
    "categories": ["a"],
    "brands": ["a", "b"],
    "tags": [],
    "in_stock": False,
    "stock_quantity": -1,
    "rating": 5,
    "review_count": 0,
    "is_active": True,
    "sale_price": 0,
    "parent_external_id": "y",
    "attributes": {"a": "b"},
}


def test_plain_values_need_no_closer_look():
    """A catalog of a million such products passes in a moment."""
    assert LONGEST.keys() == set(WIRE_NAMES)
    assert plainly_valid(Product(**LONGEST)) is True
    for name in WIRE_NAMES.keys() - REQUIRED_FIELDS:
        without = [Product(**{**LONGEST, name: None}), Product(**{**LONGEST, name: UNSET})]
        for product in without:
            assert plainly_valid(product) is True, name
            for crowd in ([product], [Product(**LONGEST), product], [product, Product(**LONGEST)]):
                assert all_plainly_valid(crowd) is True, name
    assert all_plainly_valid([Product(**LONGEST), *without])


def test_values_that_are_given():
    assert columns.given([UNSET, 1.5, None, UNSET]) == [1.5]
    assert columns.given([UNSET, UNSET]) == columns.given([]) == []


class Undecided:
    """Compares as missing values of pandas and arrays of numpy do."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("ambiguous")

    __hash__ = None


class Unreadable(Mapping):
    def __getitem__(self, key):
        raise ConnectionError

    __iter__ = __len__ = __getitem__


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", Decimal("sNaN")),
        ("sale_price", Decimal("sNaN")),
        ("rating", Decimal("sNaN")),
        ("sale_price", Undecided()),
        ("stock_quantity", Undecided()),
        ("categories", Undecided()),
        ("attributes", Unreadable()),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_a_value_that_cannot_be_asked_is_told_apart_from_its_neighbours(field, value):
    others = [tea(price=1.0), tea(price=Decimal(1)), tea(price=1, rating=1.0, sale_price=1.0)]
    product = tea(**{field: value})
    assert all_plainly_valid([*others, product]) is False
    assert all_plainly_valid([product, *others]) is False
    with pytest.raises(InvalidProduct) as caught:
        check_product(product)
    assert caught.value.field == WIRE_NAMES[field]


def test_products_of_other_classes_need_a_closer_look():
    class Tea(Product):
        steeped: bool = True

    class Bare(Product):
        pass

    assert all_plainly_valid([tea()]) is True
    assert all_plainly_valid([tea(), Tea(**LONGEST)]) is False
    check_product(Bare(**LONGEST))
    with pytest.raises(InvalidProduct, match="steeped: is not a product field"):  # it would be sent
        check_product(Tea(**LONGEST))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (False, "false"),
        (None, "null"),
        (1.5, "1.5"),
        (Decimal("-2.50"), "-2.50"),
        ("x" * 58, f"'{'x' * 58}'"),
        ("x" * 59, f"'{'x' * 58}…"),
    ],
)
def test_a_wrong_value_is_shown_and_a_long_one_cut(value, shown):
    assert _shown(value) == shown
