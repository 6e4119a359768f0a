"""A program may reckon with few digits (`decimal.getcontext().prec = 4`): what a catalog says is the same."""

from __future__ import annotations

import decimal
import json
from decimal import Decimal
from pathlib import Path

import pytest
from catalog_files import SHOP, products, read

from neuroon_async.catalogs import CatalogError
from neuroon_async.catalogs.readers.spreadsheet import _number
from neuroon_async.catalogs.values.number_formats import NumberFormat

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_file())
OPTIONS = {"shop_url": SHOP, "currency": "EUR"}
WIX = (
    "handleId,fieldType,name,description,productImageUrl,collection,sku,price,surcharge,visible,discountMode,"
    "discountValue,inventory,productOptionName1,productOptionDescription1,brand\n"
)
PRESTASHOP = (
    "Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax included;On sale (0/1);Discount amount;"
    "Discount percent;Discount from (yyyy-mm-dd);Discount to (yyyy-mm-dd);Reference #;Quantity;Visibility;Image URLs\n"
)
STORE = {
    "id": 9,
    "name": "Cup",
    "permalink": f"{SHOP}/cup/",
    "type": "simple",
    "prices": {"price": "1234567", "regular_price": "1234567", "currency_code": "EUR", "currency_minor_unit": 2},
    "images": [],
    "is_in_stock": True,
}


@pytest.fixture(autouse=True)
def _few_digits():
    with decimal.localcontext(decimal.Context(prec=3)):
        yield


def read_or_fault(path: Path) -> str:
    try:
        return str(read(path.read_bytes(), path.name, **OPTIONS))
    except CatalogError as error:
        return str(error)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_files(path):
    with decimal.localcontext(decimal.DefaultContext):
        expected = read_or_fault(path)
    assert read_or_fault(path) == expected


@pytest.mark.parametrize(
    ("code", "number", "shown"),
    [
        ('"SKU-"00000', "12345", "SKU-12345"),
        ("0.00", "1234567.5", "1234567.50"),
        ("0%", "12.345", "1235%"),
        ("00000", "-12345", "-12345"),
        (".00", "12345.5", "12345.50"),
    ],
)
def test_number_formats(code, number, shown):
    assert NumberFormat(code).of(number) == shown


def test_numbers_of_spreadsheets():
    assert [_number(cell) for cell in (1.23456e-05, -0.0, -1.5e-07, 123456.789)] == [
        "0.0000123456", "0", "-0.00000015", "123456.789",
    ]  # fmt: skip


def test_reckoned_prices():
    (ring,) = products(WIX + "a,Product,Ring,,,,,1234.56,,true,AMOUNT,0.01,InStock,,,\n", **OPTIONS)
    assert ring.sale_price == Decimal("1234.55")
    (ring,) = products(WIX + "a,Product,Ring,,,,,1234.56,,true,PERCENT,10,InStock,,,\n", **OPTIONS)
    assert ring.sale_price == Decimal("1111.10")
    (chair,) = products(PRESTASHOP + "2;1;Chair;Home;1234.56;1;;10;;;SN-2;3;both;\n", **OPTIONS)
    assert chair.sale_price == Decimal("1111.10")
    (chair,) = products(PRESTASHOP + "2;1;Chair;Home;1234.56;1;0.01;;;;SN-2;3;both;\n", **OPTIONS)
    assert chair.sale_price == Decimal("1234.55")
    (cup,) = products(json.dumps([STORE]), "f")
    assert cup.price == Decimal("12345.67")
