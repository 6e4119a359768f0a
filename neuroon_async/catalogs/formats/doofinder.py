"""The feed that shops make for Doofinder: text with ``|`` between its columns and ``%%`` between several values.

Its columns are those of a Google feed, and ``categories`` such as ``Ropa > Camisas%%Ofertas``, whose levels all count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..records import Draft, Record
from .google import FeedBuilder, field_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..format import Reading, Sample

__all__ = ["FORMAT"]

_CATEGORIES = ("categories", "category", "product_type")
_TAGS = "tags"
_ONE_VALUE = frozenset({"id", "title", "description", "link", "image_link", "price", "sale_price", "availability"})
_SEPARATOR = "%%"


def _names(header: Iterable[str]) -> dict[str, str]:
    """From the names of a Google feed to the columns of the file."""
    names = {field_name(column): column for column in header}
    categories = next((name for name in _CATEGORIES if name in names), None)
    if categories is not None:
        names["product_type"] = names.pop(categories)
    return names


def _values(name: str, value: Any) -> Any:
    if name in _ONE_VALUE or not isinstance(value, str) or _SEPARATOR not in value:
        return value
    return [part.strip() for part in value.split(_SEPARATOR) if part.strip()]


def _as_item(record: Record, names: Mapping[str, str]) -> Record:
    row = {name: _values(name, record.row.get(column)) for name, column in names.items()}
    return Record(record.where, row, record.problem, as_read=record.row)


class _Doofinder:
    name = "doofinder"
    own_ids = False

    def recognises(self, sample: Sample) -> bool:
        names = {field_name(column) for column in sample.header}
        return (
            sample.delimiter == "|" and {"id", "title", "link"} <= names and bool({"image_link", *_CATEGORIES} & names)
        )

    def read(self, reading: Reading) -> Iterator[Draft]:
        names = _names(reading.sample.header)
        build = FeedBuilder(lambda used: reading.use(names.get(name, name) for name in used), reading.options)
        reading.use([names[_TAGS]] if _TAGS in names else [])
        for record in reading.rows():
            if record.problem:
                yield Draft.unusable(record, record.problem)
                continue
            item = _as_item(record, names)
            draft = build.draft(item)
            draft.put("tags", _tags(item.row.get(_TAGS)))
            yield draft


def _tags(value: Any) -> Any:
    """Several values; a single one may list them by commas."""
    return [tag.strip() for tag in value.split(",") if tag.strip()] or None if isinstance(value, str) else value


FORMAT = _Doofinder()
