"""`SQLiteOutboxStore`: conversions in one SQLite file that any number of processes on a machine share.

It knows the table and how writes share a commit. `neuroon_async.sqlite.SQLiteFile` opens and closes the file, and runs
everything here in a thread of its own. Only those who enqueue wait for the disk.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..api.arguments import read_clock
from ..errors import ConfigurationError
from ..sqlite import DamagedContent, Problem, SQLiteFile
from .bodies import as_bytes, same_content
from .dead_letters import dead_letter
from .sqlite_statements import ADD, LEASE, MARK_LOST, MIGRATIONS, RELEASE, RELEASE_ALL, SELECT_DUE
from .store import DeadLetter, DuplicateOrder, LeasedConversion, OutboxStats, OutboxUnavailable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["SQLiteOutboxStore"]

T = TypeVar("T")
_log = logging.getLogger("neuroon_async.outbox")
_APPLICATION_ID = 0x4E724F62
_BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's transaction; each takes milliseconds."""
_CACHE = 8 * 2**20  # bytes of the file kept in memory
_ONE_STATEMENT = 500
"""Orders that one statement names: older builds of SQLite take 999 values."""
_ONE_INSERT = 200
"""Orders that one statement stores."""
_FORGOTTEN_AT_ONCE = 500
"""Delivered conversions deleted in one transaction: a shopper may be waiting for the next one."""
_ID_DAMAGED = "the stored order id is damaged: enqueue the conversion anew where it is readable, and purge this one"


