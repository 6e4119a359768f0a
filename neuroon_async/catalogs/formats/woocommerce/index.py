"""What the products of a WooCommerce export need of each other: prices and parents, in a temporary database on disk."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...values.currencies import unit_named
from ...values.parsing import Money
from ...values.prices import Prices
from .rows import (
    cell,
    is_active,
    is_variable,
    is_variation,
    key_named,
    keys_of,
    names_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    _Offer = tuple[int, float, str, str | None]
    """Is it inactive, what is there to pay, the price, the sale price."""

__all__ = ["INHERITED", "Index"]

INHERITED = (
    "ID", "SKU", "Name", "Slug", "Type", "Categories", "Tags", "Brands", "Images", "External URL", "Permalink", "URL",
    "Product URL", "Published", "Visibility in catalog",
)  # fmt: skip
"""What children may need of a parent's row."""


class Index:
    """Prices and parents by key (``id:741``, ``sku:cc-hoodie``), in a temporary database that lives on disk."""

    def __init__(self) -> None:
        # A name that is empty is a temporary file. A bulk run may read from several threads, one after the other.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            """
            PRAGMA synchronous = OFF;
            PRAGMA journal_mode = OFF;
            CREATE TABLE price (key TEXT, price TEXT, sale_price TEXT, to_pay REAL, inactive INTEGER);
            CREATE INDEX price_by_key ON price (key);
            CREATE TABLE parent (key TEXT PRIMARY KEY, row TEXT) WITHOUT ROWID;
            BEGIN;
            """
        )

    def close(self) -> None:
        self._database.close()

    def add(self, row: Mapping[str, Any], prices: Prices | None) -> None:
        keys = keys_of(row)
        if is_variable(row):
            inherited = json.dumps({column: text for column in INHERITED if (text := cell(row, column))})
            for key in keys:
                self._database.execute("INSERT OR IGNORE INTO parent VALUES (?, ?)", (key, inherited))
        if prices is None:
            return
        if is_variation(row):
            keys.append(f"child of {key_named(cell(row, 'Parent'))}")
        sale = None if prices.sale_price is None else _stored(prices.sale_price)
        for key in keys:
            self._database.execute(
                "INSERT INTO price VALUES (?, ?, ?, ?, ?)",
                (key, _stored(prices.price), sale, float(prices.to_pay), not is_active(row)),
            )

    def parent(self, reference: str) -> Mapping[str, Any] | None:
        found = self._database.execute("SELECT row FROM parent WHERE key = ?", (key_named(reference),)).fetchone()
        return json.loads(found[0]) if found else None

    def cheapest_of(self, row: Mapping[str, Any]) -> Prices | None:
        """The lowest price among the children of a variable or grouped product; of active ones, where there are any."""
        if is_variable(row):
            offers = [self._cheapest_variation(row)]
        else:
            offers = [self._cheapest_in_group(name) for name in names_in(cell(row, "Grouped products"))]
        best = _cheapest(offers)
        return best and Prices(_restored(best[2]), None if best[3] is None else _restored(best[3]))

    def _cheapest_in_group(self, reference: str) -> _Offer | None:
        """Of one child. Groups within groups are not followed, so a group that holds itself ends here."""
        own = self._cheapest_of_key(key_named(reference))
        variable = self.parent(reference)
        if own is not None or variable is None:
            return own
        offer = self._cheapest_variation(variable)
        return offer and (max(offer[0], int(not is_active(variable))), *offer[1:])

    def _cheapest_variation(self, variable: Mapping[str, Any]) -> _Offer | None:
        return _cheapest(self._cheapest_of_key(f"child of {key}") for key in keys_of(variable))

    def _cheapest_of_key(self, key: str) -> _Offer | None:
        offer: _Offer | None = self._database.execute(
            "SELECT inactive, to_pay, price, sale_price FROM price WHERE key = ? ORDER BY inactive, to_pay LIMIT 1",
            (key,),
        ).fetchone()
        return offer


def _cheapest(offers: Iterable[_Offer | None]) -> _Offer | None:
    return min((offer for offer in offers if offer is not None), key=lambda offer: offer[:2], default=None)


def _stored(money: Money) -> str:
    return f"{money.amount} {money.unit.text if money.unit else ''}"


def _restored(text: str) -> Money:
    amount, _, unit = text.partition(" ")
    return Money(int(amount) if amount.isdigit() else Decimal(amount), unit_named(unit))  # a Decimal may read 0E-7
