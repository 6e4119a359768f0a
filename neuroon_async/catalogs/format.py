"""What a catalog format is, and what it works with.

How to add one:

1. One file in `formats/` that ends in a ``FORMAT``: an object with the members of the `Format` protocol.
2. Its name in `registry.CatalogFormat`, and its line in `registry.FORMATS`, before every format that would also
   recognise such a file.

``read`` takes records from the `Reading` (`rows` for delimited text, `json_records` for JSON, or a reader of its own
over `text` or `file`), and yields one `Draft` for each product that comes of them. A draft takes the values as the
file holds them: `Draft.put` converts them, and the finishing station (`finishing.Finisher`) applies the rules that all
formats share. So a format does not clean up text, complete addresses, compare a sale with its price or judge its
dates, pick the first image or drop a parent of ``0``; it puts what it finds. What cannot be read at all is
`Draft.unusable`. Columns that the format reads are reported to `Reading.use`; all others show up as ignored.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ..api.models import REQUIRED_FIELDS
from .columns import recognised_field
from .counting import FieldCounts
from .mapping import WRAPPERS
from .options import ReadingOptions
from .readers.byte_source import ByteSource, CatalogError
from .readers.delimited import MOST_TITLES, DelimitedRows, find_delimiter, is_sparse, rows_of, titles_above
from .readers.json_layout import PRODUCTS, Survey, is_json_lines, key_paths
from .readers.json_records import json_array, json_lines
from .readers.replay import Replay
from .values.damage import NOT_COMPUTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..api.models import Product
    from .readers.spreadsheet import Sheet
    from .records import Draft, Record

__all__ = ["SAMPLE_BYTES", "Format", "Reading", "Sample", "formulas_in"]

SAMPLE_BYTES = 64 * 1024
"""That a sample has, at least; fewer are the whole catalog."""


_LIKELY = (("name", "price"), ("title", "price"), ("name", "sku"), ("id", "name"))
"""Keys that objects have which are products."""
_FEWEST_NAMES = 2
"""Of required fields, in a header that stands below others."""


class Sample:
    """The beginning of a catalog, for formats to recognise themselves by. Everything is computed when asked for."""

    sheet: Sheet | None = None
    """Of a spreadsheet, the sheet that is read: it takes the whole file to find it."""

    def __init__(self, source: ByteSource, head: bytes, options: ReadingOptions) -> None:
        self.head = head
        """The first bytes, unpacked."""
        self.name: str = source.name
        self._source = source
        self._options = options

    @property
    def is_cut(self) -> bool:
        """May there be more of the catalog, so that what stands last here may be cut?"""
        return len(self.head) >= SAMPLE_BYTES

    @property
    def ids_are_mapped(self) -> bool:
        """Does the user say where the ids come from, and so read the rows without what links them?"""
        return "external_id" in self._options.mapping

    @property
    def is_spreadsheet(self) -> bool:
        return self.head.startswith(b"PK\x03\x04") and (b"[Content_Types].xml" in self.head or b"xl/" in self.head)

    @cached_property
    def text(self) -> bytes:
        """The beginning as UTF-8, as far as it is text."""
        text = b""
        if self.is_spreadsheet:
            return text
        try:
            for chunk in self._source.twin().text_chunks(iter([self.head])):
                text += chunk
        except CatalogError:
            pass  # not text from there on, or cut within a character
        return text

    @cached_property
    def start(self) -> bytes:
        """The first characters that are no spaces, whatever the encoding."""
        return self.text.lstrip()

    @property
    def is_web_page(self) -> bool:
        return (
            re.match(rb"(?i)<!doctype html|<(?:html|head|body|br|b|p|div|meta|script|style|table|title)\b", self.start)
            is not None
        )

    @property
    def is_xml(self) -> bool:
        return self.start.startswith(b"<") and not self.is_web_page

    @property
    def is_json(self) -> bool:
        return self.text.lstrip()[:1] in {b"[", b"{"}

    @cached_property
    def is_json_lines(self) -> bool:
        """Is it one JSON object a line, rather than one document?"""
        if self._options.list_path is not None:
            return False
        return self.is_json and not self.text.lstrip().startswith(b"[") and is_json_lines(self.text, self.name)

    @cached_property
    def _key_paths(self) -> frozenset[str]:
        return key_paths(self.text) if self.is_json else frozenset()

    @cached_property
    def error_told(self) -> str | None:
        """What an answer of a web service tells of its failure, where this is one."""
        fields = {recognised_field(path.rpartition(".")[2]) for path in self._key_paths}
        if not self.text.lstrip().startswith(b"{") or self._options.mapping or fields & {"name", "price"}:
            return None
        told = next((key for key in ("message", "error", "errors") if key in self._key_paths), None)
        is_error = "error" in self._key_paths or "errors" in self._key_paths or self.has_keys("code", "message")
        return told if is_error else None

    def has_keys(self, *keys: str) -> bool:
        """Is it JSON in which some objects, wherever they stand, have all of these keys?

        A key may be a path (``variants.price``), in which lists do not count.
        """
        return bool(self.places_of(*keys))

    def places_of(self, *keys: str) -> list[str]:
        """Where in JSON objects with all of these keys stand, as paths; shortest first, the top is ``""``."""
        first = keys[0]
        prefixes = [path.removesuffix(first) for path in self._key_paths if f".{path}".endswith(f".{first}")]
        places = [p.removesuffix(".") for p in prefixes if all(f"{p}{key}" in self._key_paths for key in keys)]
        return sorted(places, key=lambda place: (place.count("."), place))

    @cached_property
    def delimiter(self) -> str:
        """Of delimited text: the one that was given, else the one that the header holds most of."""
        return self._options.delimiter or find_delimiter(self.text.decode(errors="ignore"))

    @cached_property
    def header(self) -> list[str]:
        """The column names of delimited text."""
        return self.header_by(self.delimiter)

    def header_by(self, delimiter: str) -> list[str]:
        """The column names of text that is delimited so."""
        header, *rows = self.rows(delimiter, 2) or [[]]
        names = [name.strip() for name in header]
        while rows and len(names) > len(rows[0]) and not names[-1]:
            names.pop()  # of a delimiter at the end, which the rows lack
        return names

    def rows(self, delimiter: str, count: int) -> list[list[str]]:
        """The first rows of text that is delimited so, or of the sheet, from the header on."""
        rows = self._rows(delimiter, count + MOST_TITLES)
        return rows[_above_header(rows) :][:count]

    def titles(self, delimiter: str) -> int:
        """How many rows stand above the header."""
        return _above_header(self._rows(delimiter, MOST_TITLES + 1))

    def _rows(self, delimiter: str, count: int) -> list[list[str]]:
        if self.sheet is not None:
            return self.sheet.first_rows(count)
        return rows_of(self.text.decode(errors="ignore"), delimiter, count)


def formulas_in(header: Iterable[str]) -> str:
    """What to say of column names that are formulas without their values; empty where none is."""
    count = sum(name == NOT_COMPUTED for name in header)
    if not count:
        return ""
    names = "the name of a column is a formula" if count == 1 else f"the names of {count} columns are formulas"
    return (
        f"{names}, and the file does not hold what comes of it: a program has written it that does not compute; open "
        "the file in a spreadsheet program, and save it there"
    )


def _above_header(rows: list[list[str]]) -> int:
    """How many of the first rows stand above the header: titles, and names of groups of columns, as merged cells are.

    Such names leave most cells empty, and the first row below that does not is the header: no later one, whose cells
    may happen to be called like fields. Else a row further down names more of the required fields, and three at least.
    """
    if not rows:
        return 0
    above = titles_above(rows)
    named = [len({*map(recognised_field, row)} & {*REQUIRED_FIELDS}) for row in rows[: MOST_TITLES + 1]]
    if is_sparse(rows[above]):
        below = next((place for place in range(above + 1, len(named)) if not is_sparse(rows[place])), above)
        return below if named[above] < _FEWEST_NAMES or named[below] > named[above] else above
    best = max(named[above:], default=0)
    return named.index(best, above) if best > max(_FEWEST_NAMES, named[above]) else above


@dataclass(slots=True)
class Reading:
    """One reading of a catalog: where its bytes are, how it is to be read, and what is counted on the way."""

    source: ByteSource
    sample: Sample
    options: ReadingOptions
    counts: FieldCounts
    replay: Replay
    format_named: Callable[[str], Format]
    """The other formats: a dead letter may come from any of them."""
    fast: bool = False
    """May records take the fast lane (`fast`)? If not, every record becomes a draft."""

    def text(self) -> Iterator[bytes]:
        """The whole text from its start, as chunks of UTF-8.

        A format that calls it more than once calls ``reading.replay.keep_all()`` before.
        """
        return self.source.text_chunks(self.replay.chunks())

    def file(self) -> BinaryIO:
        """The whole catalog as a file that can seek."""
        return self.replay.file()

    def rows(self, delimiter: str | None = None) -> Iterator[Record]:
        """The rows of delimited text or of a sheet, counted. ``delimiter`` overrides the one that the sample shows.

        Raises `CatalogError` for a mapping to a column that is not there: it would fail every row.
        """
        if self.sample.sheet is not None:
            self._check_header(self.sample.header)
            if formulas := formulas_in(self.sample.header):
                self.notice(formulas)
            return self.counted(self.sample.sheet.records(self.sample.titles("")))
        return self.counted(self.table(delimiter))

    def table(self, delimiter: str | None = None) -> DelimitedRows:
        """The rows of delimited text, not counted. Raises as `rows` does."""
        header = self.sample.header_by(delimiter) if delimiter else self.sample.header
        self._check_header(header)
        delimiter = delimiter or self.sample.delimiter
        return DelimitedRows(self.source, self.text(), delimiter, self.sample.titles(delimiter), len(header))

    def _check_header(self, header: list[str]) -> None:
        self._check_mapping(header)
        self.counts.refuse_use_of(self._columns_there_twice(header))

    def _columns_there_twice(self, header: list[str]) -> dict[str, CatalogError]:
        positions: dict[str, list[int]] = {}
        for number, name in enumerate(header, 1):
            positions.setdefault(name, []).append(number)
        return {
            name: self.source.error(
                1, f"two columns are named {name!r} ({found[0]} and {found[1]}), and it is used; rename one of them"
            )
            for name, found in positions.items()
            if name and len(found) > 1
        }

    def _check_mapping(self, header: list[str]) -> None:
        for target, source in self.options.mapping.items():
            for column in source.columns if source is not None and header else ():
                if column not in header:
                    found = ", ".join(header)
                    told = f"there is no column {column!r}, which {target} is mapped to; there are {found}"
                    formulas = formulas_in(header)
                    raise self.source.error(1, f"{told}; {formulas}" if formulas else told)

    def json_records(self, path: str | None = None, *, lines: bool | None = None) -> Iterator[Record]:
        """The objects of JSON, or (``lines``; by default, without a path, the sample tells) of JSON Lines, counted.

        Of a document, the elements of its array, or of the list at ``path`` (``data.items``), or the one object there,
        which with ``""`` is the whole document;
        without a path, of the list named ``products`` or the only list of objects in it. The user's own path comes
        before all of these.
        """
        if self.options.list_path is not None:
            path, lines = self.options.list_path, False
        if (path is None and self.sample.is_json_lines) if lines is None else lines:
            return self.counted(json_lines(self.source, self.text()))
        of_user = self.options.list_path is not None
        where = self._list_at(path)
        return self.counted(
            json_array(
                self.source,
                *where,
                self._no_list_at(path),
                or_object=path is not None and not of_user,
                within_lists=of_user,
            )
        )

    def _no_list_at(self, path: str | None) -> str:
        likely = (places[0] for keys in _LIKELY if (places := [*filter(None, self._lists_of_objects_with(*keys))]))
        first = next((place for place in likely if path is not None or "." in place), None)
        option = self.options.names.set("list", first or "data.items")
        if path is not None:
            return f"holds no list at {path!r}; is it another one that holds the products? ({option})"
        found = {place for keys in _LIKELY for place in self.sample.places_of(*keys)}
        if found and not any("." in place or not place for place in found):
            return "gives its products by keys; write them as a list: [{...}, {...}]"
        return (
            "holds no products; they are expected as [...], as the only list in an object, as one object a line, or "
            f"where you say that they are ({option})"
        )

    def _lists_of_objects_with(self, *keys: str) -> Iterator[str]:
        """The paths to lists of such objects, where each may stand within another one (``node``)."""
        for place in self.sample.places_of(*keys):
            outer, _, last = place.rpartition(".")
            yield outer if last in WRAPPERS else place

    def _list_at(self, path: str | None) -> tuple[Iterator[bytes], list[bytes]]:
        if path is not None:
            return self.text(), [f'"{key}"'.encode() for key in path.split(".") if key]
        if not self.sample.text.lstrip().startswith(b"{") or Survey.of(self.sample.text).has_products:
            return self.text(), [PRODUCTS]
        self.replay.keep_all()
        key = self._key_of_list()
        return self.text(), [key]

    def _key_of_list(self) -> bytes:
        """Which list of an object holds the products; only its end tells that there is no other."""
        survey = Survey()
        with contextlib.suppress(CatalogError):  # the reading of the list comes to the same fault, and reports it
            for chunk in self.text():
                survey.feed(chunk)
                if survey.has_products or survey.is_stuck:
                    return PRODUCTS
        if len(survey.lists) > 1:
            keys = ", ".join(key.decode(errors="replace") for key in survey.lists[:20])
            first = survey.lists[0].decode(errors="replace").strip('"')
            option = self.options.names.set("list", first)
            raise self.source.error(
                "", f'holds several lists of objects ({keys}); say which one to read ({option}), or name it "products"'
            )
        return survey.only_list or PRODUCTS

    def counted(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, counted for the report."""
        return self.counts.counted(records)

    def notice(self, text: str) -> None:
        """Something that the user should know about this reading; shown once, however often it is said."""
        self.counts.notices[text] = None

    @property
    def use(self) -> Callable[[Iterable[str]], None]:
        """Takes the names of the columns that a format reads."""
        return self.counts.use


class Format(Protocol):
    """One catalog format."""

    @property
    def name(self) -> str:
        """As in `registry.CatalogFormat`."""
        ...

    @property
    def own_ids(self) -> bool:
        """Does the file itself link variants to parents by id, so that neither may be mapped?"""
        ...

    def recognises(self, sample: Sample) -> bool:
        """Is this beginning a catalog of this format?"""
        ...

    def read(self, reading: Reading) -> Iterable[Draft | list[Product]]:
        """One draft for each product of the catalog, or lists of those that a fast lane has made.

        Raises `CatalogError` where nothing can be read beyond.
        """
        ...
