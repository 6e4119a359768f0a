"""Prices of an export that somebody has edited: ``1.299`` among prices such as ``49,90``. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Grouped", "PriceSigns"]

_DOUBTFUL = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}([.,])[0-9]{3}(?![0-9.,])")
_CLEAR = re.compile(r"([.,])[0-9]{1,2}(?![0-9.,])")


class Grouped(NamedTuple):
    """What separates decimals, and a price whose other sign so groups thousands."""

    decimal: str
    example: str


class PriceSigns:
    """Which sign separates decimals, as the clear prices show, and which prices may be grouped by the other one."""

    def __init__(self) -> None:
        self._clear: set[str] = set()
        self._doubtful: dict[str, str] = {}

    def see(self, price: str) -> None:
        """Take the text of a price into account."""
        if match := _DOUBTFUL.search(price):
            self._doubtful.setdefault(match[1], price)
        elif match := _CLEAR.search(price):
            self._clear.add(match[1])

    @property
    def decimal(self) -> str | None:
        """What separates decimals in all clear prices; ``None`` where they disagree, or there are none."""
        return next(iter(self._clear)) if len(self._clear) == 1 else None

    @property
    def grouped(self) -> Grouped | None:
        """``None`` where the clear prices disagree, or nothing but the decimals is separated."""
        if (decimal := self.decimal) is None:
            return None
        other = self._doubtful.get("." if decimal == "," else ",")
        return None if other is None else Grouped(decimal, other)
