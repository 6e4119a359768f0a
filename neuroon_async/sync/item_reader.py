"""Reading the user's iterable, plain or async, one chunk at a time. Knows nothing of products."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sized
from itertools import islice
from typing import Any

from ..errors import ConfigurationError

__all__ = ["Source"]


class Source:
    """Hands out chunks. What was read but not yet handed out, because reading was interrupted, is in ``buffer``."""

    def __init__(self, iterable: Iterable[Any] | AsyncIterable[Any]) -> None:
        self.total = len(iterable) if isinstance(iterable, Sized) else None
        self.exhausted = False
        self.error: Exception | None = None
        """What the iterable raised. Everything before it is still handed out."""
        self.buffer: list[Any] = []
        self._iterator: Iterator[Any] | AsyncIterator[Any]
        if isinstance(iterable, AsyncIterable):
            self._iterator = aiter(iterable)
        elif isinstance(iterable, Iterable) and not isinstance(iterable, (str, bytes, Mapping)):
            self._iterator = iter(iterable)
        else:
            raise ConfigurationError(f"the source must be an iterable or async iterable, got {type(iterable).__name__}")

    async def read(self, count: int) -> list[Any]:
        """The next ``count`` items; fewer at the end, where ``exhausted`` and perhaps ``error`` are set."""
        try:
            if isinstance(self._iterator, AsyncIterator):
                await self._fill(self._iterator, count)
            else:
                # extend keeps what it got before an exception.
                self.buffer.extend(islice(self._iterator, count))
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
            buffer.append(item)
            if len(buffer) == count:
                return
