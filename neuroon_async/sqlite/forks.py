"""A process does not fork while one of its threads is at work in SQLite.

The child has no such thread. It would inherit what the thread held: a transaction that nobody ends, whose locks SQLite
takes for the child's own, and mutexes that nobody unlocks.
"""

from __future__ import annotations

import os
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["no_fork"]

_LONGEST = 10.0
"""Seconds for which a fork waits: longer than a limiter's file waits for another process."""


class ForkBarrier:
    """Pieces of work run side by side within it. A fork waits until none is under way, and none begins meanwhile."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._under_way = 0
        self._forks = 0

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._forks == 0)
            self._under_way += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def before_fork(self) -> None:
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: self._under_way == 0, _LONGEST)

    def after_fork_in_parent(self) -> None:
        with self._changed:
            self._forks = max(0, self._forks - 1)  # what a signal's handler raised may have kept it from being counted
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        self._changed = Condition()
        self._under_way = self._forks = 0


no_fork: ForkBarrier = ForkBarrier()
"""``with no_fork:`` around work in SQLite that runs in a thread of its own."""

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(
        before=no_fork.before_fork,
        after_in_parent=no_fork.after_fork_in_parent,
        after_in_child=no_fork.after_fork_in_child,
    )
