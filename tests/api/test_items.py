"""What people hand over instead of products: each kind of item, and values of other libraries' types."""

import dataclasses
import datetime as dt
import sqlite3
import types
import uuid
from collections import ChainMap, namedtuple
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import cached_property
from typing import NamedTuple

import attrs
import msgspec
import pytest
import yarl
from msgspec import UNSET, UnsetType

from neuroon_async.api.items import ignored_fields
from neuroon_async.api.models import Product
from neuroon_async.api.requests import as_product
from neuroon_async.errors import InvalidProduct


def kind_of(value):
    """The same id in every process, as parallel runs need."""
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else type(value).__name__


TEA = {"external_id": "SKU-1", "name": "Tea", "price": 4.5, "url": "https://shop.example/tea"}
PRODUCT = Product(**TEA)


def refused(item):
    with pytest.raises(InvalidProduct) as caught:
        as_product(item)
    return caught.value


@dataclasses.dataclass
class Plain:
    external_id: str
    name: str
    price: float
    url: str
    description: str | None = None
    currency: str | None = "EUR"
    sku: str | None = dataclasses.field(default=None, repr=False)


@attrs.define
class Attrs:
    external_id: str
    name: str
    price: float
    url: str
    description: str | None = None
    currency: str | None = "EUR"


class Struct(msgspec.Struct):
    external_id: str
    name: str
    price: float
    url: str
    description: str | None = None
    currency: str | None = "EUR"
    tags: list[str] | UnsetType = UNSET


@pytest.mark.parametrize("kind", [Plain, Attrs, Struct])
def test_a_class_that_declares_its_fields_is_taken_whole(kind):
    # None by default was set by nobody, so it is not sent; any other value is.
    assert as_product(kind(**TEA)) == Product(**TEA, currency="EUR")
    assert as_product(kind(**TEA, description="x", currency=None)) == Product(**TEA, description="x", currency=None)
    assert ignored_fields(kind(**TEA)) == ()


@dataclasses.dataclass
class Misspelt:
    external_id: str
    name: str
    price: float
    url: str
    in_stok: bool = True


MISSPELT = [
    Misspelt,
    attrs.make_class("Misspelt", [*TEA, "in_stok"]),
    msgspec.defstruct("Misspelt", [*TEA, "in_stok"]),
    namedtuple("Misspelt", [*TEA, "in_stok"]),  # noqa: PYI024
    dict,
]


@pytest.mark.parametrize("kind", MISSPELT, ids=lambda kind: kind.__mro__[1].__name__)
def test_a_declared_field_that_no_product_has_is_refused(kind):
    error = refused(kind(**TEA, in_stok=True))
    assert error.violations == (("in_stok", "is not a product field; did you mean 'in_stock'?"),)
    assert error.external_id == "SKU-1"


def test_camel_case_names_count_everywhere():
    kind = namedtuple("Camel", ["externalId", "name", "price", "url", "inStock"])  # noqa: PYI024
    assert as_product(kind("SKU-1", "Tea", 4.5, TEA["url"], inStock=True)) == Product(**TEA, in_stock=True)


@dataclasses.dataclass
class Computed:
    sku: str
    name: str
    price: float

    @property
    def external_id(self):
        return self.sku

    @cached_property
    def url(self):
        return "https://shop.example/tea"

    @property
    def margin(self):
        raise AssertionError


def test_fields_that_a_class_computes_are_taken_too():
    assert as_product(Computed("SKU-1", "Tea", 4.5)) == Product(**TEA, sku="SKU-1")


class Row(NamedTuple):
    external_id: str
    name: str
    price: float
    url: str
    description: str | None = None


def test_named_tuples():
    assert as_product(Row(**TEA)) == Product(**TEA, description=None)


def test_rows_of_sqlite():
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    columns = "'SKU-1' external_id, 'Tea' name, 4.5 price, 'https://shop.example/tea' url, NULL description"
    row = database.execute(f"select {columns}").fetchone()
    assert as_product(row) == Product(**TEA, description=None)
    typo = database.execute(f"select {columns}, 1 in_stok").fetchone()
    assert refused(typo).field == "in_stok"
    database.close()


@pytest.mark.parametrize(
    "mapping", [types.MappingProxyType(TEA), ChainMap({"name": "Tea"}, TEA), type("Own", (dict,), {})(TEA)], ids=kind_of
)
def test_mappings_of_any_kind(mapping):
    assert as_product(mapping) == PRODUCT


class Hidden(dict):
    """A dict whose items are not what it holds."""

    def items(self):
        return TEA.items()


def test_a_mapping_is_read_by_its_own_items():
    assert as_product(Hidden(external_id="other")) == PRODUCT


@pytest.mark.parametrize(
    "item",
    [None, "SKU-1", b"x", 7, ["a"], ("a",), {"a"}, object(), types.SimpleNamespace(**TEA), Exception()],
    ids=kind_of,
)
def test_anything_else_is_refused_with_the_way_out(item):
    error = refused(item)
    assert error.field == "product"
    assert f"got {type(item).__name__}, which to_product= can convert" in error.rule
    assert ignored_fields(item) == ()


def test_a_class_is_told_as_one():
    assert refused(Plain).rule.endswith("got the class Plain itself")


class Broken:
    def keys(self):
        raise RuntimeError("the cursor is closed")

    def __getitem__(self, key):
        raise AssertionError


