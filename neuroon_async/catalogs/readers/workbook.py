"""The parts of a spreadsheet (``.xlsx``): a zip archive of XML, of which each part is unpacked a piece at a time.

Which member is which sheet, what formats cells have, and what a sheet holds that needs a closer look: found in one
pass, before the sheet is loaded.
"""

from __future__ import annotations

import html
import re
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from ..values.number_formats import BUILT_IN_FORMATS, NumberFormat

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from .byte_source import ByteSource

__all__ = ["MAX_CELLS", "MAX_UNPACKED_BYTES", "Workbook", "attributes_of", "column_number", "pieces"]

MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
MAX_CELLS = 40_000_000
"""Cells that one sheet may span, empty ones too: about as many as fit into a gigabyte."""
_PARTS = ("xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml")
_CHUNK = 256 * 1024
_LONGEST_CELL = 1024 * 1024
"""A cell holds 32,767 characters at most."""
_OVERLAP = 1_000
"""Of pieces that end within what may be a cell."""
_MOST_LETTERS = 8

_ATTRIBUTE = re.compile(rb"""(?<![\w:])([\w:]+)\s*=\s*["']([^"']*)["']""")
_SHEET = re.compile(rb"<(?:\w+:)?sheet\s([^<>]*)>")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s([^<>]*)>")
_RECALCULATED = re.compile(rb"""fullCalcOnLoad\s*=\s*["'](?:1|true)["']""")
"""What programs ask of the spreadsheet that opens their file next."""
_NUMBER_FORMAT = re.compile(rb"""<(?:\w+:)?numFmt\s((?:"[^"]*"|'[^']*'|[^<>"'])*)>""")
_FORMAT_CODE = re.compile(rb"""(?<![\w:])formatCode\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_CELL_FORMATS = re.compile(rb"</?(?:\w+:)?cellXfs[\s>]")
_CELL_FORMAT = re.compile(rb"<(?:\w+:)?xf(?=[\s/>])([^<>]*)>")

_ODD = tuple(map(re.compile, (rb"<f[\s>/]", rb":f[\s>/]", rb"""t\s*=\s*["']e["']""")))
"""A formula, or an error. Each begins with a letter or a sign: looking for such takes a tenth of the time."""
_UNUSUAL = tuple(map(re.compile, (rb"<c[\s>](?!r=)", rb":c[\s>]")))
"""A cell that does not begin with its place, as nearly all do."""
_UNPLACED = re.compile(rb"<(?:\w+:)?c(?:>|\s(?![^<>]*(?<![\w:])r\s*=)[^<>]*[^<>/]>)")
"""A cell that does not say where it stands: behind the one before it."""
_FAR = re.compile(rb"""r\s*=\s*["']\s*(?:[A-Za-z]{2,}[0-9]|[A-Za-z]?[0-9]{7})""")
"""Beyond column Z or row 999,999. Where none is, a sheet spans fewer than `MAX_CELLS`, and looking is cheap."""
_BELOW = re.compile(rb"""r\s*=\s*["']\s*[A-Za-z]*[0-9]{5}""")
"""Below row 9,999. Where none is, columns with two letters are near enough."""
_BEYOND = re.compile(rb"""r\s*=\s*["']\s*[A-Za-z]{3}""")
_PLACED = re.compile(rb"<(?:\w+:)?(?:row|c)(?:([\s/][^<>]*))?>")
_PLACE = re.compile(rb"""(?<![\w:])r\s*=\s*["']\s*([A-Za-z]*)([0-9]+)["']""")


def column_number(letters: bytes) -> int:
    """``A`` is 1, ``AA`` 27. Of more letters than any column has, the first few make a number that is large enough."""
    number = 0
    for letter in letters[:_MOST_LETTERS].upper():
        number = number * 26 + letter - 64
    return number


def attributes_of(written: bytes) -> dict[bytes, bytes]:
    """The attributes of an element, by name."""
    return dict(_ATTRIBUTE.findall(written))


@dataclass(slots=True)
class Glance:
    """What one pass over a sheet tells of it."""

    is_odd: bool = False
    """Does it hold formulas or errors?"""
    is_unplaced: bool = False
    """Are there cells that do not say where they stand?"""
    may_be_far: bool = False
    """May it span more than `MAX_CELLS`?"""


class Workbook:
    """The archive of a spreadsheet. Raises `CatalogError` for one that memory would not hold."""

    def __init__(self, source: ByteSource, file: BinaryIO) -> None:
        self._source = source
        self._file = file
        problem = None
        with self.opened() as archive:
            names = archive.namelist()
            if not any(name.lower() == _PARTS[0] for name in names):
                kind = "a binary spreadsheet (.xlsb)" if "xl/workbook.bin" in names else "a document of another kind"
                problem = f"is {kind}, which is not read; save it as .xlsx or as CSV"
            elif sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED_BYTES:
                problem = f"unpacks to more than {MAX_UNPACKED_BYTES // 1024**3} GiB; save the sheet as CSV"
            else:
                read = (archive.read(name) if name in names else b"" for name in _PARTS)
                self._book, self._relations, self._styles = read
                self._glances = {name: _glance(archive, name) for name in names if self._may_be_sheet(name)}
                if any(_area(archive, name) > MAX_CELLS for name, seen in self._glances.items() if seen.may_be_far):
                    problem = (
                        f"has a sheet that spans over {MAX_CELLS:,} cells; delete what stands far below or beside it"
                    )
        if problem:
            raise source.error("", problem)
        file.seek(0)

    @contextmanager
    def opened(self) -> Generator[zipfile.ZipFile, None, None]:
        """The archive. Raises `CatalogError` where it is damaged."""
        try:
            with zipfile.ZipFile(self._file) as archive:
                yield archive
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            EOFError,
            ValueError,
            RuntimeError,
            NotImplementedError,
        ) as error:
            damaged = "cannot be read as a spreadsheet; it is damaged or cut off: fetch or save it again"
            raise self._source.error("", damaged) from error

    def _may_be_sheet(self, name: str) -> bool:
        """The shared texts are many, and no sheet, unless the workbook says so in a way of its own."""
        return name not in _PARTS and (
            name != "xl/sharedStrings.xml" or self._relations.lower().count(b"sharedstrings.xml") > 1
        )

    def glance(self, member: str) -> Glance:
        return self._glances.get(member, Glance())

    def member(self, index: int) -> str | None:
        """The name of the member that holds the ``index``-th sheet, from 0."""
        sheets = _SHEET.findall(self._book)
        if index >= len(sheets):
            return None
        wanted = next((value for name, value in attributes_of(sheets[index]).items() if name.endswith(b":id")), b"")
        for written in _RELATION.findall(self._relations):
            attributes = attributes_of(written)
            if attributes.get(b"Id") == wanted:
                target = attributes.get(b"Target", b"").decode(errors="replace")
                name = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
                return name if name in self._glances else None
        return None

    @property
    def is_recalculated(self) -> bool:
        """Does the file ask that its formulas be computed when it is opened?"""
        return _RECALCULATED.search(self._book) is not None

    @cached_property
    def formats(self) -> Mapping[bytes, NumberFormat]:
        """The formats that show something else than the value, by the style of a cell."""
        codes = {str(number).encode(): code for number, code in BUILT_IN_FORMATS.items()}
        for written in _NUMBER_FORMAT.findall(self._styles):
            code = _FORMAT_CODE.search(written)
            number = attributes_of(_FORMAT_CODE.sub(b"", written)).get(b"numFmtId", b"")
            codes[number] = html.unescape((code[1] or code[2] or b"").decode(errors="replace")) if code else ""
        bounds = [bound.start() for bound in _CELL_FORMATS.finditer(self._styles)]
        listed = _CELL_FORMAT.findall(self._styles, bounds[0], bounds[1]) if len(bounds) > 1 else []
        numbers = [attributes_of(written).get(b"numFmtId", b"") for written in listed]
        made = {number: NumberFormat(codes[number]) for number in set(numbers) if codes.get(number)}
        return {
            str(style).encode(): made[number]
            for style, number in enumerate(numbers)
            if number in made and not made[number].shows_all
        }


def _glance(archive: zipfile.ZipFile, name: str) -> Glance:
    seen = Glance()
    is_wide = is_long = is_very_wide = False
    for piece in pieces(archive, name):
        seen.is_odd = seen.is_odd or _is_any(_ODD, piece)
        seen.is_unplaced = seen.is_unplaced or (_is_any(_UNUSUAL, piece) and _UNPLACED.search(piece) is not None)
        is_wide = is_wide or _FAR.search(piece) is not None
        is_long = is_long or _BELOW.search(piece) is not None
        is_very_wide = is_very_wide or (is_wide and _BEYOND.search(piece) is not None)
    seen.may_be_far = is_wide and (is_long or is_very_wide)
    return seen


def _is_any(patterns: Iterable[re.Pattern[bytes]], piece: bytes) -> bool:
    return any(pattern.search(piece) for pattern in patterns)


def _area(archive: zipfile.ZipFile, name: str) -> int:
    """The cells that a sheet spans. What the sheet says of its size itself may be wrong."""
    rows = columns = row = column = 0
    for piece in pieces(archive, name):
        for element in _PLACED.finditer(piece):
            attributes = element[1] or b""
            place = _PLACE.search(attributes)
            if element[0][1:].split(b":")[-1][:3] == b"row":
                row, column = (int(place[2][:_MOST_LETTERS]) if place and not place[1] else row + 1), 0
                continue
            at = column_number(place[1]) if place and place[1] else column + 1
            column = at
            if not attributes.endswith(b"/"):  # an empty one takes no memory
                columns = max(columns, at)
                rows = max(rows, int(place[2][:_MOST_LETTERS]) if place and place[1] else row)
    return rows * columns


def pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """What a member holds, in pieces that end between cells."""
    rest = b""
    with archive.open(name) as member:
        while chunk := member.read(_CHUNK):
            rest += chunk
            end = max(rest.rfind(b"</c>") + len(b"</c>"), rest.rfind(b":c>") + len(b":c>"), rest.rfind(b"<row"))
            if end > len(b"</c>"):
                yield rest[:end]
                rest = rest[end:]
            elif len(rest) > _LONGEST_CELL:
                yield rest
                rest = rest[-_OVERLAP:]
    yield rest
