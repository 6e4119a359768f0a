"""The cells of a sheet that show something else than python-calamine tells of them, out of the sheet's XML.

- An error, such as ``#N/A``: calamine tells of nothing.
- A formula that nobody has computed: a program has written it, and no spreadsheet has opened the file since. There is
  no value, or a 0 that programs write for one.
- A whole number that is shown with zeros before it (``00123``), as article numbers are.

A sheet without any of these is not looked at cell by cell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..values.damage import NOT_COMPUTED

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator, Mapping

__all__ = ["CELL", "OddCells", "column_number"]

_CHUNK = 256 * 1024
_LONGEST_CELL = 1024 * 1024
"""A cell holds 32,767 characters at most."""
_ATTRIBUTE = re.compile(rb"""(?<![\w:])([\w:]+)\s*=\s*["']([^"']*)["']""")
_SHEET = re.compile(rb"<(?:\w+:)?sheet\s([^<>]*)>")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s([^<>]*)>")
_RECALCULATED = re.compile(rb"""fullCalcOnLoad\s*=\s*["'](?:1|true)["']""")
"""What programs ask of the spreadsheet that opens their file next."""
_NUMBER_FORMAT = re.compile(rb"<(?:\w+:)?numFmt\s([^<>]*)>")
_CELL_FORMATS = re.compile(rb"</?(?:\w+:)?cellXfs[\s>]")
_CELL_FORMAT = re.compile(rb"<(?:\w+:)?xf\s([^<>]*)>")
_ZEROS = re.compile(rb"0{2,40}")
_ODD = re.compile(rb"""<(?:\w+:)?f[\s>/]|\st\s*=\s*["']e["']""")
CELL = re.compile(rb"<(?:\w+:)?c\s([^<>]*)>")
"""A cell's beginning, and its attributes. In an empty one these end with a ``/``."""
_MOST_LETTERS = 8
_PLACE = re.compile(rb"([A-Za-z]{1,3})([0-9]{1,7})")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s>/]")
_VALUE = re.compile(rb"<(?:\w+:)?v(?:\s[^<>]*)?>([^<]*)<")
_ZERO = re.compile(rb"0(?:\.0+)?")


def column_number(letters: bytes) -> int:
    """``A`` is 1, ``AA`` 27. Of more letters than any column has, the first few make a number that is large enough."""
    number = 0
    for letter in letters[:_MOST_LETTERS].upper():
        number = number * 26 + letter - 64
    return number


class OddCells:
    """What the odd cells of a sheet show, asked row by row, from the first one on. Rows and columns count from 1."""

    def __init__(self, archive: zipfile.ZipFile, index: int) -> None:
        """Of the workbook's ``index``-th sheet, from 0."""
        self._cells = _odd_cells(archive, index)
        self._next = next(self._cells, None)

    def of_row(self, number: int) -> dict[int, str]:
        """What the odd cells of a row show, by column."""
        found: dict[int, str] = {}
        while self._next is not None and self._next[0] <= number:
            row, column, text = self._next
            if row == number:
                found[column] = text
            self._next = next(self._cells, None)
        return found

    def rest(self) -> Iterator[tuple[int, dict[int, str]]]:
        """What the odd cells of all further rows show, by row."""
        while self._next is not None:
            number = self._next[0]
            yield number, self.of_row(number)


def _odd_cells(archive: zipfile.ZipFile, index: int) -> Iterator[tuple[int, int, str]]:
    """``(row, column, what it shows)``."""
    sheet = _sheet_name(archive, index)
    if sheet is None:
        return
    widths = _zeros_by_format(_read(archive, "xl/styles.xml"))
    if not widths and not any(_ODD.search(piece) for piece in _pieces(archive, sheet)):
        return
    recalculated = _RECALCULATED.search(_read(archive, "xl/workbook.xml")) is not None
    for piece in _pieces(archive, sheet):
        for written, content in _cells(piece):
            attributes = _attributes(written)
            place = _PLACE.fullmatch(attributes.get(b"r", b""))
            text = _shown(attributes, content, widths, recalculated=recalculated) if place else None
            if place and text is not None:
                yield int(place[2]), column_number(place[1]), text


def _cells(piece: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The attributes of each cell, and what stands before the next one."""
    cells = list(CELL.finditer(piece))
    ends = [cell.start() for cell in cells[1:]] + [len(piece)]
    for cell, end in zip(cells, ends, strict=False):
        yield cell[1], b"" if cell[1].endswith(b"/") else piece[cell.end() : end]


def _shown(
    attributes: Mapping[bytes, bytes], content: bytes, widths: Mapping[int, int], *, recalculated: bool
) -> str | None:
    """``None`` where a cell shows its value."""
    kind, match = attributes.get(b"t", b"n"), _VALUE.search(content)
    value = match[1].strip() if match else b""
    if kind == b"e":
        return value.decode(errors="replace") or "#N/A"
    if kind != b"n":
        return None
    if _FORMULA.search(content) and (not value or (recalculated and _ZERO.fullmatch(value))):
        return NOT_COMPUTED
    style = attributes.get(b"s", b"")
    width = widths.get(int(style), 0) if style.isdigit() else 0
    return value.decode().zfill(width) if value.isdigit() and len(value) < width else None


def _zeros_by_format(styles: bytes) -> dict[int, int]:
    """How many digits a number has at least, by the cells' formats."""
    widths: dict[bytes, int] = {}
    for written in _NUMBER_FORMAT.findall(styles):
        attributes = _attributes(written)
        code = attributes.get(b"formatCode", b"")
        if _ZEROS.fullmatch(code):
            widths[attributes.get(b"numFmtId", b"")] = len(code)
    bounds = [bound.start() for bound in _CELL_FORMATS.finditer(styles)] if widths else []
    listed = _CELL_FORMAT.findall(styles, bounds[0], bounds[1]) if len(bounds) > 1 else []
    numbers = [_attributes(written).get(b"numFmtId", b"") for written in listed]
    return {place: widths[number] for place, number in enumerate(numbers) if number in widths}


def _sheet_name(archive: zipfile.ZipFile, index: int) -> str | None:
    """The member of the archive that holds a sheet."""
    sheets = _SHEET.findall(_read(archive, "xl/workbook.xml"))
    if index >= len(sheets):
        return None
    wanted = next((value for name, value in _attributes(sheets[index]).items() if name.endswith(b":id")), b"")
    for written in _RELATION.findall(_read(archive, "xl/_rels/workbook.xml.rels")):
        attributes = _attributes(written)
        if attributes.get(b"Id") == wanted:
            target = attributes.get(b"Target", b"").decode(errors="replace")
            name = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            return name if name in archive.namelist() else None
    return None


def _attributes(written: bytes) -> dict[bytes, bytes]:
    return dict(_ATTRIBUTE.findall(written))


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    return archive.read(name) if name in archive.namelist() else b""


def _pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """What a sheet holds, in pieces that end between cells."""
    rest = b""
    with archive.open(name) as member:
        while chunk := member.read(_CHUNK):
            rest += chunk
            end = max(rest.rfind(b"</c>") + len(b"</c>"), rest.rfind(b":c>") + len(b":c>"), rest.rfind(b"<row"))
            if end > len(b"</c>") or len(rest) > _LONGEST_CELL:
                end = end if end > len(b"</c>") else len(rest)
                yield rest[:end]
                rest = rest[end:]
    yield rest
