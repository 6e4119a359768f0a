"""The tasks of a bulk run, and the last resort against what does not end when it is cancelled."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

__all__ = ["RunTasks"]


class RunTasks:
    """A task group whose tasks can be cancelled once more than a group does it."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def until(cls, last: float | None) -> AsyncGenerator[RunTasks, None]:
        """As a task group, but whatever still runs at ``last``, a time of the running loop, is cancelled again.

        Whoever is cancelled is so once, and a source or a callback may then wait in its own cleanup, for a connection
        that is dead perhaps. With ``None`` it may do so for ever.
        """
        again: asyncio.TimerHandle | None = None
        try:
            async with asyncio.timeout_at(last), asyncio.TaskGroup() as group:
                tasks = cls(group)
                if last is not None:
                    again = asyncio.get_running_loop().call_at(last, tasks.cancel)
                yield tasks
        finally:
            if again is not None:
                again.cancel()

    def create_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
