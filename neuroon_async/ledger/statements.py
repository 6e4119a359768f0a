"""What is written into a ledger file, as SQL. Pure."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ADD_PAGES", "DOUBT", "HOLD", "LAST_PAGE", "UNKNOWN", "many"]

HOLD = """
INSERT INTO product (digest, acknowledged, page, shop, id, number) VALUES {rows} ON CONFLICT DO UPDATE
SET digest = excluded.digest, acknowledged = excluded.acknowledged, page = excluded.page
"""
"""What the server holds; a product that is known keeps its number."""
ADD_PAGES = "INSERT INTO page (number, shop, digest, size) VALUES {rows}"
LAST_PAGE = """
SELECT max(number) FROM (SELECT seq AS number FROM sqlite_sequence WHERE name = 'page' UNION ALL
SELECT max(number) FROM page)
"""
"""The highest number that any page has had."""
UNKNOWN = """
INSERT INTO product (shop, id, number) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET digest = NULL, acknowledged = NULL
"""
DOUBT = """
INSERT INTO doubt (shop, id, sent_at) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET sent_at = max(sent_at, excluded.sent_at)
"""


def many(statement: str, rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """One statement for many rows, and its values.

    A thread that works in SQLite gives way to others with every statement, and a busy event loop then holds it up.
    """
    marks = f"({','.join('?' * len(rows[0]))})"
    return statement.format(rows=",".join([marks] * len(rows))), list(chain.from_iterable(rows))
