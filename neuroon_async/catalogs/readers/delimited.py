"""Rows of CSV and TSV: which delimiter, which columns, which line. What the columns mean is for the builders.

A row that does not fit its header is a problem of that row alone. A quote that is opened and never closed swallows
what follows; that ends the reading at the end of the file or after 16 MiB, whichever comes first.
"""

from __future__ import annotations

import csv
import io
import re
from itertools import islice
from typing import TYPE_CHECKING

from ..records import Record
from .byte_source import MAX_RECORD_BYTES, buffered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .byte_source import ByteSource

__all__ = ["MOST_TITLES", "DelimitedRows", "column_names", "find_delimiter", "is_comment", "rows_of", "titles_above"]

_DELIMITERS = "\t;|,"
MOST_TITLES = 5
"""Rows above the header that are looked past."""
_COMMENT = re.compile(r"#\s+\S")
_EXCEL_HINT = re.compile(r'\A"?sep=(.)"?\r?\n')


def column_names(header: Iterable[str]) -> list[str]:
    """A name for every column: an empty one is called by its number, and so is the second of one name."""
    names: list[str] = []
    for number, cell in enumerate(header, 1):
        name = cell.strip() or f"column {number}"
        names.append(f"{name} (column {number})" if name in names else name)
    return names


def find_delimiter(sample: str) -> str:
    """The delimiter that the header line holds most of; Excel's ``sep=;`` line says it outright."""
    hint = _EXCEL_HINT.match(sample)
    if hint:
        return hint[1]
    lines = re.split(r"[\r\n]+", re.sub(r'"[^"]*"', "", sample.lstrip("\r\n")), maxsplit=5)
    if _COMMENT.match(sample.lstrip('\r\n "')):
        lines = [line for line in lines[1:] if not _COMMENT.match(line)] or lines
    header = next((line for line in lines if any(sign in line for sign in _DELIMITERS)), lines[0])  # below a title
    best = max(_DELIMITERS, key=header.count)
    return best if best in header else ","


def is_comment(row: list[str]) -> bool:
    """Does this row explain the columns above their names (``# Required | A unique ID``), as in Meta's template?"""
    cells = [cell.strip() for cell in row if cell.strip()]
    return bool(cells) and all(map(_COMMENT.match, cells)) and any("|" in cell for cell in cells)


def titles_above(rows: Sequence[Sequence[str]]) -> int:
    """How many of the first rows are titles (``Price list 2026;;;``): they fill one cell, and the header fills more."""
    for number, row in enumerate(rows[: MOST_TITLES + 1]):
        if sum(1 for cell in row if cell.strip()) > 1:
            return number
    return 0


def rows_of(sample: str, delimiter: str, count: int) -> list[list[str]]:
    """The first rows of a file that hold anything, as far as the sample goes."""
    lines = io.StringIO(_EXCEL_HINT.sub("", sample), newline="")
    rows = (row for row in csv.reader(lines, delimiter=delimiter) if any(map(str.strip, row)) and not is_comment(row))
    found: list[list[str]] = []
    try:
        while len(found) < count and (row := next(rows, None)) is not None:
            found.append(row)
    except csv.Error:
        pass
    return found


class DelimitedRows:
    """The rows of one file; ``header`` is known once iteration has begun."""

    def __init__(self, source: ByteSource, chunks: Iterator[bytes], delimiter: str, titles: int = 0) -> None:
        """``titles`` are the rows above the header."""
        self._source = source
        self._chunks = chunks
        self._delimiter = delimiter
        self._titles = titles
        self._line = 0
        self._record_line = 1
        self._record_size = 0

    def __iter__(self) -> Iterator[Record]:
        # The csv module's own limit is for the whole process; only ever raise it. The bound is kept by `_lines`.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))
        with io.TextIOWrapper(buffered(self._chunks), "utf-8", newline="") as text:
            rows = csv.reader(self._lines(text), delimiter=self._delimiter, strict=True)
            header = self._header(rows)
            while True:
                self._record_line, self._record_size = self._line + 1, 0
                try:
                    row = next(rows)
                except StopIteration:
                    return
                except csv.Error as error:
                    if "unexpected end" in str(error):
                        raise self._source.error(
                            self._record_line, "a quote is opened in this row and never closed; the file may be cut off"
                        ) from error
                    yield Record(self._where(), {}, f"is not a row of CSV ({error}); double the quotes inside a cell")
                    continue
                if any(map(str.strip, row)):
                    yield self._record(header, row)

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        while line := text.readline(MAX_RECORD_BYTES + 1):
            self._record_size += len(line)
            if self._record_size > MAX_RECORD_BYTES:
                raise self._source.error(
                    self._record_line,
                    f"this row is longer than {MAX_RECORD_BYTES // 1024 // 1024} MiB; "
                    "is a quote left open, or is this no CSV file?",
                )
            self._line += 1
            if self._line == 1 and _EXCEL_HINT.match(line):
                continue
            yield line

    def _header(self, rows: Iterator[list[str]]) -> list[str]:
        try:
            filled = (row for row in rows if any(map(str.strip, row)) and not is_comment(row))
            header = next(islice(filled, self._titles, None), None)
        except csv.Error as error:
            raise self._source.error(1, f"the header is not a row of CSV ({error})") from error
        if header is None:
            raise self._source.error("", "holds no rows at all")
        return column_names(header)

    def _record(self, header: list[str], row: list[str]) -> Record:
        extra = row[len(header) :]
        mapping = dict(zip(header, row, strict=False))
        if len(row) < len(header) or any(map(str.strip, extra)):
            return Record(
                self._where(),
                mapping | {f"column {number}": cell for number, cell in enumerate(extra, len(header) + 1)},
                f"has {len(row)} cells where the header has {len(header)}; check its quotes and delimiters",
            )
        return Record(self._where(), mapping)

    def _where(self) -> str:
        return f"{self._source.name}:{self._record_line}"
