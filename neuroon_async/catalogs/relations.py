"""What products of one catalog say of each other: an id that comes twice, a parent that is not there."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from ..api.models import Product

__all__ = ["Relations"]


class Relations:
    """Remembers ids and parents in a temporary database on disk, however many there are. Close it, or use ``with``.

    Only the sync itself knows what the shop holds already: a parent that is missing here may be there.
    """

    def __init__(self) -> None:
        # A name that is empty is a temporary file. Readers may move from thread to thread, one after the other.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            """
            PRAGMA synchronous = OFF;
            PRAGMA journal_mode = OFF;
            CREATE TABLE seen (id TEXT PRIMARY KEY, times INTEGER) WITHOUT ROWID;
            CREATE TABLE child (id TEXT, parent TEXT);
            BEGIN;
            """
        )

    def see(self, product: Product) -> None:
        """Take a product into account."""
        self._database.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1", (product.external_id,)
        )
        if isinstance(product.parent_external_id, str):
            self._database.execute("INSERT INTO child VALUES (?, ?)", (product.external_id, product.parent_external_id))

    def duplicates(self) -> Iterator[tuple[str, int]]:
        """Ids that came more than once, and how often: the last one counts."""
        yield from self._database.execute("SELECT id, times FROM seen WHERE times > 1")

    def missing_parents(self) -> Iterator[tuple[str, str]]:
        """``(id, parent)`` of products whose parent is not in the catalog."""
        yield from self._database.execute("SELECT id, parent FROM child WHERE parent NOT IN (SELECT id FROM seen)")

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
