"""Variants that wait for the end of the source, because the server did not know their parents.

They live in an anonymous SQLite database: in memory up to `MEMORY` bytes, past that in a temporary file that SQLite
has already unlinked, so that nothing stays behind whatever happens.
"""

from __future__ import annotations

import pickle
import sqlite3
from itertools import count
from typing import TYPE_CHECKING

from msgspec import UNSET

from ..api.models import Product

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DeferredVariants"]

MEMORY = 8 * 2**20
"""Bytes kept in memory before they spill to a temporary file."""
_ONE_QUERY = 500


class DeferredVariants:
    """At most one version of each product, in the order in which they came."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{MEMORY // 1024}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE variant (position INTEGER PRIMARY KEY, id BLOB UNIQUE, body BLOB)")
        self._count = 0
        self._positions = count(1)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, external_id: object) -> bool:
        if not self._count or not isinstance(external_id, str):
            return False
        row = self._database.execute("SELECT 1 FROM variant WHERE id = ?", (_key(external_id),)).fetchone()
        return row is not None

    def add(self, products: list[Product]) -> None:
        """Keep these, of which no version may be here yet, behind all others."""
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO variant VALUES (?, ?, ?)",
            ((next(self._positions), _key(product.external_id), _dump(product)) for product in products),
        )
        self._database.execute("COMMIT")
        self._count += len(products)

    def discard(self, ids: Iterable[str]) -> list[Product]:
        """Remove and return those of these ids that are here."""
        wanted = [_key(external_id) for external_id in ids]
        found: list[Product] = []
        for start in range(0, len(wanted), _ONE_QUERY) if self._count else ():
            some = wanted[start : start + _ONE_QUERY]
            marks = ",".join("?" * len(some))
            rows = self._database.execute(f"DELETE FROM variant WHERE id IN ({marks}) RETURNING body", some)  # noqa: S608 - only marks
            found.extend(_load(body) for (body,) in rows.fetchall())
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
        return [_load(body) for _, body in rows]

    def close(self) -> None:
        self._database.close()


# Whatever the source gave is kept exactly, also what no JSON can express: it is refused where it is sent.


def _key(external_id: str) -> bytes:
    return external_id.encode("utf-8", "surrogatepass")


def _dump(product: Product) -> bytes:
    fields = ((name, getattr(product, name)) for name in Product.__struct_fields__)
    return pickle.dumps({name: _plain(value) for name, value in fields if value is not UNSET})


def _plain(value: object) -> object:
    """A defaultdict or another relative of the plain containers may hold what cannot be pickled."""
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, (list, tuple)) else value


def _load(body: bytes) -> Product:
    return Product(**pickle.loads(body))  # noqa: S301 - written by `_dump`, into a file that nobody else can open
