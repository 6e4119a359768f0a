"""A database as a process leaves it that was killed: for the tests of the files that the package keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]: db.execute(statement)
os._exit(0)
"""


def killed(path: Path, *statements: str) -> None:
    """Carry out these statements in a process that then dies at once, with its log beside the file."""
    subprocess.run([sys.executable, "-c", _PROGRAM, path, *statements], check=True)
