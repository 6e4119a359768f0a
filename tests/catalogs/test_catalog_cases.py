"""Small files made after real exports, and what must come out of each: `cases/`."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from catalog_files import SHOP, named, until_fault
from msgspec import UNSET

from neuroon_async import Product
from neuroon_async.catalogs import Catalog

CASES = Path(__file__).parent / "cases"
TODAY = date(2026, 6, 15)


def case(name: str, **options) -> Catalog:
    """The file under a name that says nothing."""
    (path,) = CASES.glob(f"{name}-*")
    return Catalog(named(path.read_bytes(), "file"), **{"shop_url": SHOP, "currency": "EUR", "today": TODAY} | options)


def by_id(catalog: Catalog) -> dict[str, Product]:
    return {item.external_id: item for item in catalog if isinstance(item, Product)}


def failures(catalog: Catalog) -> dict[str | None, str]:
    return {item.external_id: item.reason for item in catalog if not isinstance(item, Product)}


def test_addresses_of_a_shop_whose_permalinks_are_not_known():
    catalog = case("01")
    found = by_id(catalog)
    assert {found[i].url for i in ("20", "21", "22")} == {f"{SHOP}/?post_type=product&p=20"}
    assert found["30"].url == f"{SHOP}/?post_type=product&p=30"
    assert (found["21"].price, found["21"].sale_price) == (Decimal("49.9"), Decimal("39.9"))
    (note,) = catalog.notes
    assert "no addresses" in note
    assert f"mapping={{'url': '{SHOP}/product/{{Nombre:slug}}/'}}" in note
    catalog = case("01", mapping={"url": "/producto/{Nombre:slug}"})
    assert by_id(catalog)["20"].url == f"{SHOP}/producto/jersey-sierra"
    assert catalog.notes == []


@pytest.mark.parametrize("shop_url", [SHOP, None])
def test_entities_and_addresses_without_scheme(shop_url):
    first, second = case("02", shop_url=shop_url)
    assert (first.name, second.name) == ("Café & Leche", "Té & limón bio")
    assert (first.description, second.description) == ("Diseño y café molido & tostado", "Uno\nDos €5")
    assert first.url == "https://www.shop.example/producto-1.html"


def test_words_for_the_stock():
    catalog = case("03")
    items = list(catalog)
    assert len(items) == catalog.products == 23
    unknown = [item.external_id for item in items if item.in_stock is UNSET]
    assert unknown == ["G-20", "G-23"]  # one is empty
    (note,) = catalog.notes
    assert "1 product was sent without inStock" in note
    assert "'in store'" in note
    catalog = case("03", mapping={"in_stock": ""})
    assert all(item.in_stock is UNSET for item in catalog)
    assert catalog.notes == []


@pytest.mark.parametrize("options", [{}, {"decimal": ","}])
def test_clear_prices_settle_an_ambiguous_one(options):
    catalog = case("04", **options)
    assert [item.price for item in catalog] == [Decimal("1299.00"), Decimal("49.90"), 1299]
    assert len(catalog.notes) == (not options)


def test_a_sale_is_below_the_price():
    assert [item.sale_price for item in case("05")] == [UNSET, UNSET, UNSET, Decimal("59.00")]


def test_a_sale_that_is_over():
    (parka,) = case("06")
    assert (parka.price, parka.sale_price) == (Decimal("89.90"), UNSET)
    (parka,) = case("06", today=date(2019, 1, 15))
    assert parka.sale_price == Decimal("49.90")


def test_several_images_in_a_cell():
    images = [item.image_url for item in case("07")]
    assert images == [
        *(["https://shop.example/a.jpg"] * 4),
        "https://cdn.example/a.jpg",
        "http://shop.example/año%20nuevo.jpg",
        UNSET,
        *(["https://shop.example/a.jpg"] * 2),
    ]


def test_0_is_no_parent():
    assert [item.parent_external_id for item in case("08")] == [UNSET, UNSET]


def test_ids_that_a_spreadsheet_has_shortened():
    catalog = case("09")
    reasons = [item.reason for item in catalog]
    assert (len(reasons), catalog.products) == (3, 0)
    assert all("a spreadsheet has shortened" in reason and "export the catalog again" in reason for reason in reasons)


def test_spanish_columns():
    (lamp,) = case("14")
    assert lamp == Product(
        external_id="R-1",
        name="Lámpara",
        description="Luz cálida",
        price=Decimal("1299.00"),
        sale_price=Decimal("999.00"),
        currency="EUR",
        categories=["Luz"],
        brands=["Sol"],
        stock_quantity=5,
        image_url="https://shop.example/1.jpg",
        url="https://shop.example/lampara",
    )


@pytest.mark.parametrize(
    ("name", "external_id", "price", "url"),
    [("15", "5", Decimal("89.9"), "?post_type=product&p=5"), ("16", "7", Decimal("149.5"), "?post_type=product&p=7")],
)
def test_woocommerce_in_italian_and_portuguese(name, external_id, price, url):
    catalog = case(name)
    (bag,) = catalog
    assert catalog.format == "woocommerce"
    assert (bag.external_id, bag.price, bag.url) == (external_id, price, f"{SHOP}/{url}")
    assert all((bag.sku, bag.description, bag.categories, bag.tags, bag.image_url, bag.stock_quantity, bag.in_stock))
    assert catalog.ignored_fields.keys() <= {"In primo piano?", "Em destaque?"}


def test_meta_catalog():
    catalog = case("20")
    found = by_id(catalog)
    assert set(found) == {"F-1", "F-2"}
    assert found["F-2"].url == "https://shop.example/#catalog?prod=Gorra%20Luna"
    assert found["F-2"].image_url == "https://shop.example/img/gorra%20luna.jpg"
    assert (found["F-1"].price, found["F-1"].sale_price) == (Decimal("19.90"), Decimal("14.90"))
    assert "price: is required" in failures(case("20"))["F-3"]


def test_spanish_booleans():
    items = list(case("21"))
    true = {"0", "2", "3", "4", "5", "7", "9", "11"}
    assert len(items) == 12
    assert {item.external_id for item in items if item.is_active} == true
    assert {item.external_id for item in items if item.in_stock} == true
    assert all(isinstance(item.is_active, bool) and isinstance(item.in_stock, bool) for item in items)


def test_matrixify_descriptions():
    parent, *variants = case("22")
    assert {item.description for item in (parent, *variants)} == {"Gres esmaltado"}
    assert (parent.price, parent.sale_price, len(variants)) == (18, Decimal("14.5"), 2)


def test_a_duplicate_column_that_nothing_uses():
    (item,) = case("23")
    assert item.name == "Uno"


def test_names_on_one_line_and_without_markup():
    catalog = case("24", fit=True)
    found = by_id(catalog)
    assert [item.name for item in found.values()] == ["Camiseta azul", "Café & té", "Té\ufffd"]
    assert found["1"].description == "Uno\nDos & tres"
    assert "decoded them wrongly before" in catalog.notes[0]
    assert "name: is required" in failures(case("24"))["3"]


def test_price_notations():
    catalog = case("25")
    items = list(catalog)
    refused = {item.external_id: item.reason for item in items if not isinstance(item, Product)}
    assert [str(item.price) for item in items if isinstance(item, Product)] == [
        "1299.00", "1299.00", "1299.00", "49", "1299.00", "1299.50", "1299.00", "12.50", "49", "0.00", "12.5", "12.50",
        "12.50", "1299.00", "12.50", "12.50", "12.5000",
    ]  # fmt: skip
    assert set(refused) == {"G-10", "G-11", "G-17", "G-21", "G-22"}
    assert "may be 1.299 or 1299: say which sign separates decimals (decimal='.' or decimal=',')" in refused["G-10"]
    assert refused["G-21"].endswith("price: must be 0 or more, got '-5.00 EUR'")
    assert not any("Decimal" in reason for reason in refused.values())


def test_shopify_exports_of_both_kinds():
    found = by_id(case("30"))
    assert set(found) == {"vela-lavanda", "vela-lavanda/Pequeña", "vela-lavanda/Grande", "tarjeta"}
    small, large = found["vela-lavanda/Pequeña"], found["vela-lavanda/Grande"]
    assert (small.sku, small.price, small.sale_price, small.in_stock) == ("5700001", Decimal("9.90"), UNSET, True)
    assert (large.price, large.sale_price) == (Decimal("24.90"), Decimal("19.90"))
    assert small.description == "Cera & algodón\n40 h\n200 g"
    assert (found["tarjeta"].price, found["tarjeta"].is_active) == (0, False)
    found = by_id(case("31"))
    assert set(found) == {"camiseta-ola", "camiseta-ola/S", "camiseta-ola/M", "borrador"}
    assert found["camiseta-ola/M"].in_stock is True
    assert found["borrador"].is_active is False


def test_woocommerce_parents():
    catalog = case("32")
    items = {item.external_id: item for item in catalog}
    assert {i for i, item in items.items() if not isinstance(item, Product)} == {"41", "45", "46", "47"}
    parents = {i: item.parent_external_id for i, item in items.items() if isinstance(item, Product)}
    assert {i: parent for i, parent in parents.items() if parent is not UNSET} == {"42": "43", "44": "43", "51": "50"}
    assert (items["48"].url, items["49"].price, items["50"].price) == ("https://otra.example/x", 5, 9)
    assert (items["52"].price, items["52"].name) == (Decimal("1299.50"), "Crema d'ametlla 3,5 ml")


def test_rows_that_are_broken():
    items, fault = until_fault(case("33"))
    assert [item.external_id for item in items if isinstance(item, Product)] == ["1", "4", "5", "6"]
    assert len(items) == 8
    assert fault.startswith("file:10: a quote is opened in this row and never closed")


def test_a_spreadsheets_separator_line_and_encoding():
    catalog = case("34")
    first, second = catalog
    assert (first.name, first.price, second.name, second.stock_quantity) == (
        "Señal nº 1",
        Decimal("1299.50"),
        "Cañón",
        0,
    )
    assert catalog.encoding == "cp1252"
