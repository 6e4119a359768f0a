"""`Catalog`: opens a file, finds its format, passes what that reads through the stations, and counts."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, TypedDict, Unpack

from ..api.arguments import check_callback
from ..api.models import Product
from ..api.sources import ListSource
from ..errors import ConfigurationError
from .columns import SALE_DATES
from .counting import FieldCounts
from .finishing import Change, Finisher
from .first_contact import FirstContact
from .format import SAMPLE_BYTES, Format, Reading, Sample
from .formats.platforms import unread_platform
from .formats.unreadable import why_no_catalog
from .notations import NumberNotations
from .notes import inferred_notes, left_out_notes, misread_notes, repaired_notes, unused_dates_notes, unused_notes
from .options import IN_PYTHON, ReadingOptions
from .readers.byte_source import ByteSource, CatalogError, peek
from .readers.replay import Replay
from .readers.spreadsheet import Sheet
from .records import Draft
from .registry import CatalogFormat, format_named, recognise

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from ..report import ProductFailure
    from .options import OptionNames

__all__ = ["Catalog", "CatalogOptions", "read_catalog"]

_WITH_ONE_NOTATION = {
    CatalogFormat.SHOPIFY,
    CatalogFormat.SHOPIFY_JSON,
    CatalogFormat.WOOCOMMERCE,
    CatalogFormat.WOOCOMMERCE_JSON,
    CatalogFormat.MAGENTO,
    CatalogFormat.WIX,
    CatalogFormat.BIGCOMMERCE,
    CatalogFormat.ECWID,
    CatalogFormat.SQUARESPACE,
}
"""Formats whose numbers are clear, whatever the notation."""
_EXPORT_IDS = ("external_id", "parent_external_id")


class Catalog(ListSource):
    """The products of a file, as an iterable that reads while it is iterated, in bounded memory.

    Each record gives `Product`s, or a `ProductFailure` whose reason names file, line and field; reading goes on after
    it. `CatalogError` is raised for a fault that nothing can be read beyond, after all that stands before it.

    Args:
        source: A path, or a binary file (read from where it stands, never closed); perhaps gzipped.
        format: A `CatalogFormat` or its name. By default the content tells.
        mapping: Product field (in either spelling, or ``attributes.NAME``) → column or template, as described in
            `neuroon_async.catalogs.mapping`; ``""`` leaves the field out.
        shop_url: The shop's address, such as ``https://shop.example``: completes addresses, and makes those that an
            export lacks.
        currency: ISO 4217, for products that name none.
        fit: Cut names over 512 and descriptions over 5000 characters at a word, instead of refusing the product.
        encoding: Of the text. By default the content tells.
        delimiter: Of delimited text, one character. By default the header tells.
        decimal: What separates decimals, ``"."`` or ``","``: settles numbers such as ``1.299``. By default the clear
            numbers of their column do.
        today: The day for which sales are judged; by default today, local time.
        keep_going: Read on where the first 1,000 records all fail for one reason.
        list: The path to the list of products in JSON: ``data.items``. By default the content tells.
        sheet: The name of a sheet of an ``.xlsx`` file, or its number from 1; by default the first visible one.
        option_names: What these options are called in messages.

    While iterating and after it: ``records`` (rows or objects read), ``products``, ``failed``, ``fitted`` (texts cut),
    ``notes`` (sentences that the user should know), ``ignored_fields`` (source field → records that had a value nothing
    used; the first 1,000 names), ``format``, ``encoding``, ``bytes_read`` of ``total_bytes`` (``None`` for pipes).
    WooCommerce files are read twice, and so are JSON objects whose list is not named ``products``; ``bytes_read``
    starts again with the second reading. A path, or a file that can seek, may be iterated again.

    Raises:
        ConfigurationError: An option cannot work (`UsageError`), or a library is not installed.
        CatalogError: The source cannot be opened. While iterating: nothing can be read beyond a fault, or
            (`NothingUsable`) the first 1,000 records all fail for one reason.
    """

    yields_checked_products: Final = True
    """Every product has passed the finishing station: a sync need not check it a second time."""

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
        keep_going: bool = False,
        list: str | None = None,  # noqa: A002 - as above
        sheet: str | int | None = None,
        option_names: OptionNames = IN_PYTHON,
    ) -> None:
        self._given_format = None if format == CatalogFormat.AUTO else format_named(format)
        self._options = ReadingOptions.checked(
            mapping=mapping,
            shop_url=shop_url,
            currency=currency,
            fit=fit,
            encoding=encoding,
            delimiter=delimiter,
            decimal=decimal,
            today=today,
            keep_going=keep_going,
            list_path=list,
            sheet=sheet,
            names=option_names,
        )
        self._on_change: Callable[[Change], None] | None = None
        self._source = ByteSource(source, encoding)
        self._source.how_to_encode = partial(option_names.set, "encoding")
        self._started = False
        self._reset()

    def _reset(self) -> None:
        self.format: str = _as_enum(self._given_format.name) if self._given_format else CatalogFormat.AUTO
        self.products: int = 0
        self.failed: int = 0
        self._counts = FieldCounts(self._options.mapping)
        self._notations = NumberNotations(self._first_pass)
        self._first_contact = FirstContact(self._options.names, self._counts.shapes)
        self._finisher = Finisher(self._options, self._notations, self._counts.shapes)
        self._finisher.on_change = self._on_change

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def on_change(self) -> Callable[[Change], None] | None:
        """A plain function, called with each value that was changed to make a product of a record.

        Set it before iterating. Raises `UsageError` for what is no such function.
        """
        return self._on_change

    @on_change.setter
    def on_change(self, on_change: Callable[[Change], None] | None) -> None:
        check_callback("on_change", on_change)
        self._on_change = on_change

    @property
    def records(self) -> int:
        return self._counts.records

    @property
    def fitted(self) -> int:
        return self._finisher.fitted

    @property
    def notes(self) -> list[str]:
        """What the user should know: what was inferred, what products were sent without, what a format guessed."""
        return [
            *inferred_notes(self._notations.inferred, self._options.names),
            *left_out_notes(self._finisher.left_out, self._options.names),
            *repaired_notes(self._finisher.repaired),
            *misread_notes(self._finisher.misread),
            *unused_dates_notes(self._counts, self._finisher.sales, self._options.names),
            *unused_notes(self._counts, self._finisher.filled, self._options.names),
            *self._counts.notices,
        ]

    @property
    def ignored_fields(self) -> dict[str, int]:
        return self._counts.ignored

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
        for items in self.in_lists():
            yield from items

    def in_lists(self) -> Iterator[Sequence[Product | ProductFailure]]:
        """The same as iterating, in lists as they come. Meanwhile the counts are those of whole lists."""
        if self._started and not self._source.seekable:
            raise self._source.error("", "has been read already, and cannot be read again from its start")
        self._started = True
        self._reset()
        with contextlib.ExitStack() as stack:
            for found in self._read(stack):
                if isinstance(found, list):
                    self._take(found)
                    yield found
                    continue
                outcome = self._finisher.finish(found)
                if isinstance(outcome, Product):
                    self.products += 1
                else:
                    self.failed += 1
                yield (outcome,)
                self._look_at_first(outcome, found)

    def _take(self, products: list[Product]) -> None:
        """Products that the fast lane has made."""
        self.products += len(products)
        self._first_contact.product()
        self._finisher.take(products)

    def _look_at_first(self, outcome: Product | ProductFailure, draft: Draft) -> None:
        if isinstance(outcome, Product):
            self._first_contact.product()
        elif not self._options.keep_going:
            self._first_contact.failure(draft, self._finisher.reasons(draft), self.name)

    def _read(self, stack: contextlib.ExitStack) -> Iterable[Draft | list[Product]]:
        opened = stack.enter_context(contextlib.closing(self._source.chunks()))
        head, chunks = peek(opened, SAMPLE_BYTES)
        if not head and next(chunks, None) is None:  # or a fault in the first bytes, which this raises
            raise self._source.error("", "is empty")
        sample = Sample(self._source, head, self._options)
        replay = stack.enter_context(contextlib.closing(Replay(self._source, chunks)))
        if sample.is_spreadsheet:
            replay.keep_all()
            sample.sheet = Sheet(self._source, replay.file(), self._options.sheet, self._options.names.name("sheet"))
        self._format = self._finisher.format = format_ = self._find_format(sample)
        self.format = _as_enum(format_.name)
        self._say_what_does_nothing(format_, sample)
        fast = self._on_change is None  # the fast lane does not tell what it changes
        self._reading = Reading(self._source, sample, self._options, self._counts, replay, format_named, fast)
        return format_.read(self._reading)

    def _say_what_does_nothing(self, format_: Format, sample: Sample) -> None:
        """Options that were given and that this catalog has no use for."""
        options, names = self._options, self._options.names
        is_binary = format_.name in {CatalogFormat.PARQUET, CatalogFormat.ARROW} or sample.is_spreadsheet
        useless = {
            "delimiter": options.delimiter and (is_binary or sample.is_json or sample.is_xml),
            "encoding": options.encoding and is_binary,
            "decimal": options.decimal and format_.name in _WITH_ONE_NOTATION,
            "list": options.list_path and not sample.is_json,
            "sheet": options.sheet and not sample.is_spreadsheet,
        }
        for option, given in useless.items():
            if given:
                self._counts.notices[f"{names.name(option)} has no effect on a catalog of format {format_.name}"] = None

    def _first_pass(self) -> Iterator[Draft]:
        """The drafts of the catalog's beginning, read beside the reading that has begun."""
        source = self._source.twin()
        with contextlib.closing(self._reading.replay.first_pass(source)) as replay:
            reading = replace(
                self._reading, source=source, counts=FieldCounts(self._options.mapping), replay=replay, fast=False
            )
            with contextlib.suppress(CatalogError):  # where the pass is cut off, or which the reading comes to itself
                drafts = (draft for draft in self._format.read(reading) if isinstance(draft, Draft))
                yield from self._finisher.mapped(drafts)

    def _find_format(self, sample: Sample) -> Format:
        if problem := why_no_catalog(sample):
            raise self._source.error("", problem)
        if self._given_format is None and (problem := unread_platform(sample, self._options)):
            raise self._source.error("", problem)
        format_ = self._given_format or recognise(sample)
        if format_.own_ids:
            self._refuse_new_ids(format_)
        return format_

    def _refuse_new_ids(self, format_: Format) -> None:
        option = self._options.names.name("mapping")
        for target in SALE_DATES:
            if target in self._options.mapping:
                raise ConfigurationError(
                    f"{option}: {target} has no effect on a {format_.name} export, which says itself when a sale "
                    f"holds; give {self._options.names.set('format', 'csv')} to map every field yourself"
                )
        for target in _EXPORT_IDS:
            if target in self._options.mapping:
                raise ConfigurationError(
                    f"{option}: {target} comes from the {format_.name} export itself, which links variants by it; "
                    f"give {self._options.names.set('format', 'csv')} to map every field yourself"
                )


def _as_enum(name: str) -> str:
    try:
        return CatalogFormat(name)
    except ValueError:  # a format that someone else has added
        return name


class CatalogOptions(TypedDict, total=False):
    """The options of `Catalog`, for functions that pass them on."""

    format: CatalogFormat | str
    mapping: Mapping[str, str] | None
    shop_url: str | None
    currency: str | None
    fit: bool
    encoding: str | None
    delimiter: str | None
    decimal: str | None
    today: date | None
    keep_going: bool
    list: str | None
    sheet: str | int | None
    option_names: OptionNames


def read_catalog(source: str | os.PathLike[str] | BinaryIO, **options: Unpack[CatalogOptions]) -> Catalog:
    """The products of a file, ready to be iterated or given to ``client.products.sync``.

    Args:
        source: A path, or a binary file.
        **options: Those of `Catalog`, which also says what each means and what is raised.

    >>> for item in read_catalog("products.csv", shop_url="https://shop.example"):  # doctest: +SKIP
    ...     print(item)
    """
    return Catalog(source, **options)
