"""What checkers are told to overlook, and what is not run: counted, and never growing.

Where a count has gone down, lower its number here. Where it goes up, find another way, or say in the commit why not.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import neuroon_async

ROOT = Path(__file__).parents[1]
PACKAGE = Path(neuroon_async.__file__).parent
PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").rglob("*.md"))]

MOST = {
    "type: ignore": 9,
    "pyright: ignore": 0,
    "noqa": 91,
    "Any in public signatures": 28,
    "blocks that are not run": 6,
}


def comments(pattern: str) -> list[str]:
    """Where in the package a comment matches."""
    return [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(rf"#.*\b{pattern}", line)
    ]


def public_names() -> list[str]:
    """What the reference documents; `tests/docs` holds it to be all that is public."""
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    return [
        name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def annotations(public: object) -> Iterator[tuple[str, str]]:
    """The annotations, as they are written, of a function or of a class's attributes and public methods."""
    if inspect.isclass(public):
        for name, value in vars(public).items():
            if name in {"__init__", "__annotations__", "__call__", "__aenter__"} or not name.startswith("_"):
                held = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
                for inner, annotation in annotations(value if name == "__annotations__" else held):
                    yield f".{name}{inner}", annotation
    elif inspect.isfunction(public):
        yield from ((f"({name})", str(annotation)) for name, annotation in public.__annotations__.items())
    elif isinstance(public, dict):
        yield from ((f"[{name}]", str(annotation)) for name, annotation in public.items() if not name.startswith("_"))


def any_in_public_signatures() -> list[str]:
    return [
        f"{name}{place}: {annotation}"
        for name in public_names()
        for place, annotation in annotations(pkgutil.resolve_name(name))
        if re.search(r"\bAny\b", annotation)
    ]


def blocks_that_are_not_run() -> list[str]:
    return [
        f"{page.relative_to(ROOT)}: {match[0]}"
        for page in PAGES
        for match in re.finditer(r"^```python no-run.*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def counted() -> dict[str, list[str]]:
    return {
        "type: ignore": comments("type: ignore"),
        "pyright: ignore": comments("pyright: ignore"),
        "noqa": comments("noqa"),
        "Any in public signatures": any_in_public_signatures(),
        "blocks that are not run": blocks_that_are_not_run(),
    }


def test_nothing_more_is_overlooked_than_before():
    for what, found in counted().items():
        assert len(found) <= MOST[what], f"{what}, more than {MOST[what]}:\n" + "\n".join(found)


def test_the_counting_counts():
    class Loose:
        field: Any

        def method(self, value: dict[str, Any]) -> Any: ...

        @property
        def read(self) -> Any: ...

        @classmethod
        def made(cls, value: Anyhow) -> Loose: ...

        def _private(self, value: Any) -> None: ...

    found = [place for place, annotation in annotations(Loose) if re.search(r"\bAny\b", annotation)]
    assert sorted(found) == [".__annotations__[field]", ".method(return)", ".method(value)", ".read(return)"]


Anyhow = int
