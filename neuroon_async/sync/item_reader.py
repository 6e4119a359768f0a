"""Reading the user's iterable, plain or async, one chunk at a time. Knows nothing of products."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..api.sources import is_list_source
from .sources import ALL_THERE, check_source, iterator_of, known_length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .run_tasks import RunTasks

__all__ = ["ItemReader"]

T = TypeVar("T")


class ItemReader(Generic[T]):
    """Hands out chunks of converted items.

    Each item is converted before the next one is asked for, so a source may yield one object again and again.
    ``convert_many`` does the same for items that are all there, as those of a list are. Neither may raise. Without them
    items are handed out as they are, and those of a `ListSource` are taken as the lists that it yields, not one by one.
    What ``regroup`` makes of these lists is handed out list by list, however many items are asked for.
    What was read but not yet handed out, because reading was interrupted, is in ``buffer``.

    With ``flush_after`` (seconds) a read ends early once the oldest item since the last `flushed` is that old: an async
    source is then read by a task of its own, so that it can be waited for without being cancelled.
    """

    def __init__(
        self,
        iterable: object,
        convert: Callable[[Any], T] | None = None,
        convert_many: Callable[[list[Any]], list[T]] | None = None,
        *,
        flush_after: float | None = None,
        regroup: Callable[[Iterator[Sequence[Any]]], Iterator[Sequence[Any]]] | None = None,
    ) -> None:
        self.total: int | None = known_length(iterable)
        self.exhausted: bool = False
        self.error: Exception | None = None
        """What the iterable raised. Everything before it is still handed out."""
        self.buffer: list[T] = []
        self._convert = convert
        self._convert_many = convert_many if type(iterable) in ALL_THERE else None
        self._flush_after = flush_after
        self._flush_at: float | None = None
        self._in_lists = convert is None and flush_after is None and is_list_source(iterable)
        self._whole_lists = self._in_lists and regroup is not None
        check_source(iterable)
        self._iterator = self._begin(iterable, regroup)
        self._wanted = 0
        self._wants_more = asyncio.Event()
        self._arrived = asyncio.Event()
        self._ended = False
        self._cancelled: asyncio.CancelledError | None = None
        """What the source ended by, where it is read by a task of its own: a group passes over that."""

    def _begin(self, source: Any, regroup: Callable[..., Any] | None) -> Iterator[Any] | AsyncIterator[Any]:
        try:
            if self._in_lists and is_list_source(source):
                return source.in_lists() if regroup is None else source.regrouped(regroup)
            return iterator_of(source)
        except Exception as error:  # noqa: BLE001 - some sources query their database here; told as in `read`
            self.error = error
            self.exhausted = True
            return iter(())

    def start(self, tasks: RunTasks) -> None:
        """Begin to read ahead, where reading must be able to end early."""
        if self._flush_after is not None and isinstance(self._iterator, AsyncIterator):
            tasks.create_task(self._read_ahead(self._iterator))

    @property
    def overdue(self) -> bool:
        """Has the oldest item since the last `flushed` waited for ``flush_after``?"""
        return self._flush_at is not None and asyncio.get_running_loop().time() >= self._flush_at

    def flushed(self) -> None:
        """Everything handed out so far is on its way. What has come since has its time from now on."""
        self._flush_at = None
        if self.buffer:
            self._start_clock()

    async def read(self, count: int) -> list[T]:
        """The next ``count`` items; fewer if `overdue`, or at the end of the source: see ``exhausted``, ``error``.

        A cancellation ends it whatever the source makes of it: one that ends by it has not come to its end.
        """
        cancellations = _cancellations()
        try:
            if self._whole_lists:
                self.buffer = await self._next_list()
            elif self._flush_after is not None:
                await self._read_timed(count)
            else:
                await (self._read_lists(count) if self._in_lists else self._read_items(count))
                self.exhausted = len(self.buffer) < count
        except Exception as error:  # noqa: BLE001 - kept, and raised when the run has delivered what came before
            self.error = error
            self.exhausted = True
        if _cancellations() > cancellations:
            await asyncio.sleep(0)  # one that is still to come comes here, and not once more
            raise asyncio.CancelledError
        if self._whole_lists:  # handed out as they are: a slice of a page is a mere list
            chunk, self.buffer = self.buffer, []
        else:
            chunk, self.buffer = self.buffer[:count], self.buffer[count:]
        return chunk

    async def close(self) -> None:
        """Close a generator that was not read to its end, so that its own cleanup runs now.

        Nothing else is closed: a cursor or a file that the user opened stays the user's.
        """
        if inspect.isasyncgen(self._iterator):
            await self._iterator.aclose()
        elif inspect.isgenerator(self._iterator):
            self._iterator.close()

    async def _read_items(self, count: int) -> None:
        if not isinstance(self._iterator, AsyncIterator):
            items = islice(self._iterator, count)
            if self._convert_many is not None:
                self.buffer.extend(self._convert_many(list(items)))
                return
            # Both `extend` and `map` are lazy: an item is converted, and kept, before the next one is made.
            self.buffer.extend(items if self._convert is None else map(self._convert, items))
            return
        buffer, convert = self.buffer, self._convert
        async for item in self._iterator:
            buffer.append(item if convert is None else convert(item))
            if len(buffer) == count:
                return

    async def _next_list(self) -> list[T]:
        lists = self._iterator
        found = await anext(lists, None) if isinstance(lists, AsyncIterator) else next(lists, None)
        self.exhausted = found is None
        return found or []

    async def _read_lists(self, count: int) -> None:
        while len(self.buffer) < count and not self.exhausted:
            self.buffer.extend(await self._next_list())

    async def _read_timed(self, count: int) -> None:
        if not isinstance(self._iterator, AsyncIterator):
            self._read_plain(self._iterator, count)
            return
        self._wanted = count
        self._wants_more.set()
        while len(self.buffer) < count and not self._ended:
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(self._flush_at):
                    await self._arrived.wait()
            except TimeoutError:
                break
        if self._cancelled is not None:
            raise asyncio.CancelledError(*self._cancelled.args)
        self.exhausted = self._ended and len(self.buffer) <= count

    def _read_plain(self, iterator: Iterator[Any], count: int) -> None:
        for item in islice(iterator, count):
            self._keep(item)
            if self.overdue:
                return
        self.exhausted = len(self.buffer) < count

    async def _read_ahead(self, iterator: AsyncIterator[Any]) -> None:
        """Read no further than what the next `read` wants."""
        try:
            await self._wants_more.wait()
            async for item in iterator:
                self._keep(item)
                if _cancellations():  # which the source has kept to itself
                    raise asyncio.CancelledError
                while len(self.buffer) >= self._wanted:
                    self._arrived.set()
                    self._wants_more.clear()
                    await self._wants_more.wait()
        except asyncio.CancelledError as cancelled:
            self._cancelled = cancelled
            raise
        except Exception as error:  # noqa: BLE001 - as in `read`
            self.error = error
        finally:
            self._ended = True
            self._arrived.set()

    def _keep(self, item: Any) -> None:
        self.buffer.append(item if self._convert is None else self._convert(item))
        if self._flush_at is None:
            self._start_clock()
            self._arrived.set()

    def _start_clock(self) -> None:
        if self._flush_after is not None:
            self._flush_at = asyncio.get_running_loop().time() + self._flush_after


def _cancellations() -> int:
    """How often the current task was cancelled, and has not called that off: what a timeout of its own does."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
