"""Reading the user's iterable, plain or async, one chunk at a time. Knows nothing of products."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..api.shapes import class_of, is_async_iterable, is_list_like
from ..api.sources import is_list_source
from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Sized

    from .run_tasks import RunTasks

__all__ = ["ALL_THERE", "ItemReader"]

T = TypeVar("T")

_NO_MAPPING: dict[Any, Any] = {}
_VIEWS = (type(_NO_MAPPING.keys()), type(_NO_MAPPING.values()), type(_NO_MAPPING.items()))
_CHEAP_LENGTHS: set[type[Any]] = {list, tuple, set, frozenset, deque, range, *_VIEWS}
"""Whose length is known at no cost. That of any other class may query a database, or raise."""

ALL_THERE: set[type[Any]] = {list, tuple}
"""Whose items nobody changes while they are read: no code of the source's runs meanwhile."""


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
        self.total: int | None = len(cast("Sized", iterable)) if type(iterable) in _CHEAP_LENGTHS else None
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
        if not _is_source(iterable):
            raise _no_source(iterable)
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
            return _whole_async(aiter(source)) if is_async_iterable(source) else _whole(iter(source))
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
                await self._read_for_a_while(count)
            else:
                await self._read_all(count)
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

    async def _read_all(self, count: int) -> None:
        if self._in_lists:
            await self._read_lists(count)
            return
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
        buffer = self.buffer
        if len(buffer) >= count:
            return
        if isinstance(self._iterator, AsyncIterator):
            async for items in self._iterator:
                buffer.extend(items)
                if len(buffer) >= count:
                    return
        else:
            for items in self._iterator:
                buffer.extend(items)
                if len(buffer) >= count:
                    return

    async def _read_for_a_while(self, count: int) -> None:
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


class _Whole:
    """An iterator that is not iterable itself: ``for`` takes such a one, and so do the loops here."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._iterator)


class _WholeAsync:
    """Likewise for ``async for``."""

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._iterator)


def _whole(iterator: Any) -> Iterator[Any]:
    return _Whole(iterator) if not hasattr(iterator, "__iter__") else iterator


def _whole_async(iterator: Any) -> AsyncIterator[Any]:
    return _WholeAsync(iterator) if not hasattr(iterator, "__aiter__") else iterator


def _is_source(given: object) -> bool:
    return is_async_iterable(given) or is_list_source(given) or is_list_like(given)


def _no_source(given: object) -> UsageError:
    advice = None
    if inspect.iscoroutine(given):
        given.close()  # it will not be awaited, and Python would say so once more
        advice = "await it first"
    elif inspect.isroutine(given):
        advice = "call it: what it returns may be one"
    elif isinstance(given, (str, PathLike)):
        advice = "a single id belongs into a list, and a file is read by neuroon_async.catalogs.read_catalog"
    elif isinstance(given, Mapping) or hasattr(given, "external_id"):
        advice = "a single product belongs into a list, and of a mapping of many products give its values()"
    kind = class_of(given).__name__
    return UsageError(f"must be an iterable or async iterable, got {kind}", where="the source", advice=advice)