class SQLiteOutboxStore:
    """An `OutboxStore` in the file at ``path``. One file serves one shop, whose id is stored in it.

    ``keep_delivered``: seconds for which delivered conversions are remembered. ``clock``: gives the Unix time.
    """

    def __init__(self, path: str | os.PathLike[str], *, keep_delivered: float, clock: Callable[[], float]) -> None:
        self.path: Path = Path(path)
        self._keep_delivered = keep_delivered
        self._clock = partial(read_clock, "clock", clock)
        self._opening = False
        self._waiting: deque[_Added] = deque()
        self._commit: _GroupCommit | None = None
        self._file = SQLiteFile(
            self.path,
            application_id=_APPLICATION_ID,
            migrations=MIGRATIONS,
            explain=self._explain,
            thread_name="neuroon-outbox",
            busy_timeout=_BUSY_TIMEOUT,
            cache_bytes=_CACHE,
        )

    async def open(self, shop_id: str | None) -> None:
        self._opening = True
        try:
            await self._file.open()
            await self._file.run(self._check)
        except BaseException:
            await self.close()
            raise
        finally:
            self._opening = False
        if shop_id is not None:
            try:
                await self.belong_to(shop_id)
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        self._commit = None
        await self._file.close()

    async def belong_to(self, shop_id: str) -> None:
        await self._do(self._belong_to, shop_id)

    async def add(self, order_id: str, body: bytes) -> None:
        """Wait for the commit that takes this along: the one about to begin, or a new one.

        It is carried out also where its caller is cancelled.
        """
        added = _Added(order_id, body, self._clock())
        self._waiting.append(added)
        if self._commit is None or self._commit.begun:  # asked after it was laid down: see `_GroupCommit`
            self._commit = _GroupCommit()
            self._commit.done = self._file.submit(self._add_waiting, self._commit)
        await asyncio.shield(self._commit.done)  # others wait for it too
        if added.problem is not None:
            raise added.problem

    async def lease(self, worker: str, seconds: float, furthest: float, count: int) -> list[LeasedConversion]:
        return await self._file.run(self._lease, worker, seconds, furthest, min(count, _ONE_STATEMENT))

    async def next_due(self) -> float:
        return await self._file.run(self._next_due)

    async def delivered(self, order_id: str) -> None:
        await self._update(
            "UPDATE conversions SET state = 'delivered', settled_at = ?, claim = NULL WHERE order_id = ?",
            self._clock(),
            order_id,
        )

    async def delivered_all(self, order_ids: Sequence[str]) -> None:
        statement = "UPDATE conversions SET state = 'delivered', settled_at = ?, claim = NULL WHERE order_id IN ({})"
        for some in _portions(order_ids):
            await self._update(statement.format(_marks(some)), self._clock(), *some)

    async def release_all(self, worker: str, order_ids: Sequence[str]) -> None:
        for some in _portions(order_ids):
            await self._update(RELEASE.format(_marks(some)), self._clock(), worker, *some)

    async def mark_dead(self, order_id: str, reason: str) -> None:
        await self._update(
            "UPDATE conversions SET state = 'dead', settled_at = ?, claim = NULL, attempts = attempts + 1, reason = ?"
            " WHERE order_id = ? AND state = 'pending'",
            self._clock(),
            reason,
            order_id,
        )

    async def reschedule(self, order_id: str, worker: str, wait: float) -> None:
        await self._update(
            "UPDATE conversions SET due_at = ?, claim = NULL, attempts = attempts + 1 WHERE order_id = ? AND claim = ?",
            self._clock() + wait,
            order_id,
            worker,
        )

    async def release(self, worker: str, order_id: str | None = None) -> None:
        if order_id is None:
            await self._update(RELEASE_ALL, now := self._clock(), now, worker)
        else:
            await self.release_all(worker, [order_id])

    async def stats(self) -> OutboxStats:
        rows = await self._file.read(
            "SELECT state, count(*), min(iif(state = 'pending' AND typeof(enqueued_at) = 'real', enqueued_at, NULL))"
            " FROM conversions GROUP BY state"
        )
        counts = {state: count for state, count, _ in rows}
        oldest = min((age for _, _, age in rows if age is not None), default=None)
        return OutboxStats(
            pending=counts.get("pending", 0),
            delivered=counts.get("delivered", 0),
            dead=counts.get("dead", 0),
            oldest_age=None if oldest is None else max(0.0, self._clock() - oldest),
        )

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return await self._file.run(self._dead_letters, limit)

    async def retry_dead(self, order_ids: Sequence[str] | None) -> int:
        return await self._do(
            self._each_dead,
            "UPDATE conversions SET state = 'pending', settled_at = NULL, reason = NULL, due_at = :now"
            " WHERE state = 'dead'",
            order_ids,
        )

    async def purge_dead(self, order_ids: Sequence[str] | None) -> int:
        return await self._do(self._each_dead, "DELETE FROM conversions WHERE state = 'dead'", order_ids)

    async def _do(self, work: Callable[..., T], *arguments: Any) -> T:
        """A write that is carried out also where its caller is cancelled before its turn has come."""
        return await asyncio.shield(self._file.submit(work, *arguments))

    async def _update(self, statement: str, *parameters: Any) -> None:
        """Not durable: after a power cut the attempt is made again, and the API counts an order once."""
        await self._do(partial(self._file.write, statement, parameters, durable=False))

    def _explain(self, problem: Problem, detail: str) -> Exception:
        if problem in {Problem.NO_DATABASE, Problem.FOREIGN}:
            return ConfigurationError(f"{self.path} is not an outbox of this package; it was left as it is")
        if problem is Problem.NEWER:
            return ConfigurationError(
                f"the outbox {self.path} has {detail}, which this version does not know; it was left as it is"
            )
        if problem is Problem.NO_ACCESS and self._opening:
            return ConfigurationError(f"cannot read or create the outbox {self.path}: {detail}")
        if problem is Problem.DAMAGED and self._opening:
            return ConfigurationError(f"the outbox {self.path} is damaged ({detail}); it was left as it is")
        if problem is Problem.GONE:
            return OutboxUnavailable(
                f"the outbox {self.path} was taken away while it was open ({detail}): open it again to go on with "
                "what is at its path now"
            )
        return OutboxUnavailable(f"outbox {self.path}: {detail}")

    # In the file's thread

    def _check(self) -> None:
        (found,) = self._file.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise DamagedContent(found)

    def _belong_to(self, shop_id: str) -> None:
        with self._file.transaction():
            row = self._file.execute("SELECT shop_id FROM shop").fetchone()
            if row is None:
                self._file.execute("INSERT INTO shop VALUES (?)", (shop_id,))
            elif row[0] != shop_id:
                raise ConfigurationError(
                    f"the outbox {self.path} belongs to shop {row[0]!r}, not {shop_id!r}: use one file for each shop"
                )

    def _add_waiting(self, commit: _GroupCommit) -> None:
        """Store all that waits by now in one commit: the disk is asked once for all of it."""
        commit.begun = True
        added = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            if not self._add_new(added):
                with self._file.transaction():
                    for each in added:
                        each.problem = self._add_one(each)
        except Exception as error:  # noqa: BLE001 - each caller gets it, none may take silence for success
            problem = self._file.explained(error)
            for each in added:
                each.problem = OutboxUnavailable(str(problem))

    def _add_new(self, added: list[_Added]) -> bool:
        """Add these by one statement. ``False`` where some were known, or they are too many for one."""
        if len(added) > _ONE_INSERT:
            return False
        values = [value for each in added for value in each.row]
        if self._file.write(ADD.format(",".join(["(?, ?, ?, ?)"] * len(added))), values) < len(added):
            return False
        for each in added:
            each.problem = None
        return True

    def _add_one(self, added: _Added) -> DuplicateOrder | None:
        if self._file.execute(ADD.format("(?, ?, ?, ?)"), added.row).rowcount:
            return None
        query = "SELECT body FROM conversions WHERE order_id = ?"
        (known,) = self._file.execute(query, (added.order_id,)).fetchone()
        return None if same_content(as_bytes(known), added.body) else DuplicateOrder(added.order_id)

    def _lease(self, worker: str, seconds: float, furthest: float, count: int) -> list[LeasedConversion]:
        now = self._clock()
        # One query for each end of the index: a single one with OR would read and sort the whole backlog.
        for side, bound in (("<=", now), (">", now + furthest)):
            leased = self._lease_due(worker, now + seconds, side, bound, count)
            if leased is not None:
                return leased
        self._forget_delivered(now)
        return []

    def _lease_due(
        self, worker: str, until: float, side: str, bound: float, count: int
    ) -> list[LeasedConversion] | None:
        """``None`` where none is due: looked up without the lock, which every idle worker would take."""
        rows = self._file.execute(SELECT_DUE.format(side), (bound, count)).fetchall()
        if not rows:
            return None
        due = [leased for row in rows if (leased := _leased(row)) is not None]
        if len(due) < len(rows):
            self._mark_lost([row[0] for row in rows if _leased(row) is None])
        ids = [leased.order_id for leased in due]
        changed = self._file.write(LEASE.format(side, _marks(ids)), (until, worker, bound, *ids), durable=False)
        if changed == len(due):
            return due
        # Another process was faster with the others.
        query = f"SELECT order_id FROM conversions WHERE claim = ? AND due_at = ? AND order_id IN ({_marks(ids)})"  # noqa: S608 - only marks
        ours = {order_id for (order_id,) in self._file.execute(query, (worker, until, *ids))}
        return [leased for leased in due if leased.order_id in ours]

    def _mark_lost(self, rowids: Sequence[int]) -> None:
        """What has no id any more can be neither leased nor settled."""
        _log.error("outbox %s: new dead letters: %d; %s", self.path, len(rowids), _ID_DAMAGED)
        self._file.write(MARK_LOST.format(_marks(rowids)), (self._clock(), _ID_DAMAGED, *rowids), durable=False)

    def _next_due(self) -> float:
        row = self._file.execute(
            "SELECT due_at FROM conversions INDEXED BY pending WHERE state = 'pending' AND claim IS NULL"
            " ORDER BY due_at LIMIT 1"
        ).fetchone()
        return math.inf if row is None else row[0] - self._clock()

    def _dead_letters(self, limit: int) -> list[DeadLetter]:
        rows = self._file.execute(
            "SELECT CAST(order_id AS BLOB), CAST(reason AS BLOB), attempts, enqueued_at, settled_at,"
            " CAST(body AS BLOB) FROM conversions WHERE state = 'dead' ORDER BY settled_at, rowid LIMIT ?",
            (limit,),
        )
        return [dead_letter(row) for row in rows]

    def _each_dead(self, statement: str, order_ids: Sequence[str] | None) -> int:
        now = self._clock()
        with self._file.transaction():
            if order_ids is None:
                return self._file.execute(statement, {"now": now}).rowcount
            one = f"{statement} AND order_id = :order_id"
            return sum(self._file.execute(one, {"now": now, "order_id": order_id}).rowcount for order_id in order_ids)

    def _forget_delivered(self, now: float) -> None:
        """Delete those whose time is over, a few at a time; the next idle moment takes more."""
        known = "FROM conversions WHERE state = 'delivered' AND settled_at < ?"
        before = now - self._keep_delivered
        if self._file.execute(f"SELECT 1 {known} LIMIT 1", (before,)).fetchone() is not None:
            some = f"SELECT rowid {known} LIMIT {_FORGOTTEN_AT_ONCE}"
            self._file.write(f"DELETE FROM conversions WHERE rowid IN ({some})", (before,), durable=False)  # noqa: S608 - as above


