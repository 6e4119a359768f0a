"""Options of reading that cannot work are refused by name before anything is opened; those that can are taken."""

from collections import UserDict
from datetime import UTC, date, datetime
from enum import Enum

import pytest
from catalog_files import named

from neuroon_async.catalogs import Catalog, CatalogError
from neuroon_async.catalogs.options import ReadingOptions
from neuroon_async.errors import ConfigurationError, UsageError

KINDS = {
    "mapping": (5, "name=title", [("name", "title")], b"x", object()),
    "shop_url": (5, b"https://shop.example", True, ["https://shop.example"], {}),
    "currency": (5, b"EUR", True, ["EUR"], {}),
    "fit": ("no", "false", "", 1, 0, None, []),
    "keep_going": ("false", 1, None, {}),
    "encoding": (5, b"utf-8", True, ["utf-8"], {}),
    "delimiter": (5, b";", True, [";"], {}),
    "decimal": (5, b".", True, ["."], {}, set()),
    "today": (5, "2020-01-01", b"", 1.5, [], ""),
    "list": (5, b"data", True, ["data"], {}),
    "sheet": (5.5, b"x", True, [], {}, 0, -1),
}
VALUES = {
    "shop_url": (
        *("", " ", "shop.example", "//shop.example", "ftp://shop.example", "https:/shop.example", "https://"),
        *("https://sh[]op.example", "https://[::1", "https://u:p@shop.example", "https://u@shop.example"),
        *("https:// shop", "https://shop.example/a b", " https://shop.example", "https://shop.example\n"),
        *("https://:80", "https://shop.example:99999", "https://shop.example:0", "https://shop.example:x"),
        *("https://shop..example", "https://-shop.example", "https://https://shop.example", "https://sh\\op"),
        *("https://shop.example/?lang=es", "https://shop.example#top", "https://\ud800.example", "https://sh<>op"),
        "https://shop.example[::1]",
    ),
    "currency": ("", "euro", "EU", "€€€", "EUR "),
    "encoding": ("", "klingon", "a\0b", "\ud800", "base64"),
    "delimiter": ("", "::", '"', "\n", "\r", "\0", "\ud800"),
    "decimal": ("", "'", ",."),
    "list": ("\ud800",),
    "format": ("xls", 5, None, []),
}


@pytest.mark.parametrize("option", sorted({*KINDS, *VALUES}))
def test_what_an_option_cannot_be_is_refused_by_its_name(option):
    for value in (*KINDS.get(option, ()), *VALUES.get(option, ())):
        with pytest.raises(ConfigurationError) as caught:
            Catalog("no such file", **{option: value})
        assert str(caught.value).startswith(option), value
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "mapping", [{5: "x"}, {None: "x"}, {"nom": "x"}, {"attributes.": "x"}, {"name": 5}, {"name": None}, {"name": ["x"]}]
)
def test_what_a_mapping_cannot_hold(mapping):
    with pytest.raises(ConfigurationError, match="mapping"):
        Catalog(named("x"), mapping=mapping)


def test_the_content_in_the_place_of_its_path():
    with pytest.raises(CatalogError, match="cannot be opened") as caught:
        Catalog("id,name,price,url\n" * 1_000)
    assert len(str(caught.value)) < 200


def test_names_of_options_that_are_none():
    with pytest.raises(UsageError, match="option_names"):
        Catalog(named("x"), option_names={})


def test_what_options_may_also_be():
    sold = "id,name,price,url,sale_price,sale_price_effective_date\n1,n,9,https://a.example,5,2020-01-01/2020-02-01\n"
    for today in (date(2020, 1, 15), datetime(2020, 1, 15, 23, 59, tzinfo=UTC)):
        [product] = Catalog(named(sold), today=today, mapping=UserDict({"sku": "id"}), list="", sheet="")
        assert (product.sale_price, product.sku) == (5, "1")


def test_texts_and_numbers_may_be_members_of_an_enum():
    given = Enum("given", {"LIST": "data.items", "CURRENCY": "eur"}, type=str)  # `str` gives the name of these
    place = Enum("place", {"SECOND": 2}, type=int)
    json = '{"data": {"items": [{"id": "1", "name": "n", "price": 9, "url": "https://a.example"}]}}'
    [product] = Catalog(named(json), list=given.LIST, currency=given.CURRENCY)
    assert product.currency == "EUR"
    assert ReadingOptions.checked(sheet=place.SECOND).sheet == "2"
