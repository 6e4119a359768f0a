"""The outbox: conversions that are on disk before the shopper sees "thank you", and delivered when the API is there.

`ConversionOutbox` knows when to deliver and what a failure means; `_OutboxFile` knows the SQLite file and runs in one
thread of its own, so the event loop never waits for a disk. How one conversion is sent, and how fast, is the
client's business.

Delivery is at least once, and counts exactly once: the API deduplicates by ``orderId``, and what is sent for an order
is always the body that was stored when it was enqueued.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4

import msgspec

from ..api.contract import LONGEST_WINDOW
from ..api.models import Conversion, ConversionItem, encode_conversion
from ..api.validation import check_conversion
from ..errors import (
    APIError,
    ConfigurationError,
    InvalidConversion,
    NeuroonError,
    RateLimited,
    ServerError,
    TransportError,
)
from ..sqlite import read_header
from ..transport.retries import RetryPolicy

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from types import TracebackType

    from ..client import NeuroonClient

__all__ = ["ConversionOutbox", "DeadLetter", "DuplicateOrder", "OutboxStats", "OutboxUnavailable"]

T = TypeVar("T")
_log = logging.getLogger("neuroon_async.outbox")

DAY = 86_400.0
REFUSALS_OF_THE_BODY = frozenset({400, 409, 413, 422})
"""What the server says of this one conversion. Any other refusal (401, 403, 404 …) is about the key or the address:
every conversion would meet it, so delivery pauses and loses none."""
CREDENTIALS_PAUSE = 300.0
"""Seconds between two attempts while the server refuses the key or the address."""
ATTEMPT_SHARE = 2 / 3
"""The part of a lease that one attempt may take, the wait for the rate limit included."""


class DuplicateOrder(NeuroonError, ValueError):
    """The order was enqueued before, with other content. The stored content stays; nothing new was stored."""

    def __init__(self, order_id: str) -> None:
        self.order_id = order_id
        super().__init__(order_id)

    def __str__(self) -> str:
        return (
            f"order {self.order_id!r} was enqueued before with other content, and the API counts an order only once; "
            "if that one ended as a dead letter, purge it first"
        )


class OutboxUnavailable(NeuroonError):
    """The outbox file could not be read or written (disk full, locked, damaged). Nothing new was stored."""


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """Conversions by state. ``oldest_age`` is that of the oldest pending one, in seconds; ``None`` without any."""

    pending: int
    delivered: int
    dead: int
    oldest_age: float | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A conversion that the server refused, and why. ``attempts`` counts the refused one too."""

    order_id: str
    reason: str
    attempts: int
    enqueued_at: datetime
    refused_at: datetime
    conversion: Conversion


