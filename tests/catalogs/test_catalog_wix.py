"""The product export of Wix Stores, older and newer columns."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from catalog_files import SHOP, named, one_failure, products, read, until_fault
from msgspec import UNSET

from neuroon_async import Product
from neuroon_async.catalogs import Catalog

CASE = (Path(__file__).parent / "cases" / "18-wix.csv").read_bytes()
OPTIONS = {"shop_url": SHOP, "currency": "EUR"}
OLDER = (
    "handleId,fieldType,name,description,productImageUrl,collection,sku,price,surcharge,visible,discountMode,"
    "discountValue,inventory,productOptionName1,productOptionDescription1,brand\n"
)
NEWER = (
    "handle,fieldType,name,visible,plainDescription,media,brand,price,strikethroughPrice,inventory,sku,barcode,"
    "productOptionName1,productOptionType1,productOptionChoices1\n"
)


def test_a_parent_and_its_variants():
    catalog = Catalog(named(CASE, "file"), **OPTIONS)
    parent, blue, green = catalog
    assert catalog.format == "wix"
    assert (parent.price, parent.sale_price) == (Decimal("35.0"), Decimal("31.50"))
    assert (blue.price, blue.sale_price, blue.sku) == (Decimal("40.0"), Decimal("36.00"), "PM-1A")
    assert (green.price, green.sale_price, green.sku) == (Decimal("35.0"), Decimal("31.50"), "PM-1V")
    assert [p.external_id for p in (parent, blue, green)] == [
        "product_0a1",
        "product_0a1/Azul",
        "product_0a1/Verde",
    ]
    assert {blue.parent_external_id, green.parent_external_id} == {"product_0a1"}
    assert (blue.name, blue.attributes) == ("Pendientes Mar - Azul", {"Color": "Azul"})
    for product in (parent, blue, green):
        assert product.image_url == "https://static.wixstatic.com/media/a1b2c3_mar~mv2.jpg"
        assert (product.categories, product.brands) == (["Joyas", "Novedades"], ["Marea"])
        assert (product.description, product.is_active) == ("Plata & nácar", True)
        assert product.url == f"{SHOP}/product-page/pendientes-mar"
    assert [p.stock_quantity for p in (parent, blue, green)] == [4, 4, 0]
    assert [p.in_stock for p in (parent, blue, green)] == [True, True, False]
    (note,) = catalog.notes
    assert "mapping={'url': 'https://shop.example/product-page/{name:slug}'}" in note


@pytest.mark.parametrize(
    ("discount", "sale"),
    [
        ("PERCENT,10", Decimal("18.00")),
        ("AMOUNT,5", 15),
        ("AMOUNT,20", UNSET),
        ("AMOUNT,25", None),  # below nothing
        ("PERCENT,0.0", UNSET),
        (",", UNSET),
        (",0", UNSET),
    ],
)
def test_discounts(discount, sale):
    items = read(OLDER + f"a,Product,Anillo,,,,,20,,true,{discount},InStock,,,\n", **OPTIONS)
    (ring,) = items
    assert isinstance(ring, Product)
    assert (ring.price, ring.sale_price) == (20, UNSET if sale is None else sale)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            "a,Product,Anillo,,,,,20,,true,HALF,5,InStock,,,",
            "cannot be understood: '5' in the mode 'HALF'",
        ),
        ("a,Product,Anillo,,,,,x,,true,,,InStock,,,", "price: must be an amount"),
        (",Product,Anillo,,,,,20,,true,,,InStock,,,", "handleId: is required"),
        ("a,Variant,,,,,,,5,true,,,3,Color,Azul,", "does not stand before those of its variants"),
        ("a,Product,Anillo,,,,,20,,maybe,,,InStock,,,", "isActive: must be true or false"),
    ],
)
def test_what_cannot_be_read_is_refused(row, reason):
    assert reason in one_failure(OLDER + row + "\n", **OPTIONS).reason


def test_hidden_products_and_variants():
    parent, shown, hidden = products(
        OLDER
        + "a,Product,Anillo,,,,,20,,true,,,InStock,Talla,,\n"
        + "a,Variant,,,,,,,,true,,,3,Talla,12,\n"
        + "a,Variant,,,,,,,,false,,,2,Talla,1/2,\n",
        **OPTIONS,
    )
    assert [p.is_active for p in (parent, shown, hidden)] == [True, True, False]
    assert hidden.external_id == "a/1%2F2"
    assert parent.stock_quantity == 5
    for product in products(
        OLDER + "a,Product,Anillo,,,,,20,,FALSE,,,3,,,\na,Variant,,,,,,,,true,,,3,Talla,12,\n", **OPTIONS
    ):
        assert product.is_active is False


def test_the_newer_columns():
    catalog = Catalog(
        named(
            NEWER
            + "anillo,PRODUCT,Anillo,TRUE,Plata,https://cdn.example/1.jpg,Marea,20,25,IN_STOCK,,,Color,COLOR,Azul;Rojo\n"
            + "anillo,MEDIA,,,,abc~mv2.png,,,,,,,,,\n"
            + "anillo,VARIANT,,TRUE,,,,20,25,3,A-1,840,Color,,#0000ff:Azul\n"
            + "anillo,VARIANT,,TRUE,,,,18,,OUT_OF_STOCK,A-2,,Color,,Rojo\n"
            + "mesa,PRODUCT,Mesa,TRUE,,def~mv2.png,,99,0,7,M-1,,,,\n"
        ),
        **OPTIONS,
    )
    parent, blue, red, table = catalog
    assert (blue.price, blue.sale_price, blue.sku, blue.attributes) == (
        25,
        20,
        "A-1",
        {"barcode": "840", "Color": "Azul"},
    )
    assert (red.price, red.sale_price, red.in_stock) == (18, UNSET, False)
    assert (parent.price, parent.sale_price, parent.in_stock) == (18, UNSET, True)
    assert (table.price, table.sale_price, table.stock_quantity) == (99, UNSET, 7)
    assert (parent.image_url, table.url) == ("https://cdn.example/1.jpg", f"{SHOP}/product-page/mesa")
    assert table.image_url == "https://static.wixstatic.com/media/def~mv2.png"


def test_a_file_that_is_cut_off_keeps_what_was_whole():
    items, fault = until_fault(
        Catalog(named(OLDER + 'a,Product,A,,,,,20,,true,,,1,,,\nb,Product,"B'), **OPTIONS),
    )
    assert [item.external_id for item in items] == ["a"]
    assert "never closed" in fault


@pytest.mark.parametrize("header", ["handle,name,price,url", "handle,fieldType,name,price", "handleId,name,price"])
def test_neighbours_stay_plain_csv(header):
    catalog = Catalog(named(f"{header}\na,b,c,1\n"), **OPTIONS)
    list(catalog)
    assert catalog.format == "csv"


def test_made_addresses_are_told_once():
    header = "handleId,fieldType,name,price,visible\n"
    catalog = Catalog(named(f"{header}a,Product,Uno,1,true\nb,Product,Dos,1,true\n"), shop_url=SHOP)
    assert len(list(catalog)) == 2
    assert len(catalog.notes) == 1
