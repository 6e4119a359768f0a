"""Meta's catalog and its template, whose first row explains the columns."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from catalog_files import SHOP, named, products, until_fault
from msgspec import UNSET

from neuroon_async import Product
from neuroon_async.catalogs import Catalog

CASES = Path(__file__).parent / "cases"
OPTIONS = {"shop_url": SHOP, "today": date(2026, 6, 15)}
COMMENT = (
    '# Required | A unique ID.,"# Required | A ""specific"" title, of one\nor two lines",# Required,'
    "# Optional | a; b; c; d\n"
)
HEADER = "id,title,price,link,availability,sale_price,sale_price_effective_date,fb_product_category\n"


def test_the_template():
    catalog = Catalog(named((CASES / "19-meta-template.csv").read_bytes(), "file"), **OPTIONS)
    (cap,) = catalog
    assert (catalog.format, catalog.records) == ("google", 1)
    assert (cap.external_id, cap.price, cap.currency, cap.in_stock) == ("F-1", Decimal("19.90"), "EUR", False)
    assert (cap.stock_quantity, cap.image_url) == (5, "https://shop.example/gorra.jpg")


@pytest.mark.parametrize("comment", [COMMENT, "\n" + COMMENT, COMMENT + COMMENT, "# Obligatorio | Un ID,# Título\n"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_rows_that_explain_the_columns_are_skipped(comment, delimiter):
    content = comment + HEADER + "1,Gorra,9.90 EUR,/gorra,in stock,7.90 EUR,,Apparel > Hats\n"
    (cap,) = products(content.replace(",", delimiter), **OPTIONS)
    assert (cap.external_id, cap.name, cap.price, cap.sale_price) == ("1", "Gorra", Decimal("9.90"), Decimal("7.90"))
    assert cap.categories == ["Apparel", "Hats"]


@pytest.mark.parametrize(
    ("sale", "period", "expected"),
    [
        ("7.90 EUR", "2019-01-01T00:00/2019-02-01T00:00", UNSET),
        ("7.90 EUR", "2026-01-01T0:00-23:59/2099-12-31T0:00-23:59", Decimal("7.90")),
        ("0 EUR", "", UNSET),
        ("9.90 EUR", "", UNSET),
    ],
)
def test_sales(sale, period, expected):
    assert products(HEADER + f"1,Gorra,9.90 EUR,/g,in stock,{sale},{period},\n", **OPTIONS)[0].sale_price == expected


def test_the_line_of_a_fault_counts_the_rows_skipped():
    items, fault = until_fault(Catalog(named(COMMENT + HEADER + '1,A,1 EUR,/a,in stock,,,\n2,"B'), **OPTIONS))
    assert isinstance(items[0], Product)
    assert fault.startswith("file.csv:5: a quote is opened")


def test_a_header_that_begins_with_a_number_sign_is_none_of_these():
    for header in ("#,name,price,url", "# id,name,price,url"):
        catalog = Catalog(named(header + "\n1,A,2,/a\n"), **OPTIONS, mapping={"external_id": header.split(",")[0]})
        assert [item.external_id for item in catalog] == ["1"]
