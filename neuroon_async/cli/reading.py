"""A catalog read beside the event loop: a slow disk or pipe must not hold up the requests in flight."""

from __future__ import annotations

import asyncio
import io
import shlex
import sys
import threading
from contextlib import suppress
from functools import partial
from itertools import chain
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from ..api.models import Product
from ..api.sources import ListSource
from ..catalogs import CatalogError, OptionNames
from .progress import Length

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from ..catalogs import Catalog
    from ..catalogs.relations import Relations
    from ..report import ProductFailure

__all__ = ["IN_THE_SHELL", "CatalogFeed", "guessed_length", "standard_input"]

_CHUNK = 100
"""Items handed over at a time: of so many the processor's cache still holds the first when the last was read."""
T = TypeVar("T")


class _ShellOptionNames(OptionNames):
    """``--shop-url`` for ``shop_url``."""

    def name(self, option: str) -> str:
        return "--map" if option == "mapping" else "--" + option.replace("_", "-")

    def set(self, option: str, value: object) -> str:
        return self.name(option) if value is True else f"{self.name(option)} {shlex.quote(str(value))}"

    def map(self, field: str, source: str) -> str:
        return f"--map {shlex.quote(f'{field}={source}')}"


IN_THE_SHELL = _ShellOptionNames()
"""The options of reading as the command calls them, for the messages of a catalog."""


def guessed_length(catalog: Catalog) -> Length | None:
    """How many products a catalog has, by the share of its bytes that was read; ``None`` where nothing tells."""
    count, size, position = catalog.products + catalog.failed, catalog.total_bytes, catalog.bytes_read
    if not size or not position or not count:
        return None
    return Length(count * size // min(position, size), sure=False)


class CatalogFeed(ListSource):
    """The catalog as an async iterable, and a guess at its length while it is read."""

    def __init__(self, catalog: Catalog, relations: Relations | None = None) -> None:
        """``relations``, where given, sees every product."""
        self.catalog = catalog
        self._relations = relations
        self.yields_checked_products = catalog.yields_checked_products
        self.exhausted: bool = False

    @property
    def count(self) -> int:
        return self.catalog.products + self.catalog.failed

    def length(self) -> Length | None:
        """How many products there are: known at the end, till then guessed from the share of the file that was read."""
        return Length(self.count, sure=True) if self.exhausted else guessed_length(self.catalog)

    async def __aiter__(self) -> AsyncIterator[Product | ProductFailure]:
        async for items in self.in_lists():
            for item in items:
                yield item

    def in_lists(self) -> AsyncIterator[Sequence[Product | ProductFailure]]:
        """The same items, in the lists that a thread makes and hands over, many at a time."""
        return self._handed_over(self.catalog.in_lists())

    def regrouped(
        self, regroup: Callable[[Iterator[Sequence[Any]]], Iterator[Sequence[Any]]]
    ) -> AsyncIterator[Sequence[Product | ProductFailure]]:
        """The same items, in the lists that ``regroup`` makes in the thread."""
        return self._handed_over(regroup(self.catalog.in_lists()))

    async def _handed_over(
        self, lists: Iterator[Sequence[Product | ProductFailure]]
    ) -> AsyncIterator[Sequence[Product | ProductFailure]]:
        thread = _ReadingThread()
        try:
            while not self.exhausted:
                handed, ended, fault = await thread.do(partial(_next_lists, lists))
                if self._relations is not None:
                    for item in chain.from_iterable(handed):
                        if isinstance(item, Product):
                            self._relations.see(item)
                self.exhausted = ended
                for items in handed:
                    yield items
                if fault is not None:
                    raise fault
        finally:
            thread.end()


def _next_lists(
    lists: Iterator[Sequence[Product | ProductFailure]],
) -> tuple[list[Sequence[Product | ProductFailure]], bool, Exception | None]:
    """The next lists, whether the catalog has ended, and the fault that it came to after them."""
    handed: list[Sequence[Product | ProductFailure]] = []
    count = 0
    try:
        for items in lists:
            handed.append(items)
            count += len(items)
            if count >= _CHUNK:
                return handed, False, None
    except Exception as error:  # noqa: BLE001 - raised in the loop, after what came before it
        return handed, False, error
    return handed, True, None


def standard_input() -> BinaryIO:
    """Unbuffered: a thread that still waits for input then holds no lock that the interpreter wants at its end."""
    stdin: IO[str] | None = sys.stdin  # None in a process that was started with a closed one
    if stdin is None:
        raise CatalogError("standard input: is closed")
    raw = io.FileIO(stdin.fileno(), closefd=False)
    raw.name = "standard input"
    return cast("BinaryIO", raw)


class _ReadingThread:
    """A thread that reads one catalog, a piece whenever it is asked for.

    One for each piece would take longer to start than to read the piece. Nothing waits for a thread that is stuck in a
    read when the command ends.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="neuroon-catalog").start()

    def _work(self) -> None:
        while (piece := self._asked.get()) is not None:
            piece()

    async def do(self, work: Callable[[], T]) -> T:
        """What this returns, or raises, in the thread."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(cast("T", result))

        def piece() -> None:
            try:
                outcome: tuple[T | None, BaseException | None] = work(), None
            except BaseException as error:  # noqa: BLE001 - raised in the loop
                outcome = None, error
            with suppress(RuntimeError):  # the loop has been closed: the command has ended, and nobody waits
                loop.call_soon_threadsafe(settle, *outcome)

        self._asked.put(piece)
        return await done

    def end(self) -> None:
        """It ends once it has done what it was asked for."""
        self._asked.put(None)
