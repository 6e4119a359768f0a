"""Rows of CSV and TSV: which delimiter, which columns, which line. What the columns mean is for the builders.

A row that does not fit its header is a problem of that row alone. So is a quote that is opened and not closed, once a
later one shows it, or a cell that holds whole rows: the lines that it has swallowed are read again, as rows of their
own. Where nothing shows it, that ends the reading at the end of the file or after 16 MiB, whichever comes first.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol

from ..records import Record
from .byte_source import CHUNK_BYTES, MAX_RECORD_BYTES, CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .byte_source import ByteSource

__all__ = [
    "MOST_TITLES",
    "DelimitedRows",
    "column_names",
    "find_delimiter",
    "is_comment",
    "is_sparse",
    "rows_of",
    "titles_above",
]

_DELIMITERS = "\t;|,"
FEWEST_COLUMNS = 3
"""A table of products has an id, a name and a price at least."""
MOST_TITLES = 5
"""Rows above the header that are looked past."""
_COMMENT = re.compile(r"#\s+\S")
_LINE_END = re.compile(r"\r\n?|\n")
_NUMBER_OR_ADDRESS = re.compile(r"\s*(?:(?P<number>[0-9]+(?:[.,][0-9]+)*\s*\Z)|(?P<address>https?://))")
_EXCEL_HINT = re.compile(r'\A"?sep=(.)"?\r?\n')


_NULL = "\\N"
"""How databases write that a column has no value: MySQL's exports, and PostgreSQL's."""
_BLOCK = 64
"""Rows that are handed out together."""


_PIECE = 32 * 1024
"""Bytes that are cut into lines together: what cuts them takes four times as much."""


def _holds_rows(row: Sequence[str], delimiter: str) -> bool:
    """Has a quote made one row of several, from where it was opened to where a later row happens to close one?

    Then each line is as wide as the row, and has numbers and addresses where the row has them: those beside the cell
    were read outside of quotes. A table in a description may be as wide, but has no address where the row has one.
    """
    if "".join(row).count(delimiter) < len(row) - 1:
        return False  # as almost always
    for place, cell in enumerate(row):
        if "\n" not in cell and "\r" not in cell:
            continue
        first, *within, last = _LINE_END.split(cell)
        if first.count(delimiter) != len(row) - 1 - place:
            continue
        rows = chain(
            [[*row[:place], *first.split(delimiter)]],
            (line.split(delimiter) for line in within),
            [[*last.split(delimiter), *row[place + 1 :]]],
        )
        kinds = {number: kind for number, text in enumerate(row) if (kind := _kind_of(text)) is not None}
        if kinds and all(
            len(found) == len(row) and all(_kind_of(found[number]) == kind for number, kind in kinds.items())
            for found in rows
        ):
            return True
    return False


def _kind_of(text: str) -> str | None:
    found = _NUMBER_OR_ADDRESS.match(text)
    return None if found is None else found.lastgroup


class _NulBytes(csv.Error):
    """A row holds NUL bytes, which are no part of any text."""


class _Lines:
    """The lines of texts. The last ones can be handed out once more."""

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = texts
        self._again = ""
        self._handed_out: list[str] = []
        """The texts that the row at hand may stand in."""
        self._lines = io.StringIO()
        """What is left of the last of them."""

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._pieces())

    def _pieces(self) -> Iterator[Iterable[str]]:
        while text := self._again or next(self._texts, ""):
            self._again = ""
            self._handed_out.append(text)
            self._lines = io.StringIO(text, newline="")
            yield self._lines

    def row_ended(self) -> None:
        """Whatever row is at hand, it stands in no text before the last one."""
        del self._handed_out[:-1]

    def go_back(self, count: int) -> None:
        """Hand out the last ``count`` lines once more, and then what follows them."""
        rest = self._lines.read()
        handed_out = "".join(self._handed_out)
        lines = list(io.StringIO(handed_out[: len(handed_out) - len(rest)], newline=""))
        self._again = "".join(lines[-count:]) + rest
        self._handed_out.clear()


class _Rows(Protocol):
    """What ``csv.reader`` makes, whose own type is private."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


def column_names(header: Iterable[str]) -> list[str]:
    """A name for every column: an empty one is called by its number, and so is the second of one name."""
    names: list[str] = []
    taken: set[str] = set()  # a header may be so long that looking through the list takes minutes
    for number, cell in enumerate(header, 1):
        name = cell.strip() or f"column {number}"
        names.append(f"{name} (column {number})" if name in taken else name)
        taken.add(names[-1])
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
    """How many of the first rows are titles (``Price list 2026;;;``): each fills one cell, and the header more."""
    for number, row in enumerate(rows[: MOST_TITLES + 1]):
        filled = sum(1 for cell in row if cell.strip())
        if filled > 1:
            return number if filled >= FEWEST_COLUMNS or is_sparse(row) else 0
    return 0


