"""What every bulk run is: a source read with backpressure, deliveries side by side, one truthful report.

`BulkRun` owns the tasks and their end: success, the source's own exception, an error that stops the run, cancellation.
What is read, and how it is delivered, is for its subclasses (`engine`, `deletes`).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import APIError, NeuroonError, UsageError
from .item_reader import ItemReader
from .outages import Outage
from .recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Coroutine, Iterable

    from ..report import ProductFailure, SyncReport
    from ..transport.transport import Transport
    from .costs import Costs
    from .recorder import FailureCallback, ProgressCallback

__all__ = ["BulkRun", "check_callback", "check_count"]

Delivery = TypeVar("Delivery")

_TURNS = 6
"""Turns of the event loop between two chunks while requests are in flight.

About as many take a request from its task to the socket, and its answer back. So what was read before is on its way,
or settled, before the next chunk takes memory: a fast server then sees two or three requests at a time instead of
``concurrency``, at no loss of speed and with a quarter of the memory.
"""
_PORTION = 100
"""Items that are read and taken in at a time: the processor's cache still holds them when they are looked at."""


def check_count(name: str, value: int, most: int | None = None) -> None:
    """Raise `UsageError` unless this option is a whole number of 1 or more, and not above ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most is not None and value > most):
        wanted = "1 or more" if most is None else f"in 1..{most}"
        raise UsageError(f"must be a whole number, {wanted}; got {value!r}", where=name)


def check_callback(name: str, value: object, instead: str = "") -> None:
    """Raise `UsageError` unless this option is a function, or anything else that can be called, or ``None``."""
    if value is not None and not callable(value):
        raise UsageError(f"must be a function or None, got {value!r}{instead}", where=name)


class BulkRun(ABC, Generic[Delivery]):
    """One run. Memory depends on ``concurrency`` and the size of a delivery, not on the length of the source."""

    chunk_size: int
    """Items that are read before the loop's other tasks have their turn."""

    def __init__(
        self,
        transport: Transport,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        convert: Callable[[Any], Any],
        concurrency: int,
        on_progress: ProgressCallback | None,
        on_failure: FailureCallback | None,
        costs: Costs | None = None,
    ) -> None:
        transport.ready()
        self._transport = transport.without_deadline()
        check_callback("on_progress", on_progress)
        check_callback("on_failure", on_failure, "; DeadLetterFile('failed.jsonl') writes failures to a file")
        self._source = ItemReader(source, convert)
        self._recorder = Recorder(on_progress, on_failure, self._source.total)
        if costs is not None:
            self._recorder.costs = costs
        self._outage = self._recorder.outage = Outage(transport.retry, self._recorder.costs)
        self._report = self._recorder.report
        self._concurrency = concurrency
        self._deliveries: set[Delivery] = set()
        self._landed = asyncio.Event()
        self._group: asyncio.TaskGroup

    async def run(self) -> SyncReport:
        """Do it all. Whatever ends the run early is raised with the report as its ``report`` attribute."""
        error: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as self._group:
                ticker = self._group.create_task(self._recorder.tick()) if self._recorder.watched else None
                await self._read_and_deliver()
                if ticker is not None:
                    ticker.cancel()
        except BaseExceptionGroup as group:
            error = _first(group)
        except BaseException as cancelled:  # noqa: BLE001 - raised again below, once the books are closed
            error = cancelled
        self._close_books(error)
        try:
            await self._say_goodbye()
        except asyncio.CancelledError as cancelled:
            error = cancelled
        except BaseException as late:  # noqa: BLE001 - likewise; the first error is the reason, later ones followed
            error = error or late
        source_error = self._source.error
        if error is not None and source_error is not None and error is not source_error:
            error.add_note(f"the source had already failed: {source_error!r}")
        error = error or source_error or self._outage.never_answered()
        if error is None:
            return self._report
        _attach(error, self._report)
        try:
            raise error
        finally:
            del error  # a traceback that refers to itself would keep the whole run alive

    @abstractmethod
    def _take_in(self, portion: list[Any]) -> None:
        """Account for what was read: from here on it is the run's."""

    async def _chunk_ended(self) -> None:
        """Do what is worth doing for many items at once only."""
        await self._recorder.tell()

    @abstractmethod
    async def _dispatch(self, *, final: bool) -> None:
        """Send what may be sent. ``final``: nothing more will be read."""

    @abstractmethod
    def _unresolved(self, reason: str) -> Iterable[ProductFailure]:
        """Give up, as failures, everything taken in that has not come to an end."""

    @abstractmethod
    def _unread(self, item: Any, reason: str) -> ProductFailure:
        """The failure of an item that was read but never taken in."""

    async def _read_and_deliver(self) -> None:
        while not self._source.exhausted:
            await self._give_way()
            await self._read_chunk()
            await self._dispatch(final=False)
        await self._dispatch(final=True)

    async def _read_chunk(self) -> None:
        left = self.chunk_size
        while left and not self._source.exhausted:
            portion = await self._source.read(min(left, _PORTION))
            left -= len(portion)
            self._report.received += len(portion)
            self._take_in(portion)
        await self._chunk_ended()

    async def _give_way(self) -> None:
        """A plain iterable never suspends, so the loop's other tasks have their turn between its chunks."""
        for _ in range(_TURNS if self._deliveries else 1):
            await asyncio.sleep(0)

    async def _free_place(self) -> None:
        while len(self._deliveries) >= self._concurrency:
            await self._next_landing()

    async def _next_landing(self) -> None:
        self._landed.clear()
        await self._landed.wait()

    def _launch(self, delivery: Delivery, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def fly() -> None:
            await work()  # made here: a task cancelled before its first step would leave it unawaited
            self._deliveries.discard(delivery)
            self._landed.set()

        self._deliveries.add(delivery)
        self._group.create_task(fly())

    def _close_books(self, error: BaseException | None) -> None:
        """Account for everything that was taken in."""
        if error is not None:
            reason = f"the run was {_how_it_ended(error)}"
            self._recorder.failed(self._unresolved(reason))
            left = self._source.buffer
            self._report.received += len(left)
            self._recorder.failed(self._unread(item, reason) for item in left)
        self._recorder.finished()
        self._release()

    async def _say_goodbye(self) -> None:
        """Close the source and tell the callbacks for the last time. After that nothing of the run is left."""
        try:
            await self._source.close()
        finally:
            await self._recorder.tell()
            await self._recorder.show_progress()

    def _release(self) -> None:
        """Let go of what the run holds outside of memory."""


def _how_it_ended(error: BaseException) -> str:
    """The error's class and status: its text stands where it is raised, once."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    status = f" ({error.status})" if isinstance(error, APIError) else ""
    return f"stopped by {type(error).__name__}{status}"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to raise: a run has one reason to stop, the others followed from it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _first(error)
        return error
    raise AssertionError("an exception group is never empty")


def _attach(error: BaseException, report: SyncReport) -> None:
    if isinstance(error, NeuroonError):
        error.report = report
        return
    try:
        error.report = report  # type: ignore[attr-defined]
    except AttributeError:  # an exception with __slots__ still carries notes
        pass
    error.add_note(f"sync report: {report}")
