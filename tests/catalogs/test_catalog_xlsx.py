"""Spreadsheets: what a cell is survives, whatever the columns are."""

from __future__ import annotations

import io
import threading
import warnings
import zipfile
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from catalog_files import SHOP, Pipe, named, until_fault
from msgspec import UNSET
from spreadsheets import workbook

from neuroon_async import Product, ProductFailure
from neuroon_async.catalogs import Catalog
from neuroon_async.catalogs.readers import sheet_xml
from neuroon_async.catalogs.readers import workbook as workbook_reader

OPTIONS = {"shop_url": SHOP, "currency": "EUR", "today": date(2026, 6, 15)}
HEADER = ["id", "name", "price", "url", "sale_price", "sale_start_date", "sale_end_date", "in_stock", "sku", "stock"]


def book(*rows: list[object], header: list[str] = HEADER) -> bytes:
    return workbook({"Hoja 1": [header, *rows]})


def items(content: bytes, **options) -> list[Product | ProductFailure]:
    return list(Catalog(named(content, "file"), **OPTIONS | options))


def test_cells_keep_what_they_are():
    catalog = Catalog(
        named(
            book(
                [
                    8436570000001.0,
                    "Café",
                    19.9,
                    "/a",
                    1.299,
                    date(2026, 1, 1),
                    datetime(2026, 12, 31, 12, tzinfo=UTC),
                    True,
                    123,
                    0,
                ],
                ["A-2", "  ", 5, "/b"],
                [],
                [3, 2024, 1299.0, "/c", None, None, None, False, "007", 1234.0],
            ),
            "file",
        ),
        **OPTIONS,
    )
    coffee, failure, year = catalog
    assert (catalog.format, catalog.records) == ("xlsx", 3)
    assert (coffee.external_id, coffee.name, coffee.sku) == ("8436570000001", "Café", "123")
    assert (coffee.price, coffee.sale_price) == (Decimal("19.9"), Decimal("1.299"))  # no doubt about a number
    assert (coffee.in_stock, coffee.stock_quantity) == (True, 0)
    assert failure.reason.startswith("file:row 3: name: is required")
    assert (year.external_id, year.name, year.price, year.sku) == ("3", "2024", 1299, "007")
    assert (year.in_stock, year.stock_quantity) == (False, 1234)


def test_ids_whose_digits_are_lost_are_refused():
    (failure,) = items(book([8.4365700000012e17, "A", 1, "/a"]))
    assert "a spreadsheet has shortened" in failure.reason


@pytest.mark.parametrize(
    ("number", "text"),
    [(1e15 - 1, "999999999999999"), (0.1 + 0.2, "0.3"), (1e-5, "0.00001"), (100.0, "100"), (-0.0, "0")],
)
def test_numbers_as_the_sheet_shows_them(number, text):
    (item,) = items(book([number, "A", 1, "/a"]))
    assert item.external_id == text


@pytest.mark.parametrize("number", ["NaN", "inf", "1e400"])
def test_what_is_no_number_is_refused_whatever_its_format(number):
    found = items(
        edited(
            book([7, *ROW[1:]], [8, "B", 7, "/b"]),
            (STYLES, '<xf numFmtId="14"/>', '<xf numFmtId="14"/><xf numFmtId="2"/>'),
            (SHEET, '<c r="A2"><v>7', f'<c r="A2" s="2"><v>{number}'),
            (SHEET, '<c r="C3"><v>7', f'<c r="C3"><v>{number}'),
        )
    )
    assert ["holds #NUM!" in item.reason for item in found] == [True, True]


def test_dates_of_sales_count():
    over = [1, "A", 20, "/a", 10, date(2019, 1, 1), date(2019, 2, 1)]
    assert [item.sale_price for item in items(book(over, [2, "B", 20, "/b", 10]))] == [UNSET, 10]


def test_texts_keep_their_doubts():
    (failure,) = items(book(["1", "A", "1.299", "/a"]))
    assert "may be 1.299 or 1299" in failure.reason
    assert [item.price for item in items(book(["1", "A", "1.299", "/a"], ["2", "B", "9,90 €", "/b"]))] == [
        1299,
        Decimal("9.90"),
    ]


