"""Which processes coverage measures.

The workers of pytest-xdist, and the command where it is tried as a process. Everything else that tests start goes
unmeasured: to measure a process makes it take three times as long, and in these nothing runs that no test runs itself.
"""

from __future__ import annotations

import os

_ASKS_FOR_IT = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")

ENVIRONMENT: dict[str, str] = {}
"""What makes a child process measure itself; empty where nothing is measured."""


def leave_children_unmeasured() -> None:
    """In a worker only: where the workers are started from, they would go unmeasured too."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        ENVIRONMENT.update({name: os.environ.pop(name) for name in _ASKS_FOR_IT if name in os.environ})
