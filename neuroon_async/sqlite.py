"""What an SQLite file says that it is, read without changing anything in it or beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_header"]


def read_header(path: Path) -> tuple[int, int]:
    """The ``application_id`` and the ``user_version``. Raises `sqlite3.DatabaseError` for what is no database.

    Opened in the usual way, SQLite would first bring in a log that a crash has left beside the file, whatever program
    they belong to; ``immutable`` neither looks for one nor writes. The file is not read with `open`, because on POSIX
    closing it would take away the locks that this process has on it through SQLite.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as file:
        file.execute("PRAGMA writable_schema = ON")  # or a file that is just growing would count as damaged
        (application_id,) = file.execute("PRAGMA application_id").fetchone()
        (version,) = file.execute("PRAGMA user_version").fetchone()
    return application_id, version
