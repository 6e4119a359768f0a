"""Dead letters of a catalog: what is kept of a record that failed, and how it is read again.

A dead letter file holds one failure a line. ``{"failure": …, "product": {…}}`` is a product as it would be sent.
``{"failure": …, "raw": {…}, "reading": {…}}`` is a row as its catalog holds it, with the options that it is read by:
format, mapping, currency, shop address, decimal sign. So one plain reading of the file understands both, after its
values were mended. Where several rows make a product, the raw row is what was understood of that product, in the
API's names. ``"reading": null`` says that nothing can be made of the row alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from ..api.shapes import is_object
from .counting import FieldCounts
from .format import Reading, Sample
from .generic import GenericBuilder
from .options import ReadingOptions
from .records import Draft, Record
from .values.number_formats import ShownNumber
from .values.parsing import Notation, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LetterReader", "RawRow", "is_letter", "reading_of"]

_MAX_READINGS = 100
"""Different readings in one file whose options are remembered."""


class RawRow(dict[str, Any]):
    """A row as its catalog holds it.

    ``record`` is what a dead letter keeps of it, ``reading`` the options to read that by; ``None`` where nothing can be
    made of the row alone.
    """

    __slots__ = ("reading", "record")

    def __init__(self, row: Mapping[str, Any], record: Mapping[str, Any], reading: Mapping[str, Any] | None) -> None:
        super().__init__(_plain(row))
        self.record: dict[str, Any] = _plain(record)
        self.reading: dict[str, Any] | None = None if reading is None else dict(reading)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self), self.record, self.reading)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for users, and for files: its texts are texts, and nothing more."""
    return {name: str(value) if isinstance(value, ShownNumber) else value for name, value in row.items()}


def reading_of(format_name: str, options: ReadingOptions, decimal: str | None) -> dict[str, Any]:
    """The options that a row of a catalog needs to be read again."""
    values = {
        "format": format_name,
        "mapping": dict(options.given_mapping),
        "currency": options.currency,
        "shop_url": options.shop_url,
        "decimal": options.decimal or decimal,
    }
    return {name: value for name, value in values.items() if value}


def is_letter(row: Mapping[str, Any]) -> bool:
    """Is it a line of a dead letter file?"""
    return isinstance(row.get("failure"), dict) and ("product" in row or "raw" in row)


@dataclass(slots=True)
class _OneRow(Reading):
    """A reading of one row of which the record is there already."""

    record: Record | None = None

    def rows(self, delimiter: str | None = None) -> Iterator[Record]:  # noqa: ARG002 - the signature is the reading's
        if self.record is not None:
            yield self.record

    def json_records(self, path: str | None = None, *, lines: bool | None = None) -> Iterator[Record]:  # noqa: ARG002
        yield from self.rows()


class _RowSample(Sample):
    """What a format may want to know of the row's file: its columns."""

    def __init__(self, sample: Sample, columns: list[str]) -> None:
        self.name = sample.name
        self.head = self.text = b""
        self.header = columns
        self.delimiter = ","


class LetterReader:
    """Makes drafts of dead letters. Options given to this reading come before those that a letter carries."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._options: dict[bytes, ReadingOptions] = {}

    def drafts(self, record: Record) -> Iterator[Draft]:
        """What one line holds: mostly one draft."""
        letter = record.row
        self._reading.use(["failure", "product", "raw", "reading"])
        product, raw, how = letter.get("product"), letter.get("raw"), letter.get("reading")
        if is_object(product):
            draft = self._product(Record(record.where, product), self._reading.options)
            draft.canonical = True
            yield draft
        elif is_object(raw) and is_object(how):
            try:
                yield from self._raw(Record(record.where, raw), how)
            except (ValueError, TypeError, AttributeError) as error:  # a reading that somebody has edited
                yield Draft.unusable(record, f"its reading cannot be understood: {error}")
        else:
            reason = shown(letter["failure"].get("reason"))
            yield Draft.unusable(
                record,
                f"this dead letter holds no product to send again; mend it in its catalog. Its failure was {reason}",
            )

    def _product(self, record: Record, options: ReadingOptions) -> Draft:
        builder = GenericBuilder(options.mapping, Notation(options.decimal, lists=False, nulls=True), self._reading.use)
        (draft,) = builder([record])
        return draft

    def _raw(self, record: Record, how: Mapping[str, Any]) -> Iterator[Draft]:
        options = self._options_of(how)
        name = str(how.get("format", "json"))
        drafts = (
            [self._product(record, options)] if name in {"json", "jsonl"} else self._of_format(name, record, options)
        )
        for draft in drafts:
            draft.options, draft.reading = options, how
            yield draft

    def _of_format(self, name: str, record: Record, options: ReadingOptions) -> Iterator[Draft]:
        reading = self._reading
        counts = FieldCounts(options.mapping)
        sample = _RowSample(reading.sample, list(record.row))
        one = _OneRow(reading.source, sample, options, counts, reading.replay, reading.format_named, record=record)
        for draft in reading.format_named(name).read(one):
            if isinstance(draft, Draft):  # as without a fast lane everything is
                yield draft

    def _options_of(self, how: Mapping[str, Any]) -> ReadingOptions:
        key = msgspec.json.encode(how)
        options = self._options.get(key)
        if options is None:
            given = self._reading.options
            mapping = how.get("mapping", {})
            if not is_object(mapping):
                raise TypeError("its mapping is no object")
            own = ReadingOptions.checked(
                mapping={**mapping, **given.given_mapping},
                shop_url=given.shop_url or how.get("shop_url"),
                currency=given.currency or how.get("currency"),
                decimal=given.decimal or how.get("decimal"),
                today=given.today,
                names=given.names,
            )
            options = replace(own, fit=given.fit)
            if len(self._options) < _MAX_READINGS:
                self._options[key] = options
        return options