class ConversionOutbox:
    """Stores conversions durably in one SQLite file, and delivers them in the background.

    >>> async def main(client, order):
    ...     async with ConversionOutbox("conversions.sqlite3").delivering(client) as outbox:
    ...         await outbox.enqueue(order)

    A process that only enqueues opens it with ``async with outbox:``; another one may deliver. Any number of processes
    on one machine may share the file (not over a network file system). One file serves one shop: ``shop_id``, or the
    first client's, is stored in it and checked from then on.

    All times are in seconds. Failed attempts are repeated for as long as it takes, after ``initial_backoff`` doubled
    each time up to ``max_backoff``, or when ``Retry-After`` says. ``lease``: how long a crashed process keeps others
    from what it was sending; one attempt, with its wait for the rate limit, takes two thirds of it at most.
    ``poll_interval``: how soon conversions that another process has enqueued are seen. ``keep_delivered``: how long
    delivered ones are kept; an order enqueued once more within this time is recognized, later it is sent again (and
    the API counts it once anyway). ``concurrency``: how many are sent side by side. ``clock`` gives the Unix time.

    Opening raises `ConfigurationError` where the path holds something else than an outbox, an outbox of another shop,
    or a damaged one; nothing is overwritten.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
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
        if lease <= 0 or poll_interval <= 0 or keep_delivered < 0:
            raise ConfigurationError("lease and poll_interval must be above 0 seconds, keep_delivered 0 or more")
        if concurrency < 1:
            raise ConfigurationError(f"concurrency must be 1 or more, got {concurrency}")
        self._file = _OutboxFile(Path(path), keep_delivered=keep_delivered, clock=clock)
        self._shop_id = shop_id
        self._backoff = RetryPolicy(initial=initial_backoff, maximum=max_backoff)
        self._lease = lease
        self._poll_interval = poll_interval
        self._concurrency = concurrency
        self._executor: ThreadPoolExecutor | None = None
        self._commit: _Commit | None = None
        self._delivery: _Delivery | None = None

    def __repr__(self) -> str:
        return f"ConversionOutbox({str(self._file.path)!r})"

    async def __aenter__(self) -> Self:
        if self._executor is not None:
            raise ConfigurationError(f"{self!r} is open already")
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="neuroon-outbox")
        try:
            await self._run(self._file.open, self._shop_id)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    async def enqueue(self, conversion: Conversion) -> bool:
        """Store a conversion; when this returns ``True``, it is on disk and survives a crash.

        ``False``, and nothing is stored, where no line can be attributed to a search. Enqueueing an order once more
        with the same content changes nothing. Raises `InvalidConversion` for one that breaks a documented rule,
        `DuplicateOrder` for an order that was enqueued with other content, `OutboxUnavailable` where the disk fails.
        After a cancellation it may or may not be stored: enqueue it again.
        """
        check_conversion(conversion)
        if not conversion.conversions:
            return False
        letter = _Letter(conversion.order_id, _stored_body(conversion))
        await self._next_commit(letter)
        if letter.problem is not None:
            raise letter.problem
        if self._delivery is not None:
            self._delivery.wake.set()
        return True

    @asynccontextmanager
    async def delivering(self, client: NeuroonClient, *, drain_timeout: float = 10.0) -> AsyncIterator[Self]:
        """Deliver in the background within this context; opens the outbox where it is not open yet.

        At its end whatever is due, or becomes due in time, is still sent, for ``drain_timeout`` seconds at most; the
        rest stays for the next start, and is not waited for. After an exception it ends at once. Delivery stops early
        only where it cannot go on (such as with a closed client): that is logged at once, and raised at the end.
        """
        async with AsyncExitStack() as stack:
            if self._executor is None:
                await stack.enter_async_context(self)
            if self._delivery is not None:
                raise ConfigurationError(f"{self!r} is delivering already")
            await self._run(self._file.belong_to, client.shop_id)
            delivery = self._delivery = _Delivery(
                self._file,
                self._run,
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
                task.cancel()
                await asyncio.wait({task})
                await self._run(self._file.release, delivery.claim)
            if not task.cancelled():
                task.result()

    async def stats(self) -> OutboxStats:
        return await self._run(self._file.stats)

    async def dead_letters(self, limit: int = 1000) -> list[DeadLetter]:
        """What the server refused, the oldest refusal first, ``limit`` of them at most."""
        return await self._run(self._file.dead_letters, limit)

    async def retry_dead(self, order_ids: Iterable[str] | None = None) -> int:
        """Send these dead letters again (all of them by default). Gives how many there were."""
        count = await self._run(self._file.retry_dead, None if order_ids is None else list(order_ids))
        if self._delivery is not None:
            self._delivery.wake.set()
        return count

    async def purge_dead(self, order_ids: Iterable[str] | None = None) -> int:
        """Forget these dead letters (all of them by default). Gives how many there were."""
        return await self._run(self._file.purge_dead, None if order_ids is None else list(order_ids))

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Work on the file in its thread, one piece after another, in the order of these calls."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread(), work, *arguments)
        except sqlite3.Error as error:
            raise OutboxUnavailable(f"outbox {self._file.path}: {error}") from error

    async def _next_commit(self, letter: _Letter) -> None:
        """Wait for the commit that takes this letter along: the one about to begin, or a new one."""
        thread = self._thread()
        self._file.waiting.append(letter)
        if self._commit is None or self._commit.begun:  # asked after the letter was laid down: see `_Commit`
            self._commit = _Commit()
            self._commit.done = asyncio.get_running_loop().run_in_executor(
                thread, self._file.store_waiting, self._commit
            )
        await asyncio.shield(self._commit.done)  # others wait for it too

    def _thread(self) -> ThreadPoolExecutor:
        if self._executor is None:
            raise ConfigurationError(f"{self!r} is not open: use it within 'async with'")
        return self._executor

    async def _close(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(executor, self._file.close)
            finally:
                executor.shutdown(wait=False)


class _Delivery:
    """Couriers that claim what is due, send it, and write down what came of it; one pause holds for all of them."""

    def __init__(
        self,
        file: _OutboxFile,
        run: Callable[..., Awaitable[Any]],
        client: NeuroonClient,
        *,
        backoff: RetryPolicy,
        lease: float,
        poll_interval: float,
        concurrency: int,
    ) -> None:
        self.claim = uuid4().hex
        self.wake = asyncio.Event()
        self._draining = asyncio.Event()
        self._home_by = 0.0
        self._file = file
        self._run = run
        # Attempts are repeated here, where they are written down, and each ends well within its lease.
        self._client = client.with_options(retry=RetryPolicy(attempts=1, deadline=lease * ATTEMPT_SHARE))
        self._backoff = backoff
        self._lease = lease
        self._poll_interval = poll_interval
        self._concurrency = concurrency
        self._not_before = 0.0
        self._failures_in_a_row = 0
        self._refused = False

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as couriers:
                for _ in range(self._concurrency):
                    couriers.create_task(self._courier())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # what stops one courier stops them all

    def drain(self, seconds: float) -> None:
        """Let the couriers go home when nothing is left that can be tried within this time."""
        self._home_by = asyncio.get_running_loop().time() + seconds
        self._draining.set()
        self.wake.set()

    async def _courier(self) -> None:
        while True:
            self.wake.clear()
            try:
                if await self._deliver_next():
                    continue
                rest = await self._idle_for()
            except OutboxUnavailable as error:
                self._failed(error)
                _log.error("%s; delivery of conversions waits", error)
                rest = self._paused_for()
            if self._draining.is_set() and asyncio.get_running_loop().time() + rest >= self._home_by:
                return
            await self._rest(rest)

    async def _deliver_next(self) -> bool:
        if self._paused_for() > 0:
            return False
        # A time further ahead than any lease or backoff was stored before the clock was set back.
        furthest = 2 * max(self._lease, self._backoff.maximum, LONGEST_WINDOW)
        entry = await self._run(self._file.claim, self.claim, self._lease, furthest)
        if entry is not None:
            await self._deliver(entry)
        return entry is not None

    async def _idle_for(self) -> float:
        """Seconds until another look is worth it; infinite at the end, when nothing is left to send."""
        pause = self._paused_for()
        if not self._draining.is_set():
            return pause or self._poll_interval
        due: float = await self._run(self._file.next_due)
        return max(pause, due)

    async def _rest(self, seconds: float) -> None:
        if self._draining.is_set():
            await asyncio.sleep(seconds)
            return
        bell = self._draining if self._paused_for() > 0 else self.wake
        try:
            async with asyncio.timeout(seconds):
                await bell.wait()
        except TimeoutError:
            pass  # that long a rest was asked for

    async def _deliver(self, entry: _Entry) -> None:
        try:
            await self._client.conversions.track(_conversion_of(entry.body))
        except InvalidConversion as error:  # the rules have become stricter since it was stored
            await self._bury(entry, error)
        except (RateLimited, ServerError, TransportError) as error:
            self._failed(error)
            await self._reschedule(entry, error)
        except APIError as error:
            if error.status in REFUSALS_OF_THE_BODY:
                self._got_through()
                await self._bury(entry, error)
            else:
                self._refuse(error)
                await self._run(self._file.release, self.claim, entry.order_id)
        else:
            self._got_through()
            await self._run(self._file.delivered, entry.order_id)

    async def _reschedule(self, entry: _Entry, error: NeuroonError) -> None:
        wait = self._backoff.wait(entry.attempts + 1, error)
        _log.info("conversion of order %r: attempt failed, next one in %.1f s: %s", entry.order_id, wait, error)
        await self._run(self._file.reschedule, entry.order_id, self.claim, wait)

    async def _bury(self, entry: _Entry, error: NeuroonError) -> None:
        _log.error("conversion of order %r is now a dead letter: %s", entry.order_id, error)
        await self._run(self._file.bury, entry.order_id, str(error))

    def _paused_for(self) -> float:
        return max(0.0, self._not_before - asyncio.get_running_loop().time())

    def _got_through(self) -> None:
        self._failures_in_a_row = 0
        if self._refused:
            self._refused = False
            _log.info("the server accepts conversions again")

    def _failed(self, error: NeuroonError) -> None:
        """Probably an outage: probe now and then, rather than try everything that waits."""
        if self._paused_for() == 0:
            self._failures_in_a_row += 1
            self._pause(self._backoff.wait(self._failures_in_a_row, error))

    def _refuse(self, error: APIError) -> None:
        self._pause(CREDENTIALS_PAUSE)
        if not self._refused:
            self._refused = True
            _log.error("delivery of conversions pauses until the server accepts this client again: %s", error)

    def _pause(self, seconds: float) -> None:
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + seconds)


def _log_a_crash(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.critical("delivery of conversions has stopped; what is enqueued stays on disk: %r", error)


# The body, as it is stored and as it is sent


class _StoredLine(msgspec.Struct, rename="camel"):
    product_id: str
    search_log_id: str
    quantity: int
    line_total: Decimal


class _StoredConversion(msgspec.Struct, rename="camel"):
    order_id: str
    order_value: Decimal
    currency: str
    conversions: list[_StoredLine]


_decoder = msgspec.json.Decoder(_StoredConversion)


def _stored_body(conversion: Conversion) -> bytes:
    """The body in a form that survives decoding and encoding byte by byte: every amount as an exact decimal."""
    return encode_conversion(_conversion_of(encode_conversion(conversion)))


def _conversion_of(body: bytes) -> Conversion:
    stored = _decoder.decode(body)
    return Conversion(
        order_id=stored.order_id,
        order_value=stored.order_value,
        currency=stored.currency,
        conversions=[
            ConversionItem(line.product_id, line.search_log_id, line.quantity, line.line_total)
            for line in stored.conversions
        ],
    )


@dataclass(slots=True)
class _Letter:
    """On its way to the disk; ``problem`` is why it did not get there, ``None`` once it has."""

    order_id: str
    body: bytes
    problem: Exception | None = field(default_factory=lambda: OutboxUnavailable("it was not stored"))


@dataclass(slots=True)
class _Commit:
    """One transaction for all letters that wait when it begins.

    Its thread sets ``begun`` before it takes the letters, so a letter laid down while ``begun`` is unset goes along.
    """

    begun: bool = False
    done: asyncio.Future[None] = field(init=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A claimed conversion. ``attempts`` counts those that failed before."""

    order_id: str
    body: bytes
    attempts: int


