"""Remembering what the server has: the basis of delta syncs.

A ledger maps each product id of a shop to a digest of the content that the server last acknowledged. A run skips what
is unchanged, and takes a product's digest away *before* it sends another version: so whenever the process dies, the
ledger knows too little rather than too much, and the next run sends again what was not acknowledged.

`Ledger` and `LedgerRun` are the protocols, `PagedLedgerRun` is one that knows whole pages of products, too;
`SQLiteLedger` keeps a ledger in a file.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from ..errors import NeuroonError
from ..sqlite import read_header

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Collection, Mapping
    from contextlib import AbstractAsyncContextManager

__all__ = ["Ledger", "LedgerError", "LedgerRun", "PagedLedgerRun", "SQLiteLedger"]

T = TypeVar("T")
_APPLICATION_ID = 0x4E55524E
_VERSION = 2
_ONE_QUERY = 500
_CACHE = 16 * 2**20
"""Bytes of the file kept in memory: for catalogs that do not come in the order of their ids."""
_SMALLEST = 512
"""Bytes of the smallest database that SQLite writes."""
_SCHEMA = (
    "CREATE TABLE shop (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """
CREATE TABLE product (
    shop INTEGER NOT NULL REFERENCES shop (number),
    id BLOB NOT NULL,        -- externalId in UTF-8
    number INTEGER NOT NULL, -- counts up within the shop
    digest BLOB,             -- NULL while the server's state is in doubt
    acknowledged INTEGER,    -- Unix seconds, NULL likewise
    PRIMARY KEY (shop, id)
) WITHOUT ROWID
""",
    f"PRAGMA application_id = {_APPLICATION_ID}",
)
_SINCE_VERSION_2 = (
    """
CREATE TABLE page (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: products go on naming a page that is gone
    shop INTEGER NOT NULL REFERENCES shop (number),
    digest BLOB NOT NULL
)
""",
    "ALTER TABLE product ADD COLUMN page INTEGER",  # the latest one it was in
    f"PRAGMA user_version = {_VERSION}",
)
_UPSERT = """
INSERT INTO product (shop, id, number, digest, acknowledged) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET digest = excluded.digest, acknowledged = excluded.acknowledged RETURNING number, page
"""


class LedgerError(NeuroonError):
    """The ledger cannot be used: in use by another run, damaged, or not a ledger. Nothing was overwritten."""


class LedgerRun(Protocol):
    """A shop's ledger while one run has it to itself."""

    async def unchanged(self, digests: Mapping[str, bytes]) -> Collection[str]:
        """The ids of which the server holds exactly this content."""

    async def doubt(self, ids: Collection[str]) -> None:
        """These are about to be sent or deleted: what the server holds of them is unknown until it is recorded.

        From here on they count as held: a product that may have reached the server must be found missing one day.
        """

    async def record(self, digests: Mapping[str, bytes]) -> None:
        """The server has acknowledged this content."""

    async def forget(self, ids: Collection[str]) -> None:
        """The server no longer has these."""

    async def seen(self, ids: Collection[str]) -> None:
        """The source still has these. Told of every product, where missing ones are to be deleted."""

    async def missing(self) -> tuple[int, int]:
        """How many of the products held when the run began were not seen, and how many were held."""

    def missing_ids(self) -> AsyncIterator[str]:
        """The ids of the products that were not seen."""


@runtime_checkable
class PagedLedgerRun(LedgerRun, Protocol):
    """A ledger that can also tell of whole pages (`pages`) at a glance."""

    def holds_page(self, digest: bytes) -> bool:
        """Does the server hold all of this page just so? If it does, its products count as seen.

        Answered from memory: it must neither block nor raise.
        """

    async def keep_pages(self, pages: Mapping[bytes, Collection[str]]) -> None:
        """The server has acknowledged all products of these pages, which are named by their digests."""


class Ledger(Protocol):
    """Where a delta sync remembers. One run at a time may use a shop's part of it."""

    def run(self, shop: str) -> AbstractAsyncContextManager[LedgerRun]:
        """Open the ledger of one shop for one run. Raises `LedgerError`."""