def test_an_export_of_a_platform_in_a_sheet():
    header = ["Handle", "Title", "Published", "Option1 Name", "Option1 Value", "Variant Price", "Variant Inventory Qty"]
    catalog = Catalog(
        named(
            book(["taza", "Taza", True, "Talla", 38, 14.5, 0], ["taza", None, None, None, 40, 1.299, 3], header=header)
        ),
        **OPTIONS,
    )
    parent, first, second = catalog
    assert (catalog.format, parent.external_id, parent.is_active) == ("shopify", "taza", True)
    assert (first.external_id, first.price) == ("taza/38", Decimal("14.5"))
    assert (second.external_id, second.price, second.stock_quantity) == ("taza/40", Decimal("1.299"), 3)


def test_a_format_that_reads_twice():
    header = ["ID", "Type", "SKU", "Name", "Published", "Regular price", "Parent"]
    rows = [[1, "variable", "P", "Padre", 1, None, None], [2, "variation", "V", "Hija", 1, 9.5, "id:1"]]
    catalog = Catalog(named(book(*rows, header=header)), **OPTIONS)
    parent, child = catalog
    assert (catalog.format, parent.price, child.parent_external_id) == ("woocommerce", Decimal("9.5"), "1")


ROW = [1, "A", 2, "/a"]


def test_which_sheet():
    content = workbook({"Oculta": [["x"]], "Notas": [["nada"]], "2": [HEADER, ROW]}, hidden=("Oculta",))
    assert len(items(content, sheet="2")) == 1
    content = workbook({"Oculta": [["x"]], "Productos": [HEADER, ROW], "Notas": [["nada"]]}, hidden=("Oculta",))
    assert (
        len(items(content))
        == len(items(content, sheet=2))
        == len(items(content, sheet="2"))
        == len(items(content, sheet="Productos"))
        == 1
    )
    for wrong in ("9", "Precios", "0"):
        found, fault = until_fault(Catalog(named(content, "file"), sheet=wrong))
        assert found == []
        assert fault == f"file: has no sheet {wrong!r}; there are Oculta, Productos, Notas (sheet)"


def test_options_that_do_nothing_are_named():
    catalog = Catalog(named("id,name\n1,2\n"), sheet="x", list="y")
    list(catalog)
    assert [note for note in catalog.notes if "no effect" in note] == [
        "list has no effect on a catalog of format csv",
        "sheet has no effect on a catalog of format csv",
    ]
    catalog = Catalog(named(book(ROW)), delimiter=";", encoding="utf-8")
    list(catalog)
    assert sum("has no effect" in note for note in catalog.notes) == 2


def test_a_pipe_a_second_iteration_and_another_thread():
    content = book(*([n, f"N{n}", n, f"/{n}"] for n in range(1, 400)))
    assert len(list(Catalog(Pipe(content, 5_000), **OPTIONS))) == 399
    catalog = Catalog(named(content), **OPTIONS)
    assert len(list(catalog)) == len(list(catalog)) == 399
    reading = iter(Catalog(named(content), **OPTIONS))
    first = next(reading)
    rest: list[object] = []
    thread = threading.Thread(target=lambda: rest.extend(reading))
    thread.start()
    thread.join()
    assert isinstance(first, Product)
    assert len(rest) == 398


def test_mapped_columns_and_one_that_is_not_there():
    content = book(["1", "A", 2, "/a"], header=["código", "título", "importe", "web"])
    mapping = {"external_id": "código", "name": "título", "price": "importe", "url": "web"}
    assert [item.name for item in items(content, mapping=mapping)] == ["A"]
    _, fault = until_fault(Catalog(named(content), mapping={"name": "nombre"}))
    assert "there is no column 'nombre'" in fault


@pytest.mark.parametrize("cut", [100, 900, -30])
def test_a_file_that_is_damaged(cut):
    _, fault = until_fault(Catalog(named(book(ROW)[:cut], "file.xlsx")))
    assert "cannot be read as a spreadsheet" in fault


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return file.getvalue()


