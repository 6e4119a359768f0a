"""`SQLiteLedger`: a ledger in one file, on `neuroon_async.sqlite.SQLiteFile`.

It knows the tables, and what to tell the user about a file that cannot be used. `sqlite_run` knows what each step of a
run does with the tables, `protocols` what a run needs of a ledger.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ..api.arguments import as_path, check_callback, check_seconds, check_text, read_clock
from ..cancellation import finish
from ..sqlite import DamagedContent, Problem, SQLiteFile, settled
from .protocols import LedgerError
from .recovery import recover
from .rows import id_of, keys_of, portions
from .sqlite_run import SQLiteRun

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable, Collection
    from pathlib import Path

    from .protocols import LedgerRun

__all__ = ["REQUEST_LIFETIME", "SQLiteLedger"]

REQUEST_LIFETIME = 600.0
"""Seconds: well above the client's timeout, and above the patience of the proxies between here and the server."""
_SIGNS_OF_LIFE = 10
"""How often a run says, within one lifetime of a request, that it may still be sending."""
_APPLICATION_ID = 0x4E55524E
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
    (
        # What was about to be sent or deleted and is not answered yet: when, and which products (journal.py).
        """
CREATE TABLE IF NOT EXISTS journal (
    number INTEGER PRIMARY KEY,
    shop INTEGER NOT NULL REFERENCES shop (number),
    batch BLOB NOT NULL
)
""",
        """
CREATE TABLE IF NOT EXISTS sending (
    shop INTEGER PRIMARY KEY REFERENCES shop (number),
    until REAL NOT NULL -- Unix seconds: the shop's latest run may have sent something up to then
)
""",
        # Requests that were never answered and may still be processed: the latest one of each product.
        """
CREATE TABLE IF NOT EXISTS doubt (
    shop INTEGER NOT NULL REFERENCES shop (number),
    id BLOB NOT NULL,
    sent_at REAL NOT NULL, -- Unix seconds, at the latest
    PRIMARY KEY (shop, id)
) WITHOUT ROWID
""",
        """
INSERT OR IGNORE INTO doubt (shop, id, sent_at)
SELECT shop, id, CAST(strftime('%s', 'now') AS REAL) FROM product WHERE digest IS NULL
""",
        "ALTER TABLE page ADD COLUMN size INTEGER NOT NULL DEFAULT 0",  # how many products are in it
        """
UPDATE page SET size = found.size
FROM (SELECT page AS number, count(*) AS size FROM product GROUP BY page) AS found WHERE found.number = page.number
""",
    ),
)
_START_ANEW = "Without it the next sync sends everything again, which is safe: move the file away to do so"
_REASONS = {
    Problem.LOCKED: "another run, or another process, is using this ledger",
    Problem.FOREIGN: "is a database of something else; nothing was written to it",
    Problem.NEWER: "was written by a newer version of neuroon-async; nothing was written to it",
    Problem.NO_DATABASE: f"not a ledger, or damaged ({{detail}}). {_START_ANEW}",
    Problem.DAMAGED: f"not a ledger, or damaged ({{detail}}). {_START_ANEW}",
    Problem.GONE: "the ledger was taken away while a run was using it ({detail}); run the sync again",
}


class SQLiteLedger:
    """A ledger in one file, for any number of shops. The file is open only while a run uses it.

    ``path``: the file, created where there is none.
    ``request_lifetime``: seconds for which the server may still process a request whose answer was lost, because its
    run was killed, cancelled or cut off (default 600). A product of such a request, sent again within this time, is
    sent once more by the next run: until then the old request could overtake the new one. Raise it where a proxy or
    the server keeps requests for longer.
    ``clock``: gives the Unix time (default `time.time`).

    A run locks the file: a second one that tries, here or in another process, gets a `LedgerError` at once. So shops
    that sync at the same time need a file each. A file that is damaged, or is something else, is never written to, and
    nothing is deleted by a ledger that is not whole. A ledger restored from a backup believes what was true then: the
    next sync skips what has changed since. Forget it instead (`forget_shop`, ``neuroon ledger forget``).

    SQLite works in a thread of its own, never in the event loop. A product takes about 40 bytes and its id's length in
    the file, and 7 bytes of memory for the length of a run.

    >>> ledger = SQLiteLedger("catalog.ledger")
    >>> report = await client.products.sync(products, ledger=ledger)     # doctest: +SKIP

    Raises `ConfigurationError` for options that cannot work.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        request_lifetime: float = REQUEST_LIFETIME,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_seconds("request_lifetime", request_lifetime, zero=True)
        check_callback("clock", clock, none=False)
        self.path: Path = as_path("path", path)
        self._at = settled(self.path)
        self._lifetime = request_lifetime
        self._clock = partial(read_clock, "clock", clock)

    def __repr__(self) -> str:
        return f"SQLiteLedger({str(self.path)!r})"

    @asynccontextmanager
    async def run(self, shop: str) -> AsyncGenerator[LedgerRun, None]:
        """Open the file for one run of one shop. Raises `LedgerError`."""
        async with self._running(shop) as run:
            yield run

    async def shops(self) -> dict[str, int]:
        """How many products the ledger holds of each shop (named by address and shop id)."""
        query = "SELECT name, count(digest) FROM shop LEFT JOIN product ON product.shop = shop.number GROUP BY name"
        async with self._file() as file:
            await file.run(recover, file, self._clock())
            return await file.run(lambda: _by_name(file.execute(query).fetchall()))

    async def held(self, shop: str, ids: Collection[str]) -> set[str]:
        """Those of these ids that the ledger has of a shop, in doubt or not. Reads only."""
        check_text("shop", shop)

        def find() -> set[str]:
            found: set[str] = set()
            for keys, marks in portions(keys_of(ids)):
                mine = "shop = (SELECT number FROM shop WHERE name = ?)"
                query = f"SELECT id FROM product WHERE {mine} AND id IN ({marks})"  # noqa: S608 - only marks
                found.update(id_of(key) for (key,) in file.execute(query, (shop, *keys)))
            return found

        async with self._file() as file:
            return await file.run(find)

    async def forget_shop(self, shop: str) -> int:
        """Forget all of one shop: its next run sends everything. Returns how many products that were."""
        async with self._running(shop) as run:
            return await run.forget_all()

    @asynccontextmanager
    async def _running(self, shop: str) -> AsyncGenerator[SQLiteRun, None]:
        check_text("shop", shop)
        async with self._file() as file:
            sign = self._lifetime / _SIGNS_OF_LIFE
            run = await file.run(SQLiteRun, file, shop, self._lifetime, sign, self._clock)
            living = asyncio.create_task(run.show_life()) if sign > 0 else None
            try:
                yield run
            finally:
                await finish(_end(run, living))

    def _file(self) -> SQLiteFile:
        return SQLiteFile(
            self._at,
            application_id=_APPLICATION_ID,
            migrations=_MIGRATIONS,
            explain=self._explain,
            thread_name="neuroon-ledger",
            exclusive=True,
            cache_bytes=_CACHE,
        )

    def _explain(self, problem: Problem, detail: str) -> LedgerError:
        return LedgerError(f"{self.path}: {_REASONS.get(problem, '{detail}').format(detail=detail)}")


def _by_name(rows: list[tuple[Any, int]]) -> dict[str, int]:
    for name, _ in rows:
        if not isinstance(name, str):
            raise DamagedContent(f"shop {name!r}: a value of another type than was stored")
    return dict(rows)


async def _end(run: SQLiteRun, living: asyncio.Task[None] | None) -> None:
    if living is not None:
        living.cancel()
        await asyncio.wait([living])
    await run.end()
