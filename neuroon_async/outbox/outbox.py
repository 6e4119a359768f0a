"""`ConversionOutbox`: conversions that are stored before the shopper sees "thank you", and delivered in the background.

It joins a store (`store`, `sqlite_store`) to a delivery loop (`delivery`) and knows neither's insides.

Delivery is at least once, and counts exactly once: the API deduplicates by ``orderId``, and what is sent for an order
is always the body that was stored when it was enqueued.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Self

from ..api.arguments import (
    as_path,
    check_callback,
    check_capable,
    check_concurrency,
    check_count,
    check_seconds,
    check_text,
    shown,
)
from ..api.shapes import implements, is_list_like
from ..api.validation import check_conversion
from ..cancellation import finish
from ..errors import UsageError
from ..transport.retries import RetryPolicy
from .bodies import stored_body
from .delivery import DeliveryLoop
from .sqlite_store import SQLiteOutboxStore
from .store import OutboxStore, OutboxUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable
    from types import TracebackType

    from ..api.models import Conversion
    from ..client import NeuroonClient
    from .store import DeadLetter, OutboxStats

__all__ = ["ConversionOutbox"]

_log = logging.getLogger("neuroon_async.outbox")

DAY = 86_400.0


class ConversionOutbox:
    """Stores conversions durably, and delivers them in the background.

    >>> async def main(client, order):
    ...     async with ConversionOutbox("conversions.sqlite3").delivering(client) as outbox:
    ...         await outbox.enqueue(order)

    A process that only enqueues opens it with ``async with outbox:``; another one may deliver. Any number of processes
    on one machine may share the file (not over a network file system).

    ``path``: the SQLite file, created where there is none; or an `OutboxStore` of another kind, such as
    `neuroon_async.integrations.sqlalchemy.SQLAlchemyOutboxStore`.
    ``shop_id``: the shop that the file belongs to. It, or the first client's, is stored in the file and checked from
    then on: one file serves one shop.
    ``initial_backoff``, ``max_backoff``: seconds before a failed attempt is repeated (default 1), doubled each time up
    to the maximum (default 60), or what ``Retry-After`` says. Attempts go on for as long as it takes.
    ``lease``: seconds for which a crashed process keeps others from what it was sending (default 180). One attempt,
    with its wait for the rate limit, takes two thirds of it at most.
    ``poll_interval``: seconds after which conversions that another process has enqueued are seen (default 1).
    ``keep_delivered``: seconds for which delivered conversions are kept (default 30 days; `math.inf`: for ever). An
    order that is enqueued once more within this time is recognized; later it is sent again, and the API counts it once
    anyway. For files only.
    ``concurrency``: how many are sent side by side, 1 to 1,000 (default 4). A client has 128 connections.
    ``clock``: gives the Unix time (default `time.time`). For files only.

    Raises `ConfigurationError` for options that cannot work, and on opening where the path holds something else than
    an outbox, an outbox of another shop, or a damaged one; nothing is overwritten.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | OutboxStore,
        *,
        shop_id: str | None = None,
        initial_backoff: float = 1.0,
        max_backoff: float = 60.0,
        lease: float = 180.0,
        poll_interval: float = 1.0,
        keep_delivered: float = 30 * DAY,
        concurrency: int = 4,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_seconds("initial_backoff", initial_backoff, zero=True)
        check_seconds("max_backoff", max_backoff, zero=True)
        check_seconds("lease", lease)
        check_seconds("poll_interval", poll_interval)
        check_seconds("keep_delivered", keep_delivered, zero=True, endless=True)
        check_concurrency(concurrency)
        check_callback("clock", clock, none=False)
        check_text("shop_id", shop_id, none=True)
        self._name = str(getattr(path, "path", path))
        self._store: OutboxStore = (
            path
            if implements(path, OutboxStore) and not isinstance(path, type)
            else SQLiteOutboxStore(as_path("path", path), keep_delivered=keep_delivered, clock=clock)
        )
        self._shop_id = shop_id
        self._backoff = RetryPolicy(initial=initial_backoff, maximum=max_backoff)
        self._lease = lease
        self._poll_interval = poll_interval
        self._concurrency = concurrency
        self._open = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        """Whose the loop is."""
        self._delivering = False
        self._delivery: DeliveryLoop | None = None

    def __repr__(self) -> str:
        return f"ConversionOutbox({self._name!r})"

    async def __aenter__(self) -> Self:
        if self._open:
            raise UsageError(f"{self!r} is open already")
        self._open = True
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        try:
            await self._store.open(self._shop_id)
        except BaseException:
            self._open = False
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        await finish(self._store.close())

    async def enqueue(self, conversion: Conversion) -> bool:
        """Store a conversion; when this returns ``True``, it is on disk and survives a crash.

        ``False``, and nothing is stored, where no line can be attributed to a search. Enqueueing an order once more
        with the same content changes nothing. After a cancellation it may or may not be stored: enqueue it again.

        Raises `InvalidConversion` for one that breaks a documented rule, or that a database's table does not hold,
        `DuplicateOrder` for an order that was enqueued with other content, `OutboxUnavailable` where it could not be
        stored: the disk fails, or the file was deleted, replaced or truncated since it was opened.
        """
        check_conversion(conversion)
        store = self._opened()
        if not conversion.conversions:
            return False
        with nullcontext() if self._delivery is None else self._delivery.giving_way():
            await store.add(conversion.order_id, stored_body(conversion))
        self._wake()
        return True

    @asynccontextmanager
    async def delivering(self, client: NeuroonClient, *, drain_timeout: float = 10.0) -> AsyncGenerator[Self, None]:
        """Deliver in the background within this context; opens the outbox where it is not open yet.

        At its end whatever is due, or becomes due in time, is still sent, for ``drain_timeout`` seconds at most
        (default 10; `math.inf`: no bound); the rest stays for the next start, and is not waited for. After an
        exception it ends at once. Delivery stops early only where it cannot go on (such as with a closed client): that
        is logged at once, and raised at the end.

        Raises `ConfigurationError` where the outbox belongs to another shop than ``client``, `UsageError` where this
        outbox is delivering already.
        """
        check_seconds("drain_timeout", drain_timeout, zero=True, endless=True)
        check_capable("client", client, ("shop_id", "conversions"), "a NeuroonClient", none=False)
        async with AsyncExitStack() as stack:
            stack.enter_context(self._not_twice())  # before it opens the store: another task may begin meanwhile
            if not self._open:
                await stack.enter_async_context(self)
            await self._store.belong_to(client.shop_id)
            delivery = self._delivery = DeliveryLoop(
                self._store,
                client,
                backoff=self._backoff,
                lease=self._lease,
                poll_interval=self._poll_interval,
                concurrency=self._concurrency,
            )
            task = asyncio.create_task(delivery.run(), name="neuroon-outbox")
            task.add_done_callback(_log_a_crash)
            try:
                yield self
                delivery.drain(drain_timeout)
                await asyncio.wait({task}, timeout=drain_timeout)
            finally:
                self._delivery = None
                await finish(_stop(task, self._store, delivery.worker))
            if not task.cancelled():
                task.result()

    @contextmanager
    def _not_twice(self) -> Generator[None]:
        if self._delivering:
            raise UsageError(f"{self!r} is delivering already")
        self._delivering = True
        try:
            yield
        finally:
            self._delivering = False

    async def stats(self) -> OutboxStats:
        """How many conversions are pending, delivered and dead."""
        return await self._opened().stats()

    async def dead_letters(self, limit: int = 1000) -> list[DeadLetter]:
        """What the server refused, the oldest refusal first, ``limit`` of them at most."""
        check_count("limit", limit, least=0)
        return await self._opened().dead_letters(limit)

    async def retry_dead(self, order_ids: Iterable[str] | None = None) -> int:
        """Send these dead letters again (all of them by default). Returns how many there were."""
        count = await self._opened().retry_dead(_listed(order_ids))
        self._wake()
        return count

    async def purge_dead(self, order_ids: Iterable[str] | None = None) -> int:
        """Delete these dead letters (all of them by default). Returns how many there were."""
        return await self._opened().purge_dead(_listed(order_ids))

    def _opened(self) -> OutboxStore:
        if not self._open:
            raise UsageError(f"{self!r} is not open: use it within 'async with'")
        if self._process != os.getpid():
            raise UsageError(
                f"{self!r} was opened before this process was forked",
                advice="open an outbox in each process: any number of them share the file",
            )
        loop = asyncio.get_running_loop()
        if loop is not self._loop and self._loop is not None and self._loop.is_running():
            raise UsageError(
                f"{self!r} is in use in another event loop",
                advice="open an outbox in each loop: any number of them share the file",
            )
        self._loop = loop
        return self._store

    def _wake(self) -> None:
        if self._delivery is not None:
            self._delivery.wake.set()


def _listed(order_ids: object) -> list[str] | None:
    if order_ids is None:
        return None
    if not is_list_like(order_ids):
        raise UsageError(f"must be order ids in a list, got {shown(order_ids)}", where="order_ids")
    listed = list(order_ids)
    for order_id in listed:
        check_text("order_ids", order_id)
    return listed


async def _stop(task: asyncio.Task[None], store: OutboxStore, worker: str) -> None:
    """End delivery and give its leases back, so the next process need not wait for them to run out."""
    task.cancel()
    await asyncio.wait({task})
    try:
        await store.release(worker)
    except OutboxUnavailable as error:  # no reason to hide why delivery ends
        _log.error("%s; conversions that were leased wait until their lease ends", error)


def _log_a_crash(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.critical("delivery of conversions has stopped; what is enqueued stays on disk: %r", error)
