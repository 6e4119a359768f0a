"""An event loop on which three minutes of rate limiting pass in milliseconds.

`VirtualTimeLoop` is an ordinary selector loop with a clock of its own: when nothing is left to do, the clock jumps to
the next timer. Real sockets keep working, provided both ends live in this loop (an in-process server and its client):
before every jump the real selector is asked, and the kernel whether each end has all that the other sent, so bytes in
flight on loopback are not overtaken.

Code under test must take the time from ``loop.time()``; what reads ``time.monotonic()`` sees hardly any time pass.
Peers in other processes (a Redis server, a browser) live in real time: tests that wait for them use an ordinary loop,
or have this one go along (`in_real_time`).
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from loopback import Delivery, Loopback

__all__ = ["VirtualTimeLoop"]

_PATIENCE = 0.001
"""Real seconds that the kernel gets to deliver what is in flight on loopback before the clock jumps, where it does not
tell: news of a connection that opens, or whose other end was closed."""
_LONG_PATIENCE = 500
"""So many times as long for bytes that the kernel says are on their way: a busy machine delivers them late."""
_TURN = 1e-9
"""Virtual seconds that each turn of the loop takes. With none, a wait shorter than the clock can tell would repeat
for ever in code that then asks whether enough time has passed."""
_SELF_PIPE_ONLY = 1


class _Clock:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.threads_at_work = 0
        self.jumps = True


class _JumpingSelector(selectors.DefaultSelector):
    """Where the loop would sleep until its next timer, advance the clock instead."""

    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._clock = clock
        self._loopback = Loopback()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._clock.now += _TURN
        if not self._clock.jumps or timeout is None or timeout <= 0:
            return super().select(timeout)
        if self._clock.threads_at_work:
            return self._select_in_real_time(timeout)
        events = super().select(0) or self._select_what_is_in_flight()
        if not events:
            self._clock.now += timeout
        return events

    def _select_what_is_in_flight(self) -> list[tuple[selectors.SelectorKey, int]]:
        if len(self.get_map()) <= _SELF_PIPE_ONLY:
            return []
        for _ in range(_LONG_PATIENCE):
            delivery = self._loopback.delivery(self.get_map())
            # What arrived after the selector was asked, and before the kernel was, is seen only by asking again.
            events = super().select(0 if delivery is Delivery.DONE else _PATIENCE)
            if events or delivery is not Delivery.UNDER_WAY:
                return events
        return []

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._loopback.forget(key.fd)
        return key

    def close(self) -> None:
        self._loopback.forget_all()
        super().close()

    def _select_in_real_time(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        """A thread takes real time, and may itself be waiting for a timer: let both clocks run alike."""
        started = time.monotonic()
        events = super().select(timeout)
        self._clock.now += timeout if not events else min(time.monotonic() - started, timeout)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector loop whose ``time()`` jumps to the next timer whenever there is nothing else to do."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(_JumpingSelector(self._clock))

    def time(self) -> float:
        return self._clock.now if self._clock.jumps else super().time()

    @contextmanager
    def in_real_time(self) -> Iterator[None]:
        """Be an ordinary loop, for a test that finds out late whom it talks to. Enter it before anything is timed."""
        self._clock.jumps = False
        try:
            yield
        finally:
            self._clock.now = max(self._clock.now, super().time())
            self._clock.jumps = True

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self._clock.threads_at_work += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """Threads that come to their end take real time, too: from Python 3.12 on the loop sets them a time limit."""
        self._clock.threads_at_work += 1
        try:
            await super().shutdown_default_executor(*args, **options)
        finally:
            self._clock.threads_at_work -= 1

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self._clock.threads_at_work -= 1