def test_what_is_no_spreadsheet_that_is_read():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.csv", "id,name\n")
    for content, reason in (
        (archive.getvalue(), "is a zip archive; unpack it"),
        (zipped("[Content_Types].xml", "xl/workbook.bin"), "is a binary spreadsheet (.xlsb)"),
        (zipped("[Content_Types].xml", "word/document.xml"), "is a document of another kind"),
        (zipped("Index/Document.iwa"), "export it from Numbers"),
        (OLE + bytes(500), "is an older spreadsheet (.xls), or one that is protected by a password"),
        (OLE + bytes(500) + "EncryptedPackage".encode("utf-16-le"), "is protected by a password"),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "spreadsheet (.ods)"),
        (b"<table border='1'><tr><th>id</th></tr></table>", "is a web page with a table"),
        (b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook/>', "is a spreadsheet in XML"),
        (b"<html><body>Please log in</body></html>", "was a login or an error page saved?"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(20), "is an archive; unpack it"),
        (b"%PDF-1.7\n", "is a document to be read by people"),
        (workbook({"A": []}), "holds no rows at all"),
    ):
        _, fault = until_fault(Catalog(named(content, "file")))
        assert reason in fault


def test_one_that_unpacks_to_too_much(monkeypatch):
    monkeypatch.setattr(workbook_reader, "MAX_UNPACKED_BYTES", 1_000)
    _, fault = until_fault(Catalog(named(book(ROW))))
    assert "save the sheet as CSV" in fault


def with_last_row(content: bytes, row: str, dimension: str = "") -> bytes:
    """The same workbook with one more row in its sheet, which says that it is so large."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(changed, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name).decode().replace("<sheetData>", f"{dimension}<sheetData>")
            copy.writestr(name, data.replace("</sheetData>", f"{row}</sheetData>"))
    return changed.getvalue()


DIMENSIONS = ["", '<dimension ref="A1:XFD1048576"/>', '<dimension ref="A1:D2"/>']


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize(
    "far",
    [
        '<c r="XFD1048576" s="1"><v>1</v></c>',
        "<c s='1' r='XFD1048576'><v>1</v></c>",
        '<x:c r = "xfd1048576"><x:v>1</x:v></x:c>',
        '<c r="A16777217"><v>1</v></c><c r="C1"><v>1</v></c>',
        '<c r="AN1048576"><v>1</v></c>',
        f'<c r="XFD1{"0" * 5_000}"><v>1</v></c>',
        '<c note=">" r="XFD1048576"><v>1</v></c>',
        '<c note="<" r="XFD1048576"><v>1</v></c>',
        f'<c {" " * 1_500_000} r{" " * 1_500_000}="XFD1048576"><v>1</v></c>',
    ],
    ids=[
        *("far", "quoted otherwise", "prefixed", "below all rows", "one column too many", "endless"),
        *("after an end that is none", "after a beginning that is none", "after many spaces"),
    ],
)
def test_one_far_cell_does_not_take_all_memory(dimension, far):
    """What the sheet says of its size is no proof: some programs always write the same."""
    content = with_last_row(book(ROW), f'<row r="1048576">{far}</row>', dimension)
    _, fault = until_fault(Catalog(named(content, "file")))
    assert "spans over 40,000,000 cells" in fault or "cannot be read as a spreadsheet" in fault


def test_cells_that_say_nowhere_where_they_stand_span_as_much():
    cells = "<c><v>1</v></c>"
    content = with_last_row(book(ROW), f"<row>{cells}</row>" * 7_000 + f"<row>{cells * 7_000}</row>")
    _, fault = until_fault(Catalog(named(content, "file")))
    assert "spans over 40,000,000 cells" in fault


@pytest.mark.parametrize("member", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"])
def test_a_member_that_unpacks_to_more_than_it_says(member):
    """By what it says, it is not refused; unpacking it takes the memory all the same."""
    data = b"<sst/>" + b" " * 2_000_000
    packed = io.BytesIO(book(ROW))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a second member with this name, which is the one that counts
        archive.writestr(member, data)
    content = packed.getvalue()
    for true, told in ((len(data), 6), (zlib.crc32(data), zlib.crc32(data[:6]))):
        content = content.replace(true.to_bytes(4, "little"), told.to_bytes(4, "little"))
    _, fault = until_fault(Catalog(named(content, "file")))
    assert "is damaged or cut off" in fault


@pytest.mark.parametrize(
    "damaged", ['<c r="XFD1" ' + 'r="A1" ' * 35_000, f'<c r="{"A" * 250_000}1">'], ids=["open", "letters"]
)
def test_a_damaged_cell_is_looked_at_in_one_pass(damaged):
    """Beginning anew at each of its attributes took minutes."""
    _, fault = until_fault(Catalog(named(with_last_row(book(ROW), damaged), "file")))
    assert "spans over 40,000,000 cells" in fault or "cannot be read as a spreadsheet" in fault


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_far_cell_without_a_value_is_none(dimension):
    """Whole columns with a colour leave such cells."""
    content = with_last_row(book(ROW), '<row r="1048576"><c r="XFD1048576" s="1"/></row>', dimension)
    assert len(items(content)) == 1


def test_a_title_above_the_header_is_looked_past():
    rows = [["Tarifa 2026"], [None, None], ["codigo", "nombre", "precio", "url"], ["A", "Silla", 1.5, "u:x"]]
    (product,) = Catalog(named(workbook({"Hoja": rows}), "f.xlsx"))
    assert (product.external_id, product.price) == ("A", Decimal("1.5"))


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ([["Notas de la tienda"], ["ayer"]], "named like a product field: Notas de la tienda"),
        ([], "holds no rows at all"),
    ],
)
def test_a_sheet_without_products_names_the_others(first, told):
    rows = [["codigo", "nombre", "precio", "url"], ["A", "Silla", 1.5, "u:x"]]
    _, fault = until_fault(Catalog(named(workbook({"Notas": first, "Productos": rows, "Tallas": []}), "f.xlsx")))
    assert told in fault
    assert fault.endswith("; is it another sheet that holds the products? (sheet: Productos, Tallas)")


SHEET, STYLES, BOOK = "xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/workbook.xml"


def edited(content: bytes, *changes: tuple[str, str, str]) -> bytes:
    """The workbook with some text of its members replaced: ``(member, old, new)``."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            text = before.read(name).decode()
            for member, old, new in changes:
                assert member != name or old in text, old
                text = text.replace(old, new) if member == name else text
            after.writestr(name, text)
    return made.getvalue()


