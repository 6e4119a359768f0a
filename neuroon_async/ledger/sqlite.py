"""`SQLiteLedger`: a ledger in one file, on `neuroon_async.sqlite.SQLiteFile`.

It knows the tables and what each step of a run does with them. How the file is opened, locked and closed is
`SQLiteFile`'s business; what a run needs of a ledger is told in `protocols`.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..sqlite import Problem, SQLiteFile
from .protocols import LedgerError

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import AsyncIterator, Collection, Mapping

    from .protocols import LedgerRun

__all__ = ["SQLiteLedger"]

_APPLICATION_ID = 0x4E55524E
_ONE_QUERY = 500
_CACHE = 16 * 2**20
"""Bytes of the file kept in memory: for catalogs that do not come in the order of their ids."""
_MIGRATIONS = (
    (
        "CREATE TABLE shop (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        """
CREATE TABLE product (
    shop INTEGER NOT NULL REFERENCES shop (number),
    id BLOB NOT NULL,        -- externalId in UTF-8
    number INTEGER NOT NULL, -- counts up within the shop
    digest BLOB,             -- NULL while the server's state is in doubt
    acknowledged INTEGER,    -- Unix seconds; NULL while in doubt
    PRIMARY KEY (shop, id)
) WITHOUT ROWID
""",
    ),
    (
        """
