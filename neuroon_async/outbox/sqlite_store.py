"""`SQLiteOutboxStore`: conversions in one SQLite file that any number of processes on a machine share.

It knows the table. `neuroon_async.sqlite.SQLiteFile` opens and closes the file, and runs everything here in a thread of
its own. Only those who enqueue wait for the disk, side by side (`group_commit`).
"""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..api.arguments import read_clock
from ..errors import ConfigurationError
from ..sqlite import DamagedContent, Problem, SQLiteFile
from .dead_letters import dead_letter
from .group_commit import GroupCommit
from .sqlite_statements import LEASE, MARK_LOST, MIGRATIONS, RELEASE, RELEASE_ALL, SELECT_DUE
from .store import DeadLetter, LeasedConversion, OutboxStats, OutboxUnavailable

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
        self._file = SQLiteFile(
            self.path,
            application_id=_APPLICATION_ID,
            migrations=MIGRATIONS,
            explain=self._explain,
            thread_name="neuroon-outbox",
            busy_timeout=_BUSY_TIMEOUT,
            cache_bytes=_CACHE,
        )
        self._adding = GroupCommit(self._file)

    async def open(self, shop_id: str | None) -> None:
        try:
            await self._open()
            if shop_id is not None:
                await self.belong_to(shop_id)
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        """Meanwhile an unusable file is a matter of configuration; later on it is one that has become unavailable."""
        self._opening = True
        try:
            await self._file.open()
            await self._file.run(self._check)
        finally:
            self._opening = False

    async def close(self) -> None:
        self._adding.forget()
        await self._file.close()

    async def belong_to(self, shop_id: str) -> None:
        await self._do(self._belong_to, shop_id)

    async def add(self, order_id: str, body: bytes) -> None:
        await self._adding.add(order_id, body, self._clock())

    async def lease(self, worker: str, seconds: float, furthest: float, count: int) -> list[LeasedConversion]:
        return await self._file.run(self._lease, worker, seconds, furthest, min(count, _ONE_STATEMENT))

    async def next_due(self) -> float:
        return await self._file.run(self._next_due)

    async def delivered(self, order_id: str) -> None:
        await self.delivered_all([order_id])

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
