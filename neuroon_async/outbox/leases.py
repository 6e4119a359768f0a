"""What one process has leased from its store and not begun to send yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from ..api.shapes import implements
from .store import BulkOutboxStore

if TYPE_CHECKING:
    from .store import LeasedConversion, OutboxStore

__all__ = ["Leases"]

LARGEST = 256
"""Conversions leased at once. Should the process die, they wait until their lease is over."""
SWIFT = 0.25
"""Seconds: a portion that is used up within this time is followed by one twice as large."""
SLOW = 1.0
"""Seconds: a portion that lasts for longer is followed by the smallest one."""


class Leases:
    """Leases a portion at a time, and larger ones the faster they are used up: a lease costs a transaction.

    ``worker``: who holds the leases. ``seconds``, ``furthest``: as `OutboxStore.lease` takes them. ``begin_within``:
    seconds after which what was not begun is given back. ``smallest``: how many are leased at first.
    """

    def __init__(
        self, store: OutboxStore, worker: str, *, seconds: float, furthest: float, begin_within: float, smallest: int
    ) -> None:
        self._store = store
        self._bulk = store if implements(store, BulkOutboxStore) else None
        self._worker = worker
        self._seconds = seconds
        self._furthest = furthest
        self._begin_within = begin_within
        self._smallest = smallest
        self._portion = smallest
        self._leased: deque[LeasedConversion] = deque()
        self._leased_at = 0.0
        self._leasing = asyncio.Lock()

    async def next(self, *, only_one: bool = False) -> LeasedConversion | None:
        """From what was leased already, else from a new portion; ``only_one``: of that size."""
        async with self._leasing:
            now = asyncio.get_running_loop().time()
            if self._leased and now > self._leased_at + self._begin_within:
                await self.give_back()  # too long ago: an attempt might outlast the lease
            if not self._leased:
                count = 1 if only_one else self._next_portion(now - self._leased_at)
                self._leased_at = now
                self._leased.extend(await self._store.lease(self._worker, self._seconds, self._furthest, count))
            return self._leased.popleft() if self._leased else None

    async def give_back(self) -> None:
        """What was leased and cannot be sent now: another process may be able to."""
        self._portion = self._smallest
        rest = [leased.order_id for leased in self._leased]
        self._leased.clear()
        if self._bulk is None:
            for order_id in rest:
                await self._store.release(self._worker, order_id)
        elif rest:
            await self._bulk.release_all(self._worker, rest)

    def _next_portion(self, lasted: float) -> int:
        """How many to lease, after a portion that lasted for so many seconds."""
        if self._bulk is None or lasted > SLOW:
            self._portion = self._smallest
        elif lasted < SWIFT:
            self._portion = min(2 * self._portion, max(LARGEST, self._smallest))
        return self._portion