# The file

_APPLICATION_ID = 0x4E724F62
_FORMAT = 1
_BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's transaction; each takes milliseconds."""
_SCHEMA = f"""
CREATE TABLE shop (shop_id TEXT NOT NULL);
CREATE TABLE conversions (
    order_id TEXT PRIMARY KEY,
    body BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0,
    enqueued_at REAL NOT NULL,
    due_at REAL NOT NULL,      -- of a pending one: its next attempt, or the end of its lease
    claim TEXT,                -- who is sending it
    settled_at REAL,           -- when it was delivered or refused
    reason TEXT                -- why it was refused
);
CREATE INDEX pending ON conversions (due_at) WHERE state = 'pending';
CREATE INDEX settled ON conversions (state, settled_at);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_FORMAT};
"""


class _OutboxFile:
    """The SQLite file. Every method but the constructor runs in the outbox's thread."""

    def __init__(self, path: Path, *, keep_delivered: float, clock: Callable[[], float]) -> None:
        self.path = path
        self.waiting: deque[_Letter] = deque()
        self._keep_delivered = keep_delivered
        self._clock = clock
        self._db: sqlite3.Connection

    def open(self, shop_id: str | None) -> None:
        self._check_header()
        try:
            self._db = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT, isolation_level=None)
        except sqlite3.Error as error:
            raise ConfigurationError(f"cannot open the outbox {self.path}: {error}") from error
        try:
            self._prepare()
            if shop_id is not None:
                self.belong_to(shop_id)
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                raise ConfigurationError(
                    f"the outbox {self.path} is damaged ({error}); it was left as it is"
                ) from error
            raise

    def close(self) -> None:
        if hasattr(self, "_db"):
            self._db.close()

    def belong_to(self, shop_id: str) -> None:
        """Write the shop's id into a new file; raise `ConfigurationError` where another one's is there."""
        with self._transaction():
            row = self._db.execute("SELECT shop_id FROM shop").fetchone()
            if row is None:
                self._db.execute("INSERT INTO shop VALUES (?)", (shop_id,))
            elif row[0] != shop_id:
                raise ConfigurationError(
                    f"the outbox {self.path} belongs to shop {row[0]!r}, not {shop_id!r}: use one file for each shop"
                )

    def store_waiting(self, commit: _Commit) -> None:
        """Store all letters that wait by now in one commit: the disk is asked once for all of them."""
        commit.begun = True
        letters = [self.waiting.popleft() for _ in range(len(self.waiting))]
        try:
            with self._transaction():
                for letter in letters:
                    letter.problem = self._store(letter)
        except Exception as error:  # noqa: BLE001 - each caller gets it, none may take silence for success
            for letter in letters:
                letter.problem = OutboxUnavailable(f"order {letter.order_id!r} was not stored: {self.path}: {error}")

    def claim(self, claim: str, lease: float, furthest: float) -> _Entry | None:
        """The conversion that is due first, leased to ``claim``; ``None`` where none is due.

        One that says it is due more than ``furthest`` seconds from now is due too.
        """
        now = self._clock()
        due = "state = 'pending' AND (due_at <= :now OR due_at > :now + :furthest)"
        times = {"now": now, "furthest": furthest}
        if self._db.execute(f"SELECT 1 FROM conversions WHERE {due}", times).fetchone() is None:  # noqa: S608 - constant
            self._forget_delivered(now)
            return None
        with self._transaction():
            row = self._db.execute(
                f"SELECT order_id, body, attempts FROM conversions WHERE {due} ORDER BY due_at, rowid",  # noqa: S608
                times,
            ).fetchone()
            if row is None:
                return None
            self._db.execute(
                "UPDATE conversions SET due_at = ?, claim = ? WHERE order_id = ?", (now + lease, claim, row[0])
            )
        return _Entry(*row)

    def next_due(self) -> float:
        """Seconds until the next conversion that nobody is sending is due; infinite without any."""
        row = self._db.execute(
            "SELECT due_at FROM conversions WHERE state = 'pending' AND claim IS NULL ORDER BY due_at LIMIT 1"
        ).fetchone()
        return math.inf if row is None else row[0] - self._clock()

    def delivered(self, order_id: str) -> None:
        self._db.execute(
            "UPDATE conversions SET state = 'delivered', settled_at = ?, claim = NULL WHERE order_id = ?",
            (self._clock(), order_id),
        )

    def bury(self, order_id: str, reason: str) -> None:
        self._db.execute(
            "UPDATE conversions SET state = 'dead', settled_at = ?, claim = NULL, attempts = attempts + 1, reason = ?"
            " WHERE order_id = ? AND state = 'pending'",
            (self._clock(), reason, order_id),
        )

    def reschedule(self, order_id: str, claim: str, wait: float) -> None:
        self._db.execute(
            "UPDATE conversions SET due_at = ?, claim = NULL, attempts = attempts + 1 WHERE order_id = ? AND claim = ?",
            (self._clock() + wait, order_id, claim),
        )

    def release(self, claim: str, order_id: str | None = None) -> None:
        """Give back what was claimed but not settled: one order, or all."""
        self._db.execute(
            "UPDATE conversions SET due_at = ?, claim = NULL"
            " WHERE claim = ? AND state = 'pending' AND (? IS NULL OR order_id = ?)",
            (self._clock(), claim, order_id, order_id),
        )

    def stats(self) -> OutboxStats:
        counts = dict(self._db.execute("SELECT state, count(*) FROM conversions GROUP BY state").fetchall())
        (oldest,) = self._db.execute("SELECT min(enqueued_at) FROM conversions WHERE state = 'pending'").fetchone()
        return OutboxStats(
            pending=counts.get("pending", 0),
            delivered=counts.get("delivered", 0),
            dead=counts.get("dead", 0),
            oldest_age=None if oldest is None else max(0.0, self._clock() - oldest),
        )

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        rows = self._db.execute(
            "SELECT order_id, reason, attempts, enqueued_at, settled_at, body FROM conversions"
            " WHERE state = 'dead' ORDER BY settled_at, rowid LIMIT ?",
            (limit,),
        )
        return [
            DeadLetter(
                order_id,
                reason,
                attempts,
                datetime.fromtimestamp(enqueued_at, UTC),
                datetime.fromtimestamp(refused_at, UTC),
                _conversion_of(body),
            )
            for order_id, reason, attempts, enqueued_at, refused_at, body in rows
        ]

    def retry_dead(self, order_ids: list[str] | None) -> int:
        return self._each_dead(
            "UPDATE conversions SET state = 'pending', settled_at = NULL, reason = NULL, due_at = :now"
            " WHERE state = 'dead'",
            order_ids,
        )

    def purge_dead(self, order_ids: list[str] | None) -> int:
        return self._each_dead("DELETE FROM conversions WHERE state = 'dead'", order_ids)

    def _each_dead(self, statement: str, order_ids: list[str] | None) -> int:
        now = self._clock()
        with self._transaction():
            if order_ids is None:
                return self._db.execute(statement, {"now": now}).rowcount
            one = f"{statement} AND order_id = :order_id"
            return sum(self._db.execute(one, {"now": now, "order_id": order_id}).rowcount for order_id in order_ids)

    def _store(self, letter: _Letter) -> DuplicateOrder | None:
        known = self._db.execute("SELECT body FROM conversions WHERE order_id = ?", (letter.order_id,)).fetchone()
        if known is None:
            now = self._clock()
            self._db.execute(
                "INSERT INTO conversions (order_id, body, enqueued_at, due_at) VALUES (?, ?, ?, ?)",
                (letter.order_id, letter.body, now, now),
            )
        elif _conversion_of(known[0]) != _conversion_of(letter.body):
            return DuplicateOrder(letter.order_id)
        return None

    def _forget_delivered(self, now: float) -> None:
        self._db.execute(
            "DELETE FROM conversions WHERE state = 'delivered' AND settled_at < ?", (now - self._keep_delivered,)
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # some failures have rolled it back already
                self._db.execute("ROLLBACK")
            raise

    def _check_header(self) -> None:
        """Look before SQLite may write: it would do so in whatever database it opens."""
        try:
            if self.path.stat().st_size == 0:
                return
        except FileNotFoundError:
            if not self.path.parent.is_dir():
                raise ConfigurationError(f"cannot create the outbox {self.path}: there is no such folder") from None
            return
        except OSError as error:
            raise ConfigurationError(f"cannot read the outbox {self.path}: {error.strerror}") from error
        try:
            known = read_header(self.path)[0] == _APPLICATION_ID
        except sqlite3.OperationalError as error:
            raise ConfigurationError(f"cannot read the outbox {self.path}: {error}") from error
        except sqlite3.DatabaseError:
            known = False
        if not known:
            raise ConfigurationError(f"{self.path} is not an outbox of this package; it was left as it is")

    def _switch_to_wal(self) -> None:
        """Unlike elsewhere, SQLite does not wait here for others, who may be opening the same new file."""
        deadline = time.monotonic() + _BUSY_TIMEOUT
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def _prepare(self) -> None:
        self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            (format_,) = self._db.execute("PRAGMA user_version").fetchone()
            if format_ == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
            elif format_ != _FORMAT:
                raise ConfigurationError(
                    f"the outbox {self.path} has format {format_}, which this version does not know; "
                    "it was left as it is"
                )
        self._switch_to_wal()
        (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
