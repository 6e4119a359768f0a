"""Scratch databases: more rows than memory should hold, for one owner and one run."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["TemporaryDatabase", "temporary_database"]


class TemporaryDatabase:
    """A database for one owner, gone with it: in memory at first, then in a file that SQLite has already unlinked.

    It has no journal: once a write has failed, part of it may be there, and no further one succeeds.
    """

    def __init__(self, spill_bytes: int, explain: Callable[[str], Exception]) -> None:
        self._explain = explain
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.execute(f"PRAGMA cache_size = -{spill_bytes // 1024}")
        self.execute("PRAGMA journal_mode = OFF")

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows that this gives. Raises the owner's error."""
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._explain(str(error)) from error

    def insert(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Carry out ``statement`` once for each row, in one transaction. Raises the owner's error."""
        self.execute("BEGIN")
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._explain(str(error)) from error
        finally:
            if self._connection.in_transaction:
                self.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def temporary_database(spill_bytes: int, explain: Callable[[str], Exception]) -> TemporaryDatabase:
    """A scratch database that keeps up to ``spill_bytes`` in memory and puts the rest into a temporary file.

    Nothing stays behind, whatever happens to the process. ``explain`` makes the exception to raise of SQLite's own
    words, such as those for a full disk. It may be used from any thread, by one at a time.
    """
    return TemporaryDatabase(spill_bytes, explain)
