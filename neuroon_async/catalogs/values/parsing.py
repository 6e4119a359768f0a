"""From a cell or a JSON value to the value of a product field, or a complaint. Pure.

Numbers stay exact: `decimal.Decimal` for anything with decimals. A number that could be read in two ways is a complaint
and never a guess: ``1,299.00`` and ``1299,00`` are clear, ``1,299`` may be one and a bit or over a thousand.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...api.models import Number
from .currencies import Unit, unit_named

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CONVERTERS",
    "AmbiguousNumber",
    "BadValue",
    "Money",
    "Notation",
    "is_blank",
    "to_flag",
    "to_money",
    "to_number",
    "to_text",
]

_MAX_DIGITS = 40
_MONEY = re.compile(r"(?P<before>[^0-9+-]*?)(?P<number>[+-]?[.,]?[0-9](?:[0-9.,' ]*[0-9])?)(?P<after>[^0-9]*)")
_NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<body>[0-9][0-9.,' ]*|[.,][0-9]+)")
_YES = frozenset({"true", "yes", "y", "t", "1", "on", "si", "sí", "instock", "active", "published"})
_NO = frozenset({"false", "no", "n", "f", "0", "off", "outofstock", "inactive", "draft", "archived"})


class BadValue(ValueError):
    """A value that cannot become the field's; the text says why."""


class AmbiguousNumber(BadValue):
    """A number that may be two, until it is known which sign separates decimals."""


@dataclass(frozen=True, slots=True)
class Notation:
    """How a catalog writes its values.

    ``decimal`` is the decimal separator where it is known. ``grouped`` tells whether thousands may be grouped: where
    they never are, a lone ``.`` or ``,`` can only be the decimal separator. ``lists`` tells whether one text may hold a
    list (as a cell must), and ``nulls`` whether an empty value says "null" (as JSON does) rather than nothing.
    """

    decimal: str | None = None
    grouped: bool = True
    lists: bool = True
    nulls: bool = False


def is_blank(value: object) -> bool:
    """Is there no value: nothing, or a text of spaces?"""
    return value is None or (isinstance(value, str) and not value.strip())


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def to_text(value: object, notation: Notation | None = None) -> str:  # noqa: ARG001 - one signature for all
    """A text without the spaces around it; a whole number counts as one, as ids often are."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadValue(f"must be text, got {shown(value)}")


def to_number(value: object, notation: Notation) -> Number:
    """An exact number. Raises `BadValue` for what is none, and for what may be two."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise BadValue(f"must be a number, got {shown(value)}")
    text = _plain(value)
    match = _NUMBER.fullmatch(text)
    if match is None or sum(character.isdigit() for character in text) > _MAX_DIGITS:
        raise BadValue(f"must be a number, got {shown(value)}")
    whole, decimals = _parts(match["body"], notation, value)
    return Decimal(f"{match['sign']}{whole or '0'}.{decimals}") if decimals else int(match["sign"] + whole)


def _plain(text: str) -> str:
    """One kind of space, one kind of apostrophe."""
    return re.sub("[\u00a0\u202f\u2009]", " ", text.strip()).replace("\u2019", "'")


def _parts(body: str, notation: Notation, value: str) -> tuple[str, str]:
    """The digits before and after the decimal separator."""
    separator = _decimal_separator(body, notation, value)
    whole, _, decimals = body.rpartition(separator) if separator else (body, "", "")
    groups = re.split(r"[., ']", whole)
    ungrouped = len(groups) == 1
    same_sign = len(set(re.findall(r"[., ']", whole))) <= 1
    well_grouped = same_sign and 1 <= len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    if not (ungrouped or well_grouped) or not (decimals.isdigit() or not separator):
        raise BadValue(f"must be a number, got {shown(value)}")
    return "".join(groups), decimals


def _decimal_separator(body: str, notation: Notation, value: str) -> str | None:
    dots, commas = body.count("."), body.count(",")
    if notation.decimal is not None:
        return notation.decimal if notation.decimal in body else None
    if dots and commas:
        return "." if body.rindex(".") > body.rindex(",") else ","
    if dots + commas != 1:
        return None
    separator = "." if dots else ","
    whole, _, decimals = body.partition(separator)
    if notation.grouped and len(decimals) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0"):
        raise AmbiguousNumber(f"{value.strip()!r} may be {whole}.{decimals} or {whole}{decimals}")
    return separator


