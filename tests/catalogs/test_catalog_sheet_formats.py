"""What the cells of a spreadsheet show, in files that other programs have written."""

from __future__ import annotations

import io
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import openpyxl
import pytest
import xlsxwriter
from catalog_files import SHOP, named
from msgspec import UNSET

from neuroon_async import Product, ProductFailure
from neuroon_async.catalogs import Catalog
from neuroon_async.catalogs.values.number_formats import NumberFormat, ShownNumber

if TYPE_CHECKING:
    from collections.abc import Callable

    Writer = Callable[[list[list[Any]]], bytes]

HEADER = ["id", "name", "price", "url", "sku", "ean", "stock", "sale_price", "attributes.talla"]


def by_openpyxl(rows: list[list[Any]]) -> bytes:
    """A cell is a value, or a value and its format."""
    book = openpyxl.Workbook()
    sheet = book.active
    for y, row in enumerate(rows, 1):
        for x, cell in enumerate(row, 1):
            value, code = cell if isinstance(cell, tuple) else (cell, "General")
            sheet.cell(y, x, value).number_format = code
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def by_xlsxwriter(rows: list[list[Any]]) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for y, row in enumerate(rows):
            for x, cell in enumerate(row):
                value, code = cell if isinstance(cell, tuple) else (cell, "General")
                sheet.write(y, x, value, book.add_format({"num_format": code}))
    return file.getvalue()


@pytest.fixture(params=[by_openpyxl, by_xlsxwriter], ids=["openpyxl", "xlsxwriter"])
def write(request: pytest.FixtureRequest) -> Writer:
    return request.param


def read(content: bytes, **options: Any) -> tuple[list[Product | ProductFailure], list[str]]:
    catalog = Catalog(named(content, "f.xlsx"), shop_url=SHOP, currency="EUR", **options)
    return list(catalog), catalog.notes


SHOWN = [
    (7, "General", "7"),
    (7, "000000", "000007"),
    (12345678, "0000-0000", "1234-5678"),
    (7, '"SKU-"0000', "SKU-0007"),
    (7, '"SKU-"@', "SKU-7"),
    ("A7", '"SKU-"@', "SKU-A7"),
    (7, "@", "7"),
    (1.1, "0.00", "1.10"),
    (1.25, "#,##0.000", "1.250"),
    (8436570000001, "0", "8436570000001"),
    (8436570000001, "0.00E+00", "8436570000001"),
    (8436570000001, "#,##0", "8436570000001"),
    (0.5, "0%", "50%"),
    (0.5, "# ?/?", "1/2"),
    (1.5, "# ?/?", "1 1/2"),
    (912345678, "000 000 000", "912 345 678"),
    (1234, "00\\-00", "12-34"),
    (7, "[Red]000;[Blue]-000", "007"),
    (7, '[<10]"chico "0;"grande "0', "chico 7"),
    (70, '[<10]"chico "0;"grande "0', "grande 70"),
    (7, "0;-0;;@", "7"),
]


def test_an_id_is_what_its_cell_shows(write):
    rows = [[(value, code), "Té", 5, "/a", (value, code)] for value, code, _ in SHOWN]
    found, notes = read(write([HEADER, *rows]))
    assert [item.external_id for item in found] == [shown for *_, shown in SHOWN]
    assert {item.sku for item in found if item.sku is not UNSET} <= {shown for *_, shown in SHOWN}
    assert not [note for note in notes if "decimals" in note]


def test_a_whole_number_that_is_shown_with_decimals_is_an_id_without_them_and_the_report_says_so(write):
    found, notes = read(write([HEADER, [(123, "0.00"), "Té", 5, "/a"], [(1234, "#,##0.00"), "Té", 5, "/b"]]))
    assert [item.external_id for item in found] == ["123", "1234"]
    assert any(note.startswith("2 values of externalId had decimals, such as 123.00") for note in notes)


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [(12.6, "0", "13"), (1.239, "0.00", "1.24"), (1234, '#,##0,"k"', "1k"), (7, ";;;", ""), (0.3331, "# ?/?", "1/3")],
)
def test_an_id_of_which_the_cell_shows_only_a_part_is_refused(write, value, code, shown):
    (failure,), _ = read(write([HEADER, [(value, code), "Té", 5, "/a"]]))
    assert f"externalId: is shown as '{shown}', and its cell holds {value}; write into the cell" in failure.reason


def test_a_price_is_the_number_that_its_cell_holds(write):
    codes = [
        "0.00",
        "#,##0.00",
        "0",
        "[$€-407] #,##0.00",
        '_-* #,##0.00 "€"_-',
        "0.000",
        '"PVP "0.0',
        "0.00E+00",
        "00000",
    ]
    values = [19.99, 1299.5, 1.299, 5]
    rows = [
        [f"{code} {value}", "Té", (value, code), "/a", None, None, (5, '0 "uds"'), (0.5, code)]
        for code in codes
        for value in values
    ]
    found, _ = read(write([HEADER, *rows]))
    assert [item.price for item in found] == [Decimal(str(value)) for _ in codes for value in values]
    assert {(item.stock_quantity, item.sale_price) for item in found} == {(5, Decimal("0.5"))}


