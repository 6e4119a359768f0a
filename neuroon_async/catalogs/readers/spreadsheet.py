"""The rows of one sheet of a spreadsheet (``.xlsx``). python-calamine does the reading (extra ``xlsx``).

A spreadsheet knows what a cell is, and saving it as CSV loses that. So the values come as a CSV file of a careful shop
would hold them: a whole number with all its digits (``8436570000001``, however the cell shows it), an exact date, true
or false. A number that as text might be two (``1.299``) stays a number.

The sheet is unpacked into memory: a workbook that unpacks to more than `MAX_UNPACKED_BYTES`, or a sheet that spans more
than `MAX_CELLS`, is refused.
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
import zlib
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from ..records import Record
from ..values.text import require
from .delimited import column_names, is_comment
from .sheet_cells import CELL, OddCells, column_number

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .byte_source import ByteSource

__all__ = ["MAX_CELLS", "MAX_UNPACKED_BYTES", "Sheet"]

MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
MAX_CELLS = 40_000_000
"""Cells that one sheet may span, empty ones too: about as many as fit into a gigabyte."""
_CHUNK = 256 * 1024
_FAR_CELL = re.compile(rb"""r\s*=\s*["'](?:[A-Za-z]{2}|[A-Za-z]?[0-9]{7})""")
"""Beyond column Z or row 999,999. Where none is, a sheet spans fewer than `MAX_CELLS`, and looking is cheap."""
_PLACE = re.compile(rb"""(?<![\w:])r\s*=\s*["']([A-Za-z]+)([0-9]+)["']""")
_LONGEST_CELL = 1_000
_EXACT_DIGITS = 15
"""A spreadsheet keeps no more digits of a number."""
_MAYBE_TWO = re.compile(r"-?[1-9][0-9]{0,2}\.[0-9]{3}")


class Sheet:
    """One sheet, opened. ``wanted`` is its name or its number from 1; without it, the first that is visible."""

    def __init__(self, source: ByteSource, file: BinaryIO, wanted: str | None, option: str) -> None:
        """``option`` is what the user calls the option that chooses the sheet."""
        calamine = require("python_calamine", "xlsx", "a spreadsheet")
        self._source = source
        _refuse_huge(source, file)
        try:
            workbook = calamine.load_workbook(file)
            name = _name_of(source, calamine, workbook, wanted, option)
            self._sheet: Any = workbook.get_sheet_by_name(name)
            self._others = [other for other in workbook.sheet_names if other != name]
            self._option = option
            self._file, self._index = file, workbook.sheet_names.index(name)
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
        found: list[list[str]] = []
        for _, row in self._rows():
            if len(found) == count:
                break
            found.append([str(cell) for cell in row])
        return found

    def records(self, titles: int = 0) -> Iterator[Record]:
        """The rows below the header, which stands below this many titles."""
        rows = islice(self._rows(), titles, None)
        _, first = next(rows, (0, None))
        if first is None:
            raise self._source.error("", f"holds no rows at all{self.another}")
        header = column_names(str(cell) for cell in first)
        for number, row in rows:
            yield Record(f"{self._source.name}:row {number}", dict(zip(header, row, strict=False)))

    def _rows(self) -> Iterator[tuple[int, list[str | Decimal]]]:
        with _opened(self._source, self._file) as archive:
            is_header = True
            for number, row in self._shown(OddCells(archive, self._index)):
                texts = [cell for cell in row if not isinstance(cell, str) or cell.strip()]
                if not texts or (is_header and is_comment([str(cell) for cell in row])):
                    continue
                is_header = False
                yield number, row

    def _shown(self, odd: OddCells) -> Iterator[tuple[int, list[str | Decimal]]]:
        """What each row shows. Of the last rows calamine tells nothing where all that they hold is odd cells."""
        number, width = 0, 0
        for number, cells in enumerate(self._sheet.iter_rows(), 1):
            width = len(cells)
            shown, row = odd.of_row(number), [_value(cell) for cell in cells]
            yield number, self._with(shown, row) if shown else row
        for number, shown in odd.rest():
            yield number, self._with(shown, [""] * width)

    def _with(self, shown: dict[int, str], row: list[str | Decimal]) -> list[str | Decimal]:
        """The row, with what odd cells show. Columns that are empty on the left are none of it."""
        first = 1 if self._sheet.start is None else 1 + self._sheet.start[1]
        return [shown.get(column, cell) for column, cell in enumerate(row, first)]


@contextmanager
def _opened(source: ByteSource, file: BinaryIO) -> Generator[zipfile.ZipFile, None, None]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
        damaged = "cannot be read as a spreadsheet; it is damaged or cut off: fetch or save it again"
        raise source.error("", damaged) from error


def _refuse_huge(source: ByteSource, file: BinaryIO) -> None:
    """Refuse a workbook that memory would not hold: one far cell makes a sheet as large as all cells up to it."""
    problem = None
    with _opened(source, file) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED_BYTES:
            problem = f"unpacks to more than {MAX_UNPACKED_BYTES // 1024**3} GiB; save the sheet as CSV"
        elif any(_area(archive, name) > MAX_CELLS for name in archive.namelist()):
            problem = f"has a sheet that spans over {MAX_CELLS:,} cells; delete what stands far below or beside it"
    if problem:
        raise source.error("", problem)
    file.seek(0)


def _area(archive: zipfile.ZipFile, name: str) -> int:
    """The cells that a sheet spans, or 0 where none is far. What the sheet says of its size itself may be wrong."""
    if not any(_FAR_CELL.search(piece) for piece in _pieces(archive, name)):
        return 0
    rows = columns = 0
    for piece in _pieces(archive, name):
        for attributes in CELL.findall(piece):
            place = None if attributes.endswith(b"/") else _PLACE.search(attributes)  # an empty one takes no memory
            if place is not None:
                columns = max(columns, column_number(place[1]))
                rows = max(rows, int(place[2]))
    return rows * columns


def _pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """What a member holds. Pieces overlap, so that each cell stands whole in one of them."""
    rest = b""
    with archive.open(name) as member:
        while chunk := member.read(_CHUNK):
            yield rest + chunk
            rest = (rest + chunk)[-_LONGEST_CELL:]


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


def _value(cell: Any) -> str | Decimal:
    """A cell as text, or as a number where its text might be read as another one."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (int, float)):
        text = _number(cell)
        return Decimal(text) if _MAYBE_TWO.fullmatch(text) else text
    if isinstance(cell, dt.datetime) and cell.time() == dt.time():
        return cell.date().isoformat()
    if isinstance(cell, dt.timedelta):
        return _duration(cell)
    return cell.isoformat() if isinstance(cell, (dt.date, dt.time)) else str(cell)


def _duration(cell: dt.timedelta) -> str:
    minutes, seconds = divmod(round(cell.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _number(cell: float) -> str:
    if abs(cell) >= 10**_EXACT_DIGITS:
        return f"{cell:.14E}"  # its last digits are lost: an id that is none is recognised by this form
    return format(Decimal(f"{cell:.{_EXACT_DIGITS}g}").normalize() + 0, "f")
