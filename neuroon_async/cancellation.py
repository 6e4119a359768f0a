"""Work that must come to its end although whoever waits for it is cancelled. Knows nothing of what the work is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["finish"]

T = TypeVar("T")


async def finish(work: Awaitable[T]) -> T:
    """Wait until ``work`` has ended, however often the waiting is cancelled; then pass the cancellation on.

    `asyncio.shield` alone is not enough in a ``finally``: under anyio a cancelled scope cancels every further await in
    it, so a second step of a clean-up would never be reached.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # retrieved, so asyncio does not report it: the cancellation is what the caller asked for
    raise cancelled
