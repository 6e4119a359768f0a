"""What shops agree on about prices: a regular one, a lower one, a time in which the lower one holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from .parsing import BadValue, Money, shown

if TYPE_CHECKING:
    from ...api.models import Number

__all__ = ["Prices", "holds_on", "on_sale"]


@dataclass(frozen=True, slots=True)
class Prices:
    """The regular price, and the lower one of a sale."""

    price: Money
    sale_price: Money | None = None

    @property
    def to_pay(self) -> Number:
        return (self.sale_price or self.price).amount


def on_sale(regular: Money, sale: Money | None) -> Prices:
    """A sale that is not below the regular price is none. One in another currency is kept, to be complained of."""
    is_sale = sale is not None and (sale.amount < regular.amount or not sale.compares_to(regular))
    return Prices(regular, sale if is_sale else None)


def holds_on(today: date, starts: str, ends: str) -> bool:
    """Does a sale hold today? Dates are ISO 8601, and only the day counts; an empty one does not bound the sale."""
    return (not starts.strip() or _day(starts) <= today) and (not ends.strip() or today <= _day(ends))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        raise BadValue(f"must be a date such as 2026-01-31, got {shown(text)}") from None
