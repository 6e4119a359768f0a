"""`Catalog`: finds out what a file is, puts the stations together, and counts what passes."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections import Counter
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from ..api.models import Product
from ..errors import ConfigurationError
from .formats.google import GoogleBuilder, is_google, xml_items
from .formats.shopify import ShopifyBuilder, is_shopify, older_name
from .formats.woocommerce import WooCommerceBuilder, english_name, is_woocommerce
from .generic import GenericBuilder
from .headers import Renaming
from .mapping import compile_mapping
from .readers.byte_source import CatalogError, Source, peek
from .readers.columnar import arrow_rows, parquet_rows
from .readers.delimited import DelimitedRows, find_delimiter, header_of
from .readers.json_records import PRODUCTS, Survey, is_json_lines, json_array, json_lines
from .records import Finisher
from .values.parsing import Notation, is_blank
from .values.text import require

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..report import ProductFailure
    from .records import Draft, Record

__all__ = ["Catalog", "CatalogFormat", "read_catalog"]

_SAMPLE_BYTES = 64 * 1024
_MAX_COUNTED_FIELDS = 1_000
_EXPORT_IDS = ("external_id", "parent_external_id")


class CatalogFormat(StrEnum):
    """What a catalog may be. ``AUTO`` finds out from the content."""

    AUTO = "auto"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    SHOPIFY = "shopify"
    WOOCOMMERCE = "woocommerce"
    GOOGLE = "google"
    PARQUET = "parquet"
    ARROW = "arrow"


_DELIMITED = frozenset(
    {CatalogFormat.CSV, CatalogFormat.TSV, CatalogFormat.SHOPIFY, CatalogFormat.WOOCOMMERCE, CatalogFormat.GOOGLE}
)
_WITH_HTML = frozenset({CatalogFormat.SHOPIFY, CatalogFormat.WOOCOMMERCE, CatalogFormat.GOOGLE})


class Catalog:
    """The products of a file, as an iterable that reads while it is iterated, in bounded memory.

    Each record gives `Product`s, or a `ProductFailure` whose reason names file, line and field; reading goes on after
    it. `CatalogError` is raised for a fault that nothing can be read beyond, after all that stands before it.

    ``source`` is a path or a binary file (read from where it stands, never closed), perhaps gzipped. ``mapping`` is
    described in `neuroon_async.catalogs.mapping`. ``shop_url`` completes addresses, ``currency`` (ISO 4217) is for
    products that name none, ``fit`` cuts names over 512 and descriptions over 5000 characters at a word. ``delimiter``
    and ``decimal`` settle what a CSV file leaves open; ``today`` is the day for which sales are judged.

    While iterating and after it: ``records`` (rows or objects read), ``products``, ``failed``, ``fitted`` (texts
    cut), ``ignored_fields`` (source field → records that had a value nothing used; the first 1,000 names),
    ``format``, ``encoding``, ``bytes_read`` of ``total_bytes`` (``None`` for pipes). WooCommerce files are read
    twice, and so are JSON objects whose list is not named ``products``; ``bytes_read`` starts again with the second
    reading. A path, or a file that can seek, may be iterated again.

    Raises `ConfigurationError` for arguments that cannot work or a library that is not installed.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        format: CatalogFormat | str = CatalogFormat.AUTO,  # noqa: A002 - the word that users look for
        mapping: Mapping[str, str] | None = None,
        shop_url: str | None = None,
        currency: str | None = None,
        fit: bool = False,
        encoding: str | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        today: date | None = None,
    ) -> None:
        self._given_format = _known_format(format)
        self._mapping = compile_mapping(mapping or {})
        self._shop_url = _checked_shop_url(shop_url)
        self._currency = _checked_currency(currency)
        if decimal not in {None, ".", ","}:
            raise ConfigurationError(f"decimal must be '.' or ',', got {decimal!r}")
        self._decimal = decimal
        self._fit = fit
        self._delimiter = _checked_delimiter(delimiter)
        self._today = today or datetime.now().astimezone().date()
        self._source = Source(source, encoding)
        self._given_encoding = encoding
        self._started = False
        self._reset()

    def _reset(self) -> None:
        self.format = self._given_format
        self.records = self.products = self.failed = 0
        self._seen: Counter[str] = Counter()
        self._used: set[str] = set()
        self._finisher = Finisher(self._mapping, self._shop_url, self._currency, fit=self._fit)

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def fitted(self) -> int:
        return self._finisher.fitted

    @property
    def ignored_fields(self) -> dict[str, int]:
        return {name: count for name, count in self._seen.items() if name not in self._used}

    @property
    def encoding(self) -> str | None:
        return self._source.encoding

    @property
    def bytes_read(self) -> int:
        return self._source.bytes_read

    @property
    def total_bytes(self) -> int | None:
        return self._source.total_bytes

    def __iter__(self) -> Iterator[Product | ProductFailure]:
        if self._started and not self._source.seekable:
            raise self._source.error("", "has been read already, and cannot be read again from its start")
        self._started = True
        self._reset()
        with contextlib.ExitStack() as stack:
            for draft in self._drafts(stack):
                outcome = self._finisher.finish(draft)
                if isinstance(outcome, Product):
                    self.products += 1
                else:
                    self.failed += 1
                yield outcome

    def _drafts(self, stack: contextlib.ExitStack) -> Iterable[Draft]:
        opened = stack.enter_context(contextlib.closing(self._source.chunks()))
        head, chunks = peek(opened, _SAMPLE_BYTES)
        if not head and next(chunks, None) is None:  # or a fault in the first bytes, which this raises
            raise self._source.error("", "is empty")
        self._find_binary(head)
        if self.format in {CatalogFormat.PARQUET, CatalogFormat.ARROW}:
            file = stack.enter_context(self._source.spooled(chunks))
            read = parquet_rows if self.format is CatalogFormat.PARQUET else arrow_rows
            return self._generic(Notation(decimal=self._decimal), read(self._source, file))
        if self._is_xml(head):
            return self._google(xml_items(self._source, chunks, self._given_encoding))
        return self._text_drafts(self._source.text_chunks(chunks), stack)

    def _find_binary(self, head: bytes) -> None:
        """Formats told by their first bytes."""
        if head.startswith(b"PK\x03\x04"):
            raise self._source.error("", "is a spreadsheet or a zip archive; save it as CSV, or unpack it")
        if self.format is CatalogFormat.AUTO and head.startswith(b"PAR1"):
            self.format = CatalogFormat.PARQUET
        elif self.format is CatalogFormat.AUTO and head.startswith(b"ARROW1"):
            self.format = CatalogFormat.ARROW

    def _is_xml(self, head: bytes) -> bool:
        if self.format not in {CatalogFormat.AUTO, CatalogFormat.GOOGLE}:
            return False
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            head = head.replace(b"\0", b"")
        start = head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
        if re.match(rb"(?i)<!doctype html|<html", start):
            raise self._source.error("", "is a web page, not a catalog; was a login or an error page saved?")
        return start.startswith(b"<")

    def _text_drafts(self, chunks: Iterator[bytes], stack: contextlib.ExitStack) -> Iterable[Draft]:
        sample = next(chunks, b"")
        chunks = itertools.chain([sample], chunks)
        if self.format is CatalogFormat.AUTO and sample.lstrip()[:1] in {b"[", b"{"}:
            is_lines = not sample.lstrip().startswith(b"[") and is_json_lines(sample, self.name)
            self.format = CatalogFormat.JSONL if is_lines else CatalogFormat.JSON
        if self.format in {CatalogFormat.JSON, CatalogFormat.JSONL}:
            return self._generic(Notation(self._decimal, lists=False, nulls=True), self._json(sample, chunks, stack))
        text = sample.decode(errors="ignore")
        delimiter = "\t" if self.format is CatalogFormat.TSV else self._delimiter or find_delimiter(text)
        header = [name.strip() for name in header_of(text, delimiter)]
        self._find_delimited(header)
        self._check_columns(header)
        return self._delimited(chunks, delimiter, header, stack)

    def _json(self, sample: bytes, chunks: Iterator[bytes], stack: contextlib.ExitStack) -> Iterator[Record]:
        if self.format is CatalogFormat.JSONL:
            return json_lines(self._source, chunks)
        survey = Survey()
        survey.feed(sample)
        if not sample.lstrip().startswith(b"{") or survey.has_products:
            return json_array(self._source, chunks)
        replay = _Replay(self._source, chunks, stack)
        key = self._key_of_list(replay())
        return json_array(self._source, replay(), key)

    def _key_of_list(self, chunks: Iterator[bytes]) -> bytes:
        """Which list of an object holds the products; only its end tells that there is no other."""
        survey = Survey()
        with contextlib.suppress(CatalogError):  # the reading of the list comes to the same fault, and tells it
            for chunk in chunks:
                survey.feed(chunk)
                if survey.has_products or survey.is_stuck:
                    return PRODUCTS
        if len(survey.lists) > 1:
            keys = ", ".join(key.decode(errors="replace") for key in survey.lists[:20])
            raise self._source.error("", f'holds several lists of objects ({keys}); name the one to read "products"')
        return survey.only_list or PRODUCTS

    def _find_delimited(self, header: list[str]) -> None:
        if self.format is not CatalogFormat.AUTO:
            return
        for format_, fits in (
            (CatalogFormat.SHOPIFY, is_shopify),
            (CatalogFormat.WOOCOMMERCE, is_woocommerce),
            (CatalogFormat.GOOGLE, is_google),
        ):
            if fits(header):
                self.format = format_
                return
        self.format = CatalogFormat.CSV

    def _delimited(
        self, chunks: Iterator[bytes], delimiter: str, header: list[str], stack: contextlib.ExitStack
    ) -> Iterable[Draft]:
        if self.format in _WITH_HTML:
            require("lxml.html", "catalogs", f"a catalog of format {self.format.value!r}")
        if self.format is CatalogFormat.WOOCOMMERCE:
            replay = _Replay(self._source, chunks, stack)
            self._refuse_new_ids()
            english = Renaming(header, english_name)

            def read() -> Iterator[Record]:  # counts anew at each reading
                return english.rename(self._counted(DelimitedRows(self._source, replay(), delimiter)))

            return WooCommerceBuilder(read, self._shop_url, self._uses(english), self._today)
        rows = DelimitedRows(self._source, chunks, delimiter)
        if self.format is CatalogFormat.SHOPIFY:
            self._refuse_new_ids()
            older = Renaming(header, older_name)
            build = ShopifyBuilder(self._source, self._shop_url, self._uses(older))
            return build(older.rename(self._counted(rows)))
        if self.format is CatalogFormat.GOOGLE:
            return self._google(rows)
        builder = GenericBuilder(self._mapping, Notation(self._decimal), self._used.update)
        if header and not self._mapping and not builder.recognise(header):
            raise self._source.error(
                1,
                f"no column is named like a product field: {', '.join(header[:20])}; "
                "does the file begin with its column names? map them (name=COLUMN), or give the delimiter",
            )
        return builder(self._counted(rows))

    def _uses(self, renaming: Renaming) -> Callable[[Iterable[str]], None]:
        return lambda names: self._used.update(renaming.columns(names))

    def _generic(self, notation: Notation, records: Iterable[Record]) -> Iterable[Draft]:
        return GenericBuilder(self._mapping, notation, self._used.update)(self._counted(records))

    def _google(self, records: Iterable[Record]) -> Iterable[Draft]:
        self.format = CatalogFormat.GOOGLE
        require("lxml.html", "catalogs", "a catalog of format 'google'")
        return GoogleBuilder(self._used.update, self._today)(self._counted(records))

    def _counted(self, records: Iterable[Record]) -> Iterator[Record]:
        self.records = 0
        self._seen.clear()
        for source in self._mapping.values():
            if source is not None:
                self._used.update(source.columns, (column.partition(".")[0] for column in source.columns))
        for record in records:
            self.records += 1
            if not record.problem:
                for name, value in record.row.items():
                    if not is_blank(value) and (name in self._seen or len(self._seen) < _MAX_COUNTED_FIELDS):
                        self._seen[name] += 1
            yield record

    def _check_columns(self, header: list[str]) -> None:
        """A mapping to a column that is not there would fail every row; say so once, before the first."""
        for target, source in self._mapping.items():
            for column in source.columns if source is not None and header else ():
                if column not in header:
                    raise self._source.error(
                        1, f"there is no column {column!r}, which {target} is mapped to; there are {', '.join(header)}"
                    )

    def _refuse_new_ids(self) -> None:
        for target in _EXPORT_IDS:
            if target in self._mapping:
                raise ConfigurationError(
                    f"mapping: {target} comes from the {self.format.value} export itself, which links variants by it; "
                    "give format='csv' to map every field yourself"
                )


