"""How many connections may be in use at once, and whose turn the next one is.

aiohttp's own queue for connections is one line for all and counts against a request's timeout. Here the line is kept
before the request begins, and free places go in turn over the shops that share a session.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

__all__ = ["MAX_CONNECTIONS", "Places"]

MAX_CONNECTIONS = 128
"""Above any useful concurrency under the documented limits; still a bound."""


class Places:
    """``count`` places. A shop is whatever object its calls give as ``shop``."""

    def __init__(self, count: int = MAX_CONNECTIONS) -> None:
        self._free = count
        self._lines: OrderedDict[object, deque[asyncio.Future[None]]] = OrderedDict()
        """Who waits, by shop; the shop whose turn is next comes first."""

    @property
    def free(self) -> int:
        return self._free

    def take_now(self) -> bool:
        """Take a place if one is free and nobody waits for it."""
        if self._free == 0 or self._lines:
            return False
        self._free -= 1
        return True

    async def take(self, shop: object) -> None:
        """Take a place, waiting for it where none is free."""
        if self.take_now():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._lines.setdefault(shop, deque())
        line.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # granted in the very moment of the cancellation
                self.give_back()
            elif waiter in line:
                line.remove(waiter)
                if not line:
                    del self._lines[shop]
            raise

    def give_back(self) -> None:
        """Free a place: it goes to the next shop in turn, where one waits."""
        self._free += 1
        while self._free and self._lines:
            shop, line = self._lines.popitem(last=False)
            waiter = line.popleft()
            if line:
                self._lines[shop] = line  # at the end: every other shop comes first
            if not waiter.done():
                self._free -= 1
                waiter.set_result(None)
