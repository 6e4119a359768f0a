"""Callers in line before a store that is asked by one of them at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["CallerLine"]


class CallerLine:
    """Callers in their order: the first one acts, the others wait for their turn."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[asyncio.Future[None], float | None] = OrderedDict()
        self._taken = False
        self._resting: tuple[asyncio.Future[None], float | None] | None = None
        """The first one while it waits for something else than its turn, with its deadline."""
        self.known: float = 0.0
        """Before this time the first one will not be admitted."""

    def __len__(self) -> int:
        return len(self._waiting) + self._taken

    @asynccontextmanager
    async def turn(self, deadline: float | None) -> AsyncGenerator[None, None]:
        if self._taken:
            await self._wait(deadline)
        self._taken = True
        try:
            yield
        finally:
            self._end_turn()

    def refuse(self, refusal: Callable[[int, float | None], Exception | None]) -> None:
        """Send those away whom ``refusal`` gives an error for, by their place and deadline."""
        if self._resting is not None:
            first, deadline = self._resting
            error = refusal(0, deadline)
            if error is not None and not first.done():
                first.set_exception(error)
        ahead = int(self._taken)
        for waiter, deadline in tuple(self._waiting.items()):
            error = refusal(ahead, deadline)
            if error is None or waiter.done():
                ahead += 1
            else:
                del self._waiting[waiter]
                waiter.set_exception(error)

    async def rest(self, seconds: float | None, deadline: float | None) -> None:
        """The first one waits for so long, or, with ``None``, until `go_on`. It may be sent away meanwhile."""
        loop = asyncio.get_running_loop()
        resting: asyncio.Future[None] = loop.create_future()
        self._resting = (resting, deadline)
        timer = None if seconds is None else loop.call_later(seconds, self.go_on)
        try:
            await resting
        finally:
            self._resting = None
            if timer is not None:
                timer.cancel()

    def go_on(self) -> None:
        """Let the first one look again."""
        if self._resting is not None and not self._resting[0].done():
            self._resting[0].set_result(None)

    async def _wait(self, deadline: float | None) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = deadline
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._end_turn()  # it had just become this one's
            raise
        finally:
            self._waiting.pop(waiter, None)

    def _end_turn(self) -> None:
        self.known = 0.0
        while self._waiting:
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                return
        self._taken = False
