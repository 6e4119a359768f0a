"""What coverage measures: the workers of pytest-xdist, in the tests that do not repeat at length what others do once.

To be measured makes code take up to three times as long. What else tests start goes unmeasured: in these processes
nothing runs that no test runs itself. So do tests that go the same ways again and again.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import coverage

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["leave_children_unmeasured", "unmeasured"]

_ASKS_FOR_IT = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
_IN_A_WORKER = "PYTEST_XDIST_WORKER" in os.environ


def leave_children_unmeasured() -> None:
    """In a worker only: where the workers are started from, they would go unmeasured too."""
    if _IN_A_WORKER:
        for name in _ASKS_FOR_IT:
            os.environ.pop(name, None)


@contextmanager
def unmeasured() -> Generator[None]:
    """Measure nothing within the block. In a worker only: elsewhere it may be asked which test runs which line."""
    measuring = coverage.Coverage.current() if _IN_A_WORKER else None
    if measuring is None:
        yield
        return
    measuring.stop()
    try:
        yield
    finally:
        measuring.start()
