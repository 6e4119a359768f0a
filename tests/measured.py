"""Which tests coverage measures: to measure one makes it take three times as long.

Not those that repeat at length what others do once: the slow ones, but for those that talk to a real server, and
Hypothesis's. Not the processes that tests start either: nothing runs in these that no test runs itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_ASKS_FOR_IT = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


def leave_children_unmeasured() -> None:
    """In a worker only: where the workers are started from, they would go unmeasured too."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        for name in _ASKS_FOR_IT:
            os.environ.pop(name, None)


def is_measured(item: pytest.Item) -> bool:
    if item.get_closest_marker("hypothesis") is not None:
        return False
    return item.get_closest_marker("slow") is None or item.get_closest_marker("real_server") is not None


@contextmanager
def unmeasured() -> Iterator[None]:
    """Coverage rests meanwhile, where it measures at all."""
    coverage = sys.modules.get("coverage")
    measuring = None if coverage is None else coverage.Coverage.current()
    if measuring is None:
        yield
        return
    measuring.stop()
    try:
        yield
    finally:
        measuring.start()
