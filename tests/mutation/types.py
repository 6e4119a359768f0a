"""A mutant that no test notices may be one that the type checker refuses: CI runs both."""

from __future__ import annotations

import ast
import re
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from zlib import crc32

from mypy import api

from mutation.operators import Mutant
from mutation.rooms import TESTS

__all__ = ["refused_by_types"]

_CACHE = TESTS.parent / "build" / "mutation" / "mypy"
_PLACE = re.compile(r"^\S+?:\d+(:\d+)?: ")


def refused_by_types(mutant: Mutant) -> bool:
    """Does mypy complain about something that it lets pass in the file as it is?"""
    return bool(_complaints(mutant.path, ast.unparse(mutant.tree)) - _unchanged(mutant.path))


@cache
def _unchanged(path: Path) -> Counter[str]:
    """Without its comments, which tell the checker what to overlook."""
    return _complaints(path, ast.unparse(ast.parse(path.read_text(encoding="utf-8"))))


def _complaints(path: Path, source: str) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder:
        shadow = Path(folder) / path.name
        # mypy takes two files of one second and one size for the same.
        shadow.write_text(f"{source}\n#{'#' * (crc32(source.encode()) % 5_000)}\n", encoding="utf-8")
        said, problems, _ = api.run(
            ["--shadow-file", str(path), str(shadow), "--cache-dir", str(_CACHE), "--no-error-summary", str(path)]
        )
    if problems:
        raise RuntimeError(f"mypy could not check {path}: {problems}")
    return Counter(_PLACE.sub("", line) for line in said.splitlines() if ": error:" in line)
