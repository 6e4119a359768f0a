"""Waiting for something to happen in the emulator, without polling."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Changes"]

T = TypeVar("T")


class Changes:
    """Wakes whoever waits for a change. Belongs to one event loop at a time."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def announce(self) -> None:
        """Something has changed."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def next(self) -> None:
        """Return at the next change."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    async def until(self, predicate: Callable[[], T], *, timeout: float | None) -> T:
        """Return what ``predicate`` returns once that is true.

        Asks once at the start, after every change and, for what changes elsewhere, once more when ``timeout``
        (seconds; ``None``: no end) has passed. Raises `TimeoutError` if it is still false then.
        """
        try:
            async with asyncio.timeout(timeout):
                while not (value := predicate()):
                    await self.next()
        except TimeoutError:
            value = predicate()
            if not value:
                raise
        return value
