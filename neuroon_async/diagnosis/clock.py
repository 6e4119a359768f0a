"""How far this machine's clock is from the server's, as far as ``Date`` headers tell. Pure.

Such a header names a whole second, and the answer was some time on its way: each exchange leaves an interval. What lies
in all of them is what is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ..api.contract import DATE_HEADER
from ..api.results import as_utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .observations import Exchange

__all__ = ["Skew", "skew_of"]


@dataclass(frozen=True, slots=True)
class Skew:
    """How many seconds this machine's clock is ahead of the server's: between ``low`` and ``high``."""

    low: float
    high: float

    @property
    def seconds(self) -> float:
        """As much as is sure: 0 where the clocks may agree, negative where this machine's is behind."""
        return self.low if self.low > 0 else min(0.0, self.high)


def skew_of(exchanges: Iterable[Exchange]) -> Skew | None:
    """What all answers together tell; ``None`` where none has a date."""
    known: Skew | None = None
    for exchange in exchanges:
        skew = _skew_of(exchange)
        if skew is None:
            continue
        if known is None:
            known = skew
            continue
        both = Skew(max(known.low, skew.low), min(known.high, skew.high))
        if both.low <= both.high:  # else one of several servers has another clock: the first one's word counts
            known = both
    return known


def _skew_of(exchange: Exchange) -> Skew | None:
    try:
        date = as_utc(parsedate_to_datetime(exchange.headers[DATE_HEADER])).timestamp()
        age = float(exchange.headers.get("Age", 0))  # seconds that a cache has kept the answer for
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    server = date + max(0.0, age)
    return Skew(exchange.sent_at - (server + 1), exchange.came_at - server)
