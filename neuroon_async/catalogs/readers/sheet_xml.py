"""The XML of one sheet of a spreadsheet, unpacked a piece at a time: what one glance tells of it, and how far it spans.

python-calamine makes room for every cell that a sheet spans, empty ones too, and where memory is too small for that,
the process ends. So nothing is believed that the file says of itself: neither how much a member unpacks to, nor how
large its sheet is.
"""

from __future__ import annotations

import re
import string
import sys
import zipfile
from copy import copy
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PLACE", "Glance", "column_number", "glance", "pieces", "span", "unpacked"]

_CHUNK = 256 * 1024
_LONGEST_CELL = 1024 * 1024
"""A cell holds 32,767 characters at most."""
_MOST_LETTERS = 8
_LETTERS = string.ascii_letters
_VALUES = frozenset({"v", "is"})
"""The elements that a cell's value stands in. Without one it takes no room: whole columns with a colour leave such."""

_CELLS = b"sheetData"
"""The element that all cells stand in. A member without it is no sheet."""
_ODD = tuple(map(re.compile, (rb"<f[\s>/]", rb":f[\s>/]", rb"""t\s*=\s*["']e["']""")))
"""A formula, or an error. Each begins with a letter or a sign: looking for such takes a tenth of the time."""
_UNUSUAL = tuple(map(re.compile, (rb"<c[\s>](?!r=)", rb"<[^\s<>/]+:c(?:>|\s(?!r=))")))
"""A cell that does not begin with its place, as nearly all do."""
_FAR = re.compile(rb"""r\s*=\s*["']\s*(?:[A-Za-z]{2,}[0-9]|[A-Za-z]?[0-9]{7})""")
"""Beyond column Z or row 999,999. Where none is, a sheet spans few cells, and looking is cheap."""
_BELOW = re.compile(rb"""r\s*=\s*["']\s*[A-Za-z]*[0-9]{5}""")
"""Below row 9,999. Where none is, columns with two letters are near enough."""
_BEYOND = re.compile(rb"""r\s*=\s*["']\s*[A-Za-z]{3}""")
PLACE = re.compile(rb"""(?<![\w:])r\s*=\s*["']\s*([A-Za-z]*)([0-9]+)\s*["']""")
"""Among the attributes of a cell, its column and row; of a row, its number."""


@dataclass(slots=True)
class Glance:
    """What one pass over a sheet tells of it."""

    is_odd: bool = False
    """Does it hold formulas or errors?"""
    is_unusual: bool = False
    """Are there cells that may not say where they stand?"""
    may_be_far: bool = False
    """May it span tens of millions of cells?"""


def glance(archive: zipfile.ZipFile, name: str) -> Glance:
    """One pass over a member, all of which is looked at if it is a sheet, and unpacked in any case."""
    seen = Glance()
    has_cells = is_wide = is_long = is_very_wide = is_cut = False
    for piece in pieces(archive, name):
        is_cut = is_cut or _is_cut(piece)
        has_cells = has_cells or _CELLS in piece
        if has_cells:
            seen.is_odd = seen.is_odd or _is_any(_ODD, piece)
            seen.is_unusual = seen.is_unusual or _is_any(_UNUSUAL, piece)
            is_wide = is_wide or _FAR.search(piece) is not None
            is_long = is_long or _BELOW.search(piece) is not None
            is_very_wide = is_very_wide or (is_wide and _BEYOND.search(piece) is not None)
    seen.may_be_far = is_cut or seen.is_unusual or (is_wide and (is_long or is_very_wide))
    return seen


def _is_any(patterns: Iterable[re.Pattern[bytes]], piece: bytes) -> bool:
    return any(pattern.search(piece) for pattern in patterns)


def _is_cut(piece: bytes) -> bool:
    """Does it end within an element, where a place may be cut in two?"""
    return len(piece) > _LONGEST_CELL and piece.rfind(b"<") <= 0


def span(archive: zipfile.ZipFile, name: str) -> int:
    """The cells that a sheet spans, up to the last row and column that hold a value.

    It takes a parser to tell: an attribute may hold what looks like the end of its element.
    """
    rows = columns = row = column = at_row = 0

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal rows, columns, row, column, at_row
        kind = tag.rpartition(":")[2]
        place = attributes.get("r", "")
        if kind == "row":
            number = place.lstrip(_LETTERS)
            row, column = int(number) if number else row + 1, 0
        elif kind == "c":
            number = place.lstrip(_LETTERS)
            at_row = int(number) if number else row
            column = column_number(place[: len(place) - len(number)].encode()) if number else column + 1
        elif kind in _VALUES:
            rows, columns = max(rows, at_row), max(columns, column)

    parser = expat.ParserCreate("UTF-8")
    parser.StartElementHandler = begin
    parser.EntityDeclHandler = _refuse_entity
    for chunk in chain(unpacked(archive, name), [b""]):
        parser.Parse(chunk, not chunk)
    return rows * columns


def _refuse_entity(name: str, *_: object) -> None:
    raise ValueError(f"declares the entity {name}")


def column_number(letters: bytes) -> int:
    """``A`` is 1, ``AA`` 27. Of more letters than any column has, the first few make a number that is large enough."""
    number = 0
    for letter in letters[:_MOST_LETTERS].upper():
        number = number * 26 + letter - 64
    return number


def pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """What a member holds, in pieces that end between cells; where there are none, between elements."""
    rest = b""
    for chunk in unpacked(archive, name):
        rest += chunk
        end = max(rest.rfind(b"</c>") + len(b"</c>"), rest.rfind(b":c>") + len(b":c>"), rest.rfind(b"<row"))
        if end <= len(b"</c>") and len(rest) > _LONGEST_CELL:
            end = rest.rfind(b"<")
            end = end if end > 0 else len(rest)
        if end > len(b"</c>"):
            yield rest[:end]
            rest = rest[end:]
    yield rest


def unpacked(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """What a member holds. Raises `zipfile.BadZipFile` where that is not as long as the archive says.

    Python stops at that length, and calamine does not.
    """
    member = copy(archive.getinfo(name))
    left, member.file_size = member.file_size, sys.maxsize
    with archive.open(member) as file:
        while chunk := file.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
    if left:
        raise zipfile.BadZipFile(f"{name} is not as long as the archive says")