CREATE TABLE page (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: products go on naming a page that is gone
    shop INTEGER NOT NULL REFERENCES shop (number),
    digest BLOB NOT NULL
)
""",
        "ALTER TABLE product ADD COLUMN page INTEGER",  # the latest one it was in
    ),
)
_UPSERT = """
INSERT INTO product (shop, id, number, digest, acknowledged) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET digest = excluded.digest, acknowledged = excluded.acknowledged RETURNING number, page
"""
_START_ANEW = "Without it the next sync sends everything again, which is safe: move the file away to do so"
_REASONS = {
    Problem.LOCKED: "another run, or another process, is using this ledger",
    Problem.FOREIGN: "is a database of something else; nothing was written to it",
    Problem.NEWER: "was written by a newer version of neuroon-async; nothing was written to it",
    Problem.NO_DATABASE: "not a ledger, or damaged ({detail}). " + _START_ANEW,
    Problem.DAMAGED: "not a ledger, or damaged ({detail}). " + _START_ANEW,
    Problem.GONE: "the ledger was taken away while a run was using it ({detail}); run the sync again",
}


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
        async with self._file() as file:
            yield await file.run(_SQLiteRun, file, shop)

    async def shops(self) -> dict[str, int]:
        """How many products the ledger holds of each shop (named by address and shop id)."""
        query = "SELECT name, count(digest) FROM shop LEFT JOIN product ON product.shop = shop.number GROUP BY name"
        async with self._file() as file:
            return await file.run(lambda: dict(file.execute(query).fetchall()))

    async def forget_shop(self, shop: str) -> int:
        """Forget all of one shop: its next run sends everything. Returns how many products that were."""
        async with self.run(shop) as run:
            return await run.forget_all()  # type: ignore[attr-defined, no-any-return]

    def _file(self) -> SQLiteFile:
        return SQLiteFile(
            self.path,
            application_id=_APPLICATION_ID,
            migrations=_MIGRATIONS,
            explain=self._explain,
            thread_name="neuroon-ledger",
            exclusive=True,
            cache_bytes=_CACHE,
        )

    def _explain(self, problem: Problem, detail: str) -> LedgerError:
        return LedgerError(f"{self.path}: {_REASONS.get(problem, '{detail}').format(detail=detail)}")


class _SQLiteRun:
    """The methods of `LedgerRun`, each one trip to the ledger's thread."""

    def __init__(self, file: SQLiteFile, shop: str) -> None:
        self._file = file
        file.execute("INSERT OR IGNORE INTO shop (name) VALUES (?)", (shop,))
        (self._shop,) = file.execute("SELECT number FROM shop WHERE name = ?", (shop,)).fetchone()
        (self._held,) = self._ask("SELECT count(*) FROM product WHERE shop = ?").fetchone()
        (self._next,) = self._ask("SELECT coalesce(max(number), 0) + 1 FROM product WHERE shop = ?").fetchone()
        self._seen = bytearray(self._next)
        """One byte for each number that a product held at the beginning may have."""
        self._pages: dict[bytes, int] = dict(self._ask("SELECT digest, number FROM page WHERE shop = ?"))
        """The pages that the server holds just so, and their numbers."""
        self._seen_pages: set[int | None] = set()

    async def unchanged(self, digests: Mapping[str, bytes]) -> Collection[str]:
        return await self._file.run(lambda: self._unchanged(digests))

    async def invalidate(self, ids: Collection[str]) -> None:
        await self._file.run(lambda: self._write(dict.fromkeys(ids)))

    async def record(self, digests: Mapping[str, bytes]) -> None:
        await self._file.run(lambda: self._write(digests))

    async def forget(self, ids: Collection[str]) -> None:
        await self._file.run(lambda: self._delete(ids))

    async def forget_all(self) -> int:
        return await self._file.run(self._delete_all)

    async def seen(self, ids: Collection[str]) -> None:
        await self._file.run(lambda: self._mark(ids))

    async def missing(self) -> tuple[int, int]:
        return await self._file.run(self._count_missing), self._held

    async def missing_ids(self) -> AsyncIterator[str]:
        last = b""
        while chunk := await self._file.run(partial(self._rows_after, last)):
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
        await self._file.run(lambda: self._keep(pages))

    def _unchanged(self, digests: Mapping[str, bytes]) -> set[str]:
        held: set[bytes] = set()
        for some, marks in _portions(digests):
            query = f"SELECT digest FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            held.update(digest for (digest,) in self._file.execute(query, (self._shop, *some)))
        # A digest covers the id too, so it cannot be another product's.
        return {external_id for external_id, digest in digests.items() if digest in held}

    def _mark(self, ids: Collection[str]) -> None:
        for some, marks in _portions(ids):
            query = f"SELECT number FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            for (number,) in self._file.execute(query, (self._shop, *some)):
                if number < len(self._seen):
                    self._seen[number] = 1

    def _write(self, digests: Mapping[str, bytes | None]) -> None:
        """Keep these digests in one transaction. ``None`` stands for doubt."""
        now = int(time.time())
        changed: set[int | None] = set()
        with self._file.transaction():
            for external_id, digest in digests.items():
                row = (self._shop, _key(external_id), self._next, digest, None if digest is None else now)
                number, page = self._file.execute(_UPSERT, row).fetchone()
                self._next += number == self._next  # so numbers are few, however often a product is sent
                changed.add(page)
            self._drop_pages(changed)

    def _delete(self, ids: Collection[str]) -> None:
        with self._file.transaction():
            for some, marks in _portions(ids):
                query = f"DELETE FROM product WHERE shop = ? AND id IN ({marks}) RETURNING page"  # noqa: S608 - only marks
                rows = self._file.execute(query, (self._shop, *some)).fetchall()
                self._drop_pages({page for (page,) in rows})

    def _delete_all(self) -> int:
        with self._file.transaction():
            self._ask("DELETE FROM page WHERE shop = ?")
            self._pages.clear()
            return self._ask("DELETE FROM product WHERE shop = ?").rowcount

    def _keep(self, pages: Mapping[bytes, Collection[str]]) -> None:
        with self._file.transaction():
            for digest, ids in pages.items():
                if digest not in self._pages:
                    self._keep_page(digest, ids)

    def _keep_page(self, digest: bytes, ids: Collection[str]) -> None:
        insert = "INSERT INTO page (shop, digest) VALUES (?, ?)"
        number = int(self._file.execute(insert, (self._shop, digest)).lastrowid or 0)
        self._pages[digest] = number
        for some, marks in _portions(ids):
            query = f"SELECT DISTINCT page FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            rows = self._file.execute(query, (self._shop, *some)).fetchall()
            self._drop_pages({page for (page,) in rows})  # a product's change is noted with one page only
            query = f"UPDATE product SET page = ? WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            self._file.execute(query, (number, self._shop, *some))

    def _drop_pages(self, numbers: set[int | None]) -> None:
        """Something in these pages changes: they say nothing any more about the rest of what is in them."""
        for number in numbers - {None}:
            for (digest,) in self._file.execute("DELETE FROM page WHERE number = ? RETURNING digest", (number,)):
                self._pages.pop(digest, None)

    def _count_missing(self) -> int:
        return sum(self._is_missing(*row) for row in self._ask("SELECT number, page FROM product WHERE shop = ?"))

    def _is_missing(self, number: int, page: int | None) -> bool:
        return number < len(self._seen) and not self._seen[number] and page not in self._seen_pages

    def _rows_after(self, key: bytes) -> list[tuple[bytes, int, int | None]]:
        query = "SELECT id, number, page FROM product WHERE shop = ? AND id > ? ORDER BY id LIMIT ?"
        return self._file.execute(query, (self._shop, key, _ONE_QUERY)).fetchall()

    def _ask(self, query: str) -> sqlite3.Cursor:
        return self._file.execute(query, (self._shop,))


def _portions(ids: Collection[str]) -> list[tuple[list[bytes], str]]:
    """The keys of these ids, as many at a time as one query takes, with its question marks."""
    keys = [_key(external_id) for external_id in ids]
    portions = [keys[start : start + _ONE_QUERY] for start in range(0, len(keys), _ONE_QUERY)]
    return [(some, ",".join("?" * len(some))) for some in portions]


def _key(external_id: str) -> bytes:
    return external_id.encode("utf-8", "surrogatepass")
