"""The rows of one sheet of a spreadsheet (``.xlsx``). python-calamine does the reading (extra ``xlsx``).

A spreadsheet knows what a cell is, and saving it as CSV loses that. So the values come as a CSV file of a careful shop
would hold them: a whole number with all its digits (``8436570000001``, however the cell shows it), an exact date, true
or false. A number that as text might be two (``1.299``) stays a number, and one whose cell shows something else is a
`ShownNumber`.

The sheet is unpacked into memory: a workbook that unpacks to more than `MAX_UNPACKED_BYTES`, or a sheet that spans more
than `MAX_CELLS`, is refused.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any, BinaryIO

from ..records import Record
from ..values.number_formats import ShownNumber
from ..values.text import require
from .delimited import column_names, is_comment
from .sheet_cells import SheetCells
from .workbook import Workbook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..values.number_formats import NumberFormat
    from .byte_source import ByteSource
    from .sheet_cells import OddCells

__all__ = ["Sheet"]

_EXACT_DIGITS = 15
"""A spreadsheet keeps no more digits of a number."""
_MAYBE_TWO = re.compile(r"-?[1-9][0-9]{0,2}\.[0-9]{3}")
_PLAIN = re.compile(r"-?[0-9.]+")
"""A number with all its digits and without a power of ten."""
_Cell = str | Decimal


class Sheet:
    """One sheet, opened. ``wanted`` is its name or its number from 1; without it, the first that is visible."""

    def __init__(self, source: ByteSource, file: BinaryIO, wanted: str | None, option: str) -> None:
        """``option`` is what the user calls the option that chooses the sheet."""
        calamine = require("python_calamine", "xlsx", "a spreadsheet")
        self._source = source
        self._first: list[list[str]] = []
        self._book = Workbook(source, file)
        try:
            workbook = calamine.load_workbook(file)
            name = _name_of(source, calamine, workbook, wanted, option)
            self._sheet: Any = workbook.get_sheet_by_name(name)
            self._others = [other for other in workbook.sheet_names if other != name]
            self._option = option
            self._cells = SheetCells(self._book, workbook.sheet_names.index(name))
        except (calamine.CalamineError, OSError) as error:
            raise source.error("", f"cannot be read as a spreadsheet: {error}; save it again as .xlsx") from error

    @property
    def another(self) -> str:
        """What to say where this sheet holds no products."""
        if not self._others:
            return ""
        return f"; is it another sheet that holds the products? ({self._option}: {', '.join(self._others[:20])})"

    def first_rows(self, count: int) -> list[list[str]]:
        """The first rows that hold anything, as texts, the header among them."""
        if len(self._first) < count:
            self._first = [[str(cell) for cell in row] for _, row in islice(self._rows(), count)]
        return self._first[:count]

    def records(self, titles: int = 0) -> Iterator[Record]:
        """The rows below the header, which stands below this many titles."""
        rows = islice(self._rows(), titles, None)
        _, first = next(rows, (0, None))
        if first is None:
            raise self._source.error("", f"holds no rows at all{self.another}")
        header = column_names(str(cell) for cell in first)
        for number, row in rows:
            yield Record(f"{self._source.name}:row {number}", dict(zip(header, row, strict=False)))

    def _rows(self) -> Iterator[tuple[int, list[_Cell]]]:
        with self._book.opened() as archive:
            is_header = True
            for number, row in self._shown(self._cells.read(archive)):
                texts = [cell for cell in row if not isinstance(cell, str) or cell.strip()]
                if not texts or (is_header and is_comment([str(cell) for cell in row])):
                    continue
                is_header = False
                yield number, row

    def _shown(self, odd: OddCells) -> Iterator[tuple[int, list[_Cell]]]:
        """What each row shows. Of the last rows calamine tells nothing where all that they hold is odd cells."""
        number, width = 0, 0
        for number, cells in enumerate(self._sheet.iter_rows(), 1):
            width = len(cells)
            shown = odd.of_row(number)
            yield number, self._with(shown, cells) if shown else [_value(cell) for cell in cells]
        for number, shown in odd.rest():
            yield number, self._with(shown, [""] * width)

    def _with(self, shown: dict[int, str | NumberFormat], cells: list[Any]) -> list[_Cell]:
        """The row, with what odd cells show. Columns that are empty on the left are none of it.

        Of the last columns calamine tells nothing where all that they hold is odd cells.
        """
        first = 1 if self._sheet.start is None else 1 + self._sheet.start[1]
        last = max((column for column, text in shown.items() if isinstance(text, str)), default=0)
        beside = [""] * (last + 1 - first - len(cells))
        return [_value(cell, shown.get(column)) for column, cell in enumerate([*cells, *beside], first)]


def _name_of(source: ByteSource, calamine: Any, workbook: Any, wanted: str | None, option: str) -> str:
    names: list[str] = workbook.sheet_names
    if wanted is None:
        sheets = [
            sheet.name
            for sheet in workbook.sheets_metadata
            if sheet.visible == calamine.SheetVisibleEnum.Visible and sheet.typ == calamine.SheetTypeEnum.WorkSheet
        ]
        name = next(iter([*sheets, *names]), None)
    elif wanted in names:
        name = wanted
    else:
        number = int(wanted) if wanted.isascii() and wanted.isdigit() else 0
        name = names[number - 1] if 1 <= number <= len(names) else None
    if not names:
        raise source.error("", "holds no sheets; save it again as .xlsx")
    if not isinstance(name, str):
        raise source.error("", f"has no sheet {wanted!r}; there are {', '.join(names)} ({option})")
    return name


def _value(cell: Any, shown: str | NumberFormat | None = None) -> _Cell:
    """A cell as text, or as a number where its text might be read as another one."""
    if isinstance(shown, str):
        return shown
    if isinstance(cell, str):
        return shown.of_text(cell) if shown and cell else cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return _shown_number(cell, shown) if isinstance(cell, (int, float)) else _moment(cell)


def _shown_number(cell: float, shown: NumberFormat | None) -> _Cell:
    text = _number(cell)
    if shown is not None and text[-1].isdigit() and "E" not in text and isinstance(text := shown.of(text), ShownNumber):
        return text
    return Decimal(text) if _MAYBE_TWO.fullmatch(text) else text


def _moment(cell: Any) -> str:
    if isinstance(cell, dt.datetime) and cell.time() == dt.time():
        return cell.date().isoformat()
    if isinstance(cell, dt.timedelta):
        return _duration(cell)
    return cell.isoformat() if isinstance(cell, (dt.date, dt.time)) else str(cell)


def _duration(cell: dt.timedelta) -> str:
    minutes, seconds = divmod(round(cell.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _number(cell: float) -> str:
    if not isfinite(cell):
        return "#NUM!"  # what no spreadsheet writes, and other programs do
    if abs(cell) >= 10**_EXACT_DIGITS:
        return f"{cell:.14E}"  # its last digits are lost: an id that is none is recognised by this form
    text = f"{cell + 0.0:.{_EXACT_DIGITS}g}"  # a zero has no sign
    return text if _PLAIN.fullmatch(text) else format(Decimal(text), "f")
