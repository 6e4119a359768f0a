"""The parts of a spreadsheet (``.xlsx``), a zip archive of XML: which member is which sheet, what formats cells have.

Every member is looked at once before a sheet is loaded, so that none is loaded that memory would not hold.
"""

from __future__ import annotations

import html
import re
import zipfile
import zlib
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO
from xml.parsers import expat

from ..values.number_formats import BUILT_IN_FORMATS, NumberFormat
from .sheet_xml import Glance, glance, span, unpacked

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from .byte_source import ByteSource

__all__ = ["MAX_CELLS", "MAX_UNPACKED_BYTES", "Workbook", "attributes_of"]

MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
MAX_CELLS = 40_000_000
"""Cells that one sheet may span, empty ones too: about as many as fit into a gigabyte."""
_PARTS = ("xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml")

_ATTRIBUTE = re.compile(rb"""(?<![\w:])([\w:]+)\s*=\s*["']([^"']*)["']""")
_SHEET = re.compile(rb"<(?:\w+:)?sheet\s([^<>]*)>")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s([^<>]*)>")
_RECALCULATED = re.compile(rb"""fullCalcOnLoad\s*=\s*["'](?:1|true)["']""")
"""What programs ask of the spreadsheet that opens their file next."""
_NUMBER_FORMAT = re.compile(rb"""<(?:\w+:)?numFmt\s((?:"[^"]*"|'[^']*'|[^<>"'])*)>""")
_FORMAT_CODE = re.compile(rb"""(?<![\w:])formatCode\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_CELL_FORMATS = re.compile(rb"</?(?:\w+:)?cellXfs[\s>]")
_CELL_FORMAT = re.compile(rb"<(?:\w+:)?xf(?=[\s/>])([^<>]*)>")


def attributes_of(written: bytes) -> dict[bytes, bytes]:
    """The attributes of an element, by name."""
    return dict(_ATTRIBUTE.findall(written))


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
                self._glances = {name: glance(archive, name) for name in names}
                read = (b"".join(unpacked(archive, name)) if name in names else b"" for name in _PARTS)
                self._book, self._relations, self._styles = read
                if any(span(archive, name) > MAX_CELLS for name, seen in self._glances.items() if seen.may_be_far):
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
            expat.ExpatError,
        ) as error:
            damaged = "cannot be read as a spreadsheet; it is damaged or cut off: fetch or save it again"
            raise self._source.error("", damaged) from error

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