def test_no_format_changes_what_a_price_and_the_stock_are(write):
    """Negative numbers that are red and bear no sign, zeros that are not shown, and digits before the number."""
    codes = ["0;[Red]0", "0.00;[Red]0.00", "General;General", "#,###", "0;0;", '"1"000', "0." + "0" * 30, '0 "uds"']
    header = [*HEADER, "in_stock"]
    rows = [[code, "Té", (5, code), "/a", None, None, (0, code), None, None, (0, code)] for code in codes]
    found, _ = read(write([header, *rows]))
    assert [(item.price, item.stock_quantity, item.in_stock) for item in found] == [(5, 0, False)] * len(codes)
    found, _ = read(write([header, *([code, "Té", (-5, code), "/a"] for code in codes)]))
    assert ["price: must be 0 or more" in item.reason for item in found] == [True] * len(codes)
    found, _ = read(write([header, [(-5, "0;[Red]0"), "Té", 5, "/a"]]))
    assert "externalId: is shown as '5', and its cell holds -5" in found[0].reason


def test_a_percentage_is_no_price(write):
    found, _ = read(
        write([HEADER, ["a", "Té", (0.5, "0%"), "/a"], ["b", "Té", 5, "/b", None, None, None, (0.2, "0%")]])
    )
    assert "price: must be an amount such as 49.99 or 49.99 EUR, got '50%'" in found[0].reason
    assert "salePrice: must be an amount such as 49.99 or 49.99 EUR, got '20%'" in found[1].reason


def test_other_texts_are_what_their_cells_show(write):
    row = ["a", (7.5, '0.00 "cl"'), 5, "/a", None, (12345, "0000000000000"), None, None, (0.75, "# ?/?")]
    row += [(0.5, "0%"), (2.345, "0.0")]
    header = [*HEADER, "attributes.algodón", "attributes.peso"]
    (product,), _ = read(write([header, row]), mapping={"attributes.ean": "ean"})
    assert product.name == "7.50 cl"
    assert product.attributes == {"ean": "0000000012345", "talla": "3/4", "algodón": "50%", "peso": "2.3"}


def test_a_dead_letter_of_a_row_keeps_what_cells_show(write):
    (failure,), _ = read(write([HEADER, [(7, '"SKU-"0000'), None, (19.99, "0"), "/a"]]))
    assert {**failure.product} == {"id": "SKU-0007", "name": "", "price": "19.99", "url": "/a"} | dict.fromkeys(
        HEADER[4:], ""
    )


def test_a_failure_holds_plain_texts(write):
    """So it can be written as JSON, and sent to another process."""
    (failure,), _ = read(write([HEADER, [(7, "0.00"), None, (19.9, "0.00"), "/a"]]))
    assert [type(failure.external_id), *map(type, failure.product.values())] == [str] * (1 + len(HEADER))
    assert msgspec.json.decode(msgspec.json.encode(failure.product))["price"] == "19.90"
    again = pickle.loads(pickle.dumps(failure))
    assert (again.product, again.product.record) == (failure.product, failure.product.record)


def test_a_header_of_formulas_that_nobody_has_computed(write):
    formulas = ['="id"&""', '=UPPER("name")', '="pr"&"ice"', '="url"']
    with pytest.raises(
        ValueError, match=r"named like a product field: #FORMULA.*open the file in a spreadsheet program"
    ):
        read(write([formulas, ["a", "Té", 5, "/a"]]))
    found, notes = read(write([[*HEADER, '="stock "&2026'], ["a", "Té", 5, "/a"]]))
    assert found[0].external_id == "a"
    assert any(note.startswith("the name of a column is a formula, and the file does not hold") for note in notes)
    with pytest.raises(ValueError, match=r"there is no column 'precio'.*the names of 4 columns are formulas"):
        read(write([formulas, ["a", "Té", 5, "/a"]]), mapping={"price": "precio"})


def test_formats_in_words():
    cases = {
        "0.##": ("5", "5"),
        '#.## "kg"': ("5", "5 kg"),
        '0.0#"l"': ("5", "5.0l"),
        '0."00"': ("5", "5.00"),
        ".00": ("0.5", ".50"),
        '"x".0': ("12.5", "x12.5"),
        "(000) 000-0000": ("9123456789", "(912) 345-6789"),
        '#,##0.0,,"M"': ("1500000", "1.5M"),
        "[Red]0;[Blue](0)": ("-5", "(5)"),
        'General" kg"': ("1.5", "1.5 kg"),
        "0.0%": ("0.125", "12.5%"),
        "# ?/?%": ("0.125", "12 1/2%"),
        '[=1]"Sí";[=0]"No";0': ("1", "Sí"),
        "0_ ": ("5", "5"),
        "[$$-409]0.0": ("5.5", "$5.5"),
        "0/²": ("0.5", "0"),
        "0." + "0" * 200: ("1.5", "1.5" + "0" * 199),
        "%" * 200 + "0": ("1", "%" * 200 + "1" + "0" * 400),
        '0"': ("5", "5"),
        "\\": ("5", "\\"),
        "[": ("5", ""),
    }
    for code, (number, expected) in cases.items():
        shown = NumberFormat(code).of(number)
        assert (shown.shown if isinstance(shown, ShownNumber) else shown) == expected, code
