"""`VariantStore`: variants that wait for the end of the source, because the server did not know their parents.

They are kept in memory up to `SPILL_BYTES`, past that in a temporary file that nobody else sees. Which variants wait,
and when they are sent, is the caller's business.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from ..api.models import Product
from ..errors import NeuroonError
from ..sqlite import temporary_database

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ..api.shapes import RawValue

__all__ = ["SpillFailed", "VariantStore", "plain_fields"]

SPILL_BYTES = 8 * 2**20
"""Bytes kept in memory before they spill to a temporary file."""
_ONE_QUERY = 500
_STORED = "SELECT position, body FROM variant WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"


class SpillFailed(NeuroonError):
    """Products that had to wait could not be put into a temporary file: its disk is full or cannot be written."""


class VariantStore:
    """At most one version of each product, in the order in which they came.

    Where the disk fails, only `check` and `pop` say so: what comes meanwhile stays in memory, so that the run can stop
    between two steps and account for everything.
    """

    def __init__(self) -> None:
        self._database = temporary_database(SPILL_BYTES, _spill_failed)
        self._database.execute("CREATE TABLE variant (position INTEGER PRIMARY KEY, id BLOB UNIQUE, body BLOB)")
        self._added = 0
        """Put into the database so far: the newest one's position."""
        self._removed = 0
        """Taken out of the database again."""
        self._failure: SpillFailed | None = None
        self._unstored: dict[str, Product] = {}
        """What came since the disk has failed."""

    def __len__(self) -> int:
        return self._added - self._removed + len(self._unstored)

    def __contains__(self, external_id: object) -> bool:
        """Is a version of this product here? Once the disk has failed, only what came since is looked at."""
        return isinstance(external_id, str) and (
            external_id in self._unstored
            or bool(self._rows("SELECT 1 FROM variant WHERE id = ?", (_key(external_id),)))
        )

    def check(self) -> None:
        """Raises `SpillFailed` where the disk has failed."""
        if self._failure is not None:
            raise self._failure

    def add(self, products: list[Product]) -> None:
        """Keep these, of which no version may be here yet, behind all others."""
        if self._failure is None:
            rows = (
                (position, _key(product.external_id), _dump(product))
                for position, product in enumerate(products, self._added + 1)
            )
            try:
                self._database.insert("INSERT INTO variant VALUES (?, ?, ?)", rows)
            except SpillFailed as error:
                self._failure = error
            else:
                self._added += len(products)
                return
        self._unstored |= {product.external_id: product for product in products}

    def discard(self, ids: Collection[str]) -> list[Product]:
        """Remove and return those of these ids that are here. Once the disk has failed, only what came since."""
        found = [self._unstored.pop(external_id) for external_id in ids if external_id in self._unstored]
        wanted = [_key(external_id) for external_id in ids]
        for start in range(0, len(wanted), _ONE_QUERY):
            some = wanted[start : start + _ONE_QUERY]
            marks = ",".join("?" * len(some))
            rows = self._rows(f"DELETE FROM variant WHERE id IN ({marks}) RETURNING body", some)  # noqa: S608 - only marks
            self._removed += len(rows)
            found.extend(_load(body) for (body,) in rows)
        return found

    def last_position(self) -> int:
        """Where the newest one stands; nothing added later stands before it."""
        return self._added

    def pop(self, count: int, up_to: int) -> list[Product]:
        """Remove and return the first ``count``, none that came after position ``up_to``. Raises `SpillFailed`."""
        rows = self._rows(_STORED, (0, up_to, count))
        if rows:
            self._rows("DELETE FROM variant WHERE position <= ?", (rows[-1][0],))
        self.check()
        self._removed += len(rows)
        return [_load(body) for _, body in rows]

    def rest(self) -> Iterator[Product | None]:
        """Everything that is still here, for the report: ``None`` for each one that the disk does not give back."""
        yield from islice(chain(self._readable(), repeat(None)), self._added - self._removed)
        yield from self._unstored.values()
        self._removed = self._added
        self._unstored = {}

    def _readable(self) -> Iterator[Product]:
        """What can be read back, whether or not the disk has failed."""
        position = 0
        with suppress(SpillFailed):
            while rows := self._database.execute(_STORED, (position, self._added, _ONE_QUERY)):
                yield from (_load(body) for _, body in rows)
                position = rows[-1][0]

    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What this gives: nothing where the disk fails, which is asked no more from then on."""
        if self._failure is None:
            try:
                return self._database.execute(statement, parameters)
            except SpillFailed as error:
                self._failure = error
        return []

    def close(self) -> None:
        self._database.close()


def _spill_failed(detail: str) -> SpillFailed:
    return SpillFailed(
        f"products that wait to be sent could not be put into a temporary file ({detail}): make room on its "
        "disk, or name another folder in the environment variable SQLITE_TMPDIR"
    )


# Whatever the source gave is kept exactly, also what no JSON can express: it is refused where it is sent.


def _key(external_id: str) -> bytes:
    return external_id.encode("utf-8", "surrogatepass")


def _dump(product: Product) -> bytes:
    return pickle.dumps(plain_fields(product))


def plain_fields(product: Product) -> dict[str, RawValue]:
    """What a product says, in Python's own kinds: the same for a product and for its copy out of a `VariantStore`."""
    fields = ((name, getattr(product, name)) for name in Product.__struct_fields__)
    return {name: _plain(value) for name, value in fields if value is not UNSET}


def _plain(value: RawValue) -> RawValue:
    """A defaultdict may hold what cannot be pickled, and a parser's text the document that it stands in."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, dict):
        return {str.__str__(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _load(body: bytes) -> Product:
    return Product(**pickle.loads(body))  # noqa: S301 - written by `_dump`, into a file that nobody else can open
