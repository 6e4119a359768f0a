"""Values as they stand in a ledger file: written in one way, and checked when they are read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..sqlite import DamagedContent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["ONE_QUERY", "id_of", "key_of", "keys_of", "portions", "valid_number", "valid_seconds"]

ONE_QUERY = 500
"""Keys that one query takes."""
_HIGHEST_NUMBER = 1 << 62
"""Nobody counts that far, and what is counted on from there still fits into a column."""


def keys_of(ids: Collection[str]) -> list[bytes]:
    """How these ids stand in the file."""
    return [key_of(external_id) for external_id in ids]


def key_of(external_id: str) -> bytes:
    """How this id stands in the file."""
    return external_id.encode("utf-8", "surrogatepass")


def id_of(key: bytes) -> str:
    """Raises `DamagedContent`."""
    try:
        return key.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise DamagedContent(f"an id in it is no text: {error}") from error


def portions(keys: Collection[bytes]) -> Iterator[tuple[list[bytearray], str]]:
    """These keys, as many at a time as one query takes, with its question marks.

    Python asks whether ``bytes`` have an adapter each time that they are handed to SQLite, which takes longer than to
    look for them in the file; it does not ask that of a ``bytearray``.
    """
    every = list(map(bytearray, keys))
    for start in range(0, len(every), ONE_QUERY):
        some = every[start : start + ONE_QUERY]
        yield some, ",".join("?" * len(some))


def valid_number(value: object) -> int:
    """A stored number of a product or a page. Raises `DamagedContent`."""
    if isinstance(value, int) and 0 <= value <= _HIGHEST_NUMBER:
        return value
    raise DamagedContent(f"a product or page has the number {value!r}")


def valid_seconds(value: object) -> float:
    """A stored time. Raises `DamagedContent`."""
    if isinstance(value, (int, float)):
        return value
    raise DamagedContent(f"a time is {value!r}")
