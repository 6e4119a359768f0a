"""What shops agree on about prices: a regular one, a lower one, a time in which the lower one holds. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from .numbers import Money
from .shown import BadValue, shown
from .words import means_no_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...api.models import Number

__all__ = ["Prices", "bounds_of", "holds_on", "is_date", "on_sale", "struck_through"]

_Order = Literal["year first", "day first", "month first"]
_NUMERIC_DATE = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})(?:[ T,].*)?")
_YEAR_FIRST = re.compile(r"([0-9]{4})([/.-])([0-9]{1,2})\2([0-9]{1,2})(?:[ T,].*)?")
_BETWEEN = re.compile(r"\s+(?:/|-+|\u2013|\u2014|to|until|a|al|hasta|au|bis|fino\s+al|até|fins)\s+", re.IGNORECASE)
_SLASHES_OF_TWO_DATES = 5
_NO_DATE = re.compile(r"0{4}-0{2}-0{2}.*|-+")


@dataclass(frozen=True, slots=True)
class Prices:
    """The regular price, and the lower one of a sale."""

    price: Money
    sale_price: Money | None = None

    @property
    def to_pay(self) -> Number:
        return (self.sale_price or self.price).amount


def on_sale(regular: Money, sale: Money | None) -> Prices:
    """A sale of 0 or not below the regular price is none. One in another currency is kept, to be complained of."""
    is_sale = sale is not None and sale.amount > 0 and (sale.amount < regular.amount or not sale.compares_to(regular))
    return Prices(regular, sale if is_sale else None)


def struck_through(price: Money, higher: Money | None) -> Prices:
    """A price beside a higher one is that of a sale; not where it is 0: what is free would cost the higher one."""
    is_lower = higher is not None and (price.amount < higher.amount or not price.compares_to(higher))
    return on_sale(higher, price) if higher is not None and is_lower and price.amount > 0 else Prices(price)


def bounds_of(period: str) -> tuple[str, str]:
    """Start and end of ``start/end``, the ISO notation of Google's feeds, or of dates with another sign in between."""
    if match := _BETWEEN.search(period):
        return period[: match.start()], period[match.end() :]
    if period.count("/") == _SLASHES_OF_TWO_DATES:  # 01/11/2026/31/12/2026
        parts = period.split("/")
        return "/".join(parts[:3]), "/".join(parts[3:])
    starts, _, ends = period.partition("/")
    return starts, ends


def is_date(value: object) -> bool:
    """Is it a text that tells a day, if perhaps one of two?"""
    return isinstance(value, str) and bool(_readings(value))


def holds_on(today: date, starts: str, ends: str) -> bool:
    """Does a sale hold today? Only the day of a date counts; an empty one does not bound the sale.

    Raises `BadValue` for what is no date, and for one that may be two days (``1/2/2026``) where that matters and the
    other date does not tell (``31/12/2026`` puts the day first).
    """
    first, last = _readings(starts), _readings(ends)
    begun = _holds(starts, _as_in(last, first), lambda day: day <= today)
    return begun and _holds(ends, _as_in(first, last), lambda day: today <= day)


def _holds(text: str, readings: Mapping[_Order, date] | None, judge: Callable[[date], bool]) -> bool:
    if readings is None:
        return True
    verdicts = set(map(judge, readings.values()))
    if not verdicts:
        raise BadValue(f"must be a date such as 2026-01-31, got {shown(text.strip())}")
    if len(verdicts) > 1:
        raise BadValue(f"{shown(text.strip())} may be two days; write it as 2026-01-31")
    return verdicts.pop()


def _as_in(other: Mapping[_Order, date] | None, readings: Mapping[_Order, date] | None) -> Mapping[_Order, date] | None:
    """The readings in the order of day and month that the other date shows, where it shows one."""
    if not readings or not other or len(other) > 1:
        return readings
    (order,) = other
    return {order: readings[order]} if order in readings else readings


def _readings(text: str) -> dict[_Order, date] | None:
    """The days that a date may be, by the order that it would be written in; ``None`` for what bounds nothing."""
    text = text.strip()
    if not text or _NO_DATE.fullmatch(text) or means_no_value(text):
        return None
    try:
        if match := _YEAR_FIRST.fullmatch(text):
            return {"year first": date(int(match[1]), int(match[3]), int(match[4]))}
        return {"year first": date.fromisoformat(text[:10].replace("/", "-"))}
    except ValueError:
        pass
    match = _NUMERIC_DATE.fullmatch(text)
    if match is None:
        return {}
    first, separator, second, year = int(match[1]), match[2], int(match[3]), int(match[4])
    orders: dict[_Order, tuple[int, int]] = {"day first": (first, second)}
    if separator != ".":
        orders["month first"] = (second, first)
    readings: dict[_Order, date] = {}
    for order, (day, month) in orders.items():
        try:
            readings[order] = date(year + 2000 if year < 100 else year, month, day)
        except ValueError:
            continue
    return readings