def formula(place: str, value: str) -> tuple[str, str, str]:
    """A formula where the number 7 stands."""
    return SHEET, f'<c r="{place}"><v>7</v></c>', f'<c r="{place}"><f>A1*2</f>{value}</c>'


def test_numbers_that_are_shown_with_zeros_before_them():
    catalog = book([123, "Té", 5, "/a", None, None, None, None, 45, 7], [1234567, "Té", 5, "/a"])
    found = items(
        edited(
            catalog,
            (STYLES, "<cellXfs", '<numFmts><numFmt numFmtId="164" formatCode="00000"/></numFmts><cellXfs'),
            (STYLES, '<xf numFmtId="14"/>', '<xf numFmtId="14"/><xf applyNumberFormat="1" numFmtId="164"/>'),
            *((SHEET, f'<c r="{place}">', f'<c r="{place}" s="2">') for place in ("A2", "I2", "J2", "A3")),
        )
    )
    assert [(item.external_id, item.sku) for item in found] == [("00123", "00045"), ("1234567", UNSET)]
    assert found[0].stock_quantity == 7


def test_formulas_that_nobody_has_computed_are_no_values():
    rows = [["a", "Té", 7, "/a"], ["b", "Té", 9, "/b", 7], ["c", "Té", 7, "/c", 7]]
    content = edited(book(*rows), formula("C2", "<v/>"), formula("E3", "<v></v>"), formula("C4", "<v>0</v>"))
    catalog = Catalog(named(content, "file"), **OPTIONS)
    refused, without_sale, for_nothing = catalog
    assert "price: holds a formula without its value; open the file in a spreadsheet program" in refused.reason
    assert (without_sale.price, without_sale.sale_price, for_nothing.price) == (9, UNSET, 0)
    assert any(
        "without salePrice: nothing is known to be meant by a formula without its value (open" in note
        for note in catalog.notes
    )
    of_a_program = edited(content, (BOOK, "</sheets>", '</sheets><calcPr calcId="124519" fullCalcOnLoad="1"/>'))
    *_, refused = items(of_a_program)
    assert "price: holds a formula without its value" in refused.reason
    computed = edited(of_a_program, (SHEET, "<v>0</v>", "<v>19.99</v>"))
    assert items(computed)[-1].price == Decimal("19.99")


def test_rows_that_hold_nothing_but_formulas_that_nobody_has_computed_are_refused_and_not_passed_over():
    rows = [[7, 7, 7, 7], ["b", "Té", 7, "/b"], [7, 7, 7, 7], [7, 7, 7, 7]]
    changes = [formula(f"{column}{row}", "<v/>") for row in (2, 4, 5) for column in "ABCD"]
    first, product, *last = items(edited(book(*rows), *changes))
    assert product.external_id == "b"
    assert [failure.reason.count("formula without its value") > 0 for failure in (first, *last)] == [True] * 3


