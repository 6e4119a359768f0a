"""What is at a path: the header of a file that may be another program's, and whether a file is still in its place."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from .problems import Problem, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Place", "barrier_at", "names_no_file", "obstacle_at", "read_header", "settled"]

_NO_FILE = (":memory:", "file:")
"""How paths begin by which SQLite means something else than a file."""


class Place:
    """Is what the path names still the file that was opened? On Unix a file can vanish under an open connection."""

    def __init__(self, path: Path) -> None:
        self._paths = {"": str(path), "-wal": f"{path}-wal"}
        self._known: dict[str, tuple[int, int]] = {}
        self._size = 0

    def remember(self, page_bytes: Callable[[], int]) -> None:
        self._known.clear()
        self._size = 0
        self.check(page_bytes)

    def check(self, page_bytes: Callable[[], int]) -> None:
        """Raises `Refused` where the file, or the log beside it, is another one or none."""
        for end, path in self._paths.items():
            try:
                found = os.stat(path)  # noqa: PTH116 - asked at every commit, and a Path costs as much as the question
            except OSError as error:
                if end in self._known or not end:
                    raise Refused(Problem.GONE, f"{path} is gone: {error.strerror}") from None
                continue  # a log that is not needed yet
            identity = (found.st_dev, found.st_ino)
            if self._known.setdefault(end, identity) != identity:
                raise Refused(Problem.GONE, f"{path} was replaced by another file")
            if not end:
                self._check_size(found.st_size, page_bytes)

    def _check_size(self, size: int, page_bytes: Callable[[], int]) -> None:
        """A file shrinks rightly when somebody compacts it, and then it has all its pages."""
        if size < self._size and size < page_bytes():
            raise Refused(Problem.GONE, f"it was truncated from {self._size:,} to {size:,} bytes")
        self._size = size


def names_no_file(path: Path) -> bool:
    """Would SQLite take this path for something else than a file?"""
    return str(path).startswith(_NO_FILE)


def settled(path: Path) -> Path:
    """The same path, whatever folder the program goes to later on."""
    try:
        return path if names_no_file(path) else path.absolute()
    except OSError:  # there is no folder that it is in now, as whoever opens it will find
        return path


def obstacle_at(path: Path, *, regular: bool = True) -> str | None:
    """Why no file can be opened at a path, where SQLite would only say that it cannot; ``None`` where it may try.

    ``regular``: must it be a file that can be read back? A pipe and a device are none.
    """
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        there = Path(os.path.realpath(path)).parent.is_dir()  # of a link, where it leads
        return None if there else "there is no such folder"
    except OSError as error:
        return error.strerror
    except ValueError as error:  # a NUL in its name
        return str(error)
    if stat.S_ISDIR(kind):
        return "it is a folder"
    if stat.S_ISSOCK(kind) and not regular:
        return "it is a socket"
    return None if stat.S_ISREG(kind) or not regular else "it is no regular file"


def barrier_at(path: Path, *, alone: bool = False) -> str | None:
    """What keeps this user from writing a file, or the log beside it. SQLite may call that an error of the disk.

    ``alone``: does nothing stand beside it?
    """
    real = Path(os.path.realpath(path))
    if real.exists():
        if not _may(real, os.W_OK if alone else os.R_OK | os.W_OK):
            return "it may not be written to"
        if alone:
            return None
    return None if _may(real.parent, os.W_OK | os.X_OK) else "nothing may be written to its folder"


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


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
