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


_BIGCOMMERCE = "Item;ID;Name;SKU;Price;Sale Price;Options;Product URL\nProduct;{};A;A;{};;;/a\n"
_SQUARESPACE = "Product ID [Non Editable];Title;Price;Product URL;Product Page\n{};A;{};a;shop\n"
_ECWID = "type;product_internal_id;product_name;product_price\nproduct;{};A;{}\n"
_EDITED = {
    "shopify": "Handle;Title;Variant Price\n{};A;{}\n",
    "shopify-newer": "URL handle;Title;Price\n{};A;{}\n",
    "wix": "handleId;fieldType;name;price;visible\n{};Product;A;{};true\n",
    "magento": "sku;product_type;name;price;url_key;attribute_set_code\n{};simple;A;{};a;Default\n",
    "bigcommerce": _BIGCOMMERCE,
    "squarespace": _SQUARESPACE,
    "ecwid": _ECWID,
}


def _edited(content: str, *prices: str) -> Catalog:
    header, row, _ = content.split("\n")
    rows = [row.format(f"p{number}", price) for number, price in enumerate(prices)]
    title = {_SQUARESPACE: "Title", _ECWID: "product_name"}.get(content)
    mapping = {"url": f"/p/{{{title}}}"} if title else {}
    return Catalog(named("\n".join([header, *rows])), shop_url=SHOP, mapping=mapping)


@pytest.mark.parametrize("content", _EDITED.values(), ids=_EDITED)
def test_thousands_in_the_edited_exports_of_other_platforms(content):
    catalog = _edited(content, "1.299", "49,90", "1.499,00", "15", "2.500 €")
    assert [item.price for item in catalog] == [1299, Decimal("49.90"), Decimal("1499.00"), 15, 2500]
    assert any("prices such as 1.299 are read as thousands" in note for note in catalog.notes)


@pytest.mark.parametrize("content", _EDITED.values(), ids=_EDITED)
@pytest.mark.parametrize("others", [("49.90", "59,90"), ("49.90",), ("49",), ()])
def test_exports_that_nobody_has_edited_throughout_keep_their_notation(content, others):
    catalog = _edited(content, "1.299", *others)
    assert next(iter(catalog)).price == Decimal("1.299")
    assert not any("thousands" in note for note in catalog.notes)


def test_a_sale_and_a_stock_in_an_edited_export_of_shopify():
    rows = "".join(
        f"h{number};A;{price};{higher};1.500\n"
        for number, (price, higher) in enumerate([("1.299", "1.499"), ("49,90", "")] * 40)
    )
    content = f"Handle;Title;Variant Price;Variant Compare At Price;Variant Inventory Qty\n{rows}"
    found = products(content, shop_url=SHOP)
    assert {(item.price, item.sale_price, item.stock_quantity) for item in found} == {
        (1499, 1299, 1500), (Decimal("49.90"), UNSET, 1500),
    }  # fmt: skip


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
