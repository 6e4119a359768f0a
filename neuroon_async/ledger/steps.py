"""What the steps of a run have in common: those that wait for the file's thread at the same time are done together.

Each commit waits for the disk, and the thread waits for the interpreter after each statement while the event loop is
busy. So what several batches have to note, before they leave or after their answers, is one transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..sqlite import SQLiteFile

__all__ = ["Steps"]

T = TypeVar("T")


class _Step(Generic[T]):
    """``durable``: must its changes outlive a power cut? ``None``: it has none."""

    __slots__ = ("_arguments", "_work", "done", "durable", "result")

    def __init__(self, work: Callable[..., T], arguments: tuple[Any, ...], durable: bool | None) -> None:
        self._work = work
        self._arguments = arguments
        self.durable = durable
        self.done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.result: T

    def take(self) -> None:
        self.result = self._work(*self._arguments)


class Steps:
    """The steps of one run, in the order of the calls. No step begins a transaction itself.

    When a step returns, it is committed, with all others that it shared a transaction with. Where one of these fails,
    none of them has happened, and each raises the same error: a run does not go on after that.
    """

    def __init__(self, file: SQLiteFile) -> None:
        self._file = file
        self._waiting: deque[_Step[Any]] = deque()
        self._called = False
        """Is the thread about to take what waits?"""

    async def write(self, work: Callable[..., T], *arguments: Any, durable: bool = True) -> T:
        """``durable=False``: a power cut may undo it, unless another step of the same transaction is durable."""
        return await self._queue(_Step(work, arguments, durable))

    async def read(self, work: Callable[..., T], *arguments: Any) -> T:
        """A step that changes nothing in the file."""
        return await self._queue(_Step(work, arguments, None))

    def _queue(self, step: _Step[T]) -> asyncio.Future[T]:
        self._waiting.append(step)
        if not self._called:
            self._call()
        return step.done

    def _call(self) -> None:
        taken: list[_Step[Any]] = []
        self._called = True
        try:
            trip = self._file.submit(self._take, taken)
        except BaseException:  # the file is closed: the next step has to hear it, too
            self._called = False
            self._waiting.clear()
            raise
        trip.add_done_callback(partial(_settle, taken))

    def _take(self, taken: list[_Step[Any]]) -> None:
        """In the file's thread: all that waits."""
        self._called = False  # before looking: what comes from now on calls again
        while self._waiting:
            step = self._waiting.popleft()
            if not step.done.cancelled():
                taken.append(step)
        durable = {step.durable for step in taken} - {None}
        if not durable:
            for step in taken:
                step.take()
            return
        with self._file.transaction(durable=True in durable):
            for step in taken:
                step.take()


def _settle(taken: list[_Step[Any]], trip: asyncio.Future[None]) -> None:
    """Nobody but these steps knows of their trip, so nobody cancels it."""
    error = trip.exception()
    for step in taken:
        if step.done.done():  # whoever waited was cancelled
            continue
        if error is not None:
            step.done.set_exception(error)
        else:
            step.done.set_result(step.result)
