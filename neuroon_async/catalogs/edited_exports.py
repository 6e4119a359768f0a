"""Exports that write decimals after a point, and that somebody may have edited in a program that does not.

A spreadsheet of most of Europe writes ``49,90``, and ``1.299`` for what the shop called ``1299.00``. By the shop's own
notation that is a thousandth of the price.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .values.numbers import Notation
from .values.price_signs import PriceSigns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .format import Reading

__all__ = ["DECIMAL_POINT", "notation_of"]

DECIMAL_POINT = Notation(decimal=".", grouped=False)
"""Of the platforms themselves."""
_ROWS = 500
"""That are looked at."""


def notation_of(reading: Reading, prices: Iterable[str]) -> Notation:
    """A point before decimals, unless all clear prices in these columns, at the beginning of the file, have a comma."""
    sample, columns = reading.sample, frozenset(prices)
    header, *rows = sample.rows(sample.delimiter, _ROWS) or [[]]
    if sample.is_cut and len(rows) < _ROWS - 1:
        del rows[-1:]  # its prices may be cut, too
    places = [place for place, name in enumerate(header) if name.strip() in columns]
    signs = PriceSigns()
    for row in rows:
        for place in places:
            if place < len(row):
                signs.see(row[place])
    if signs.decimal != ",":
        return DECIMAL_POINT
    reading.notice(
        "prices such as 1.299 are read as thousands, because the clear prices at the beginning of the file have their "
        "decimals after ','"
    )
    return Notation(decimal=",")
