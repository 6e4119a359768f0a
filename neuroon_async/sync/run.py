"""What every bulk run is: a source read with backpressure, deliveries side by side, one truthful report.

`BulkRun` owns the run's tasks and its end: success, the source's own exception, an error that stops the run,
cancellation. What becomes of the items is its `Pipeline`'s business: that of a sync, or of a deletion.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from ..report import ProductFailure
from ..transport.time_limit import TimeLimit
from .endings import add_note, how_it_ended, out_of_time, told_with
from .run_tasks import RunTasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ..errors import RequestTimeout
    from ..report import SyncReport
    from .in_flight import InFlight
    from .item_reader import ItemReader
    from .outages import ServiceHealth
    from .recorder import Recorder

__all__ = ["BulkRun", "Pipeline"]

_TURNS = 6
"""Turns of the event loop between two chunks while requests are in flight.

About as many take a request from its task to the socket, and its answer back. So what was read before is on its way,
or settled, before the next chunk takes memory: a fast server then sees two or three requests at a time instead of
``concurrency``, at no loss of speed and with a quarter of the memory.
"""
_LAST_WORDS = 10.0
"""Seconds that callbacks get, in all, for what is left to tell once the run was cancelled or out of time.

A source that waits in its own cleanup gets as many once the run is out of time.
"""
_PORTION = 100
"""Items that are read and taken in at a time: the processor's cache still holds them when they are looked at."""


class _CallbackCancelled(Exception):
    """Brings the cancellation through the group."""

    def __init__(self, cancellation: asyncio.CancelledError) -> None:
        super().__init__()
        self.cancellation = cancellation


class Pipeline(Protocol):
    """What becomes of the items of a run. Whatever it takes in, it accounts for."""

    def take_in(self, portion: list[Any]) -> None:
        """Account for what was read: from here on it is the pipeline's."""

    async def chunk_ended(self, *, last: bool) -> None:
        """Do what is worth doing for many items at once only. ``last``: nothing more comes for now."""

    async def dispatch(self, *, final: bool) -> None:
        """Send what is worth a request. ``final``: send everything, and wait until it is settled."""

    async def flush(self) -> None:
        """Send everything that was taken in, because it has waited for long enough. More will be read."""

    async def finish(self) -> None:
        """The source has ended, and everything was dispatched: do what is left to do."""

    def unresolved(self, reason: str) -> Iterable[ProductFailure]:
        """Give up, as failures, everything taken in that has not come to an end; what was never sent last."""
        ...

    def unread(self, item: Any, reason: str) -> ProductFailure:
        """The failure of an item that was read but never taken in."""
        ...

    def close(self) -> None:
        """Release what is held outside of memory."""


