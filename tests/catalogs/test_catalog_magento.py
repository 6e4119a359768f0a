"""The product export of Magento 2: configurable products and their variants, store views, sales, bundles."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from catalog_files import SHOP, Pipe, named, one_failure, products, until_fault
from msgspec import UNSET

from neuroon_async import ConfigurationError, Product
from neuroon_async.catalogs import Catalog

CASE = (Path(__file__).parent / "cases" / "17-magento2.csv").read_bytes()
OPTIONS = {"shop_url": SHOP, "currency": "EUR", "today": date(2026, 6, 15)}
COLUMNS = (
    "sku", "store_view_code", "attribute_set_code", "product_type", "categories", "name", "product_online",
    "visibility", "price", "special_price", "special_price_from_date", "special_price_to_date", "url_key", "base_image",
    "additional_attributes", "qty", "is_in_stock", "manage_stock", "use_config_manage_stock", "configurable_variations",
    "configurable_variation_labels", "associated_skus", "bundle_price_type",
)  # fmt: skip


def export(*rows: dict[str, str]) -> str:
    usual = {"attribute_set_code": "Default", "product_type": "simple", "product_online": "1", "is_in_stock": "1"}
    usual |= {"visibility": "Catalog, Search", "qty": "5.0000", "price": "10.0000"}
    lines = [",".join(COLUMNS)]
    for row in rows:
        filled = usual | {"name": row["sku"], "url_key": row["sku"].lower()} | row
        lines.append(",".join(f'"{filled.get(column, "")}"' for column in COLUMNS))
    return "\n".join(lines) + "\n"


def by_id(*rows: dict[str, str], **options) -> dict[str, Product]:
    return {product.external_id: product for product in products(export(*rows), **OPTIONS | options)}


def test_a_configurable_product_and_its_variant():
    catalog = Catalog(named(CASE, "file"), **OPTIONS)
    variant, parent = catalog
    assert catalog.format == "magento"
    assert (variant.external_id, variant.parent_external_id, parent.external_id) == ("CH-S", "CH", "CH")
    for product in (variant, parent):
        assert (product.price, product.sale_price) == (Decimal("89.9000"), Decimal("69.9000"))
        assert product.url == f"{SHOP}/chaqueta-norte.html"
        assert product.image_url == f"{SHOP}/media/catalog/product/c/h/ch.jpg"
        assert (product.is_active, product.in_stock, product.description) == (True, True, "Impermeable")
    assert variant.categories == ["Ropa", "Chaquetas", "Ofertas"]
    assert (variant.brands, variant.attributes) == (["Norte"], {"color": "Azul", "Talla": "S"})
    assert (variant.stock_quantity, parent.stock_quantity) == (3, UNSET)
    made, skipped = catalog.notes
    assert "mapping={'url': 'https://shop.example/{url_key}'}" in made
    assert skipped.startswith("1 row of a store view was skipped")


def test_a_pipe_is_read_twice_too():
    assert len(list(Catalog(Pipe(CASE), **OPTIONS))) == 2


def test_a_parent_costs_what_its_cheapest_enabled_variant_costs():
    found = by_id(
        {"sku": "A", "price": "30"},
        {"sku": "B", "price": "20", "special_price": "15"},
        {"sku": "C", "price": "1", "product_online": "2"},
        {
            "sku": "P",
            "product_type": "configurable",
            "price": "",
            "configurable_variations": "sku=A,size=S|sku=B,size=M|sku=C,size=L|sku=GONE,size=XL",
        },
    )
    assert (found["P"].price, found["P"].sale_price) == (20, 15)
    assert found["C"].is_active is False
    assert {found[sku].parent_external_id for sku in "ABC"} == {"P"}


def test_parts_of_groups_are_no_variants():
    found = by_id(
        {"sku": "A", "price": "30"},
        {"sku": "G", "product_type": "grouped", "price": "", "associated_skus": "A=1.0000,B=2.0000"},
    )
    assert found["G"].price == 30
    assert found["A"].parent_external_id is UNSET


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"product_type": "configurable", "price": ""}, "this file has none of a variant"),
        ({"product_type": "bundle", "price": "0.0000", "bundle_price_type": "dynamic"}, "parts that shoppers choose"),
        ({"price": "abc"}, "price: must be an amount"),
        ({"special_price": "5", "special_price_to_date": "7/8/26"}, "may be two days"),
        ({"name": ""}, "name: is required"),
        ({"url_key": ""}, "url: is required"),
    ],
)
def test_what_cannot_be_read_is_refused(row, reason):
    assert reason in one_failure(export({"sku": "A"} | row), **OPTIONS | {"today": date(2026, 7, 20)}).reason


@pytest.mark.parametrize(
    ("row", "sale"),
    [
        ({"special_price": "0"}, UNSET),
        ({"special_price": "10"}, UNSET),
        ({"special_price": "12"}, UNSET),
        ({"special_price": "5"}, 5),
        ({"special_price": "5", "special_price_to_date": "1/15/19, 12:00 AM"}, UNSET),
        ({"special_price": "5", "special_price_from_date": "2027-01-01"}, UNSET),
    ],
)
def test_sales(row, sale):
    assert by_id({"sku": "A"} | row)["A"].sale_price == sale


def test_sales_whose_dates_are_called_as_the_attributes_are():
    renamed = export(
        {"sku": "A", "special_price": "8", "special_price_to_date": "2019-02-01"}, {"sku": "B", "special_price": "8"}
    )
    over, holds = products(renamed.replace("special_price_to_date", "special_to_date"), **OPTIONS)
    assert (over.sale_price, holds.sale_price) == (UNSET, 8)


def test_a_row_of_a_store_view_whose_product_is_not_there_is_refused():
    rows = [{"sku": "A"}, {"sku": "A", "store_view_code": "en"}, {"sku": "B", "store_view_code": "en"}]
    catalog = Catalog(named(export(*rows)), **OPTIONS)
    _, failure = catalog
    assert "store_view_code: this row is that of the store view 'en', and the file has none of 'B'" in failure.reason
    assert "1 row of a store view was skipped" in catalog.notes[-1]


def test_categories_may_be_separated_by_bars():
    product = by_id({"sku": "A", "categories": "Default Category/Ropa/Camisas|Default Category/Ofertas"})["A"]
    assert product.categories == ["Ropa", "Camisas", "Ofertas"]


def test_what_shoppers_cannot_find_is_not_active():
    found = by_id(
        {"sku": "A", "visibility": "Not Visible Individually"},
        {"sku": "B", "visibility": "Catalog"},
        {"sku": "C", "visibility": "Search"},
        {"sku": "D", "product_online": "2"},
    )
    assert [found[sku].is_active for sku in "ABCD"] == [False, False, True, False]


def test_visibility_in_the_language_of_who_exports():
    words = {
        True: (
            "Catalogus, Zoeken", "Katalog, Suche", "Búsqueda", "Recherche", "4", "Catalogo, ricerca",
            "Catálogo, Pesquisa", "Catalogue, Recherche",
            "Catálogo, Búsqueda", "Chercher", "Cerca", "Suche", "Buscar", "Pesquisa", "Search",
        ),
        False: (
            "Nicht einzeln sichtbar", "No visible individualmente", "Niet individueel zichtbaar", "Catálogo", "1",
            "Non visibile singolarmente", "Non visible individuellement", "Não Visível Individualmente",
            "Einzeln nicht sichtbar", "No es visible individualmente", "Catalogue", "Katalog", "Catalogo",
        ),
        UNSET: ("Szukanie",),
    }  # fmt: skip
    expected = [(word, active) for active, of_kind in words.items() for word in of_kind]
    found = by_id(*({"sku": str(n), "visibility": word} for n, (word, _) in enumerate(expected)))
    assert [(word, found[str(n)].is_active) for n, (word, _) in enumerate(expected)] == expected
    assert by_id({"sku": "A", "visibility": "Szukanie", "product_online": "2"})["A"].is_active is False


def test_stock():
    found = by_id(
        {"sku": "A", "qty": "0.0000", "is_in_stock": "0"},
        {"sku": "B", "qty": "0.0000", "is_in_stock": "0", "manage_stock": "0", "use_config_manage_stock": "0"},
        {"sku": "C", "qty": "2.5000"},
        {"sku": "D", "qty": "1,250.0000"},
    )
    assert [(found[sku].in_stock, found[sku].stock_quantity) for sku in "ABCD"] == [
        (False, 0),
        (True, UNSET),
        (True, UNSET),
        (True, 1250),
    ]


def test_attributes_with_commas_images_and_addresses():
    found = by_id(
        {"sku": "A", "additional_attributes": "material=Lana, algodón,size=S|M,has_options=0", "base_image": "a b.jpg"},
        {"sku": "B", "base_image": "no_selection"},
        {"sku": "C", "base_image": "https://cdn.example/c.jpg"},
        mapping={"url": "/{url_key}"},
    )
    assert found["A"].attributes == {"material": "Lana, algodón", "size": "S, M"}
    assert found["A"].image_url == f"{SHOP}/media/catalog/product/a%20b.jpg"
    assert (found["B"].image_url, found["C"].image_url) == (UNSET, "https://cdn.example/c.jpg")
    assert found["A"].url == f"{SHOP}/a"


def test_a_file_that_is_cut_off_ends_with_an_error():
    items, fault = until_fault(Catalog(named(export({"sku": "A"}) + 'B,,"Def'), **OPTIONS))
    assert [item.external_id for item in items] == ["A"]
    assert "never closed" in fault


def test_ids_are_the_files_own():
    with pytest.raises(ConfigurationError, match="comes from the magento export itself"):
        list(Catalog(named(CASE), mapping={"external_id": "url_key"}))


def test_neighbours_stay_plain_csv():
    catalog = Catalog(named("sku,product_type,name,price,url\nA,simple,B,1,/a\n"), **OPTIONS)
    list(catalog)
    assert catalog.format == "csv"


def test_that_addresses_were_made_is_said_once_however_many_there_are():
    catalog = Catalog(named(export({"sku": "A"}, {"sku": "B"}, {"sku": "C"})), **OPTIONS)
    assert len(list(catalog)) == 3
    assert [note for note in catalog.notes if "url_key" in note] == [
        note for note in catalog.notes if f"{SHOP}/a.html" in note
    ]
    assert len([note for note in catalog.notes if "url_key" in note]) == 1


@pytest.mark.parametrize(("special", "sale"), [("80.0000", 24), ("50", 15), ("100", UNSET), ("120", UNSET)])
def test_the_special_price_of_a_bundle_is_a_percentage_of_its_price(special, sale):
    row = {"sku": "B", "product_type": "bundle", "price": "30.0000", "special_price": special}
    product = by_id(row | {"bundle_price_type": "fixed"})["B"]
    assert (product.price, product.sale_price) == (30, sale)
