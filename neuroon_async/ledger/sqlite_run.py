"""What each step of a run does in a ledger file. Steps that wait at the same time share a transaction (`steps`).

Before a request its batch is noted in the journal; on the answer digests and pages are written and the batch is struck
off, at once. What is left in the journal when the file is opened again is folded into the products, as doubts with
their age: see `recovery`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..sqlite import DamagedContent
from .journal import OpenBatches, packed
from .missing import MissingProducts
from .protocols import LedgerError
from .recovery import doubt, recover
from .rows import ONE_QUERY, key_of, keys_of, portions, valid_number, valid_seconds
from .statements import ADD_PAGES, DOUBT, HOLD, LAST_PAGE, UNKNOWN, many
from .steps import Steps

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Collection, Mapping

    from ..sqlite import SQLiteFile

__all__ = ["SQLiteRun"]

_MOST_OPEN = 50_000
"""Products in open batches that are kept in memory; where more were never answered, the oldest go into the file."""
_MOST_GAPS = 1_000_000
"""Unused numbers, each of which costs a byte of memory, before the products are numbered again."""
_NOTHING: Mapping[bytes, Collection[str]] = {}


class SQLiteRun:
    """The methods of `PagedLedgerRun`, `AnsweredLedgerRun` and `RepeatingLedgerRun` on an open file.

    ``lifetime``: seconds for which a request that was not answered may still be processed. ``sign``: seconds between
    two signs of life of this run.
    """

    def __init__(self, file: SQLiteFile, shop: str, lifetime: float, sign: float, clock: Callable[[], float]) -> None:
        self._file = file
        self._lifetime = lifetime
        self._sign = sign
        self._clock = clock
        recover(file, clock())
        self._new = file.execute("INSERT OR IGNORE INTO shop (name) VALUES (?)", (shop,)).rowcount > 0
        """Did the file not know this shop?"""
        (self._shop,) = file.execute("SELECT number FROM shop WHERE name = ?", (shop,)).fetchone()
        self._held, self._next = self._numbered()
        self._doubtful = self._aged(clock())
        """Is there any request of an earlier run that may still be processed?"""
        self._pages: dict[bytes, int] = {}
        """The pages that the server holds exactly, and their numbers."""
        self._sizes: dict[int, int] = {}
        """How many products each of these pages has."""
        for digest, number, size in self._ask("SELECT digest, number, size FROM page WHERE shop = ?"):
            if not (isinstance(digest, bytes) and isinstance(size, int)):
                raise DamagedContent(f"page {number}: a value of another type than was stored")
            self._pages[digest] = number
            self._sizes[number] = size
        (last_page,) = file.execute(LAST_PAGE).fetchone()
        self._next_page = valid_number(last_page or 0) + 1
        """No page's number is used twice, although pages go: products go on naming them."""
        self._missing = MissingProducts(file, self._shop, self._next, self._sizes)
        self._absent: set[bytes] = set()
        """Keys that were asked for and not found, until they are recorded: they are on no page."""
        self._steps = Steps(file)
        self._open = OpenBatches()
        self._repeated: set[bytes] = set()
        """Of these an attempt was never answered, and what its repetition said is about to be written down."""

    async def show_life(self) -> None:
        """Note again and again, until cancelled, that requests may still be leaving."""
        while True:
            await asyncio.sleep(self._sign)
            if self._open:
                try:
                    await self._file.run(self._show_life, self._sign)
                except LedgerError:
                    return  # the next step of the run says so, too

    async def end(self) -> None:
        """Nothing more will be sent: what is open now was sent by now."""
        if self._open:
            with suppress(LedgerError):  # the file is gone or the disk is full: its last sign of life stands
                await self._file.run(self._leave)

    async def unchanged(self, digests: Mapping[str, bytes]) -> Collection[str]:
        return await self._steps.read(self._unchanged, digests)

    async def invalidate(self, ids: Collection[str]) -> None:
        await self._steps.write(self._invalidate, ids)

    async def record(self, digests: Mapping[str, bytes], pages: Mapping[bytes, Collection[str]] = _NOTHING) -> None:
        await self._steps.write(self._record, digests, pages)

    async def answered(self, ids: Collection[str]) -> None:
        await self._steps.write(self._answered, ids, durable=False)

    async def repeated(self, ids: Collection[str]) -> None:
        await self._steps.read(self._repeated.update, keys_of(ids))

    async def forget(self, ids: Collection[str]) -> None:
        await self._steps.write(self._forget, ids)

    async def forget_all(self) -> int:
        return await self._file.run(self._forget_all)

    async def seen(self, ids: Collection[str]) -> None:
        await self._file.run(self._missing.mark, ids)

    async def missing(self) -> tuple[int, int]:
        return await self._file.run(self._missing.count), self._held

    async def missing_ids(self) -> AsyncIterator[str]:
        last = b""
        while chunk := await self._file.run(self._missing.after, last):
            missing, last = chunk
            for external_id in missing:
                yield external_id

    def holds_page(self, digest: bytes) -> bool:
        number = self._pages.get(digest)
        if number is None:
            return False
        self._missing.seen_pages.add(number)
        return True

    async def keep_pages(self, pages: Mapping[bytes, Collection[str]]) -> None:
        await self._steps.write(self._keep, pages)

    # In the file's thread: what the server holds

    def _numbered(self) -> tuple[int, int]:
        """How many products are held, and the first number above theirs."""
        held, highest = self._ask("SELECT count(*), max(number) FROM product WHERE shop = ?").fetchone()
        if not held:
            return 0, 1
        if not (isinstance(highest, int) and highest >= held):
            raise DamagedContent(f"the highest number of {held:,} products is {highest!r}")
        if highest > 4 * held + _MOST_GAPS:
            highest = self._number_anew(held)
        return held, highest + 1

    def _aged(self, now: float) -> bool:
        """Drop the doubts that are over. ``True`` where there are any left."""
        with self._file.transaction():
            self._file.execute("DELETE FROM doubt WHERE shop = ? AND sent_at <= ?", (self._shop, now - self._lifetime))
            # The clock was set back since.
            self._file.execute("UPDATE doubt SET sent_at = ? WHERE shop = ? AND sent_at > ?", (now, self._shop, now))
        return self._ask("SELECT 1 FROM doubt WHERE shop = ? LIMIT 1").fetchone() is not None

    def _number_anew(self, held: int) -> int:
        with self._file.transaction():
            self._file.execute(
                "UPDATE product SET number = found.place"
                " FROM (SELECT id, row_number() OVER () AS place FROM product WHERE shop = :shop) AS found"
                " WHERE shop = :shop AND product.id = found.id",
                {"shop": self._shop},
            )
        return held

    def _unchanged(self, digests: Mapping[str, bytes]) -> set[str]:
        keys = keys_of(digests)
        rows: dict[bytes, bytes | None] = {}
        for some, marks in portions(keys):
            query = f"SELECT id, digest FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            rows.update(self._file.execute(query, (self._shop, *some)).fetchall())
        if len(self._absent) > _MOST_OPEN:
            self._absent.clear()
        self._absent.update(key for key in keys if key not in rows)
        held = {*rows.values()} - {None}
        # A digest covers the id too, so it cannot be another product's.
        found = {external_id for external_id, digest in digests.items() if digest in held}
        return {external_id for external_id in found if key_of(external_id) not in self._open} if self._open else found

    def _invalidate(self, ids: Collection[str]) -> None:
        now = self._clock()
        keys = list(dict.fromkeys(keys_of(ids)))
        if not keys:
            return
        if self._pages:
            self._drop_pages_of(keys)
        # An earlier request of this run with these was never answered: it may still be under way.
        self._set_aside([key for key in keys if key in self._open], now)
        while len(self._open) > _MOST_OPEN:
            self._set_aside(self._open.oldest(), now)
        insert = "INSERT INTO journal (shop, batch) VALUES (?, ?) RETURNING number"
        (number,) = self._file.execute(insert, (self._shop, packed(now, keys))).fetchone()
        self._note_life(now + self._sign)
        self._open.add(number, now, keys)

    def _set_aside(self, keys: list[bytes], now: float) -> None:
        if keys:
            doubt(self._file, self._shop, keys, now, self._next)
            self._next += len(keys)
            self._doubtful = True
            self._strike_off(keys)

    def _record(self, digests: Mapping[str, bytes], pages: Mapping[bytes, Collection[str]]) -> None:
        now = self._clock()
        contents = {key_of(external_id): digest for external_id, digest in digests.items()}
        known = self._pages_of(contents)
        doubted = self._overtakable(contents, now)
        self._doubt_attempts_of(contents, now)
        self._drop_pages(set(known.values()))
        place: dict[bytes, int] = {}
        recorded = contents.keys() - doubted
        members = {digest: set(keys_of(ids)) for digest, ids in pages.items()}
        whole = {digest: keys for digest, keys in members.items() if recorded.issuperset(keys)}
        self._add_pages(whole, place)
        for digest in pages.keys() - whole.keys():
            self._keep_page(digest, pages[digest], recorded, place)
        rows: list[tuple[Any, ...]] = []
        for key, digest in contents.items():
            held = (None, None) if key in doubted else (bytearray(digest), int(now))  # see `portions`
            rows.append((*held, place.get(key) or known.get(key), self._shop, bytearray(key), self._next))
            self._next += key not in known
        self._hold(rows)
        self._absent.difference_update(contents)
        self._strike_off(contents)

    def _hold(self, rows: list[tuple[Any, ...]]) -> None:
        for start in range(0, len(rows), ONE_QUERY):
            self._file.execute(*many(HOLD, rows[start : start + ONE_QUERY]))

    def _answered(self, ids: Collection[str]) -> None:
        """They stay in doubt, but no open request can change them any more."""
        keys = [key for key in keys_of(ids) if key in self._open]
        self._file.executemany(UNKNOWN, ((self._shop, key, self._next + n) for n, key in enumerate(keys)))
        self._strike_off(keys)
        self._next += len(keys)

    def _forget(self, ids: Collection[str]) -> None:
        now = self._clock()
        keys = keys_of(ids)
        doubted = self._overtakable(keys, now)
        self._doubt_attempts_of(keys, now)
        self._drop_pages_of(keys)
        for key in keys:
            if key in doubted:
                self._file.execute(UNKNOWN, (self._shop, key, self._next))
                self._next += 1
            else:
                self._file.execute("DELETE FROM product WHERE shop = ? AND id = ?", (self._shop, key))
        self._strike_off(keys)

    def _forget_all(self) -> int:
        """Doubts stay: what was never answered may still be processed, after what is sent from now on."""
        with self._file.transaction():
            if self._new:
                self._ask("DELETE FROM shop WHERE number = ?")
            self._drop_pages(set(self._sizes))
            return self._ask("DELETE FROM product WHERE shop = ?").rowcount

    def _pages_of(self, keys: Collection[bytes]) -> dict[bytes, int | None]:
        """The page of each that the ledger knows."""
        found: dict[bytes, int | None] = {}
        for some, marks in portions(self._perhaps_present(keys)):
            query = f"SELECT id, page FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            found.update(self._file.execute(query, (self._shop, *some)).fetchall())
        return found

    def _perhaps_present(self, keys: Collection[bytes]) -> list[bytes]:
        return [key for key in keys if key not in self._absent]

    def _overtakable(self, keys: Collection[bytes], now: float) -> set[bytes]:
        """Those of which an earlier request, never answered, may have been on its way still when this one was sent."""
        found: set[bytes] = set()
        for some, marks in portions(keys) if self._doubtful else ():
            query = f"SELECT id, sent_at FROM doubt WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            for key, doubted in self._file.execute(query, (self._shop, *some)):
                sent_at = self._open.sent_at(key)
                if valid_seconds(doubted) > (now if sent_at is None else sent_at) - self._lifetime:
                    found.add(key)
        return found

    def _doubt_attempts_of(self, keys: Collection[bytes], now: float) -> None:
        """What is written down about these stands, but may be overtaken by an attempt that was never answered."""
        repeated = self._repeated.intersection(keys)
        if repeated:
            self._file.executemany(DOUBT, ((self._shop, key, now) for key in repeated))
            self._doubtful = True
            self._repeated -= repeated

    def _strike_off(self, keys: Collection[bytes]) -> None:
        for number in self._open.close(keys):
            self._file.execute("DELETE FROM journal WHERE number = ?", (number,))

    def _show_life(self, ahead: float) -> None:
        with self._file.transaction():
            self._note_life(self._clock() + ahead)

    def _note_life(self, until: float) -> None:
        self._file.execute("INSERT OR REPLACE INTO sending VALUES (?, ?)", (self._shop, until))

    def _leave(self) -> None:
        """Only what is open now was never answered, and all of it was sent by now."""
        with self._file.transaction():
            for number, sent_at, keys in self._open.rest():
                self._file.execute("UPDATE journal SET batch = ? WHERE number = ?", (packed(sent_at, keys), number))
            self._note_life(self._clock())

    # In the file's thread: pages

    def _keep(self, pages: Mapping[bytes, Collection[str]]) -> None:
        for digest, ids in pages.items():
            if digest not in self._pages:
                self._keep_page(digest, ids, frozenset(), {})

    def _keep_page(
        self, digest: bytes, ids: Collection[str], recorded: Collection[bytes], place: dict[bytes, int]
    ) -> None:
        """Keep a page, unless one of its products is in doubt.

        Its products are put down in ``place``. Those that are not about to be recorded get its number at once.
        """
        keys = set(keys_of(ids))
        others = [key for key in keys if key not in recorded]
        if any(key in self._open for key in others):
            return
        if others:
            self._drop_pages_of(others)  # a product's change is noted with one page only
        number = self._next_page
        self._next_page += 1
        self._file.execute(*many(ADD_PAGES, [(number, self._shop, digest, len(keys))]))
        held = 0
        for some, marks in portions(others):
            query = f"UPDATE product SET page = ? WHERE shop = ? AND digest IS NOT NULL AND id IN ({marks})"  # noqa: S608 - only marks
            held += self._file.execute(query, (number, self._shop, *some)).rowcount
        if held < len(others):
            self._file.execute("DELETE FROM page WHERE number = ?", (number,))
            return
        self._pages[digest] = number
        self._sizes[number] = len(keys)
        place.update(dict.fromkeys(keys, number))

    def _add_pages(self, pages: Mapping[bytes, Collection[bytes]], place: dict[bytes, int]) -> None:
        """Keep pages all of whose products are about to be recorded, and put down where these are."""
        rows: list[tuple[int, int, bytes, int]] = []
        for number, (digest, keys) in enumerate(pages.items(), self._next_page):
            rows.append((number, self._shop, digest, len(keys)))
            place.update(dict.fromkeys(keys, number))
            self._pages[digest] = number
            self._sizes[number] = len(keys)
        self._next_page += len(rows)
        if rows:
            self._file.execute(*many(ADD_PAGES, rows))

    def _drop_pages_of(self, keys: Collection[bytes]) -> None:
        for some, marks in portions(self._perhaps_present(keys)):
            query = f"SELECT DISTINCT page FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            rows = self._file.execute(query, (self._shop, *some)).fetchall()
            self._drop_pages({page for (page,) in rows})

    def _drop_pages(self, numbers: set[int | None]) -> None:
        """Something in these pages changes: they say nothing any more about the rest of what is in them."""
        for number in self._sizes.keys() & numbers:
            for (digest,) in self._file.execute("DELETE FROM page WHERE number = ? RETURNING digest", (number,)):
                self._pages.pop(digest, None)
            del self._sizes[number]

    def _ask(self, query: str) -> sqlite3.Cursor:
        return self._file.execute(query, (self._shop,))
