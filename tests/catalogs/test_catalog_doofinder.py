"""The feed that shops make for Doofinder: `|` between columns, `%%` between values."""

from __future__ import annotations

from decimal import Decimal

import pytest
from catalog_files import SHOP, Pipe, named, one_failure, products, until_fault
from msgspec import UNSET

from neuroon_async.catalogs import Catalog

OPTIONS = {"shop_url": SHOP, "currency": "EUR"}
HEADER = "id|title|link|description|price|sale price|image link|categories|availability|brand|color|tags\n"


def row(**changes: str) -> str:
    cells = {
        "id": "1",
        "title": 'Monitor 22"',
        "link": "https://shop.example/1",
        "description": "50 %% claro",
        "price": "29.90",
        "sale price": "",
        "image link": "https://shop.example/1.jpg",
        "categories": "Ropa > Camisas%%Ofertas",
        "availability": "in stock",
    } | changes
    return "|".join(cells.get(name, "") for name in HEADER.strip().split("|")) + "\n"


def test_a_feed():
    catalog = Catalog(named(HEADER + row(color="azul%%blanco", tags="lino, verano", brand="Mar"), "feed"), **OPTIONS)
    (shirt,) = catalog
    assert (catalog.format, catalog.ignored_fields) == ("doofinder", {})
    assert (shirt.name, shirt.description) == ('Monitor 22"', "50 %% claro")
    assert shirt.categories == ["Ropa", "Camisas", "Ofertas"]
    assert (shirt.price, shirt.sale_price, shirt.in_stock) == (Decimal("29.90"), UNSET, True)
    assert (shirt.brands, shirt.tags) == (["Mar"], ["lino", "verano"])
    assert shirt.attributes == {"availability": "in stock", "color": "azul, blanco"}
    assert shirt.image_url == "https://shop.example/1.jpg"


def test_doofinders_own_example_and_a_pipe():
    example = (
        "title|link|description|id|price|image link|product type\n"
        'LG 22" Full HD|https://shop.example/tv|Picture|TV_1|159 USD|https://shop.example/TV.png|Electronics > TVs\n'
    )
    for source in (named(example), Pipe(example.encode())):
        (tv,) = Catalog(source)
        assert (tv.external_id, tv.price, tv.currency, tv.categories) == ("TV_1", 159, "USD", ["Electronics", "TVs"])


@pytest.mark.parametrize(("sale", "expected"), [("19.90", Decimal("19.90")), ("0", UNSET), ("29.90", UNSET)])
def test_sales_and_stock(sale, expected):
    first, second = products(HEADER + row(**{"sale price": sale}) + row(id="2", availability="out of stock"), **OPTIONS)
    assert (first.sale_price, second.in_stock) == (expected, False)


def test_ambiguous_prices_are_settled_by_the_others_or_refused():
    content = HEADER + row(price="1.299") + row(id="2", price="29,90")
    assert [item.price for item in products(content, **OPTIONS)] == [1299, Decimal("29.90")]
    assert "may be 1.299 or 1299" in one_failure(HEADER + row(price="1.299"), **OPTIONS).reason


def test_what_cannot_be_read_is_refused():
    assert "name: is required" in one_failure(HEADER + row(title=""), **OPTIONS).reason
    assert "has 13 cells where the header has 12" in one_failure(HEADER + row(title="a|b", tags="x"), **OPTIONS).reason


def test_a_feed_that_is_cut_off_ends_with_an_error():
    items, fault = until_fault(Catalog(named(HEADER + row() + '2|"Mesa'), **OPTIONS))
    assert len(items) == 1
    assert "never closed" in fault


@pytest.mark.parametrize("header", ["id|name|url|price|categories", "id|title|link|price"])
def test_neighbours_stay_plain_csv(header):
    catalog = Catalog(named(header + "\n1" + "|2" * header.count("|") + "\n"), **OPTIONS)
    list(catalog)
    assert catalog.format == "csv"
