"""Cells that a platform has guarded against spreadsheets: an apostrophe before ``=``, ``+``, ``-`` or ``@``."""

from __future__ import annotations

import pytest
from catalog_files import SHOP, products

from neuroon_async.catalogs.values.damage import unguarded


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("'-20% on kids' socks", "-20% on kids' socks"),
        ("'-1", "-1"),
        ("'=A1", "=A1"),
        ("'@home", "@home"),
        ("'+", "+"),
        ("'@home' sign", "'@home' sign"),
        ("'@home and work' sign", "'@home and work' sign"),
        ("a '@home and work' sign", "a '@home and work' sign"),
        ("'@men's and women's world' sign", "'@men's and women's world' sign"),
        ("'- warm\nand soft' says the label", "'- warm\nand soft' says the label"),
        ("'-20% off 'Best' hats", "-20% off 'Best' hats"),
        ("'-20% on men's hats", "-20% on men's hats"),
        ("'-40 to +70, 6' long", "-40 to +70, 6' long"),
        ("'+'", "'+'"),
        ("'=' key, silver", "'=' key, silver"),
        ("'Tis a hat", "'Tis a hat"),
        ("''-x", "''-x"),
        ("'", "'"),
        ("", ""),
    ],
)
def test_an_apostrophe_that_opens_no_quotation(text, plain):
    assert unguarded(text) == plain


def test_woocommerce():
    header = (
        "ID,Type,SKU,Name,Published,Description,Stock,Regular price,Categories,Attribute 1 name,Attribute 1 value(s)\n"
    )
    row = """7,simple,'-A1,'-20% Hat,'-1,"'- warm\\n- soft",'-3,20,'+18 > Hats,'+Size,'-10\n"""
    (product,) = products(header + row, shop_url=SHOP)
    assert (product.sku, product.name, product.description) == ("-A1", "-20% Hat", "- warm\n- soft")
    assert (product.is_active, product.stock_quantity, product.categories) == (False, -3, ["+18", "Hats"])
    assert product.attributes == {"+Size": "-10"}


@pytest.mark.parametrize("careful", [False, True])
def test_shopify(careful):
    header = (
        "Handle,Title,Body (HTML),Vendor,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Barcode,Status\n"
    )
    rows = "hat,'-20% Hat,'- warm,'@home,Size,'-10,'-A1,20,'8436571234567,active\nhat,,,,,'+10,A2,20,'8436571234568,\n"
    mapping = {"attributes.seen": "Title"} if careful else {}
    parent, small, large = products(header + rows, shop_url=SHOP, mapping=mapping)
    assert (parent.name, parent.description, parent.brands) == ("-20% Hat", "- warm", ["@home"])
    assert (small.external_id, small.sku, large.external_id) == ("hat/-10", "-A1", "hat/+10")
    assert (small.attributes["Size"], small.attributes["barcode"]) == ("-10", "8436571234567")


def test_plain_columns():
    content = "id,name,price,url,attributes.gtin\n'-A1,'-20% Hat,20,https://shop.example/hat,'8436571234567\n"
    (product,) = products(content)
    assert (product.external_id, product.name) == ("-A1", "-20% Hat")
    assert product.attributes == {"gtin": "8436571234567"}
