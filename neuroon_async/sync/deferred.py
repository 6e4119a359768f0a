"""Variants that wait for the end of the source, because the server did not know their parents.

They live in an anonymous SQLite database: in memory up to `MEMORY` bytes, past that in a temporary file that SQLite
has already unlinked, so that nothing stays behind whatever happens.
"""

from __future__ import annotations

import sqlite3
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from ..models import Product

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DeferredVariants"]

MEMORY = 8 * 2**20
"""Bytes kept in memory before they spill to a temporary file."""
_ONE_QUERY = 500

# MessagePack, unlike JSON numbers, keeps a Decimal apart from a float.
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Product).decode


class DeferredVariants:
    """At most one version of each product, in the order in which they came."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{MEMORY // 1024}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE variant (position INTEGER PRIMARY KEY, id TEXT UNIQUE, body BLOB)")
        self._count = 0
        self._positions = count(1)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, external_id: str) -> bool:
        row = self._database.execute("SELECT 1 FROM variant WHERE id = ?", (external_id,)).fetchone()
        return row is not None

    def add_newer(self, products: list[Product]) -> list[Product]:
        """Keep these. Returns the older versions that they supersede."""
        older = self.discard(product.external_id for product in products)
        newest = {product.external_id: product for product in products}
        twice = [product for product in products if newest[product.external_id] is not product]
        self._insert(newest.values())
        return older + twice

    def add_older(self, products: list[Product]) -> list[Product]:
        """Keep those of which no newer version is here. Returns the others: they are superseded."""
        newer = {product.external_id for product in products if product.external_id in self}
        self._insert(product for product in products if product.external_id not in newer)
        return [product for product in products if product.external_id in newer]

    def discard(self, ids: Iterable[str]) -> list[Product]:
        """Remove and return those of these ids that are here."""
        wanted = list(ids)
        found: list[Product] = []
        for start in range(0, len(wanted), _ONE_QUERY) if self._count else ():
            some = wanted[start : start + _ONE_QUERY]
            marks = ",".join("?" * len(some))
            rows = self._database.execute(f"DELETE FROM variant WHERE id IN ({marks}) RETURNING body", some)  # noqa: S608 - only marks
            found.extend(_decode(body) for (body,) in rows.fetchall())
        self._count -= len(found)
        return found

    def last_position(self) -> int:
        (position,) = self._database.execute("SELECT coalesce(max(position), 0) FROM variant").fetchone()
        return int(position)

    def pop(self, count: int, up_to: int) -> list[Product]:
        """Remove and return the first ones, none that came after position ``up_to``."""
        rows = self._database.execute(
            "SELECT position, body FROM variant WHERE position <= ? ORDER BY position LIMIT ?", (up_to, count)
        ).fetchall()
        if rows:
            self._database.execute("DELETE FROM variant WHERE position <= ?", (rows[-1][0],))
            self._count -= len(rows)
        return [_decode(body) for _, body in rows]

    def close(self) -> None:
        self._database.close()

    def _insert(self, products: Iterable[Product]) -> None:
        before = self._database.total_changes
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO variant VALUES (?, ?, ?)",
            ((next(self._positions), product.external_id, _encode(product)) for product in products),
        )
        self._database.execute("COMMIT")
        self._count += self._database.total_changes - before
