"""SQLite as the package uses it: one file of its own, touched by one thread, and temporary databases.

`SQLiteFile` looks before it writes (a file of another program is left alone), takes the lock, brings the schema up to
date and notices when its file is taken away. `temporary_database` gives a scratch database that nobody else can see.
Neither knows any schema, and what a failure means to the user is the owner's business: see `Problem`.
"""

from .file import SQLiteFile
from .place import barrier_at, obstacle_at, read_header, settled
from .problems import DamagedContent, Problem
from .temporary import TemporaryDatabase, temporary_database

__all__ = [
    "DamagedContent",
    "Problem",
    "SQLiteFile",
    "TemporaryDatabase",
    "barrier_at",
    "obstacle_at",
    "read_header",
    "settled",
    "temporary_database",
]
