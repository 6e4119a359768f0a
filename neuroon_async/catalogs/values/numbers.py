"""Numbers and amounts of money as catalogs write them. Pure.

Numbers stay exact: `decimal.Decimal` for anything with decimals. A clear number is read whatever notation is expected:
``1,299.00`` and ``1299,00`` can mean one thing only. ``1,299`` may be one and a bit or over a thousand: it is read
where the notation is known, and is an `AmbiguousNumber` otherwise, never a guess.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ...api.models import Number
from .currencies import Unit, unit_named
from .number_formats import ShownNumber
from .shown import BadValue, UnknownWord, shown
from .text import one_line

__all__ = [
    "SIGNS",
    "AmbiguousNumber",
    "Money",
    "Notation",
    "Sign",
    "is_beyond_reason",
    "sign_if_whole",
    "to_integer",
    "to_money",
    "to_number",
    "to_pieces",
    "to_rating",
]

Sign = Literal[".", ","]
"""What separates decimals."""
SIGNS: tuple[Sign, Sign] = (".", ",")

_MAX_DIGITS = 40
_ORDINARY = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,2})?")
"""What most prices look like: read at once, with the outcome of the long way."""
_OTHER_SPACES = re.compile("[\u00a0\u202f\u2009]")
_GROUP_SIGNS = re.compile(r"[., ']")
_MONEY = re.compile(r"(?P<before>[^0-9+-]*?)(?P<number>[+-]?[.,]?[0-9](?:[0-9.,' ]*[0-9])?)(?P<after>[^0-9]*)")
_NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<body>[0-9][0-9.,' ]*|[.,][0-9]+)")
_NO_CENTS = re.compile(r"(?<=[0-9])[.,:]\s?[-\u2013\u2014]{1,2}(?![0-9])")
"""``49,-``, in Sweden ``49:-``."""
_GROUP = re.compile(r"[0-9](?P<sign>[.,])[0-9]{3}")
_CENTS_BY_COLON = re.compile(r"(?<=[0-9]):(?=[0-9]{2}(?![0-9:]))")
"""``49:90``"""
_TAX = r"(?:iva|ive|vat|gst|tax(?:es)?|mwst|ust|tva|btw|moms|bez|impuestos?|impostos?|imposte|impostos|taxa)\.?"
_INCLUDED = (
    r"(?:incl(?:u[a-zéíïò]*|us[ae]?|\.)?|inc\.?|inkl(?:usive)?\.?|inclòs|inclosos|compres[aeio]|comprises?|barne"
    r"|enthalten)"
)
_RATE = r"(?:[0-9]{1,2}(?:[.,][0-9]{1,2})?\s*%\s*)?"
_WITH_TAX = re.compile(
    rf"(?i)[\s(]*(?:{_RATE}{_TAX}\s*{_RATE}{_INCLUDED}|{_INCLUDED}\s*{_RATE}{_TAX}|(?<![a-z])(?:ttc|brutt?o)(?![a-z]))\s*\)?"
)
_OUT_OF_FIVE = re.compile(
    r"(?i)([0-9.,]+)\s*(?:(?:/|out\s+of|de|sur|von|di|su|em)\s*5(?:[.,]0+)?)?"
    r"\s*(?:stars?|estrellas?|étoiles?|sternen?|stelle|estrelas?|estrelles|izar|[★⭐])?"
)
_PIECES = re.compile(
    r"(?i)([+-]?[0-9][0-9.,' ]*?)\s*(?:uds?|u|un|unid|unidad(?:es)?|units?|pcs?|pieces?|pièces?|pz|pezzi|stk|stück|st|"
    r"ale|unitats?|unidades?|in\s+stock|en\s+stock|auf\s+lager|available|left|disponib[a-z]+)\.?"
)
_SPREADSHEET_POWER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?[eE][+-]?[0-9]+")


class AmbiguousNumber(BadValue):
    """A number that may be two, until it is known which sign separates decimals."""


@dataclass(frozen=True, slots=True)
class Notation:
    """How a catalog writes its values.

    ``decimal`` is the decimal separator where it is known. ``grouped`` tells whether thousands may be grouped: where
    they never are, a lone ``.`` or ``,`` can only be the decimal separator; where that is known to be the other one,
    three digits behind it are a group that a spreadsheet has made. ``lists`` tells whether one text may hold a
    list (as a cell must), and ``nulls`` whether an empty value says "null" (as JSON does) rather than nothing.
    """

    decimal: str | None = None
    grouped: bool = True
    lists: bool = True
    nulls: bool = False


@dataclass(frozen=True, slots=True)
class Money:
    """An amount, the unit that is written beside it, and the decimal sign that its text plainly shows."""

    amount: Number
    unit: Unit | None = None
    sign: Sign | None = None

    def compares_to(self, other: Money) -> bool:
        """May both be in one currency?"""
        return self.unit is None or self.unit.agrees_with(other.unit)


def to_number(value: object, notation: Notation) -> Number:
    """An exact number. Raises `BadValue` for what is none, and for what may be two."""
    return _read(value, notation)[0]


def _read(value: object, notation: Notation) -> tuple[Number, Sign | None]:
    """A number, and the decimal sign that its text plainly shows."""
    if isinstance(value, ShownNumber):
        return value.number, None
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        if is_beyond_reason(value):
            raise BadValue(f"must be a number of at most {_MAX_DIGITS} digits, got {shown(value)}")
        return value, None
    if not isinstance(value, str):
        raise BadValue(f"must be a number, got {shown(value)}")
    text = _plain(value)
    match = _NUMBER.fullmatch(text)
    if match is None or sum(character.isdigit() for character in text) > _MAX_DIGITS:
        damaged = "; a spreadsheet has shortened it" if _SPREADSHEET_POWER.fullmatch(text) else ""
        raise BadValue(f"must be a number, got {shown(value)}{damaged}")
    sign, shown_sign = _decimal_sign(match["body"], notation)
    whole, decimals = _parts(match["body"], sign, value)
    number = Decimal(f"{match['sign']}{whole or '0'}.{decimals}") if decimals else int(match["sign"] + whole)
    if sign and not shown_sign and notation.decimal is None:
        raise AmbiguousNumber(f"{value.strip()!r} may be {number} or {whole}{decimals}")
    return number, shown_sign


def is_beyond_reason(number: Number) -> bool:
    """Would it have far more digits than it is written with? A stock of ``1E999999999`` would take all memory."""
    exact = Decimal(number) if isinstance(number, float) else number
    return isinstance(exact, Decimal) and exact.is_finite() and exact.adjusted() >= _MAX_DIGITS


def _plain(text: str) -> str:
    """One kind of space, one kind of apostrophe."""
    return text.strip() if text.isascii() else _OTHER_SPACES.sub(" ", text.strip()).replace("\u2019", "'")


def _decimal_sign(body: str, notation: Notation) -> tuple[Sign | None, Sign | None]:
    """What separates the decimals of this number, if anything does; and the same where its text alone says so."""
    dots, commas = body.count("."), body.count(",")
    if dots and commas:
        last = max(SIGNS, key=body.rindex)
        return last, last
    if dots + commas != 1:
        return None, "," if dots else "." if commas else None  # 1.299.000: what groups separates no decimals
    sign: Sign = "." if dots else ","
    whole, _, decimals = body.partition(sign)
    may_be_group = len(decimals) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0")
    known_to_group = notation.decimal not in {None, sign}
    if may_be_group and (notation.grouped or known_to_group):
        return (None if known_to_group else sign), None
    return sign, sign


def _parts(body: str, sign: Sign | None, value: str) -> tuple[str, str]:
    """The digits before and after the decimal separator."""
    whole, decimals = body.rsplit(sign, 1) if sign else (body, "")
    groups = _GROUP_SIGNS.split(whole)
    if len(groups) > 1:
        same_sign = len(set(_GROUP_SIGNS.findall(whole))) == 1
        if not (same_sign and len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])):
            raise BadValue(f"must be a number, got {shown(value)}")
    if sign and not decimals.isdigit():
        raise BadValue(f"must be a number, got {shown(value)}")
    return "".join(groups), decimals


def to_money(value: object, notation: Notation) -> Money:
    """An amount and the unit beside it, as in ``49.99 EUR``, ``€49.99``, ``$49.99 MXN`` or ``49,- € IVA incl.``.

    Raises `BadValue` for anything else beside the number, for a negative amount, and for two units that contradict
    each other.
    """
    if isinstance(value, Money):
        return value
    if not isinstance(value, str) or isinstance(value, ShownNumber):
        return _not_negative(Money(to_number(value, notation)), value)
    if _ORDINARY.fullmatch(value):
        return Money(Decimal(value), None, ".") if "." in value else Money(int(value))
    text = _plain(value)
    if not text.isdecimal():
        text = one_line(text) if "<" in text else html.unescape(text)  # <span>12,50&nbsp;€</span>
        text = _NO_CENTS.sub(_as_cents, _WITH_TAX.sub(" ", text)).strip()
        text = _CENTS_BY_COLON.sub(",", text) if ":" in text else text
    match = _MONEY.fullmatch(text)
    if match is None:
        raise BadValue(_no_amount(value))
    number, before, after = match["number"], match["before"].strip(), match["after"].strip()
    if before and before[-1].isalpha() and number[0] in SIGNS:  # "kr.5" is no half of a crown
        raise BadValue(_no_amount(value))
    unit = _unit(before, after, value)
    amount, sign = _read(number, notation)
    return _not_negative(Money(amount, unit, sign), value)


def _as_cents(dash: re.Match[str]) -> str:
    """What the dash stands for where it tells a group from decimals: ``1.299,-`` is ``1.299,00``, as is ``1.299.-``."""
    group = _GROUP.match(dash.string, max(0, dash.start() - 5))
    return "" if group is None else ",00" if group["sign"] == "." else ".00"


def _unit(before: str, after: str, value: str) -> Unit | None:
    units = [unit_named(text) for text in (before, after) if text]
    unit = units[0] if units else None
    for other in units:
        if unit is None or other is None:
            raise BadValue(_no_amount(value))
        if not unit.agrees_with(other):
            raise BadValue(f"names two currencies: {shown(value)}")
        unit = unit.and_also(other)
    return unit


def _not_negative(money: Money, value: object) -> Money:
    if money.amount < 0:
        raise BadValue(f"must be 0 or more, got {shown(value)}")
    return money


def _no_amount(value: str) -> str:
    damaged = "; a spreadsheet has shortened it" if _SPREADSHEET_POWER.fullmatch(value.strip()) else ""
    return f"must be an amount such as 49.99 or 49.99 EUR, got {shown(value)}{damaged}"


def to_rating(value: object, notation: Notation) -> Number:
    """A number up to 5, so never one with grouped thousands; ``4,5/5`` and ``4.5 out of 5 stars`` are such."""
    if type(value) is str and (out_of_five := _OUT_OF_FIVE.fullmatch(value.strip())):
        value = out_of_five[1]
    return to_number(value, Notation(decimal=notation.decimal, grouped=False))


def to_pieces(value: object, notation: Notation) -> int:
    """A whole number of pieces: ``3 uds``, ``12 in stock``. Raises `UnknownWord` for what tells no number at all.

    ``1.250`` is an `AmbiguousNumber` as ``3.000`` is: what is sold by weight has such a stock (see `sign_if_whole`).
    """
    if type(value) is str and (pieces := _PIECES.fullmatch(_plain(value))):
        value = pieces[1]
    try:
        return _whole(to_number(value, notation), value)
    except AmbiguousNumber:
        raise
    except BadValue as error:
        if isinstance(value, str) and _NUMBER.fullmatch(_plain(value)) is None:
            raise UnknownWord(str(error)) from None
        raise


def to_integer(value: object, notation: Notation) -> int:
    """A whole number; ``3.0000`` is one."""
    if type(value) is str and value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS:
        return int(value)
    try:
        number = to_number(value, notation)
    except AmbiguousNumber:
        text = _plain(str(value))
        if text.endswith("000"):
            raise  # 3.000 may be three or three thousand
        number = to_number(re.sub("[.,]", "", text), notation)  # 1.250 is whole only where the sign groups thousands
    return _whole(number, value)


def sign_if_whole(value: object) -> Sign | None:
    """The decimal sign by which a count that may be two is a whole number; ``None`` where it is one by either.

    >>> sign_if_whole("1.250"), sign_if_whole("3.000")
    (',', None)
    """
    text = str(value)
    own: Sign = "." if "." in text else ","
    other: Sign = "," if own == "." else "."
    return None if f"{own}000" in text else other


def _whole(number: Number, value: object) -> int:
    if number != number or number in {float("inf"), float("-inf")} or number != int(number):  # noqa: PLR0124 - NaN
        raise BadValue(f"must be a whole number, got {shown(value)}")
    return int(number)
