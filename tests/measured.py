"""Which processes coverage measures: the workers of pytest-xdist alone.

What else tests start goes unmeasured: to measure a process makes it take three times as long, and in these nothing
runs that no test runs itself.
"""

from __future__ import annotations

import os

_ASKS_FOR_IT = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


def leave_children_unmeasured() -> None:
    """In a worker only: where the workers are started from, they would go unmeasured too."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        for name in _ASKS_FOR_IT:
            os.environ.pop(name, None)
