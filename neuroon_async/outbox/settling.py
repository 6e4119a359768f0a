"""Noting in the store what was delivered: many at a time, while the next ones are sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..api.shapes import implements
from .store import BulkOutboxStore, OutboxUnavailable

if TYPE_CHECKING:
    from .store import OutboxStore

__all__ = ["Settling"]

PAUSE = 0.02
"""Seconds between two commits. What is delivered meanwhile shares the next one; a crash has it sent once more."""
MOST_UNSETTLED = 1_000
"""Delivered conversions that are not noted yet; where a slow disk leaves more, delivery waits for it."""


class Settling:
    """A store that cannot settle many at once is told of each, and waited for."""

    def __init__(self, store: OutboxStore) -> None:
        self._store = store
        self._bulk = store if implements(store, BulkOutboxStore) else None
        self._delivered: list[str] = []
        """Not noted yet."""
        self._writing: asyncio.Task[None] | None = None
        self._problem: OutboxUnavailable | None = None
        """Why the last try failed, until it is raised."""
        self.failing: bool = False
        """Has the last try failed?"""

    async def delivered(self, order_id: str) -> None:
        """Note it, now or soon. Raises `OutboxUnavailable`, also for what was delivered before."""
        if self._bulk is None:
            await self._store.delivered(order_id)
            return
        self._delivered.append(order_id)
        self.go_on()
        if len(self._delivered) >= MOST_UNSETTLED and self._writing is not None:
            await asyncio.wait([self._writing])

    def go_on(self) -> None:
        """See to it that what is not noted yet will be. Raises why the last try failed."""
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem
        if self._bulk is not None and self._delivered and (self._writing is None or self._writing.done()):
            writing = self._write(self._bulk)
            self._writing = asyncio.get_running_loop().create_task(writing, name="neuroon-outbox-settling")

    async def end(self) -> None:
        """Nothing more is delivered: note what is left. Raises `OutboxUnavailable`; then it will be sent once more."""
        if self._writing is not None:
            await asyncio.wait([self._writing])  # who ends a program cancels it, perhaps before it has begun
        if self._delivered and self._bulk is not None:
            await self._bulk.delivered_all(self._delivered)
            self._delivered = []

    async def _write(self, store: BulkOutboxStore) -> None:
        while self._delivered and self._problem is None:
            some, self._delivered = self._delivered, []
            try:
                await store.delivered_all(some)
            except OutboxUnavailable as problem:
                self._delivered = some + self._delivered
                self._problem = problem
                self.failing = True
            except asyncio.CancelledError:
                self._delivered = some + self._delivered  # `end` notes them, once more perhaps
                raise
            else:
                self.failing = False
            await asyncio.sleep(PAUSE)
