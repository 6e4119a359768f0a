"""Rows that stand together because they make one product: parents, variants and images of one handle. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .readers.byte_source import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .readers.byte_source import ByteSource

__all__ = ["grouped"]

T = TypeVar("T")

_MAX_ROWS = 10_000
"""Rows of one product. Shopify, which allows most, has 2,048 variants and 250 images."""


def grouped(records: Iterable[T], key_of: Callable[[T], str], source: ByteSource) -> Iterator[list[T]]:
    """Neighbouring records of one key. A record without a key is a group of its own, and ends none.

    Raises `CatalogError` where a group outgrows all bounds. Where the records themselves end with a fault, what was
    read before it comes first.
    """
    rows: list[T] = []
    current = ""
    try:
        for record in records:
            key = key_of(record)
            if not key:
                yield [record]
                continue
            if rows and key != current:
                finished, rows = rows, []
                yield finished
            if len(rows) == _MAX_ROWS:
                raise source.error("", f"{key!r} has more than {_MAX_ROWS:,} rows")
            rows.append(record)
            current = key
    except CatalogError:
        if rows:
            yield rows
        raise
    if rows:
        yield rows
