"""The time of one attempt, and how it learns that its connection is there: only then does the server's time begin.

A session of the SDK's own tells it by its connector (`connector`), one that the user gave by aiohttp's trace signals,
which take more time but are there in any session.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from .calls import Call

__all__ = ["TRACE_SIGNALS", "AttemptClock", "running_clock"]

_AT_ONCE = 0.001
"""Seconds. A connection that was there so soon was waiting in the pool, and another timer would cost more than it
moves the end of the attempt."""
running_clock: ContextVar[AttemptClock | None] = ContextVar("running_clock", default=None)
"""That of the attempt which the current task makes, where connector and trace signals find it."""


class AttemptClock:
    """The time of one attempt: some to connect, and all of its timeout again once the connection is there.

    Waiting for a free connection of a session that others use too is neither: the server does not know of it.
    """

    __slots__ = ("_call", "_loop", "_queued_at", "allowed", "timer")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._queued_at: float | None = None
        self.allowed: float = 0.0
        """Seconds that the attempt was given, to be named where they were too few."""
        self.timer: asyncio.Timeout = asyncio.timeout_at(self._end())

    def over(self) -> None:
        """The attempt has ended.

        Cancelled timers keep this clock for a while, and a connection that it opened for as long as that is open, by
        the context of its handle. So this lets go of the request, and of the timer, which knows the caller's task.
        """
        del self._call, self.timer

    def _end(self) -> float:
        now, limit = self._loop.time(), self._call.limit
        self.allowed = self._call.timeout
        if not limit.counts_waiting:  # else all of the call is under a timer that ends it at that moment
            self.allowed = max(0.0, min(self.allowed, limit.ends - now))
        return now + self.allowed

    def queued(self) -> None:
        self._queued_at = self._loop.time()
        self.timer.reschedule(None)

    def queue_left(self) -> None:
        if self._queued_at is not None:
            self._call.limit.waited(self._loop.time() - self._queued_at)
            self._queued_at = None
        self.timer.reschedule(self._end())

    def connected(self) -> None:
        self._call.sent = True
        ends, planned = self._end(), self.timer.when()
        if planned is None or ends - planned > _AT_ONCE:
            self.timer.reschedule(ends)


async def _queued(_session: aiohttp.ClientSession, _context: Any, _parameters: Any) -> None:
    if (clock := running_clock.get()) is not None:
        clock.queued()


async def _queue_left(_session: aiohttp.ClientSession, _context: Any, _parameters: Any) -> None:
    if (clock := running_clock.get()) is not None:
        clock.queue_left()


async def _connected(_session: aiohttp.ClientSession, _context: Any, _parameters: Any) -> None:
    if (clock := running_clock.get()) is not None:
        clock.connected()


def _trace_signals() -> aiohttp.TraceConfig:
    signals: aiohttp.TraceConfig = aiohttp.TraceConfig()
    signals.on_connection_queued_start.append(_queued)
    signals.on_connection_queued_end.append(_queue_left)
    signals.on_connection_create_end.append(_connected)
    signals.on_connection_reuseconn.append(_connected)
    signals.freeze()
    return signals


TRACE_SIGNALS: aiohttp.TraceConfig = _trace_signals()
"""Tell `running_clock` of a session that somebody else made when the connection is there."""
