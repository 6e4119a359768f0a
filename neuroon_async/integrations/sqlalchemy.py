"""An outbox in the shop's own database (extra ``sqlalchemy``): the conversion is stored by the order's transaction.

`SQLAlchemyOutboxStore` is an `OutboxStore` over an SQLAlchemy 2 `AsyncEngine`: PostgreSQL, MariaDB (10.6 or later) or
MySQL 8, SQLite. It knows the table and its statements. When a conversion is sent, and what an answer means, is the
business of `neuroon_async.outbox`.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ..extras import NeedsExtra

with NeedsExtra("sqlalchemy", __name__):
    from sqlalchemy import (
        Column,
        Dialect,
        Double,
        Index,
        Integer,
        LargeBinary,
        MetaData,
        String,
        Table,
        Text,
        and_,
        cast,
        delete,
        func,
        insert,
        inspect,
        literal_column,
        select,
        update,
    )
    from sqlalchemy.dialects import mysql, postgresql, sqlite
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..api.arguments import check_capable, check_kind, check_seconds, check_text, shown
from ..api.validation import check_conversion
from ..errors import ConfigurationError, InvalidConversion, UsageError
from ..outbox.bodies import as_bytes, same_content, stored_body
from ..outbox.dead_letters import dead_letter
from ..outbox.store import DeadLetter, DuplicateOrder, LeasedConversion, OutboxStats, OutboxUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sqlalchemy import ColumnElement, Executable
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

    from ..api.models import Conversion

__all__ = ["SQLAlchemyOutboxStore", "outbox_table"]

DAY = 86_400.0
_AN_ASYNC_ONE = (("execute", "stream"), "an AsyncSession or AsyncConnection")
_FORGOTTEN_AT_ONCE = 500
_FAILURES = (SQLAlchemyError, OSError, TimeoutError)
_NOW = {
    "postgresql": "EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6)",  # local times occur twice in autumn
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}
"""The database's own clock, in Unix seconds: one for all processes. By the name of the dialect."""
_IN_MYSQL = {"engine": "InnoDB", "default_charset": "utf8mb4", "collate": "utf8mb4_bin"}
"""Whatever the server's defaults are: they may lack transactions, lack letters, or take "a" and "A" for one id."""
_BLOBS = {"TINYBLOB": 2**8 - 1, "BLOB": 2**16 - 1, "MEDIUMBLOB": 2**24 - 1}
"""Bytes that MySQL's types hold."""
_LONGEST_REASON = 10_000
"""Characters that are kept of why a conversion was refused: MySQL's TEXT does not hold any number of them."""


def outbox_table(metadata: MetaData, name: str = "neuroon_outbox") -> Table:
    """The outbox's table as part of your own metadata, so that Alembic and ``create_all`` know it.

    ``metadata``: where it is added. ``name``: the table's name; give the same one to `SQLAlchemyOutboxStore`.
    """
    check_kind("metadata", metadata, MetaData, "a MetaData, such as Base.metadata")
    check_text("name", name)
    options: dict[str, Any] = {
        f"{dialect}_{key}": _IN_MYSQL[key] for dialect in ("mysql", "mariadb") for key in _IN_MYSQL
    }
    return Table(
        name,
        metadata,
        Column("shop_id", String(100), primary_key=True),
        Column("order_id", Text().with_variant(mysql.VARCHAR(255), "mysql", "mariadb"), primary_key=True),
        Column("body", LargeBinary, nullable=False),
        Column("state", String(10), nullable=False),  # pending, delivered or dead
        Column("attempts", Integer, nullable=False),
        # Unix seconds by the database's clock.
        Column("enqueued_at", Double, nullable=False),
        Column("due_at", Double, nullable=False),  # of a pending one: its next attempt, or the end of its lease
        Column("claim", String(32)),  # who is sending it
        Column("settled_at", Double),  # when it was delivered or refused
        Column("reason", Text),  # why it was refused
        Index(f"ix_{name}_due", "shop_id", "state", "due_at"),
        Index(f"ix_{name}_settled", "shop_id", "state", "settled_at"),
        **options,
    )


