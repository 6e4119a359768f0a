"""Reading the user's iterable, plain or async, one chunk at a time. Knows nothing of products."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ItemReader"]

T = TypeVar("T")

_CHEAP_LENGTHS = {list, tuple, set, frozenset, deque, range, type({}.keys()), type({}.values()), type({}.items())}
"""Whose length is known at no cost. That of any other class may query a database, or raise."""


class ItemReader(Generic[T]):
    """Hands out chunks of converted items.

    Each item is converted before the next one is asked for, so a source may yield one object again and again.
    ``convert`` must not raise. What was read but not yet handed out, because reading was interrupted, is in ``buffer``.
    """

    def __init__(self, iterable: Iterable[Any] | AsyncIterable[Any], convert: Callable[[Any], T]) -> None:
        self.total: int | None = len(iterable) if type(iterable) in _CHEAP_LENGTHS else None  # type: ignore[arg-type]
        self.exhausted = False
        self.error: Exception | None = None
        """What the iterable raised. Everything before it is still handed out."""
        self.buffer: list[T] = []
        self._convert = convert
        self._iterator: Iterator[Any] | AsyncIterator[Any]
        if isinstance(iterable, AsyncIterable):
            self._iterator = aiter(iterable)
        elif isinstance(iterable, Iterable) and not isinstance(iterable, (str, bytes, Mapping)):
            self._iterator = iter(iterable)
        else:
            raise ConfigurationError(f"the source must be an iterable or async iterable, got {type(iterable).__name__}")

    async def read(self, count: int) -> list[T]:
        """The next ``count`` items; fewer at the end, where ``exhausted`` and perhaps ``error`` are set."""
        try:
            if isinstance(self._iterator, AsyncIterator):
                await self._fill(self._iterator, count)
            else:
                # Both `extend` and `map` are lazy: an item is converted, and kept, before the next one is made.
                self.buffer.extend(map(self._convert, islice(self._iterator, count)))
        except Exception as error:  # noqa: BLE001 - kept, and raised when the run has delivered what came before
            self.error = error
        chunk, self.buffer = self.buffer, []
        self.exhausted = len(chunk) < count
        return chunk

    async def close(self) -> None:
        """Close a generator that was not read to its end, so that its own cleanup runs now.

        Nothing else is closed: a cursor or a file that the user opened stays the user's.
        """
        if inspect.isasyncgen(self._iterator):
            await self._iterator.aclose()
        elif inspect.isgenerator(self._iterator):
            self._iterator.close()

    async def _fill(self, iterator: AsyncIterator[Any], count: int) -> None:
        buffer = self.buffer
        async for item in iterator:
            buffer.append(self._convert(item))
            if len(buffer) == count:
                return
