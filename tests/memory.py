"""A folder in memory, for files that need not outlive the process: SQLite waits for a disk at each commit."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["MEMORY", "keep_files_in_memory"]

_ROOM = 1 << 30
"""Bytes. Containers often have a folder of 64 MB, which files of large catalogs would fill."""


def _folder() -> Path | None:
    folder = Path("/dev/shm")
    usable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= _ROOM
    return folder if usable else None


MEMORY = _folder()
"""``None`` where there is none, or a small one: files then go where they always go."""


def keep_files_in_memory() -> None:
    """Temporary files of this process and its children, ``tmp_path`` among them. ``TMPDIR`` has the last word."""
    if MEMORY is not None and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # it is found out once, and pytest has asked already