@dataclass(frozen=True, slots=True)
class Money:
    """An amount, and the unit that is written beside it."""

    amount: Number
    unit: Unit | None = None

    def compares_to(self, other: Money) -> bool:
        """May both be in one currency?"""
        return self.unit is None or self.unit.agrees_with(other.unit)


def to_money(value: object, notation: Notation) -> Money:
    """An amount and the unit beside it, as in ``49.99 EUR``, ``€49.99`` or ``$49.99 MXN``.

    Raises `BadValue` for anything else beside the number, and for two units that contradict each other.
    """
    if isinstance(value, Money):
        return value
    if not isinstance(value, str):
        return Money(to_number(value, notation))
    match = _MONEY.fullmatch(_plain(value))
    if match is None:
        raise BadValue(_no_amount(value))
    number, before, after = match["number"], match["before"].strip(), match["after"].strip()
    if before[-1:].isalpha() and number[0] in ".,":  # "kr.5" is no half of a crown
        raise BadValue(_no_amount(value))
    units = [unit_named(text) for text in (before, after) if text]
    unit = units[0] if units else None
    for other in units:
        if unit is None or other is None:
            raise BadValue(_no_amount(value))
        if not unit.agrees_with(other):
            raise BadValue(f"names two currencies: {shown(value)}")
        unit = unit.and_also(other)
    return Money(to_number(number, notation), unit)


def _no_amount(value: str) -> str:
    return f"must be an amount such as 49.99 or 49.99 EUR, got {shown(value)}"


def to_rating(value: object, notation: Notation) -> Number:
    return to_number(value, Notation(decimal=notation.decimal, grouped=False))


def to_integer(value: object, notation: Notation) -> int:
    number = to_number(value, notation)
    if number != number or number in {float("inf"), float("-inf")} or number != int(number):  # noqa: PLR0124 - NaN
        raise BadValue(f"must be a whole number, got {shown(value)}")
    return int(number)


def to_flag(value: object, notation: Notation | None = None) -> bool:  # noqa: ARG001 - one signature for all
    """True or false, from the words that exports use for them."""
    if isinstance(value, bool):
        return value
    text = re.sub(r"[\s_-]", "", str(value)).lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise BadValue(f"must be true or false (or yes, no, 1, 0), got {shown(value)}")


def _to_texts(value: object, notation: Notation, separators: str) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [to_text(item) for item in value if not is_blank(item)]
    text = to_text(value)
    separator = next((sign for sign in separators if sign in text), None) if notation.lists else None
    parts = text.split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def to_texts(value: object, notation: Notation) -> list[str]:
    """A list of texts; a cell separates them by ``|``, else by ``;``, else by ``,``."""
    return _to_texts(value, notation, "|;,")


def to_brands(value: object, notation: Notation) -> list[str]:
    """As `to_texts`, but a comma belongs to the name: ``Procter, Gamble & Co``."""
    return _to_texts(value, notation, "|;")


def to_attributes(value: object, notation: Notation | None = None) -> dict[str, str]:
    """A mapping of texts; a cell holds it as a JSON object."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise BadValue(f'must be a JSON object such as {{"color": "red"}}, got {shown(value)}') from None
    if isinstance(value, (list, tuple)) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        value = dict(value)  # the map type of columnar files
    if not isinstance(value, dict):
        raise BadValue(f"must map names to texts, got {shown(value)}")
    return {to_text(name): to_attribute(item, notation) for name, item in value.items() if not is_blank(item)}


def to_attribute(value: object, notation: Notation | None = None) -> str:  # noqa: ARG001 - one signature for all
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(to_attribute(item) for item in value)
    if isinstance(value, (float, Decimal)):
        return str(value)
    return to_text(value)


CONVERTERS: dict[str, Callable[[Any, Notation], Any]] = {
    "external_id": to_text,
    "name": to_text,
    "price": to_money,
    "url": to_text,
    "sku": to_text,
    "description": to_text,
    "currency": to_text,
    "image_url": to_text,
    "categories": to_texts,
    "brands": to_brands,
    "tags": to_texts,
    "in_stock": to_flag,
    "stock_quantity": to_integer,
    "rating": to_rating,
    "review_count": to_integer,
    "is_active": to_flag,
    "sale_price": to_money,
    "parent_external_id": to_text,
    "attributes": to_attributes,
}
"""Product field → how a catalog's value becomes its value."""
