"""How a store learns what became of requests: in order, one message after another, while nobody waits for it."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING

from .store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Reports"]


class Reports:
    """Tells the store what permits reported: these end in plain functions, so a task tells it, in order."""

    def __init__(self) -> None:
        self._untold: deque[Callable[[], Awaitable[object]]] = deque()
        self._telling: asyncio.Task[None] | None = None
        self._process = os.getpid()
        """Who has to tell it."""

    def tell(self, message: Callable[[], Awaitable[object]]) -> None:
        """Send a message when its turn comes. Without a running event loop it waits for the next one."""
        self._leave_to_parent()
        self._untold.append(message)
        self._start()

    async def told(self) -> None:
        """Wait until everything was told."""
        self._leave_to_parent()
        self._start()
        while self._telling is not None:
            await asyncio.shield(self._telling)

    def _leave_to_parent(self) -> None:
        """In a forked process: what was not told by then, its parent tells."""
        if self._process != os.getpid():
            self._untold.clear()
            self._process = os.getpid()

    def _start(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._telling is not None and self._telling.get_loop() is not loop:
            self._telling = None  # its loop has ended before it
        if self._telling is None and self._untold:
            self._telling = loop.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._untold:
                try:
                    await self._untold.popleft()()
                except StoreUnavailable:
                    # The slots come back by their lease, later than they might. The other messages would each wait in
                    # vain, and what they say is told again once the store is back.
                    self._untold.clear()
        finally:
            if self._telling is asyncio.current_task():
                self._telling = None
