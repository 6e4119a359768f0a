"""Which files are of the package's own kind, and how one of an older version is brought up to date."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from .place import barrier_at, read_header
from .problems import Problem, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["FileFormat"]

_SMALLEST = 512
"""Bytes of the smallest database that SQLite writes."""


class FileFormat:
    """The ``application_id`` marks the kind, the ``user_version`` counts the ``migrations`` done: see `SQLiteFile`.

    The methods raise `Refused` for a file of another kind, or of a newer version.
    """

    def __init__(self, application_id: int, migrations: Sequence[Sequence[str]]) -> None:
        self._application_id = application_id
        self._migrations = migrations

    def check_file(self, path: Path) -> None:
        """Look before SQLite may write: it would do so in whatever database it opens.

        A file of ours has its header before it has a log beside it.
        """
        try:
            size = path.stat().st_size if path.is_file() else 0
        except OSError:
            return  # SQLite is about to say what is wrong with it
        if size == 0:
            return
        if size < _SMALLEST:
            raise Refused(Problem.NO_DATABASE, f"it has only {size} bytes")
        try:
            self._check(*read_header(path))
        except sqlite3.OperationalError as error:
            barrier = barrier_at(path)
            reason = str(error) if barrier is None else f"unable to open it: {barrier}"
            raise Refused(Problem.NO_ACCESS, reason) from None
        except sqlite3.DatabaseError as error:
            raise Refused(Problem.NO_DATABASE, str(error)) from None

    def migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the schema up to date, in the transaction that the connection is in."""
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application_id == version == tables == 0:
            connection.execute(f"PRAGMA application_id = {self._application_id}")
        else:
            self._check(application_id, version)
        if version < len(self._migrations):
            for statement in (statement for step in self._migrations[version:] for statement in step):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")

    def _check(self, application_id: int, version: int) -> None:
        if application_id != self._application_id:
            raise Refused(Problem.FOREIGN, f"its application id is {application_id}")
        if version > len(self._migrations):
            raise Refused(Problem.NEWER, f"format {version}")