def test_an_item_that_cannot_be_read_says_why():
    assert "cannot be read: RuntimeError('the cursor is closed')" in refused(Broken()).rule


def test_names_and_values_that_are_wrong_are_told_together():
    error = refused(TEA | {"nmae": "x", "price": -1, "name": None, "url": "javascript:alert(1)"})
    assert [field for field, _ in error.violations] == ["nmae", "name", "price", "url"]


# Values


class Color(Enum):
    RED = "red"
    NUMBER = 7


class Stock(IntEnum):
    MANY = 3


class Size(StrEnum):
    LARGE = "L"


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "something else"


UUID = uuid.UUID(int=1)


def _like(module, name, text):
    """A value whose class is called as one of a library that is not installed."""
    return type(name, (), {"__module__": module, "__str__": lambda _: text})()


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("external_id", UUID, str(UUID)),
        ("external_id", 17, "17"),
        ("parent_external_id", 17, "17"),
        ("url", yarl.URL("https://shop.example/té"), "https://shop.example/t%C3%A9"),
        ("url", _like("httpx._urls", "URL", "https://shop.example/tea"), "https://shop.example/tea"),
        ("sku", Color.RED, "red"),
        ("external_id", Color.NUMBER, "7"),
        ("stock_quantity", Stock.MANY, 3),
        ("sku", Size.LARGE, "L"),
        ("name", Text("Tea"), "Tea"),
        ("tags", (Size.LARGE, Text("a"), UUID), ["L", "a", str(UUID)]),
        ("tags", [Color.RED], ["red"]),
        ("attributes", types.MappingProxyType({Text("size"): Size.LARGE}), {"size": "L"}),
        ("price", type("Money", (Decimal,), {})("4.50"), Decimal("4.50")),
    ],
    ids=kind_of,
)
def test_plain_values_of_other_types_are_what_they_stand_for(name, value, plain):
    for fields in (TEA | {name: value}, types.MappingProxyType(TEA | {name: value})):
        found = getattr(as_product(fields), name)
        assert found == plain
        assert isinstance(plain, str) or type(found) is type(plain)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("name", dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "must be text, got datetime.datetime"),
        ("name", dt.date(2026, 3, 1), "must be text"),
        ("name", b"Tea", "must be text"),
        ("name", 7, "must be text, got 7"),
        ("sku", 7, "must be text, got 7"),
        ("name", UUID.bytes, "must be text"),
        ("external_id", True, "must be text, got true"),
        ("external_id", 17.0, "must be text, got 17.0"),
        ("external_id", 10**5000, "must be text, got a number too long to show"),
        ("tags", {"a"}, "must be a list of texts"),
        ("tags", iter(["a"]), "must be a list of texts"),
        ("tags", ["a", 7], "item 1 must be text"),
        ("attributes", {"size": 42}, "'size' must be text"),
        ("price", "4.50", "must be a number"),
        ("price", Color.RED, "must be a number"),
    ],
    ids=kind_of,
)
def test_what_stands_for_nothing_plain_is_refused(name, value, says):
    assert says in refused(TEA | {name: value}).rule


def test_a_value_that_cannot_be_read_costs_its_product_only():
    loop = []
    loop.append(loop)
    assert refused(TEA | {"tags": loop}).field == "tags"
    assert refused(TEA | {"attributes": {"a": loop}}).field == "attributes"
    broken = type("URL", (), {"__module__": "yarl", "__str__": lambda _: 1 // 0})()
    assert "cannot be read: ZeroDivisionError" in refused(TEA | {"url": broken}).rule


# Addresses


@pytest.mark.parametrize(
    ("address", "scheme"),
    [
        ("javascript:alert(1)", "javascript"),
        (" JavaScript:alert(1)", "javascript"),
        ("java\nscript:alert(1)", "javascript"),
        ("\x01javascript:1/alert(1)", "javascript"),
        ("data:image/png;base64,AA==", "data"),
        ("ftp://shop.example/tea", "ftp"),
        ("file:///tea.jpg", "file"),
        ("C:\\images\\tea.jpg", "c"),
        ("c:/images/tea.jpg", "c"),
        ("tel:123456", "tel"),
        ("mailto:a@shop.example", "mailto"),
    ],
)
@pytest.mark.parametrize("name", ["url", "image_url"])
def test_an_address_of_another_scheme_is_refused(name, address, scheme):
    for item in (TEA | {name: address}, Product(**TEA | {name: address})):
        error = refused(item)
        assert error.field == {"url": "url", "image_url": "imageUrl"}[name]
        assert "must be an http or https address" in error.rule
        assert repr(scheme) in error.rule


@pytest.mark.parametrize(
    "address",
    [
        *("https://shop.example/a:b", "HTTP://shop.example", "//shop.example/tea", "/tea", "tea", "?id=1", "#a"),
        *(
            "shop.example/tea",
            "shop.example:8080/tea",
            "localhost:8000",
            "http:tea",
            "a/b:c",
            "u:x",
            "ñ:x",
            ":x",
            "1:x",
        ),
    ],
)
@pytest.mark.parametrize("name", ["url", "image_url"])
def test_http_addresses_and_relative_ones_are_sent(name, address):
    assert getattr(as_product(TEA | {name: address}), name) == address
