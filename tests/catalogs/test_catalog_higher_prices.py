"""A plain file that holds two prices of a product: the lower one is what is paid, and that of a sale."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from catalog_files import SHOP, named, one_failure, products
from msgspec import UNSET

from neuroon_async.catalogs import Catalog


def prices(header: str, *rows: str, **options: object) -> list[tuple[object, object]]:
    content = f"id;name;url;{header}\n" + "".join(f"{n};A;/a;{row}\n" for n, row in enumerate(rows))
    return [(item.price, item.sale_price) for item in products(content, shop_url=SHOP, **options)]


@pytest.mark.parametrize(
    "header",
    [
        "Price;Regular Price", "_price;_regular_price", "Precio;Precio anterior", "Prix TTC;Prix barré TTC",
        "Preis;Streichpreis", "Prezzo;Prezzo barrato", "Preço;Preço anterior", "Preu;Preu anterior",
        "price;compare_at_price", "PVP (IVA incl.);Precio tachado", "final_price;original_price",
        "Precio ahora;Precio antes", "current price;old price",
    ],
)  # fmt: skip
def test_a_price_beside_a_higher_one_is_that_of_a_sale(header):
    rows = ("79,90;99,90", "99,90;99,90", "99,90;79,90", "99,90;", "99,90;0", "99,90;-", ";99,90")
    assert prices(header, *rows) == [
        (Decimal("99.90"), Decimal("79.90")), *[(Decimal("99.90"), UNSET)] * 6,
    ]  # fmt: skip


def test_the_sales_own_price_comes_first_and_only_a_regular_price_counts_beside_it():
    header = "Price;Regular Price;Sale Price"
    assert prices(header, "79;99;79", "99;99;", "79;99;", "99;99;89") == [(99, 79), (99, UNSET), (99, 79), (99, 89)]
    assert prices("PVP;Precio anterior;Precio oferta", "99;120;79", "99;120;") == [(99, 79), (99, UNSET)]


def test_a_higher_price_alone_is_the_price_only_where_it_is_the_regular_one():
    assert prices("Regular Price", "99") == [(99, UNSET)]
    assert "price: is required" in one_failure("id;name;url;Old price\n1;A;/a;99\n", shop_url=SHOP).reason


def test_ambiguous_amounts_and_words():
    found = prices("Precio;Precio anterior", "1.299;1.499,00", "999,00;1.499,00")
    assert found == [(Decimal("1499.00"), 1299), (Decimal("1499.00"), 999)]
    catalog = Catalog(named("id;name;url;price;old price\n1;A;/a;9;consultar\n"), shop_url=SHOP)
    (item,) = catalog
    assert (item.price, item.sale_price) == (9, UNSET)
    assert "1 product was sent without salePrice: nothing is known to be meant by 'consultar'" in catalog.notes[0]
    failure = one_failure("id;name;url;price;old price\n1;A;/a;abc;9\n", shop_url=SHOP)
    assert "price: must be an amount such as 49.99 or 49.99 EUR, got 'abc'" in failure.reason
    failure = one_failure("id;name;url;price;old price\n1;A;/a;9 EUR;12 USD\n", shop_url=SHOP)
    assert "salePrice: is in EUR, and the price in USD" in failure.reason


def test_the_users_mapping_decides():
    header, row = "price;regular price", "9;12"
    assert prices(header, row, mapping={"price": "price"}) == [(9, UNSET)]
    assert prices(header, row, mapping={"sale_price": ""}) == [(9, UNSET)]
    assert prices(header, row, mapping={"price": "regular price", "sale_price": "price"}) == [(12, 9)]


def test_two_prices_of_a_json_object():
    rows = [
        {"id": 1, "name": "A", "url": "/a", "price": 9, "compareAtPrice": 12.5},
        {"id": 2, "name": "B", "url": "/b"},
    ]
    rows[1] |= {"price": 9, "compareAtPrice": None}
    found = products(json.dumps(rows), "f.json", shop_url=SHOP)
    assert [(item.price, item.sale_price) for item in found] == [(Decimal("12.5"), 9), (9, UNSET)]


def test_types_of_products_are_no_categories():
    words = ("simple", "variable", "product_variation", "grouped", "external", "simple, virtual", "Configurable")
    header = "id;name;url;price;Product Type\n"
    for word in words:
        assert products(f"{header}1;A;/a;1;{word}\n", shop_url=SHOP)[0].categories is UNSET, word
    assert products(f"{header}1;A;/a;1;Simple teas\n", shop_url=SHOP)[0].categories == ["Simple teas"]