def is_sparse(row: Sequence[str]) -> bool:
    """Are most cells empty, as in a row that names groups of columns?"""
    return sum(map(bool, map(str.strip, row))) * 2 < len(row)


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

    def __init__(
        self, source: ByteSource, chunks: Iterator[bytes], delimiter: str, titles: int = 0, columns: int = 0
    ) -> None:
        """``titles`` are the rows above the header; what it has beyond ``columns`` and no name for is no column."""
        self._titles = titles
        self._columns = columns
        self.header: list[str] = []
        self._source = source
        self._chunks = chunks
        self._delimiter = delimiter
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._lines_skipped = 0
        self._record_line = 1
        self._since_row = 0
        """Characters that were handed out since a row ended."""
        self._lines = _Lines(self._texts())
        self._has_nulls = self._has_nul_bytes = False
        self._read_again_to = 0
        """The last line that was handed out once more."""

    def __iter__(self) -> Iterator[Record]:
        for block in self.blocks():
            if isinstance(block, Record):
                yield block
            else:
                yield from map(self.record, *block)

    def blocks(self) -> Iterator[tuple[list[int], list[list[str]]] | Record]:
        """Rows that hold anything, many at a time, with the lines that they begin on; and records of what is no row."""
        # The csv module's own limit is for the whole process; only ever raise it. The bound is kept by `_texts`.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))
        rows = csv.reader(self._lines, delimiter=self._delimiter, strict=True)
        self.header = self._header(rows)
        while True:
            self._record_line = rows.line_num + self._lines_skipped + 1
            found: tuple[list[int], list[list[str]]] = ([], [])
            try:
                fault = self._gather(rows, *found)
            except CatalogError:
                if found[0]:
                    yield found
                raise
            if found[0]:
                yield found
            if isinstance(fault, StopIteration):
                return
            if fault is not None:
                yield self._no_row(fault, rows.line_num + self._lines_skipped)

    def _gather(self, rows: _Rows, numbers: list[int], cells: list[list[str]]) -> csv.Error | StopIteration | None:
        """Add the next rows to these lists. Returns why there are no more of them."""
        skipped = self._lines_skipped + 1
        try:
            while len(cells) < _BLOCK:
                row = next(rows)
                following = rows.line_num + skipped
                if following - self._record_line > 1 and _holds_rows(row, self._delimiter):
                    return csv.Error("a quote is opened in it, and closed in a row below")
                if self._has_nulls and _NULL in row:
                    row = ["" if cell == _NULL else cell for cell in row]
                if self._has_nul_bytes and any("\0" in cell for cell in row):
                    return _NulBytes()
                if any(row) and any(map(str.strip, row)):
                    numbers.append(self._record_line)
                    cells.append(row)
                self._record_line = following
                self._since_row = 0
        except (StopIteration, csv.Error) as error:
            return error
        return None

    def _no_row(self, error: csv.Error, last_line: int) -> Record:
        if "unexpected end" in str(error):
            raise self._source.error(
                self._record_line, "a quote is opened in this row and never closed; the file may be cut off"
            ) from error
        self._since_row = 0
        if isinstance(error, _NulBytes):
            told = "holds NUL bytes, as some programs fill texts up with; take them out, or export the catalog again"
            return Record(self._where(self._record_line), {}, told)
        told = f"is not a row of CSV ({error}); double the quotes inside a cell"
        swallowed = last_line - self._record_line
        if swallowed and last_line > self._read_again_to:  # or nested quotes would have the same lines read many times
            self._lines.go_back(swallowed)
            self._lines_skipped -= swallowed
            self._read_again_to = last_line
        elif swallowed:
            told = f"{told}; neither are the lines below it, up to {last_line}"
        return Record(self._where(self._record_line), {}, told)

    def _texts(self) -> Iterator[str]:
        """The text in pieces of whole lines."""
        rest = ""
        for chunk in self._chunks:
            for start in range(0, len(chunk), _PIECE):
                rest += self._decode(chunk[start : start + _PIECE])
                end = rest.rfind("\n") + 1 or rest.rfind("\r", 0, -1) + 1  # the last one may be half of a line end
                if end:
                    if not self._since_row:
                        self._lines.row_ended()
                    yield self._bounded(rest[:end])
                    rest = rest[end:]
                elif len(rest) > MAX_RECORD_BYTES:
                    self._bounded(rest)
        if rest:
            yield self._bounded(rest)

    def _bounded(self, text: str) -> str:
        if self._since_row > MAX_RECORD_BYTES or len(text) > MAX_RECORD_BYTES + CHUNK_BYTES:
            raise self._source.error(
                self._record_line,
                f"this row is longer than {MAX_RECORD_BYTES // 1024 // 1024} MiB; "
                "is a quote left open, or is this no CSV file?",
            )
        self._since_row += len(text)
        self._has_nul_bytes = self._has_nul_bytes or "\0" in text
        self._has_nulls = self._has_nulls or ("\\" in text and _NULL in text)  # one sign is found far faster than two
        hint = _EXCEL_HINT.match(text) if not self._lines_skipped and self._record_line == 1 else None
        if hint is not None:
            self._lines_skipped = 1
            text = text[hint.end() :]
        return text

    def _header(self, rows: _Rows) -> list[str]:
        try:
            filled = (row for row in rows if any(map(str.strip, row)) and not is_comment(row))
            header = next(islice(filled, self._titles, None), None)
        except csv.Error as error:
            raise self._source.error(1, f"the header is not a row of CSV ({error})") from error
        if header is None:
            raise self._source.error("", "holds no rows at all")
        while len(header) > self._columns > 0 and not header[-1].strip():
            header.pop()
        return column_names(header)

    def record(self, line: int, row: list[str]) -> Record:
        """The record of a row that begins on this line."""
        header = self.header
        extra = row[len(header) :]
        mapping = dict(zip(header, row, strict=False))
        if len(row) < len(header) or any(map(str.strip, extra)):
            return Record(
                self._where(line),
                mapping | {f"column {number}": cell for number, cell in enumerate(extra, len(header) + 1)},
                f"has {len(row)} cells where the header has {len(header)}; check its quotes and delimiters",
            )
        return Record(self._where(line), mapping)

    def _where(self, line: int) -> str:
        return f"{self._source.name}:{line}"