class SQLAlchemyOutboxStore:
    """Keeps the conversions of one shop in a table of your database.

    ``engine``: your own `AsyncEngine`, used and never disposed of.
    ``shop_id``: the shop whose conversions these are. Any number of shops share the table.
    ``table``: its name (default ``neuroon_outbox``), or what `outbox_table` gave.
    ``keep_delivered``: seconds for which delivered conversions are kept (default 30 days; `math.inf`: for ever). An
    order that is enqueued once more within this time is recognized.

    In the transaction that commits the order:

    >>> async def checkout(session, order):                                         # doctest: +SKIP
    ...     async with session.begin():
    ...         session.add(order)
    ...         await store.enqueue_in(session, conversion_of(order))

    Elsewhere, in one process or in many:

    >>> async def deliver(client):                                                  # doctest: +SKIP
    ...     async with ConversionOutbox(store).delivering(client):
    ...         await shutdown.wait()

    Several processes that deliver never wait for each other where the database has ``SKIP LOCKED``. Every method
    raises `OutboxUnavailable` where the database fails.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        shop_id: str,
        *,
        table: str | Table = "neuroon_outbox",
        keep_delivered: float = 30 * DAY,
    ) -> None:
        if not isinstance(getattr(engine, "dialect", None), Dialect):
            raise UsageError(f"must be an AsyncEngine, got {shown(engine)}", where="engine")
        check_text("shop_id", shop_id)
        check_seconds("keep_delivered", keep_delivered, zero=True, endless=True)
        if not isinstance(table, Table):
            check_text("table", table)
        dialect = engine.dialect.name
        self._dialect = "mysql" if dialect == "mariadb" else dialect
        if self._dialect not in _NOW:
            raise ConfigurationError(f"an outbox can be kept in PostgreSQL, MariaDB, MySQL or SQLite, not in {dialect}")
        self.engine = engine
        self.shop_id = shop_id
        self.table: Table = table if isinstance(table, Table) else outbox_table(MetaData(), table)
        self._keep_delivered = keep_delivered
        self._longest_id, self._largest_body = self._room()
        # SQLite keeps text there too, where somebody has mended a row by hand.
        self._body: ColumnElement[bytes] = (
            cast(self.table.c.body, LargeBinary) if self._dialect == "sqlite" else self.table.c.body
        )
        self._now: ColumnElement[float] = literal_column(_NOW[self._dialect], Double)

    def __repr__(self) -> str:
        return f"SQLAlchemyOutboxStore({self.table.name!r}, shop_id={self.shop_id!r})"

    async def create_table(self) -> None:
        """Create the table where it is not there. With Alembic, use `outbox_table` instead."""
        async with self._transaction() as connection:
            await connection.run_sync(self.table.metadata.create_all, tables=[self.table])

    async def enqueue_in(self, transaction: AsyncSession | AsyncConnection, conversion: Conversion) -> bool:
        """Add a conversion to the transaction that this session or connection is in. It counts once that is committed.

        ``False``, and nothing is added, where no line can be attributed to a search. The same order with the same
        content changes nothing. Raises `InvalidConversion` for one that breaks a documented rule, or that the table
        does not hold, `DuplicateOrder` for an order that was enqueued with other content, `OutboxUnavailable` where the
        database refuses, `UsageError` for a session or connection that is not async.
        """
        check_capable("transaction", transaction, *_AN_ASYNC_ONE, none=False)
        check_conversion(conversion)
        if not conversion.conversions:
            return False
        session: Any = transaction
        if getattr(session, "autoflush", False):
            await session.flush()  # what it holds goes first, and fails as the shop's own
        try:
            await self._add(transaction, conversion.order_id, stored_body(conversion))
        except _FAILURES as error:
            raise self._unavailable(error) from error
        return True

    # The `OutboxStore`

    async def open(self, shop_id: str | None) -> None:
        if shop_id is not None:
            await self.belong_to(shop_id)
        try:
            async with self.engine.connect() as connection:
                await connection.execute(select(self.table.c.order_id).limit(1))
        except DBAPIError as error:
            if error.connection_invalidated or not await self._lacks_table():
                raise self._unavailable(error) from error
            raise ConfigurationError(
                f"the database has no table {self.table.name!r}: await create_table() once, or add "
                "outbox_table(metadata) to your migrations"
            ) from error
        except _FAILURES as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        """Nothing: the engine is yours."""

    async def belong_to(self, shop_id: str) -> None:
        if shop_id != self.shop_id:
            raise ConfigurationError(f"{self!r} holds conversions of another shop than {shop_id!r}")

    async def add(self, order_id: str, body: bytes) -> None:
        async with self._transaction() as connection:
            await self._add(connection, order_id, body)

    async def lease(self, worker: str, seconds: float, furthest: float, count: int) -> list[LeasedConversion]:
        due_at = self.table.c.due_at
        leased = await self._lease(worker, seconds, count, due_at <= self._now)
        # One query for each end of the index: a single one with OR would sort the whole backlog.
        leased = leased or await self._lease(worker, seconds, count, due_at > self._now + furthest)
        if not leased:
            await self._forget_delivered()
        return leased

    async def next_due(self) -> float:
        row = self.table.c
        query = select(func.min(row.due_at) - self._now).where(self._mine("pending"), row.claim.is_(None))
        [(due,)] = await self._rows(query)
        return math.inf if due is None else float(due)

    async def delivered(self, order_id: str) -> None:
        ours = and_(self.table.c.shop_id == self.shop_id, self.table.c.order_id == order_id)
        await self._change(update(self.table).where(ours).values(state="delivered", settled_at=self._now, claim=None))

    async def mark_dead(self, order_id: str, reason: str) -> None:
        row = self.table.c
        reason = reason.replace("\0", "\ufffd")[:_LONGEST_REASON]
        refused = {"state": "dead", "settled_at": self._now, "claim": None, "reason": reason}
        statement = update(self.table).where(self._mine("pending"), row.order_id == order_id)
        await self._change(statement.values(attempts=row.attempts + 1, **refused))

    async def reschedule(self, order_id: str, worker: str, wait: float) -> None:
        row = self.table.c
        statement = update(self.table).where(self._mine("pending"), row.order_id == order_id, row.claim == worker)
        await self._change(statement.values(due_at=self._now + wait, claim=None, attempts=row.attempts + 1))

    async def release(self, worker: str, order_id: str | None = None) -> None:
        row = self.table.c
        statement = update(self.table).where(self._mine("pending"), row.claim == worker)
        if order_id is not None:
            statement = statement.where(row.order_id == order_id)
        await self._change(statement.values(due_at=self._now, claim=None))

    async def stats(self) -> OutboxStats:
        row = self.table.c
        counted = select(row.state, func.count(), self._now - func.min(row.enqueued_at))
        rows = await self._rows(counted.where(row.shop_id == self.shop_id).group_by(row.state))
        counts = {state: (count, float(age)) for state, count, age in rows}
        pending, age = counts.get("pending", (0, None))
        return OutboxStats(
            pending=pending,
            delivered=counts.get("delivered", (0,))[0],
            dead=counts.get("dead", (0,))[0],
            oldest_age=None if age is None else max(0.0, age),
        )

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        row = self.table.c
        query = select(row.order_id, row.reason, row.attempts, row.enqueued_at, row.settled_at, self._body)
        rows = await self._rows(query.where(self._mine("dead")).order_by(row.settled_at, row.order_id).limit(limit))
        return [dead_letter(each) for each in rows]

    async def retry_dead(self, order_ids: Sequence[str] | None) -> int:
        statement = update(self.table).where(self._mine("dead"), self._among(order_ids))
        return await self._change(statement.values(state="pending", settled_at=None, reason=None, due_at=self._now))

    async def purge_dead(self, order_ids: Sequence[str] | None) -> int:
        return await self._change(delete(self.table).where(self._mine("dead"), self._among(order_ids)))

    # Statements

    async def _lease(self, worker: str, seconds: float, count: int, due: ColumnElement[bool]) -> list[LeasedConversion]:
        row = self.table.c
        query = select(row.order_id, self._body, row.attempts, row.claim).where(self._mine("pending"), due)
        query = query.order_by(row.due_at).limit(count).with_for_update(skip_locked=True)  # nothing in SQLite
        leased: list[LeasedConversion] = []
        async with self._transaction() as connection:
            for order_id, body, attempts, claim in (await connection.execute(query)).all():
                # Without SKIP LOCKED another process may have been faster.
                same = row.claim.is_(None) if claim is None else row.claim == claim
                ours = update(self.table).where(self._mine("pending"), row.order_id == order_id, same)
                result = await connection.execute(ours.values(claim=worker, due_at=self._now + seconds))
                if result.rowcount == 1:
                    leased.append(LeasedConversion(order_id, as_bytes(body), attempts))
        return leased

    def _room(self) -> tuple[float, float]:
        """How many characters of an order's id the table holds, and how many bytes of its body.

        Raises `UsageError` for a shop's id that is too long.
        """
        dialect, row = self.engine.dialect, self.table.c
        characters: list[float] = [
            getattr(column.type.dialect_impl(dialect), "length", None) or math.inf
            for column in (row.shop_id, row.order_id)
        ]
        if len(self.shop_id) > characters[0]:
            raise UsageError(
                f"has {len(self.shop_id):,} characters, and the table holds {characters[0]:,}", where="shop_id"
            )
        largest = _BLOBS.get(row.body.type.compile(dialect), math.inf) if self._dialect == "mysql" else math.inf
        return characters[1], largest

    def _check_room(self, order_id: str, body: bytes) -> None:
        """Raise `InvalidConversion` for what the table does not hold: `_insert` would have MySQL cut it, silently."""
        if len(order_id) > self._longest_id:
            rule = f"has {len(order_id):,} characters, and table {self.table.name} holds {self._longest_id:,}"
            raise InvalidConversion(order_id, [("orderId", rule)])
        if len(body) > self._largest_body:
            rule = f"make {len(body):,} bytes, and table {self.table.name} holds {self._largest_body:,}"
            wider = "make the column body a MEDIUMBLOB, and give the store that Table"
            raise InvalidConversion(order_id, [("conversions", rule)], advice=wider)

    async def _add(self, transaction: AsyncSession | AsyncConnection, order_id: str, body: bytes) -> None:
        self._check_room(order_id, body)
        row = {"shop_id": self.shop_id, "order_id": order_id, "body": body, "state": "pending", "attempts": 0}
        insertion = self._insert(row | {"enqueued_at": self._now, "due_at": self._now})
        result: Any = await transaction.execute(insertion.execution_options(preserve_rowcount=True))
        if result.rowcount == 1:  # else look what is there: a driver that does not know gives -1
            return
        known = and_(self.table.c.shop_id == self.shop_id, self.table.c.order_id == order_id)
        query = select(self._body).where(known)
        if self._dialect == "mysql":  # where a transaction goes on seeing what there was when it began
            query = query.with_for_update(read=True)
        stored = (await transaction.execute(query)).scalar_one_or_none()
        if stored is None or not same_content(as_bytes(stored), body):
            raise DuplicateOrder(order_id)

    def _insert(self, values: dict[str, Any]) -> Executable:
        """Where the order is there already, nothing happens, and the transaction stays usable."""
        if self._dialect == "postgresql":
            return postgresql.insert(self.table).values(values).on_conflict_do_nothing()
        if self._dialect == "sqlite":
            return sqlite.insert(self.table).values(values).on_conflict_do_nothing()
        return insert(self.table).values(values).prefix_with("IGNORE")

    async def _forget_delivered(self) -> None:
        """Delete those whose time is over, a few at a time."""
        if self._keep_delivered == math.inf:
            return
        row = self.table.c
        old = select(row.order_id).where(self._mine("delivered"), row.settled_at < self._now - self._keep_delivered)
        if rows := await self._rows(old.limit(_FORGOTTEN_AT_ONCE)):
            these = row.order_id.in_([each[0] for each in rows])
            await self._change(delete(self.table).where(self._mine("delivered"), these))

    def _mine(self, state: str) -> ColumnElement[bool]:
        return and_(self.table.c.shop_id == self.shop_id, self.table.c.state == state)

    def _among(self, order_ids: Sequence[str] | None) -> ColumnElement[bool]:
        every = literal_column("1") == literal_column("1")
        return every if order_ids is None else self.table.c.order_id.in_(order_ids)

    async def _rows(self, query: Executable) -> list[Any]:
        async with self._transaction() as connection:
            return list((await connection.execute(query)).all())

    async def _change(self, statement: Executable) -> int:
        async with self._transaction() as connection:
            result: Any = await connection.execute(statement)
            return int(result.rowcount)

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncConnection, None]:
        # By MySQL's default a lease locks the gaps between rows, too: orders wait, and leases deadlock. Where the
        # shop's level is SERIALIZABLE, nearly every lease fails in PostgreSQL.
        engine = self.engine
        if self._dialect != "sqlite":
            engine = engine.execution_options(isolation_level="READ COMMITTED")
        try:
            async with engine.begin() as connection:
                yield connection
        except _FAILURES as error:
            raise self._unavailable(error) from error

    async def _lacks_table(self) -> bool:
        try:
            async with self.engine.connect() as connection:
                return not await connection.run_sync(lambda sync: inspect(sync).has_table(self.table.name))
        except _FAILURES:
            return False

    def _unavailable(self, error: BaseException) -> OutboxUnavailable:
        # Not SQLAlchemy's own text, which repeats the statement and all its parameters.
        reason = getattr(error, "orig", None) or error
        return OutboxUnavailable(f"outbox {self.table.name}: {type(reason).__name__}: {reason}")
