"""``tests/mutants.md``: what each room came to, and the survivors that no test can tell from the original."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LISTING", "Explained", "explained"]

LISTING = Path(__file__).parents[1] / "mutants.md"
_FILE = re.compile(r"^### `(?P<file>[\w/]+\.py)`$")
_ENTRY = re.compile(r"^- `(?P<name>.+?)`: (?P<why>.+)$")


@dataclass(frozen=True, slots=True)
class Explained:
    """A mutant that is called equivalent: its file in the package, its name, and the reason."""

    file: str
    name: str
    why: str


def explained() -> list[Explained]:
    """Raises `ValueError` for a line that looks like an entry and is none."""
    found: list[Explained] = []
    file = ""
    for line in LISTING.read_text(encoding="utf-8").splitlines():
        if heading := _FILE.match(line):
            file = heading["file"]
        elif line.startswith("- `"):
            entry = _ENTRY.match(line)
            if entry is None or not file:
                raise ValueError(f"no file above it, or no reason: {line}")
            found.append(Explained(file, entry["name"], entry["why"]))
    return found
