"""The clock of whichever event loop a limiter is used in: limiters outlive loops, and are read from other threads."""

from __future__ import annotations

import asyncio
import time

from ..errors import UsageError

__all__ = ["LoopClock"]

_SAME = 1.0
"""Seconds: clocks closer than this are the same one."""


class LoopClock:
    """Tells the time of the running event loop, and notices when that is another loop than before."""

    __slots__ = ("_offset", "_seen", "loop")

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._offset = 0.0
        """How far the loop's clock is ahead of the machine's."""
        self._seen = 0.0

    def now(self) -> float:
        """The time of the loop last entered. Any thread may ask, also after that loop has ended."""
        loop = self.loop
        if loop is None:
            return 0.0
        if loop.is_closed():
            return max(self._seen, time.monotonic() + self._offset)
        self._seen = now = loop.time()
        return now

    def is_elsewhere(self) -> bool:
        """Whether the running loop is another one than was last entered."""
        return self.loop is not asyncio.get_running_loop()

    def enter(self, *, waiting: int) -> float:
        """Go by the running loop's clock from now on. Gives the seconds by which times of the former one must move.

        Raises `UsageError` while the former loop still runs, or has callers ``waiting`` that could never be woken.
        """
        loop = asyncio.get_running_loop()
        former, former_offset = self.loop, self._offset
        if former is not None and not former.is_closed() and (former.is_running() or waiting):
            raise UsageError(
                "this limiter is in use in another event loop; give each loop a client and a limiter of its own, "
                "with limits that add up (RateLimit.share_of) or are shared (MachineLimiter, RedisLimiter)"
            )
        now = loop.time()
        self.loop = loop
        self._offset = now - time.monotonic()
        if former is None or (abs(self._offset - former_offset) < _SAME and self._seen < now + _SAME):
            return 0.0
        return now - self._seen  # no telling how much time has passed between the two: none, to be safe
