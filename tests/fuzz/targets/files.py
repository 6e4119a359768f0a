"""Files of the package's own, damaged: bytes changed, and values of other types and ranges.

An input is a list of changes to a sound file, so that small inputs reach every part of it.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from memory import MEMORY

from fuzz.targets.target import Target
from neuroon_async import RateLimit
from neuroon_async.api.models import Conversion, ConversionItem
from neuroon_async.errors import ConfigurationError
from neuroon_async.ledger.protocols import LedgerError
from neuroon_async.ledger.sqlite import SQLiteLedger
from neuroon_async.limits.machine import _LimitsFile, _MachineSlots
from neuroon_async.limits.store import Full, StoreUnavailable, Taken
from neuroon_async.outbox import ConversionOutbox, OutboxUnavailable
from neuroon_async.outbox.bodies import UnreadableBody, conversion_of
from neuroon_async.outbox.sqlite_store import SQLiteOutboxStore
from neuroon_async.outbox.store import DuplicateOrder

__all__ = ["TARGETS"]

NOW = 1_700_000_000.0
SHOP = "https://api.example shop_1"
IDS = [f"product-{number:03}" for number in range(120)]


@cache
def folder() -> Path:
    path = Path(tempfile.mkdtemp(prefix="neuroon-fuzz-", dir=MEMORY))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def digest(external_id: str) -> bytes:
    return external_id.encode().ljust(16, b".")[-16:]


# Sound files


@cache
def sound_ledger() -> bytes:
    async def make(path: Path) -> None:
        ledger = SQLiteLedger(path, clock=lambda: NOW)
        async with ledger.run(SHOP) as run:
            pages = {bytes([number]) * 16: IDS[number * 30 : (number + 1) * 30] for number in range(3)}
            await run.invalidate(IDS)
            await run.record({each: digest(each) for each in IDS[:100]}, pages)
        async with ledger.run(f"{SHOP}2") as run:
            await run.invalidate(["only"])

    return _made(make)


@cache
def sound_outbox() -> bytes:
    async def make(path: Path) -> None:
        async with ConversionOutbox(path, shop_id="shop_1", clock=lambda: NOW) as outbox:
            for number in range(12):
                await outbox.enqueue(order(str(number)))
            store = outbox._store
            await store.lease("someone", 60.0, 3600.0, 6)
            await store.delivered("0")
            await store.mark_dead("1", "refused")
            await store.mark_dead("2", "refused, too")
            await store.reschedule("3", "someone", 5.0)

    return _made(make)


@cache
def sound_limits() -> bytes:
    async def make(path: Path) -> None:
        await _use_limits(path)

    return _made(make)


def order(order_id: str) -> Conversion:
    lines = [ConversionItem("product", "log", 1, 5)]
    return Conversion(order_id=order_id, order_value=5, currency="EUR", conversions=lines)


def _made(make: Callable[[Path], Awaitable[None]]) -> bytes:
    path = fresh("sound")
    asyncio.run(make(path))  # type: ignore[arg-type]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    content = path.read_bytes()
    fresh("sound")
    return content


def fresh(name: str) -> Path:
    for suffix in ("", "-wal", "-shm", "-journal"):
        (folder() / f"{name}{suffix}").unlink(missing_ok=True)
    return folder() / name


# Damage


def with_bytes(sound: bytes, data: bytes) -> Path:
    """Four bytes a change: where (two, in steps of the file's size), what, and how often. Twice nothing cuts it off."""
    content = bytearray(sound)
    for start in range(0, min(len(data) - 3, 256), 4):
        high, low, value, count = data[start : start + 4]
        at = (high << 8 | low) * len(content) >> 16
        if value == count == 0xFF:
            del content[at:]
        else:
            content[at : at + 1 + count % 16] = bytes([value]) * min(1 + count % 16, len(content) - at)
    path = fresh("damaged")
    path.write_bytes(content)
    return path


def with_values(sound: bytes, data: bytes, columns: tuple[tuple[str, str], ...]) -> Path:
    """Changes of values, each a column, a row, a kind, and a length with as many bytes."""
    path = fresh("damaged")
    path.write_bytes(sound)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        at = 0
        while at + 4 <= len(data) and at < 256:
            which, row, kind, length = data[at : at + 4]
            raw = data[at + 4 : at + 4 + length % 40]
            at += 4 + len(raw)
            table, column = columns[which % len(columns)]
            _change(connection, table, column, row, _value(kind, raw))
    return path


def _change(connection: sqlite3.Connection, table: str, column: str, row: int, value: Any) -> None:
    key = "id" if table in {"product", "doubt"} else "rowid"
    chosen = f"SELECT {key} FROM {table} LIMIT 1 OFFSET {row} % max(1, (SELECT count(*) FROM {table}))"
    try:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ({chosen})", (value,))
    except (sqlite3.Error, UnicodeError):
        return  # what SQLite itself keeps out


def _value(kind: int, raw: bytes) -> Any:
    number = int.from_bytes(raw[:8], "big", signed=True)
    values = (
        None,
        raw,
        raw.decode("latin-1"),
        number,
        number / 1024,
        float("inf"),
        -float("inf"),
        1e300,
        -1,
        2**63 - 1,
        b"",
        "",
        raw * 20,
    )
    return values[kind % len(values)]


def with_state(data: bytes) -> Path:
    """An endpoint whose stored state is this."""
    path = fresh("damaged")
    path.write_bytes(sound_limits())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE endpoint SET state = ?", (data,))
    return path


def state() -> bytes:
    path = fresh("damaged")
    path.write_bytes(sound_limits())
    with closing(sqlite3.connect(path)) as connection:
        return bytes(connection.execute("SELECT state FROM endpoint").fetchone()[0])


# What is done with them


def check_ledger(path: Path) -> None:
    asyncio.run(_use_ledger(path))


async def _use_ledger(path: Path) -> None:
    ledger = SQLiteLedger(path, clock=lambda: NOW + 5)
    try:
        held = await ledger.shops()
        assert all(isinstance(name, str) and isinstance(count, int) for name, count in held.items()), held
        async with ledger.run(SHOP) as run:
            for number in range(4):
                run.holds_page(bytes([number]) * 16)
            known = await run.unchanged({each: digest(each) for each in IDS})
            assert set(known) <= set(IDS)
            await run.seen(IDS[10:])
            missing, held_before = await run.missing()
            assert 0 <= missing <= held_before
            ids = [each async for each in run.missing_ids()]
            assert all(isinstance(each, str) for each in ids)
            await run.invalidate(IDS[:5])
            await run.answered(IDS[:2])
            await run.record({each: digest(each) for each in IDS[2:5]}, {b"9" * 16: IDS[2:5]})
            await run.forget(ids[:3])
        await ledger.forget_shop(SHOP)
    except LedgerError:
        return


def check_outbox(path: Path) -> None:
    asyncio.run(_use_outbox(path))


async def _use_outbox(path: Path) -> None:
    try:
        async with ConversionOutbox(path, shop_id="shop_1", clock=lambda: NOW + 5) as outbox:
            store = outbox._store
            assert isinstance(store, SQLiteOutboxStore)
            for step in (
                outbox.stats,
                lambda: outbox.enqueue(order("3")),
                lambda: outbox.enqueue(order("new")),
                lambda: _deliver(store),
                store.next_due,
                outbox.dead_letters,
                lambda: outbox.retry_dead(["1"]),
                outbox.purge_dead,
                lambda: store.release("me"),
                outbox.stats,
            ):
                try:
                    await step()
                except (OutboxUnavailable, DuplicateOrder):
                    continue
    except (OutboxUnavailable, ConfigurationError):
        return


async def _deliver(store: SQLiteOutboxStore) -> None:
    leased = await store.lease("me", 60.0, 3600.0, 5)
    for each in leased:
        try:
            conversion_of(each.body)
        except UnreadableBody:
            await store.mark_dead(each.order_id, "unreadable")
        else:
            await store.reschedule(each.order_id, "me", 1.0)
            await store.delivered(each.order_id)


def check_limits(path: Path) -> None:
    try:
        asyncio.run(_use_limits(path))
    except (ConfigurationError, StoreUnavailable):
        return


async def _use_limits(path: Path) -> None:
    file = _LimitsFile.at(path)
    slots = _MachineSlots(file, "shop_1", "x", RateLimit(5, 1.0), 60.0)
    try:
        for member in ("a", "b", "c", "d"):
            taken = await slots.take(5, member, bulk=member == "a")
            assert isinstance(taken, Taken) or (isinstance(taken, Full) and taken.wait >= 0), taken
        await slots.cool("a", stamp=0, counted=3)
        await slots.cool_late("b")
        await slots.free("c")
        await slots.pause(2.0)
        await slots.withdraw("z")
    finally:
        await file.close()


LEDGER_COLUMNS = tuple(
    (table, column)
    for table, columns in {
        "shop": ("name", "number"),
        "product": ("id", "digest", "number", "page", "acknowledged", "shop"),
        "page": ("digest", "number", "size", "shop"),
        "journal": ("batch", "shop", "number"),
        "sending": ("until", "shop"),
        "doubt": ("id", "sent_at", "shop"),
    }.items()
    for column in columns
)
OUTBOX_COLUMNS = (
    *tuple(
        ("conversions", column)
        for column in (
            *("order_id", "body", "state", "attempts", "enqueued_at", "due_at", "claim", "settled_at", "reason"),
        )
    ),
    ("shop", "shop_id"),
)


def _four(*changes: tuple[int, int, int, int]) -> bytes:
    return b"".join(map(bytes, changes))


def _bytes_of(name: str, weight: float, sound: Callable[[], bytes], check: Callable[[Path], None]) -> Target:
    """A file of which bytes are changed."""
    return Target(
        f"{name}-bytes",
        lambda data: check(with_bytes(sound(), data)),
        weight,
        seeds=lambda: [b"", _four((0, 1, 0, 0)), _four((128, 0, 255, 255)), _four((100, 7, 1, 3), (200, 0, 9, 9))],
        longest=64,
    )


def _values_of(
    name: str, sound: Callable[[], bytes], check: Callable[[Path], None], columns: tuple[tuple[str, str], ...]
) -> Target:
    """A file of whose tables values are changed."""
    return Target(
        f"{name}-values",
        lambda data: check(with_values(sound(), data, columns)),
        1.5,
        seeds=lambda: [_four((column, 1, kind, 0)) for column in range(len(columns)) for kind in (0, 3, 6)],
        longest=96,
    )


TARGETS = (
    _bytes_of("ledger", 1.0, sound_ledger, check_ledger),
    _values_of("ledger", sound_ledger, check_ledger, LEDGER_COLUMNS),
    _bytes_of("outbox", 1.0, sound_outbox, check_outbox),
    _values_of("outbox", sound_outbox, check_outbox, OUTBOX_COLUMNS),
    _bytes_of("limits", 0.5, sound_limits, check_limits),
    Target(
        "limits-state",
        lambda data: check_limits(with_state(data)),
        1.0,
        seeds=lambda: [state()],
        longest=512,
    ),
)