def test_errors_are_refused_or_left_out_and_counted():
    rows = [["a", "Té", 7, "/a"], ["b", "Té", 9, "/b", 7]]
    errors = (
        (SHEET, f'<c r="{place}"><v>7</v></c>', f'<c r="{place}" t="e"><f>1/0</f><v>#DIV/0!</v></c>')
        for place in ("C2", "E3")
    )
    catalog = Catalog(named(edited(book(*rows), *errors), "file"), **OPTIONS)
    refused, without_sale = catalog
    assert "price: holds #DIV/0!, which a spreadsheet shows where a formula failed" in refused.reason
    assert without_sale.sale_price is UNSET
    assert any("salePrice" in note and "#DIV/0!" in note for note in catalog.notes)


def test_odd_cells_of_a_sheet_that_begins_further_right_and_is_read_in_pieces(monkeypatch):
    monkeypatch.setattr(sheet_xml, "_CHUNK", 7)
    rows = [[None, None, *row] for row in ([*HEADER], ["a", "Té", 7, "/a"], ["b", "Té", 7, "/b"], ["c", "Té", 7, "/c"])]
    content = workbook({"Other": [["x"]], "Hoja": rows})
    sheet = "xl/worksheets/sheet2.xml"
    changes = [(sheet, *formula(place, "<v/>")[1:]) for place in ("E2", "E3")]
    *refused, product = items(edited(content, *changes), sheet="Hoja")
    assert ["formula without its value" in item.reason for item in refused] == [True, True]
    assert (product.external_id, product.price) == ("c", 7)


def test_cells_that_do_not_say_where_they_stand():
    """Some programs leave that out: each stands behind the one before it."""
    row = '<row><c t="inlineStr"><is><t>a</t></is></c><c/><c t="e"><v>#N/A</v></c><c r="D2"><v>1</v></c></row>'
    content = edited(book(), (SHEET, "</sheetData>", f"{row}</sheetData>"))
    (failure,) = items(content)
    assert failure.external_id == "a"
    assert "price: holds #N/A" in failure.reason
    far = '<row r="1048576"><c><v>5</v></c></row></sheetData>'
    content = edited(book(ROW), (SHEET, '<c r="J1"', '<c r="XFD1"'), (SHEET, "</sheetData>", far))
    _, fault = until_fault(Catalog(named(content, "file")))
    assert "spans over 40,000,000 cells" in fault


def test_what_variations_inherit_may_be_a_number_that_as_text_might_be_two():
    header = ["ID", "Type", "SKU", "Name", "Regular price", "Parent"]
    parent, child = items(
        book([1, "variable", 4.125, "Té", None, None], [2, "variation", "x", "Té", 5, "id:1"], header=header)
    )
    assert (parent.sku, child.parent_external_id) == ("4.125", "1")


@pytest.mark.parametrize(
    "cell_formats",
    ['<xf/><xf numFmtId="14"/><xf numFmtId="164"/>', '<xf numFmtId="164"/>'],
    ids=["after one of no words", "of cells that name none"],
)
def test_the_format_of_a_cell_is_found_wherever_it_stands(cell_formats):
    style = ' s="2"' if "/><xf" in cell_formats else ""
    content = edited(
        book([7, *ROW[1:]]),
        (STYLES, '<xf numFmtId="0"/><xf numFmtId="14"/>', cell_formats),
        (STYLES, "<cellXfs", '<numFmts><numFmt numFmtId="164" formatCode="[>5]00000;0"/></numFmts><cellXfs'),
        (SHEET, '<c r="A2"', f'<c r="A2"{style}'),
    )
    assert [item.external_id for item in items(content)] == ["00007"]


def test_a_sheet_is_unpacked_once_where_nothing_is_odd(monkeypatch):
    content = book(ROW)
    opened: list[str] = []
    unpacked = zipfile.ZipFile.open

    def watched(archive, name, *args, **options):
        opened.append(getattr(name, "filename", name))
        return unpacked(archive, name, *args, **options)

    monkeypatch.setattr(zipfile.ZipFile, "open", watched)
    assert len(items(content)) == 1
    assert opened.count(SHEET) == 1