@dataclass(slots=True)
class _Added:
    """On its way to the disk. ``problem`` is why it did not get there; ``None`` once it has."""

    order_id: str
    body: bytes
    now: float
    problem: Exception | None = field(default_factory=lambda: OutboxUnavailable("it was not stored"))

    @property
    def row(self) -> tuple[str, bytes, float, float]:
        """As it is stored: due from the moment it was enqueued."""
        return self.order_id, self.body, self.now, self.now


@dataclass(slots=True)
class _GroupCommit:
    """One transaction for everything that waits when it begins.

    Its thread sets ``begun`` before it takes the writes, so a write laid down while ``begun`` is unset goes along.
    """

    begun: bool = False
    done: asyncio.Future[None] = field(init=False)


def _portions(order_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(order_ids), _ONE_STATEMENT):
        yield order_ids[start : start + _ONE_STATEMENT]


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _leased(row: tuple[Any, ...]) -> LeasedConversion | None:
    """``None`` where the id is no text. A body that is none is found out later, and one mended by hand is text."""
    _, kind, order_id, body, attempts = row
    try:
        text = order_id.decode() if kind == "text" else None
    except UnicodeDecodeError:
        text = None
    if text is None:
        return None
    return LeasedConversion(text, body, attempts if isinstance(attempts, int) else 0)
