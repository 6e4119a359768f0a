"""Exports of platforms that went through a spreadsheet or a program: prices with groups, ids with decimals."""

from __future__ import annotations

from decimal import Decimal

import pytest
from catalog_files import SHOP, Pipe, named, products
from msgspec import UNSET

from neuroon_async.catalogs import Catalog

WOO = "ID,Type,SKU,Name,Published,Regular price,Sale price,Parent\n"


@pytest.mark.parametrize("pipe", [False, True])
def test_thousands_in_an_edited_woocommerce_export(pipe):
    content = WOO + (
        '1,simple,A,A,1,1.299,"999,50",\n2,simple,B,B,1,"49,90",,\n3,variable,C,C,1,,,\n'
        "4,variation,D,C - D,1,2.500,1.999,id:3\n5,variation,E,C - E,1,3.000,,id:3\n"
    )
    catalog = Catalog(Pipe(content.encode()) if pipe else named(content), shop_url=SHOP)
    found = [(item.price, item.sale_price) for item in catalog]
    assert found == [
        (1299, Decimal("999.50")), (Decimal("49.90"), UNSET), (2500, 1999), (2500, 1999), (3000, UNSET),
    ]  # fmt: skip
    assert "prices such as 1.299 were read as thousands" in catalog.notes[0]
    assert (catalog.records, catalog.products) == (5, 5)


@pytest.mark.parametrize(
    ("rows", "price"),
    [
        ('1,simple,A,A,1,1.299,,\n2,simple,B,B,1,"1.299,00",,\n', 1299),
        ('1,simple,A,A,1,"1,299",,\n2,simple,B,B,1,49.90,,\n', 1299),
        ("1,simple,A,A,1,1.299,,\n2,simple,B,B,1,49.90,,\n", Decimal("1.299")),
        ("1,simple,A,A,1,1.299,,\n2,simple,B,B,1,49,,\n", Decimal("1.299")),
    ],
)
def test_what_the_clear_prices_of_a_woocommerce_export_tell(rows, price):
    assert products(WOO + rows, shop_url=SHOP)[0].price == price


_SHOPIFY = 'Handle,Title,Variant Price\na,A,"{}"\n'
_WIX = 'handleId,fieldType,name,price,visible\na,Product,A,"{}",true\n'
_MAGENTO = 'sku,product_type,name,price,url_key,attribute_set_code\nA,simple,A,"{}",a,Default\n'


@pytest.mark.parametrize("content", [_SHOPIFY, _WIX, _MAGENTO], ids=["shopify", "wix", "magento"])
def test_platforms_with_a_point_before_decimals(content):
    amounts = {"1,299": 1299, "1,299.00": 1299, "59,95": Decimal("59.95"), "0,999": Decimal("0.999"), "12.5": 12.5}
    for text, price in amounts.items():
        assert products(content.format(text), shop_url=SHOP)[0].price == price, text


def test_ids_that_a_platform_counts_have_no_decimals():
    rows = "10.0,variable,P,P,1,,,\n11.0,variation,,P - S,1,9,,id:10\n12,variation,,P - M,1,9,,id:10.0\n"
    parent, small, medium = products(WOO + rows, shop_url=SHOP)
    assert (parent.external_id, parent.url) == ("10", f"{SHOP}/?post_type=product&p=10")
    assert (small.external_id, small.parent_external_id, medium.parent_external_id) == ("11", "10", "10")
    header = "Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax included\n"
    (item,) = products(f"{header}7.0;1;A;;1\n", shop_url=SHOP)
    assert (item.external_id, item.url) == ("7", f"{SHOP}/index.php?controller=product&id_product=7")


def test_slashes_within_categories_and_several_brands_of_magento():
    header = "sku,product_type,name,price,url_key,attribute_set_code,categories,additional_attributes\n"
    row = 'A,simple,A,1,a,Default,"Default Category/Ropa\\/Moda/Niños,Default Category/Ofertas",marca=Norte|Sur\n'
    (item,) = products(header + row, shop_url=SHOP)
    assert (item.categories, item.brands) == (["Ropa/Moda", "Niños", "Ofertas"], ["Norte", "Sur"])
