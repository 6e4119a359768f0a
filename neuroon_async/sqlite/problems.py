"""What can be wrong with a file, and how SQLite says so."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["DamagedContent", "Problem", "Refused", "problem_of"]

_DAMAGE = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH"}
"""Primary result codes that a sound file of ours never gives."""


class Problem(Enum):
    """Why a file cannot be used."""

    NO_DATABASE = auto()
    """It is not an SQLite database, or its first page is damaged. Nothing was written to it."""
    FOREIGN = auto()
    """It is a database of another program. Nothing was written to it."""
    NEWER = auto()
    """A newer version of this package wrote it. Nothing was written to it."""
    NO_ACCESS = auto()
    """It can be neither opened nor created."""
    LOCKED = auto()
    """Another connection holds the lock, and the busy timeout has passed."""
    DAMAGED = auto()
    """Its content breaks a rule that it keeps while sound."""
    GONE = auto()
    """It was deleted, replaced or truncated while it was open."""
    UNUSABLE = auto()
    """Anything else: a full disk, a read-only file system, an I/O error."""


class DamagedContent(Exception):
    """Raised by an owner's code, in the file's thread, for a stored value out of its type or range."""


class Refused(Exception):
    """A file that is not touched, or not any more. It never leaves this folder: owners raise errors of their own."""

    def __init__(self, problem: Problem, detail: str) -> None:
        self.problem = problem
        super().__init__(detail)


def problem_of(error: sqlite3.Error) -> Problem:
    """What SQLite's error means."""
    name = str(getattr(error, "sqlite_errorname", ""))
    primary = "_".join(name.split("_")[:2])
    if name == "SQLITE_READONLY_DBMOVED":
        return Problem.GONE
    if primary in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
        return Problem.LOCKED
    if primary == "SQLITE_CANTOPEN":
        return Problem.NO_ACCESS
    # An error without a code is the module's own, such as text in the file that is not UTF-8.
    return Problem.DAMAGED if primary in _DAMAGE or not name else Problem.UNUSABLE