class SQLiteLedger:
    """A ledger in one file, for any number of shops. The file is open only while a run uses it.

    A run locks the file: a second one that tries, here or in another process, gets a `LedgerError` at once. So shops
    that sync at the same time need a file each. A file that is damaged, or is something else, is never written to.
    SQLite works in a thread of its own, never in the event loop. A product takes about 40 bytes and its id's length in
    the file, and 7 bytes of memory for the length of a run.

    >>> ledger = SQLiteLedger("catalog.ledger")
    >>> report = await client.products.sync(products, ledger=ledger)     # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"SQLiteLedger({str(self.path)!r})"

    @asynccontextmanager
    async def run(self, shop: str) -> AsyncIterator[LedgerRun]:
        """Open the file for one run of one shop. Raises `LedgerError`."""
        worker = _Worker(self.path)
        try:
            yield await worker.do(lambda: _SQLiteRun(worker, _open(worker), shop))
        finally:
            await worker.close()

    async def shops(self) -> dict[str, int]:
        """How many products the ledger holds of each shop (named by address and shop id)."""
        query = "SELECT name, count(digest) FROM shop LEFT JOIN product ON product.shop = shop.number GROUP BY name"
        worker = _Worker(self.path)
        try:
            return await worker.do(lambda: dict(_open(worker).execute(query).fetchall()))
        finally:
            await worker.close()

    async def forget_shop(self, shop: str) -> int:
        """Forget all of one shop: its next run sends everything. Returns how many products that were."""
        async with self.run(shop) as run:
            return await run.forget_all()  # type: ignore[attr-defined, no-any-return]


class _Worker:
    """The one thread that touches the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="neuroon-ledger")

    async def do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    async def close(self) -> None:
        """Close the file, after all that was begun. A cancellation waits for that: then the next run can open it."""
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, self._close)
        self._thread.shutdown(wait=False)
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.wait([closing])
            except asyncio.CancelledError as error:
                cancelled = error
        failure = closing.exception()
        if cancelled is not None:
            raise cancelled
        if failure is not None:
            raise failure

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise LedgerError(f"{self.path}: another run, or another process, is using this ledger") from error
            raise LedgerError(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"{self.path}: not a ledger, or damaged ({error}). Without it the next sync sends everything again, "
                "which is safe: move the file away to do so"
            ) from error

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def _open(worker: _Worker) -> sqlite3.Connection:
    _refuse_foreign(worker.path)
    connection = worker.connection = sqlite3.connect(worker.path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")  # reads the header, and takes the lock, before anything is changed
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    fresh = application_id == version == tables == 0
    if not fresh:
        _check_format(worker.path, application_id, version)
    for statement in (*(_SCHEMA if fresh else ()), *(_SINCE_VERSION_2 if version < _VERSION else ())):
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE // 1024}")
    connection.execute("PRAGMA synchronous = FULL")  # a doubt must outlive a power cut, or it is none
    return connection


def _refuse_foreign(path: Path) -> None:
    """Look before SQLite may write. A ledger of ours is in the file before it has a log beside it."""
    try:
        size = path.stat().st_size if path.is_file() else 0
    except OSError:
        return  # SQLite is about to say what is wrong with it
    if size == 0:
        return
    if size < _SMALLEST:
        raise sqlite3.DatabaseError(f"it has only {size} bytes")
    _check_format(path, *read_header(path))


def _check_format(path: Path, application_id: int, version: int) -> None:
    if application_id != _APPLICATION_ID:
        raise LedgerError(f"{path}: is a database of something else; nothing was written to it")
    if version > _VERSION:
        raise LedgerError(f"{path}: was written by a newer version of neuroon-async; nothing was written to it")


class _SQLiteRun:
    """The methods of `LedgerRun`, each one trip to the ledger's thread."""

    def __init__(self, worker: _Worker, connection: sqlite3.Connection, shop: str) -> None:
        self._worker = worker
        self._connection = connection
        connection.execute("INSERT OR IGNORE INTO shop (name) VALUES (?)", (shop,))
        (self._shop,) = connection.execute("SELECT number FROM shop WHERE name = ?", (shop,)).fetchone()
        (self._held,) = self._ask("SELECT count(*) FROM product WHERE shop = ?").fetchone()
        (self._next,) = self._ask("SELECT coalesce(max(number), 0) + 1 FROM product WHERE shop = ?").fetchone()
        self._seen = bytearray(self._next)
        """One byte for each number that a product held at the beginning may have."""
        self._pages: dict[bytes, int] = dict(self._ask("SELECT digest, number FROM page WHERE shop = ?"))
        """The pages that the server holds just so, and their numbers."""
        self._seen_pages: set[int | None] = set()

    async def unchanged(self, digests: Mapping[str, bytes]) -> Collection[str]:
        return await self._worker.do(lambda: self._unchanged(digests))

    async def doubt(self, ids: Collection[str]) -> None:
        await self._worker.do(lambda: self._write(dict.fromkeys(ids)))

    async def record(self, digests: Mapping[str, bytes]) -> None:
        await self._worker.do(lambda: self._write(digests))

    async def forget(self, ids: Collection[str]) -> None:
        await self._worker.do(lambda: self._delete(ids))

    async def forget_all(self) -> int:
        return await self._worker.do(self._delete_all)

    async def seen(self, ids: Collection[str]) -> None:
        await self._worker.do(lambda: self._mark(ids))

    async def missing(self) -> tuple[int, int]:
        return await self._worker.do(self._count_missing), self._held

    async def missing_ids(self) -> AsyncIterator[str]:
        last = b""
        while chunk := await self._worker.do(partial(self._rows_after, last)):
            for key, number, page in chunk:
                if self._is_missing(number, page):
                    yield key.decode("utf-8", "surrogatepass")
            last = chunk[-1][0]

    def holds_page(self, digest: bytes) -> bool:
        number = self._pages.get(digest)
        if number is None:
            return False
        self._seen_pages.add(number)
        return True

    async def keep_pages(self, pages: Mapping[bytes, Collection[str]]) -> None:
        await self._worker.do(lambda: self._keep(pages))

    def _unchanged(self, digests: Mapping[str, bytes]) -> set[str]:
        held: set[bytes] = set()
        for some, marks in _portions(digests):
            query = f"SELECT digest FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            held.update(digest for (digest,) in self._connection.execute(query, (self._shop, *some)))
        # A digest covers the id too, so it cannot be another product's.
        return {external_id for external_id, digest in digests.items() if digest in held}

    def _mark(self, ids: Collection[str]) -> None:
        for some, marks in _portions(ids):
            query = f"SELECT number FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            for (number,) in self._connection.execute(query, (self._shop, *some)):
                if number < len(self._seen):
                    self._seen[number] = 1

    def _write(self, digests: Mapping[str, bytes | None]) -> None:
        """Keep these digests in one transaction. ``None`` stands for doubt."""
        now = int(time.time())
        changed: set[int | None] = set()
        with self._connection:
            self._connection.execute("BEGIN")
            for external_id, digest in digests.items():
                row = (self._shop, _key(external_id), self._next, digest, None if digest is None else now)
                number, page = self._connection.execute(_UPSERT, row).fetchone()
                self._next += number == self._next  # so numbers are few, however often a product is sent
                changed.add(page)
            self._drop_pages(changed)

    def _delete(self, ids: Collection[str]) -> None:
        with self._connection:
            self._connection.execute("BEGIN")
            for some, marks in _portions(ids):
                query = f"DELETE FROM product WHERE shop = ? AND id IN ({marks}) RETURNING page"  # noqa: S608 - only marks
                rows = self._connection.execute(query, (self._shop, *some)).fetchall()
                self._drop_pages({page for (page,) in rows})

    def _delete_all(self) -> int:
        with self._connection:
            self._connection.execute("BEGIN")
            self._ask("DELETE FROM page WHERE shop = ?")
            self._pages.clear()
            return self._ask("DELETE FROM product WHERE shop = ?").rowcount

    def _keep(self, pages: Mapping[bytes, Collection[str]]) -> None:
        with self._connection:
            self._connection.execute("BEGIN")
            for digest, ids in pages.items():
                if digest not in self._pages:
                    self._keep_page(digest, ids)

    def _keep_page(self, digest: bytes, ids: Collection[str]) -> None:
        insert = "INSERT INTO page (shop, digest) VALUES (?, ?)"
        number = int(self._connection.execute(insert, (self._shop, digest)).lastrowid or 0)
        self._pages[digest] = number
        for some, marks in _portions(ids):
            query = f"SELECT DISTINCT page FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            rows = self._connection.execute(query, (self._shop, *some)).fetchall()
            self._drop_pages({page for (page,) in rows})  # a product's change is noted with one page only
            query = f"UPDATE product SET page = ? WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            self._connection.execute(query, (number, self._shop, *some))

    def _drop_pages(self, numbers: set[int | None]) -> None:
        """Something in these pages changes: they say nothing any more about the rest of what is in them."""
        for number in numbers - {None}:
            for (digest,) in self._connection.execute("DELETE FROM page WHERE number = ? RETURNING digest", (number,)):
                self._pages.pop(digest, None)

    def _count_missing(self) -> int:
        return sum(self._is_missing(*row) for row in self._ask("SELECT number, page FROM product WHERE shop = ?"))

    def _is_missing(self, number: int, page: int | None) -> bool:
        return number < len(self._seen) and not self._seen[number] and page not in self._seen_pages

    def _rows_after(self, key: bytes) -> list[tuple[bytes, int, int | None]]:
        query = "SELECT id, number, page FROM product WHERE shop = ? AND id > ? ORDER BY id LIMIT ?"
        return self._connection.execute(query, (self._shop, key, _ONE_QUERY)).fetchall()

    def _ask(self, query: str) -> sqlite3.Cursor:
        return self._connection.execute(query, (self._shop,))


def _portions(ids: Collection[str]) -> list[tuple[list[bytes], str]]:
    """The keys of these ids, as many at a time as one query takes, with its question marks."""
    keys = [_key(external_id) for external_id in ids]
    portions = [keys[start : start + _ONE_QUERY] for start in range(0, len(keys), _ONE_QUERY)]
    return [(some, ",".join("?" * len(some))) for some in portions]


def _key(external_id: str) -> bytes:
    return external_id.encode("utf-8", "surrogatepass")
