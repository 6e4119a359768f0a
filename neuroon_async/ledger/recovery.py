"""Requests that were never answered, as they stand among the products: of earlier runs, and of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .journal import unpacked
from .rows import valid_number, valid_seconds
from .statements import DOUBT, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..sqlite import SQLiteFile

__all__ = ["doubt", "recover"]


def recover(file: SQLiteFile, now: float) -> None:
    """Fold what earlier runs left in the journal into the products: their requests were never answered.

    Such a request may have left as late as its run last showed life.
    """
    query = "SELECT journal.shop, batch, until FROM journal LEFT JOIN sending ON sending.shop = journal.shop"
    rows = file.execute(query).fetchall()
    if not rows:
        return
    with file.transaction():
        for shop, batch, until in rows:
            sent_at, keys = unpacked(batch)
            (highest,) = file.execute("SELECT max(number) FROM product WHERE shop = ?", (shop,)).fetchone()
            sent_at = min(now, max(sent_at, sent_at if until is None else valid_seconds(until)))
            doubt(file, shop, keys, sent_at, valid_number(highest or 0) + 1)
        file.execute("DELETE FROM journal")


def doubt(file: SQLiteFile, shop: int, keys: Sequence[bytes], sent_at: float, number: int) -> None:
    """A request with these products, sent at ``sent_at`` at the latest, was never answered.

    ``number``: the first one that no product of the shop has. The products are on no page: that ended before they left.
    """
    file.executemany(UNKNOWN, ((shop, key, number + count) for count, key in enumerate(keys)))
    file.executemany(DOUBT, ((shop, key, sent_at) for key in keys))
