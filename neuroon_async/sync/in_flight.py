"""The deliveries of a run that are under way, and the bound on their number."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from .run_tasks import RunTasks

__all__ = ["InFlight"]

T = TypeVar("T")


class InFlight(Generic[T]):
    """At most ``limit`` deliveries at once, as tasks of the run's group.

    A delivery whose task failed or was cancelled stays listed: its products are still to be accounted for. Whoever
    waits for one, or begins another, is told here. A group passes over a task that was cancelled, and a callback may
    end by a cancellation that was meant for something else. Of a failure the group tells by a cancellation, which the
    source or a callback may keep to itself.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._deliveries: dict[int, T] = {}
        self._one_done = asyncio.Event()
        self._cancelled: asyncio.CancelledError | None = None
        """What a delivery was cut short by; where it failed, a cancellation that says nothing."""
        self._tasks: RunTasks

    def open(self, tasks: RunTasks) -> None:
        """Run the deliveries as some of these tasks."""
        self._tasks = tasks

    def __len__(self) -> int:
        return len(self._deliveries)

    def __iter__(self) -> Iterator[T]:
        return iter(self._deliveries.values())

    def start(self, delivery: T, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def run() -> None:
            try:
                await work()  # made here: a task cancelled before its first step would leave it unawaited
            except BaseException as error:
                self._cancelled = error if isinstance(error, asyncio.CancelledError) else asyncio.CancelledError()
                self._one_done.set()
                raise
            del self._deliveries[id(delivery)]
            self._one_done.set()

        self._deliveries[id(delivery)] = delivery
        self._check()
        self._tasks.create_task(run())

    async def free_place(self) -> None:
        while len(self._deliveries) >= self.limit:
            await self.next_done()

    async def next_done(self) -> None:
        """Wait until the next delivery has ended. There must be one. Raises a cancellation where one was cut short."""
        if self._cancelled is None:
            self._one_done.clear()
            await self._one_done.wait()
        self._check()

    async def drain(self) -> None:
        while self._deliveries:
            await self.next_done()

    def _check(self) -> None:
        if self._cancelled is not None:
            raise asyncio.CancelledError(*self._cancelled.args)