class BulkRun:
    """One run. Memory depends on the number of deliveries in flight and their size, not on the length of the source."""

    def __init__(
        self,
        pipeline: Pipeline,
        reader: ItemReader[Any],
        recorder: Recorder,
        in_flight: InFlight[Any],
        health: ServiceHealth,
        *,
        chunk_size: int,
        limit: TimeLimit | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._reader = reader
        self._recorder = recorder
        self._in_flight = in_flight
        self._health = health
        self._chunk_size = chunk_size
        self._limit = limit or TimeLimit()

    async def run(self) -> SyncReport:
        """Do it all. Whatever ends the run early is raised, once everything is accounted for in the report."""
        stopped = await self._stopped_by()
        self._account_for_rest(stopped)
        reason = told_with(stopped, self._reader.error, "the source had already failed")
        reason = await self._finally(self._reader.close, "closing the source", reason, self._source_ends())
        reason = await self._finally(self._tell_the_rest, "telling the callbacks", reason, self._callbacks_end(reason))
        reason = reason or self._health.never_answered()
        if reason is None:
            return self._recorder.report
        try:
            raise reason
        finally:
            del reason, stopped  # a traceback that refers to itself would keep the whole run alive

    async def _stopped_by(self) -> BaseException | None:
        """Read and deliver everything. Returns what has stopped that before its end."""
        deadline = self._limit.deadline
        try:
            async with asyncio.timeout_at(deadline), RunTasks.until(_once_more(deadline)) as tasks:
                self._in_flight.open(tasks)
                self._reader.start(tasks)
                ticker = tasks.create_task(self._tick()) if self._recorder.watched else None
                await self._read_and_deliver()
                if ticker is not None:
                    ticker.cancel()
        except BaseExceptionGroup as group_error:
            return _first(group_error)
        except TimeoutError:  # what anything else raises comes in a group
            return self._out_of_time()
        except BaseException as cancelled:  # noqa: BLE001 - raised by `run`, once everything is accounted for
            return cancelled
        return None

    async def _read_and_deliver(self) -> None:
        while not self._reader.exhausted:
            await self._give_way()
            await self._read_chunk()
            await self._pipeline.dispatch(final=False)
            if self._reader.overdue:
                self._reader.flushed()
                await self._pipeline.flush()
        await self._pipeline.dispatch(final=True)
        await self._pipeline.finish()

    async def _read_chunk(self) -> None:
        left = self._chunk_size
        while left > 0 and not self._reader.exhausted and not self._reader.overdue:
            portion = await self._reader.read(min(left, _PORTION))
            left -= len(portion)
            self._recorder.received(len(portion))
            self._pipeline.take_in(portion)
            del portion  # what was encoded, and is not needed any more, is gone before the next portion takes its place
        await self._pipeline.chunk_ended(last=self._reader.exhausted or self._reader.overdue)

    async def _give_way(self) -> None:
        """A plain iterable never suspends, so the loop's other tasks have their turn between its chunks."""
        for _ in range(_TURNS if self._in_flight else 1):
            await asyncio.sleep(0)

    async def _tick(self) -> None:
        """A group passes over a task that was cancelled. Where `on_progress` ended so by itself, the run ends, too."""
        try:
            await self._recorder.tick()
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _CallbackCancelled(cancelled) from None

    def _out_of_time(self) -> RequestTimeout:
        last = self._health.last_error
        why = "" if last is None else f"; last failure: {last}"
        return out_of_time(self._limit, why, maybe_processed=self._recorder.costs.total().unanswered > 0)

    def _account_for_rest(self, error: BaseException | None) -> None:
        """Account for everything that was read: failures that were known first, what was never sent last."""
        if error is not None:
            reason = f"the run was {how_it_ended(error)}"
            left, self._reader.buffer = self._reader.buffer, []
            self._recorder.received(len(left))
            self._recorder.failed(item for item in left if isinstance(item, ProductFailure))
            self._recorder.failed(self._pipeline.unresolved(reason))
            rest = (item for item in left if not isinstance(item, ProductFailure))
            self._recorder.failed(self._pipeline.unread(item, reason) for item in rest)
        self._recorder.update_report()
        self._pipeline.close()

    async def _tell_the_rest(self) -> None:
        await self._recorder.notify()
        await self._recorder.show_progress()

    async def _finally(
        self, step: Callable[[], Awaitable[None]], what: str, reason: BaseException | None, ends: float | None
    ) -> BaseException | None:
        """Do one of the last things, up to a time of the loop. Returns what the run is to raise after it.

        The first error is the reason, and later ones are told with it. A cancellation goes before all of them, and so
        does the end of the program.
        """
        timer = asyncio.timeout_at(ends)
        try:
            async with asyncio.timeout_at(_once_more(ends)), timer:
                await step()
        except Exception as error:  # noqa: BLE001 - raised by `run`, or told there
            cut_off = isinstance(error, TimeoutError) and timer.expired()
            if reason is None:
                return self._out_of_time() if cut_off else error
            add_note(reason, f"{what} took too long and was cut off" if cut_off else f"{what} failed: {error!r}")
        except BaseException as interruption:  # noqa: BLE001 - as above
            return told_with(interruption, reason, "the run had already failed")
        return reason

    def _source_ends(self) -> float | None:
        """When the source's own cleanup must have ended. Without a deadline it takes its time, as in any program."""
        return self._end_of_last_words() if self._past_deadline() else self._limit.deadline

    def _callbacks_end(self, reason: BaseException | None) -> float | None:
        """When the callbacks must have been told. Of a cancelled run one of them may hang, and nobody cancels twice."""
        cut_short = self._past_deadline() or isinstance(reason, asyncio.CancelledError)
        return self._end_of_last_words() if cut_short else self._limit.deadline

    def _past_deadline(self) -> bool:
        deadline = self._limit.deadline
        return deadline is not None and asyncio.get_running_loop().time() >= deadline

    def _end_of_last_words(self) -> float:
        return asyncio.get_running_loop().time() + _LAST_WORDS


def _once_more(ends: float | None) -> float | None:
    """When what was cancelled at ``ends``, and has not ended since, is cancelled again."""
    return None if ends is None else ends + _LAST_WORDS


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to raise: a run has one reason to stop, the others followed from it.

    Only the task group's own group is opened: one that the source or a callback has raised is theirs.
    """
    first = group.exceptions[0]
    return first.cancellation if isinstance(first, _CallbackCancelled) else first
