"""WooCommerce's own JSON: the REST API, and the Store API with its minor units."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from catalog_files import named, one_failure, products, read, until_fault
from msgspec import UNSET

from neuroon_async.catalogs import Catalog

CASE = (Path(__file__).parent / "cases" / "10-woo-rest-v3.json").read_bytes()
OPTIONS = {"currency": "EUR", "today": date(2026, 6, 15)}


def rest(**changes) -> dict:
    return {
        "id": 7,
        "name": "Manta",
        "permalink": "https://shop.example/producto/manta/",
        "type": "simple",
        "status": "publish",
        "catalog_visibility": "visible",
        "price": "20",
        "regular_price": "20",
        "sale_price": "",
        "stock_status": "instock",
        "stock_quantity": None,
        "parent_id": 0,
    } | changes


def of(*objects: dict, **options):
    return products(json.dumps(objects), "file", **OPTIONS | options)


def test_the_rest_api():
    catalog = Catalog(named(CASE, "file"), **OPTIONS)
    blanket, draft = catalog
    assert catalog.format == "woocommerce-json"
    assert (blanket.external_id, blanket.name, blanket.sku) == ("501", "Manta Pirineo & Lana", "MP-1")
    assert (blanket.price, blanket.sale_price) == (Decimal("69.9"), Decimal("49.9"))
    assert (blanket.categories, blanket.tags, blanket.brands) == (["Hogar & Textil", "Mantas"], ["lana"], ["Pirineo"])
    assert (blanket.image_url, blanket.url) == (
        "https://shop.example/manta.jpg",
        "https://shop.example/producto/manta-pirineo/",
    )
    assert (blanket.in_stock, blanket.stock_quantity, blanket.is_active) == (True, 7, True)
    assert (blanket.rating, blanket.review_count) == (Decimal("4.50"), 12)
    assert (blanket.description, blanket.attributes) == ("Lana – 100 %", {"Color": "Gris, Crudo"})
    assert blanket.parent_external_id is UNSET
    assert (draft.external_id, draft.is_active, draft.price, draft.in_stock) == ("502", False, 10, False)


@pytest.mark.parametrize(
    ("changes", "price", "sale"),
    [
        ({"sale_price": "15"}, 20, 15),
        ({"sale_price": "0"}, 20, UNSET),
        ({"sale_price": "20"}, 20, UNSET),
        ({"sale_price": "15", "date_on_sale_to": "2019-02-01T23:59:59"}, 20, UNSET),
        ({"sale_price": "15", "date_on_sale_from": "2027-02-01T00:00:00"}, 20, UNSET),
        ({"sale_price": "15", "date_on_sale_from": "2026-02-01T00:00:00", "date_on_sale_to": None}, 20, 15),
        ({"sale_price": "15", "on_sale": False}, 20, UNSET),
        ({"regular_price": "", "price": "12.5", "type": "variable"}, Decimal("12.5"), UNSET),
    ],
)
def test_prices_and_sales(changes, price, sale):
    (blanket,) = of(rest(**changes))
    assert (blanket.price, blanket.sale_price) == (price, sale)


@pytest.mark.parametrize(
    ("changes", "active"),
    [
        ({"status": "private"}, False),
        ({"catalog_visibility": "hidden"}, False),
        ({"catalog_visibility": "search"}, True),
    ],
)
def test_what_shoppers_cannot_find_is_not_active(changes, active):
    assert of(rest(**changes))[0].is_active is active


def test_variations_name_their_parent():
    variation = rest(id=8, name="Manta - Azul", parent_id=7, attributes=[{"id": 1, "name": "Color", "option": "Azul"}])
    del variation["type"]
    for product in of(variation, rest(id=8, name="x", type="variation", parent_id=7)):
        assert product.parent_external_id == "7"
    assert of(variation)[0].attributes == {"Color": "Azul"}
    assert of(rest(parent_id=7))[0].parent_external_id is UNSET  # of a group


def test_a_rating_that_nobody_has_given_is_none():
    (blanket,) = of(rest(average_rating="0.00", rating_count=0))
    assert (blanket.rating, blanket.review_count) == (UNSET, 0)


def test_what_is_on_backorder_can_be_bought():
    assert [of(rest(stock_status=word))[0].in_stock for word in ("onbackorder", "outofstock")] == [True, False]


def store(**prices) -> dict:
    return {
        "id": 9,
        "name": "Taza &amp; plato",
        "parent": 0,
        "type": "simple",
        "variation": "",
        "permalink": "https://shop.example/producto/taza/",
        "sku": "T-9",
        "on_sale": True,
        "prices": {
            "price": "1590",
            "regular_price": "1990",
            "sale_price": "1590",
            "price_range": None,
            "currency_code": "EUR",
            "currency_minor_unit": 2,
        }
        | prices,
        "average_rating": "4.5",
        "review_count": 3,
        "images": [{"id": 1, "src": "https://shop.example/taza.jpg"}],
        "categories": [{"id": 1, "name": "Mesa"}],
        "attributes": [{"name": "Color", "terms": [{"name": "Azul"}, {"name": "Rojo"}]}],
        "is_in_stock": True,
        "low_stock_remaining": 2,
    }


def test_the_store_api_counts_in_minor_units():
    (cup,) = products(json.dumps([store()]), "f")
    assert (cup.price, cup.sale_price, cup.currency) == (Decimal("19.90"), Decimal("15.90"), "EUR")
    assert (cup.name, cup.in_stock, cup.stock_quantity) == ("Taza & plato", True, 2)
    assert (cup.rating, cup.review_count, cup.attributes) == (Decimal("4.5"), 3, {"Color": "Azul, Rojo"})
    (yen,) = products(json.dumps([store(currency_code="JPY", currency_minor_unit=0)]), "f")
    assert (yen.price, yen.sale_price) == (1990, 1590)
    (variable,) = products(json.dumps([store(price_range={"min_amount": "1590", "max_amount": "2990"})]), "f")
    assert (variable.price, variable.sale_price) == (Decimal("19.90"), Decimal("15.90"))


@pytest.mark.parametrize("units", [None, "2", True, 12])
def test_minor_units_that_are_not_said_are_not_guessed(units):
    assert "does not say how many make one" in one_failure(json.dumps([store(currency_minor_unit=units)]), "f").reason


def test_a_variation_of_the_store_api():
    variation = store() | {"type": "variation", "parent": 7, "variation": "Color: Azul"}
    (cup,) = products(json.dumps([variation]), "f")
    assert (cup.parent_external_id, cup.name) == ("7", "Taza & plato - Color: Azul")


@pytest.mark.parametrize("wrap", ["list", "data", "lines", "one line"])
def test_where_the_list_may_stand(wrap):
    objects = [rest(), rest(id=8)]
    content = {
        "list": json.dumps(objects, indent=1),
        "data": json.dumps({"status": 200, "data": objects}),
        "lines": "".join(json.dumps(item) + "\n" for item in objects),
        "one line": json.dumps(rest()) + "\n",
    }[wrap]
    catalog = Catalog(named(content, "f"), **OPTIONS)
    assert [item.external_id for item in catalog] == ["7", "8"][: 1 if wrap == "one line" else 2]
    assert catalog.format == "woocommerce-json"


@pytest.mark.parametrize(
    "changes",
    [
        {"categories": "x", "images": 5, "attributes": {"a": 1}, "brands": [1]},
        {"catalog_visibility": [], "status": {}, "type": 3, "parent_id": []},
        {"prices": {"price": {}, "currency_minor_unit": 2}},
        {"attributes": [{"name": "a", "options": {"x": 1}}], "variation": []},
    ],
)
def test_values_of_wrong_types_break_nothing(changes):
    assert len(read(json.dumps([rest(), rest(**changes)]), "f", **OPTIONS)) == 2


def test_a_document_that_is_cut_off():
    items, fault = until_fault(Catalog(named(json.dumps([rest(), rest(id=8)])[:-30], "f"), **OPTIONS))
    assert [item.external_id for item in items] == ["7"]
    assert "ends in the middle" in fault


@pytest.mark.parametrize(
    "neighbour",
    [
        {"id": 1, "name": "A", "permalink": "https://a.example", "price": 1},
        {"id": 1, "name": "A", "url": "https://a.example", "regular_price": 1, "stock_status": "instock"},
    ],
)
def test_neighbours_stay_plain_json(neighbour):
    catalog = Catalog(named(json.dumps([neighbour]), "f"), **OPTIONS)
    list(catalog)
    assert catalog.format == "json"


@pytest.mark.parametrize("indent", [None, 1])
def test_the_answer_for_one_product(indent):
    product = {
        "id": 5, "name": "A", "permalink": "https://s/a", "type": "simple", "status": "publish", "regular_price": "10",
        "stock_status": "instock", "images": [{"src": "https://x/i.jpg"}], "categories": [{"name": "C"}],
    }  # fmt: skip
    (found,) = products(json.dumps(product, indent=indent), "f.json")
    assert (found.external_id, found.price, found.categories) == ("5", 10, ["C"])
