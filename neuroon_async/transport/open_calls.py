"""The calls that a client has under way, so that closing it ends them at once.

`asyncio.timeout` in another guise: closing cancels the task within its scope, and the scope tells that cancellation
from one of the caller's own, which always goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CallScope", "OpenCalls"]


class OpenCalls:
    """Shared by a client and its copies with other options."""

    def __init__(self) -> None:
        self._scopes: set[CallScope] = set()

    def scope(self) -> CallScope:
        """What is done within it ends when the client is closed."""
        return CallScope(self._scopes)

    def close(self) -> None:
        """End every call under way. The task that closes the client is not cancelled: its next call finds out."""
        for scope in tuple(self._scopes):
            scope.close()

    def __len__(self) -> int:
        return len(self._scopes)


class CallScope:
    """A part of one task. Once ``closed``, the cancellation that ended it ends with it.

    >>> with calls.scope() as scope:                                            # doctest: +SKIP
    ...     await something
    >>> if scope.closed: ...                                                    # doctest: +SKIP
    """

    __slots__ = ("_cancelling", "_open", "_task", "closed", "interruption")

    def __init__(self, open_scopes: set[CallScope]) -> None:
        self._open = open_scopes
        self._task: asyncio.Task[object] | None = None
        self.closed: bool = False
        self.interruption: BaseException | None = None
        """The cancellation that ended it, once it is closed: what it ran through may have left something on it."""

    def __enter__(self) -> Self:
        task = self._task = asyncio.current_task()
        if task is not None:
            self._cancelling = task.cancelling()
        self._open.add(self)
        return self

    def close(self) -> None:
        """Cancel the task, in its own event loop. A task of a loop that is gone is beyond cancelling."""
        task = self._task
        if task is None or self.closed:
            return
        loop = task.get_loop()
        if loop.is_closed():
            self._open.discard(self)
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not loop:
            if loop.is_running():
                loop.call_soon_threadsafe(self.close)
            return
        if task is not asyncio.current_task():
            self.closed = True
            task.cancel("the client was closed")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Swallows the cancellation only if closing is all that asked for one."""
        self._open.discard(self)
        if not self.closed or self._task is None:
            return False
        self.interruption = error
        return self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError
