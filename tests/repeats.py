"""Cases that differ only in their seed or moment: a few of them for `make quick`, all of them for `make test`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

__all__ = ["repeats"]


def repeats(values: Sequence[Any], *, quick: int = 3) -> list[Any]:
    """Parameters for `pytest.mark.parametrize`: all but ``quick`` of them, which lie far apart, are marked slow."""
    apart = -(-len(values) // quick)
    return [value if place % apart == 0 else _slow(value) for place, value in enumerate(values)]


def _slow(value: Any) -> Any:
    if isinstance(value, type(pytest.param())):
        return pytest.param(*value.values, marks=[*value.marks, pytest.mark.slow], id=value.id)
    return pytest.param(value, marks=pytest.mark.slow)
