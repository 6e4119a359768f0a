"""Words for yes and no that a spreadsheet has translated: in every format they mean what the platform wrote."""

from __future__ import annotations

import pytest
from catalog_files import SHOP, one_failure, products
from msgspec import UNSET

_TRUE = ("TRUE", "true", "VERDADERO", "WAHR", "VRAI", "VERO", "VERDADEIRO", "CERT", "1", "1.0")
_FALSE = ("FALSE", "false", "FALSO", "FALSCH", "FAUX", "FALS", "0", "0.0")

_SHOPIFY = "Handle,Title,Option1 Name,Option1 Value,Variant Price,Published,Status,Gift Card\n"
_WOO = "ID,Type,SKU,Name,Published,Regular price,In stock?\n"
_BIGCOMMERCE = "Item,ID,Name,SKU,Price,Options,Inventory Tracking,Current Stock,Product URL,Is Visible\n"
_PRESTASHOP = "Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax included\n"
_MAGENTO = "sku,store_view_code,product_type,name,price,url_key,product_online,visibility,attribute_set_code\n"
_WIX = "handleId,fieldType,name,price,visible\n"
_FORMATS = {
    "shopify": lambda word: f"{_SHOPIFY}a,A,Title,Default Title,1,{word},active,\n",
    "woocommerce": lambda word: f"{_WOO}1,simple,A,A,{word},1,1\n",
    "bigcommerce": lambda word: f"{_BIGCOMMERCE}Product,1,A,S,1,,none,,/a,{word}\n",
    "prestashop": lambda word: f"{_PRESTASHOP}1;{word};A;;1\n",
    "magento": lambda word: f'{_MAGENTO}A,,simple,A,1,a,{word},"Catalog, Search",Default\n',
    "wix": lambda word: f"{_WIX}a,Product,A,1,{word}\n",
    "csv": lambda word: f"id,name,price,url,active\n1,A,1,/a,{word}\n",
}


@pytest.mark.parametrize("name", _FORMATS)
def test_words_of_spreadsheets_for_yes_and_no(name):
    for words, expected in ((_TRUE, True), (_FALSE, False)):
        for word in words:
            (product,) = products(_FORMATS[name](word), shop_url=SHOP)
            assert product.is_active is expected, word


def test_shopifys_other_flags():
    (gift,) = products(f"{_SHOPIFY}a,A,Title,Default Title,1,VERDADERO,active,VERDADERO\n", shop_url=SHOP)
    (none,) = products(f"{_SHOPIFY}a,A,Title,Default Title,1,VERDADERO,active,FALSO\n", shop_url=SHOP)
    assert (gift.attributes, none.attributes) == ({"gift_card": "true"}, UNSET)
    states = {"Active": True, "": True, "Draft": False, "Archived": False, "Unlisted": False, "Suspended": False}
    for status, active in states.items():
        (product,) = products(f"{_SHOPIFY}a,A,Title,Default Title,1,TRUE,{status},\n", shop_url=SHOP)
        assert product.is_active is active
    failure = one_failure(f"{_SHOPIFY}a,A,Title,Default Title,1,maybe,active,\n", shop_url=SHOP)
    assert "isActive: must be true or false (or yes, no, 1, 0), got 'maybe'" in failure.reason


def test_a_shop_that_sells_on_says_so_in_any_language():
    header = (
        "Handle,Title,Option1 name,Option1 value,Price,Continue selling when out of stock,Inventory quantity,"
        "Inventory tracker,URL handle\n"
    )
    for word, in_stock in (("TRUE", True), ("VERDADERO", True), ("CONTINUE", True), ("FALSO", False), ("DENY", False)):
        content = header.replace("Handle,", "", 1) + f"A,Title,Default Title,1,{word},0,shopify,a\n"
        (product,) = products(content, shop_url=SHOP)
        assert product.in_stock is in_stock, word


def test_a_draft_of_woocommerce_stays_one():
    for word in ("-1", "-1.0", "trash"):
        (product,) = products(_FORMATS["woocommerce"](word), shop_url=SHOP)
        assert product.is_active is False
