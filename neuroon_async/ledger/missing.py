"""What a ledger file holds and the source no longer has, found without keeping the ids in memory.

Deletion rests on this, so nothing is found missing in a file that is not whole: it is checked first, and each id once
more by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..sqlite import DamagedContent
from .rows import ONE_QUERY, id_of, keys_of, portions, valid_number

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..sqlite import SQLiteFile

__all__ = ["MissingProducts"]


class MissingProducts:
    """The products of one shop that one run has not seen. Its methods run in the file's thread.

    ``numbers``: the first number above those of all products held when the run began: only these can be missing.
    ``sizes``: how many products each page has that the server holds exactly; kept up to date by the owner.
    """

    def __init__(self, file: SQLiteFile, shop: int, numbers: int, sizes: Mapping[int, int]) -> None:
        self._file = file
        self._shop = shop
        self._sizes = sizes
        self._seen = bytearray(numbers)
        """One byte for each number that a product held at the beginning may have."""
        self.seen_pages: set[int] = set()
        """The numbers of the pages that were found unchanged at a glance: all that is on them is seen."""
        self._verified = False

    def mark(self, ids: Collection[str]) -> None:
        """The source still has these."""
        for some, marks in portions(keys_of(ids)):
            query = f"SELECT number FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            for (number,) in self._file.execute(query, (self._shop, *some)):
                if valid_number(number) < len(self._seen):
                    self._seen[number] = True

    def count(self) -> int:
        """How many are missing. Where any are, the file has been checked."""
        on_page = dict.fromkeys(self.seen_pages & self._sizes.keys(), 0)
        missing = 0
        for number, page in self._file.execute("SELECT number, page FROM product WHERE shop = ?", (self._shop,)):
            missing += self._is_missing(valid_number(number), page)
            if page in on_page:
                on_page[page] += 1
        if missing:
            self._verify(on_page)
        return missing

    def _verify(self, on_page: Mapping[int, int]) -> None:
        """Nothing may be deleted because of a damaged file. Raises `DamagedContent`."""
        self._file.check_integrity()
        for page, count in on_page.items():
            if count != self._sizes[page]:
                raise DamagedContent(f"page {page} has {count} products instead of {self._sizes[page]}")
        self._verified = True

    def after(self, last: bytes) -> tuple[list[str], bytes] | None:
        """The next missing ids, and where to go on; ``None`` at the end."""
        if not self._verified:
            self.count()
        query = "SELECT id, number, page FROM product WHERE shop = ? AND id > ? ORDER BY id LIMIT ?"
        missing: list[bytes] = []
        rows = self._file.execute(query, (self._shop, last, ONE_QUERY)).fetchall()
        for key, number, page in rows:
            if not (isinstance(key, bytes) and key > last):
                raise DamagedContent("the ids are out of order")
            last = key
            if self._is_missing(valid_number(number), page):
                missing.append(key)
        self._confirm(missing)
        return ([id_of(key) for key in missing], last) if rows else None

    def _confirm(self, missing: Collection[bytes]) -> None:
        """Those found missing on the way through the file are also missing when looked up one by one."""
        for some, marks in portions(missing):
            query = f"SELECT number, page FROM product WHERE shop = ? AND id IN ({marks})"  # noqa: S608 - only marks
            rows = self._file.execute(query, (self._shop, *some)).fetchall()
            if len(rows) != len(some) or not all(self._is_missing(valid_number(number), page) for number, page in rows):
                raise DamagedContent("an id that is in it cannot be looked up")

    def _is_missing(self, number: int, page: int | None) -> bool:
        return number < len(self._seen) and not self._seen[number] and page not in self.seen_pages
