"""The reference of the documentation names every public name, and nothing else."""

import pkgutil
import re
from pathlib import Path

import neuroon_async

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def documented_names():
    pages = [page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md"))]
    return [name for page in pages for name in re.findall(r"^::: neuroon_async\.(\S+)$", page, re.MULTILINE)]


def test_every_public_name_has_its_place():
    assert sorted(name for name in documented_names() if "." not in name) == sorted(neuroon_async.__all__)


def test_no_name_stands_twice():
    names = documented_names()
    assert len(names) == len(set(names))


def test_what_is_named_exists():
    for name in documented_names():
        assert pkgutil.resolve_name(f"neuroon_async.{name}"), name
