"""The cells of a sheet that show something else than python-calamine tells of them, out of the sheet's XML.

- An error, such as ``#N/A``: calamine tells of nothing.
- A formula that nobody has computed: a program has written it, and no spreadsheet has opened the file since. There is
  no value, or a 0 that programs write for one.
- A value with a format of its own: ``00123``, ``SKU-0007``, ``50%`` (`..values.number_formats`).

A sheet without any of these is not looked at cell by cell.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from ..values.damage import NOT_COMPUTED
from .sheet_xml import PLACE, column_number, pieces
from .workbook import attributes_of

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator, Mapping

    from ..values.number_formats import NumberFormat
    from .workbook import Workbook

__all__ = ["OddCells", "SheetCells"]

_MOST_STYLES = 50
"""More of them are not looked for one by one."""
_MOST_KINDS = 1_000
_LOOKED_INTO = frozenset({b"e", b"n"})
"""The types of cells that may hold an error, or lack the value of a formula."""
_DEFAULT = b"0"
"""The style of cells that name none."""
_NEXT = re.compile(rb"<(?:\w+:)?c[\s>]")
_EVERY = re.compile(rb"<(?:\w+:)?(row|c)(?=[\s/>])([^<>]*)>")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s>/]")
_VALUE = re.compile(rb"<(?:\w+:)?v(?:\s[^<>]*)?>([^<]*)<")
_PLAINLY_VALUED = re.compile(rb"\s*<(?:\w+:)?v>\s*[^<\s]")
"""The content of a cell with a value and, before it, no formula."""
_ZERO = re.compile(rb"0(?:\.0+)?")


class SheetCells:
    """Which cells of one sheet are odd: found once, read as often as the sheet is."""

    def __init__(self, book: Workbook, index: int) -> None:
        """Of the workbook's ``index``-th sheet, from 0."""
        member = book.member(index)
        glance = book.glance(member or "")
        self._formats = book.formats
        self._is_recalculated = book.is_recalculated
        self._member = member if glance.is_odd or self._formats else None
        self._kind_of = lru_cache(maxsize=_MOST_KINDS)(self._kind)
        self._pattern = _EVERY if glance.is_unusual or _DEFAULT in self._formats else _pattern_of(self._formats)

    def read(self, archive: zipfile.ZipFile) -> OddCells:
        """The odd cells, from the first row on."""
        return OddCells(self._cells(archive))

    def _cells(self, archive: zipfile.ZipFile) -> Iterator[tuple[int, int, str | NumberFormat]]:
        """``(row, column, what it shows)``."""
        row = column = 0
        for piece in pieces(archive, self._member) if self._member else ():
            for element in self._pattern.finditer(piece):
                attributes = element[2]
                place = PLACE.search(attributes)
                if element[1] == b"row":
                    row, column = int(place[2]) if place else row + 1, 0
                    continue
                column = column_number(place[1]) if place else column + 1
                if attributes.endswith(b"/"):
                    continue
                others = attributes[: place.start()] + attributes[place.end() :] if place else attributes
                shown = self._shown(*self._kind_of(others), piece, element.end())
                if shown is not None:
                    yield int(place[2]) if place else row, column, shown

    def _kind(self, attributes: bytes) -> tuple[bytes, NumberFormat | None]:
        """The type of a cell with these attributes beside its place, and its format: the same few again and again."""
        found = attributes_of(attributes)
        return found.get(b"t", b"n"), self._formats.get(found.get(b"s", _DEFAULT))

    def _shown(self, kind: bytes, format_: NumberFormat | None, piece: bytes, start: int) -> str | NumberFormat | None:
        """What a cell shows whose content starts there; ``None`` where it shows its value."""
        if kind not in _LOOKED_INTO or (kind == b"n" and format_ and _PLAINLY_VALUED.match(piece, start)):
            return format_
        following = _NEXT.search(piece, start)
        end = following.start() if following else len(piece)
        match = _VALUE.search(piece, start, end)
        value = match[1].strip() if match else b""
        if kind == b"e":
            return value.decode(errors="replace") or "#N/A"
        lacks_value = not value or (self._is_recalculated and _ZERO.fullmatch(value))
        if lacks_value and _FORMULA.search(piece, start, end):
            return NOT_COMPUTED
        return format_


def _pattern_of(styles: Mapping[bytes, NumberFormat]) -> re.Pattern[bytes]:
    """What finds the cells that may be odd, and where each begins."""
    listed = b"|".join(styles) if len(styles) <= _MOST_STYLES else rb"[0-9]+"
    style = rb"""|\ss\s*=\s*["'](?:%b)["']""" % listed if styles else b""
    return re.compile(
        rb"""<(?:\w+:)?(c)(?=\s[^<>]*(?:>\s*<(?:\w+:)?f[\s>/]|\st\s*=\s*["']e["']%b)|>\s*<(?:\w+:)?f[\s>/])([^<>]*)>"""
        % style
    )


class OddCells:
    """What the odd cells of a sheet show, asked row by row, from the first one on. Rows and columns count from 1."""

    def __init__(self, cells: Iterator[tuple[int, int, str | NumberFormat]]) -> None:
        self._cells = cells
        self._next = next(cells, None)

    def of_row(self, number: int) -> dict[int, str | NumberFormat]:
        """What the odd cells of a row show, by column."""
        found: dict[int, str | NumberFormat] = {}
        following = self._next
        while following is not None and following[0] <= number:
            row, column, shown = following
            if row == number:
                found[column] = shown
            following = next(self._cells, None)
        self._next = following
        return found

    def rest(self) -> Iterator[tuple[int, dict[int, str | NumberFormat]]]:
        """What the odd cells of all further rows show, by row."""
        while self._next is not None:
            number = self._next[0]
            yield number, self.of_row(number)
