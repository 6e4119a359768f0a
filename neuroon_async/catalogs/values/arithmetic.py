"""Sums, differences and discounts of prices, to the last digit. Pure.

The decimal context of the program that reads a catalog is not used: it may keep four digits.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

__all__ = ["EXACT", "after_discount", "difference", "exact", "shifted", "total"]

EXACT = Context(prec=2_000)
"""More digits than any cell or format has."""
_CENT = Decimal("0.01")


def exact(number: object) -> Decimal:
    """The number as it is written: of a float, the digits that it shows."""
    return Decimal(str(number))


def total(amount: object, extra: object) -> Decimal:
    """An amount and what is added to it."""
    return EXACT.add(exact(amount), exact(extra))


def difference(amount: object, off: object) -> Decimal:
    """An amount without a part of it."""
    return EXACT.subtract(exact(amount), exact(off))


def after_discount(amount: object, percent: object) -> Decimal:
    """What is left of an amount after so many per cent off, rounded to cents."""
    left = EXACT.multiply(exact(amount), difference(100, percent))
    return shifted(left, -2).quantize(_CENT, ROUND_HALF_UP, EXACT)


def shifted(number: Decimal, places: int) -> Decimal:
    """The number with its point so many places further right."""
    return number.scaleb(places, EXACT)
