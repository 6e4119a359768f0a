"""Files of formats that other libraries unpack, made around an input: its mutations reach the values within."""

from __future__ import annotations

import io
import re
import zipfile
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from catalogs.spreadsheets import workbook

from fuzz.targets import catalogs
from fuzz.targets.target import Target
from neuroon_async.catalogs import CatalogFormat
from neuroon_async.catalogs.readers import workbook as workbook_reader
from neuroon_async.catalogs.values.number_formats import NumberFormat, ShownNumber

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TARGETS"]

_MAX_CELLS = 2_000_000
"""Of which memory holds as many as a search may ask for."""
_FAR = re.compile(rb"[A-Za-z\"'][0-9]{5}|[\"'][A-Za-z]{4,}[0-9]")
"""A row far below, or a column far to the right, up to which a sheet is read: that takes long, and shows nothing."""
_SHEET = "xl/worksheets/sheet1.xml"
_STRINGS = "xl/sharedStrings.xml"
_STYLES = "xl/styles.xml"
_CUT = b"\n--\n"
_NUMBER = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,14})?", re.ASCII)


# Spreadsheets


@cache
def _workbook() -> dict[str, bytes]:
    rows = [["id", "name", "price", "url"], [1, "n", 1.5, "/1"], ["2", True, None, "/2"]]
    with zipfile.ZipFile(io.BytesIO(workbook({"A": rows}))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def check_sheet(data: bytes) -> None:
    """The XML of a sheet, of the texts that its cells share, and of their styles, with a line of two dashes between."""
    sheet, _, others = data.partition(_CUT)
    strings, _, styles = others.partition(_CUT)
    if _FAR.search(sheet):
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        parts = {_SHEET: sheet, _STRINGS: strings} | ({_STYLES: styles} if styles else {})
        for name, content in (_workbook() | parts).items():
            archive.writestr(zipfile.ZipInfo(name), content)
    with patch.object(workbook_reader, "MAX_CELLS", _MAX_CELLS):
        catalogs.check(packed.getvalue(), CatalogFormat.XLSX)


def _sheets() -> list[bytes]:
    shared = b'<sst count="2"><si><t>n</t></si><si><r><t>a</t></r><r><t xml:space="preserve"> b</t></r></si></sst>'
    kinds = (
        b'<c r="A4" t="s"><v>1</v></c><c r="B4" t="str"><f>A1</f><v>x</v></c><c r="C4" t="e"><v>#N/A</v></c>'
        b'<c r="D4" t="d"><v>2026-11-26T00:00:00</v></c><c r="E4" s="1"><v>45000.5</v></c>'
    )
    sound = _workbook()[_SHEET]
    several = sound.replace(b"</sheetData>", b'<row r="4">' + kinds + b"</row></sheetData>") + _CUT + shared
    formats = (
        b'<numFmts count="2"><numFmt numFmtId="164" formatCode="&quot;SKU-&quot;0000"/>'
        b'<numFmt numFmtId="165" formatCode="[&lt;10]0.00;(#,##0)"/></numFmts>'
        b'<cellXfs count="4"><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="9"/></cellXfs>'
    )
    start = _workbook()[_STYLES].partition(b"<cellXfs")[0]
    return [sound, several, several + _CUT + start + formats + b"</styleSheet>"]


def check_number_format(data: bytes) -> None:
    """A number, the end of a line, and the code of a format. However it looks, the cell holds that number."""
    number, _, code = data.decode("utf-8", "replace").partition("\n")
    if not _NUMBER.fullmatch(number):
        return
    format_ = NumberFormat(code)
    shown = format_.of(number)
    if isinstance(shown, ShownNumber):
        assert shown.number == Decimal(number)
    elif "%" not in shown:
        assert Decimal(shown) == Decimal(number), shown
    assert "x" in format_.of_text("x") or ";" in code or not code


_CODES = ("0000", '"SKU-"000', "0.##", "#,##0.00;[Red]-#,##0.00", "[<10]0;[>=10]0.0;@", "0%", "# ??/16", ".00", "0,")


# Parquet and Arrow


_NAMES = ("id", "name", "price", "url", "sku", "tags", "attributes", "stock", "in_stock", "sale_price", "rating", "x")


def _numbers(values: list[bytes]) -> list[int]:
    return [int.from_bytes(each[:8], "big", signed=True) for each in values]


def _texts(values: list[bytes]) -> list[str]:
    return [each.decode("utf-8", "replace") for each in values]


@cache
def _kinds() -> tuple[Callable[[list[bytes]], Any], ...]:
    """What makes a column of pieces of an input, each of another type."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    def of(kind: Any, convert: Callable[[list[bytes]], list[Any]]) -> Callable[[list[bytes]], Any]:
        return lambda values: pa.array(convert(values), kind)

    def moments(kind: Any) -> Callable[[list[bytes]], Any]:
        return lambda values: pa.array(_numbers(values), pa.int64()).cast(kind)

    def short(kind: Any) -> Callable[[list[bytes]], Any]:
        return lambda values: pa.array([number % 2**31 for number in _numbers(values)], pa.int32()).cast(kind)

    return (
        of(pa.string(), _texts),
        of(pa.large_string(), _texts),
        lambda values: pa.array(_texts(values)).dictionary_encode(),
        of(pa.int64(), _numbers),
        of(pa.uint64(), lambda values: [number % 2**64 for number in _numbers(values)]),
        of(pa.float64(), lambda values: [number / 1024 for number in _numbers(values)]),
        lambda values: pa.Array.from_buffers(
            pa.float64(), len(values), [None, pa.py_buffer(b"".join(each[:8].ljust(8, b"\0") for each in values))]
        ),
        of(pa.float32(), lambda values: [number / 1024 for number in _numbers(values)]),
        of(pa.decimal128(38, 4), lambda values: [Decimal(number).scaleb(-4) for number in _numbers(values)]),
        of(pa.decimal256(60, 30), lambda values: [Decimal(number).scaleb(-30) for number in _numbers(values)]),
        of(pa.bool_(), lambda values: [bool(number % 2) for number in _numbers(values)]),
        of(pa.binary(), list),
        of(pa.list_(pa.string()), lambda values: [_texts(each.split(b",")) for each in values]),
        of(pa.struct({"a": pa.string(), "b": pa.int64()}), lambda values: [{"a": each} for each in _texts(values)]),
        of(pa.map_(pa.string(), pa.string()), lambda values: [[(each[:3], each[3:])] for each in _texts(values)]),
        of(pa.null(), lambda values: [None for _ in values]),
        *(moments(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        *(moments(pa.timestamp("us", zone)) for zone in ("UTC", "+09:00", "Europe/Madrid", "no/zone")),
        *(moments(pa.duration(unit)) for unit in ("s", "ns")),
        moments(pa.date64()),
        moments(pa.time64("ns")),
        short(pa.date32()),
        short(pa.time32("s")),
    )


def check_table(data: bytes) -> None:
    """Columns, each a name, a kind and four values of at most 15 bytes, of which an empty one is null."""
    try:
        packed, format_ = _packed(data)
    except Exception:  # noqa: BLE001 - what pyarrow itself does not take
        return
    catalogs.check(packed, format_)


def _packed(data: bytes) -> tuple[bytes, CatalogFormat]:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import compute, ipc, parquet  # noqa: PLC0415 - likewise

    columns: dict[str, Any] = {}
    at = 1
    while at + 2 <= len(data) and len(columns) < len(_NAMES):
        name, kind = data[at : at + 2]
        at += 2
        values = []
        for _ in range(4):
            length = data[at] % 16 if at < len(data) else 0
            values.append(data[at + 1 : at + 1 + length])
            at += 1 + length
        column = _kinds()[kind % len(_kinds())](values)
        is_null = pa.array([not value for value in values])
        columns[_NAMES[name % len(_NAMES)]] = compute.if_else(is_null, None, column) if kind & 128 else column
    table = pa.table(columns)
    file = io.BytesIO()
    if data[:1] and data[0] & 1:
        parquet.write_table(table, file)
        return file.getvalue(), CatalogFormat.PARQUET
    with ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue(), CatalogFormat.ARROW


def _tables() -> list[bytes]:
    def column(name: str, kind: int, *values: bytes) -> bytes:
        return bytes([_NAMES.index(name), kind]) + b"".join(bytes([len(value)]) + value for value in values)

    ids = column("id", 0, b"1", b"2", b"3", b"4")
    names = column("name", 0, b"a", b"b", b"c", b"d")
    urls = column("url", 0, b"/1", b"/2", b"/3", b"/4")
    numbers = [number.to_bytes(8, "big") for number in (0, 1024, 10_240, 1_700_000_000)]
    required = ids + names + urls
    found = [
        bytes([number % 2]) + required + column("price", 5, *numbers) + column(name, kind, *numbers)
        for number, (name, kind) in enumerate((name, kind) for kind in range(len(_kinds())) for name in ("x", "sku"))
    ]
    return [*found, b"\1" + required + column("price", 128, b"1.5", b"", b"2", b"3")]


def _is_there(name: str) -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - here alone

    return find_spec(name) is not None


_XML = (
    *(b"<row", b"</row>", b"<c ", b"</c>", b"<v>", b"</v>", b"<is><t>", b"</t></is>", b"<f>", b' t="s"', b' t="b"'),
    *(b' t="d"', b' t="e"', b' t="str"', b' t="inlineStr"', b' s="1"', b' r="', b"XFD9999", b"<si>", b"</si>"),
    *(b"<dimension ref=", b"<mergeCell ref=", b"&#x1F600;", b"_x000D_", b"<![CDATA[", b"x:", _CUT),
)
_COLUMNAR = (Target("catalog-table", check_table, 1.5, (), _tables, longest=600),) if _is_there("pyarrow") else ()
TARGETS = (
    Target("catalog-sheet", check_sheet, 1.5, _XML, _sheets, longest=3_000),
    Target(
        "number-format",
        check_number_format,
        0.5,
        (b"General", b"[Red]", b"[$-409]", b"[$EUR]", b"E+00", b"\\ ", b"_)", b"* "),
        lambda: [f"{number}\n{code}".encode() for number in ("7", "-1234.5") for code in _CODES],
        longest=120,
    ),
    *_COLUMNAR,
)
