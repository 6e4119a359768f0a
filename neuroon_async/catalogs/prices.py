"""What shops agree on about prices: a regular one, a lower one, a time in which the lower one holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ..models import Number
from .values import BadValue, shown

__all__ = ["Prices", "holds_on", "on_sale"]


@dataclass(frozen=True, slots=True)
class Prices:
    """The regular price, and the lower one of a sale."""

    price: Number
    sale_price: Number | None = None

    @property
    def to_pay(self) -> Number:
        return self.price if self.sale_price is None else self.sale_price


def on_sale(regular: Number, sale: Number | None) -> Prices:
    """A sale that is not below the regular price is none."""
    return Prices(regular, sale if sale is not None and sale < regular else None)


def holds_on(today: date, starts: str, ends: str) -> bool:
    """Does a sale hold today? Dates are ISO 8601, and only the day counts; an empty one does not bound the sale."""
    return (not starts.strip() or _day(starts) <= today) and (not ends.strip() or today <= _day(ends))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        raise BadValue(f"must be a date such as 2026-01-31, got {shown(text)}") from None