class _Replay:
    """Gives the text of a source several times: from the source where it can seek, else from a temporary file.

    A fault met while filling the temporary file is raised where each reading comes to it.
    """

    def __init__(self, source: Source, chunks: Iterator[bytes], stack: contextlib.ExitStack) -> None:
        self._source = source
        self._stack = stack
        self._spool: BinaryIO | None = None
        self._fault: CatalogError | None = None
        if not source.seekable:
            self._spool = stack.enter_context(source.spooled(self._up_to_fault(chunks)))

    def _up_to_fault(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except CatalogError as error:
            self._fault = error

    def __call__(self) -> Iterator[bytes]:
        if self._spool is None:
            chunks = self._stack.enter_context(contextlib.closing(self._source.chunks()))
            return self._source.text_chunks(chunks)
        self._spool.seek(0)
        return self._spooled(self._spool)

    def _spooled(self, spool: BinaryIO) -> Iterator[bytes]:
        while chunk := spool.read(io.DEFAULT_BUFFER_SIZE):
            yield chunk
        if self._fault is not None:
            raise self._fault


def read_catalog(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    format: CatalogFormat | str = CatalogFormat.AUTO,  # noqa: A002 - the word that users look for
    mapping: Mapping[str, str] | None = None,
    shop_url: str | None = None,
    currency: str | None = None,
    fit: bool = False,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    today: date | None = None,
) -> Catalog:
    """The products of a file, ready to be iterated or given to ``client.products.sync``. See `Catalog`.

    >>> for item in read_catalog("products.csv", shop_url="https://shop.example"):  # doctest: +SKIP
    ...     print(item)
    """
    return Catalog(
        source,
        format=format,
        mapping=mapping,
        shop_url=shop_url,
        currency=currency,
        fit=fit,
        encoding=encoding,
        delimiter=delimiter,
        decimal=decimal,
        today=today,
    )


def _known_format(value: CatalogFormat | str) -> CatalogFormat:
    try:
        return CatalogFormat(value)
    except ValueError:
        raise ConfigurationError(f"format {value!r} is not known; there are {', '.join(CatalogFormat)}") from None


def _checked_shop_url(shop_url: str | None) -> str | None:
    if shop_url is None:
        return None
    parts = urlsplit(shop_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigurationError(f"shop_url must be an address such as https://shop.example, got {shop_url!r}")
    return shop_url.rstrip("/")


def _checked_delimiter(delimiter: str | None) -> str | None:
    if delimiter in {"tab", "\\t"}:  # as one types it in a shell
        return "\t"
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ConfigurationError(f"delimiter must be one character, got {delimiter!r}")
    return delimiter


def _checked_currency(currency: str | None) -> str | None:
    if currency is not None and not re.fullmatch("[A-Za-z]{3}", currency):
        raise ConfigurationError(f"currency must be a code of three letters such as EUR, got {currency!r}")
    return currency and currency.upper()
