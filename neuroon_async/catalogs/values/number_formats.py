"""What a spreadsheet shows of a number, by the format of its cell. Pure.

A cell holds a number, and its format says how that looks: ``0000`` shows 7 as 0007, ``"SKU-"0000`` as SKU-0007, ``0%``
shows 0.5 as 50%. What the people of a shop see is what they mean, where a text is wanted. Where a number is wanted, it
is the one that the cell holds: that a price is shown without its cents does not round it.

Thousands are not grouped here, and decimals follow a dot: which signs a spreadsheet uses for them is not the file's to
say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Self

from .arithmetic import EXACT, shifted

__all__ = ["BUILT_IN_FORMATS", "NumberFormat", "ShownNumber"]

BUILT_IN_FORMATS = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    12: "# ?/?",
    13: "# ??/??",
    37: "#,##0;(#,##0)",
    38: "#,##0;[Red](#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;[Red](#,##0.00)",
}
"""Formats that files name by a number alone, as far as they show anything else than the number itself."""
_LONGEST_CODE = 255
_DIGITS = frozenset("0#?")
"""The places for digits: ``0`` shows one where the number has none; that others show a space is left out."""
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|_.|\*.|\[(?P<bracket>[^\]]*)\]?|(?P<general>General)|(?P<power>E[+-])'
    r"|(?P<place>[0#?])|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_SECTIONS = re.compile(r'((?:"[^"]*"?|\\.|_.|\*.|\[[^\]]*\]?|[^;])*)(?:;|\Z)', re.DOTALL)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?[0-9]+(?:\.[0-9]+)?)")
_HOLDS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "<": Decimal.__lt__,
    "<=": Decimal.__le__,
    ">": Decimal.__gt__,
    ">=": Decimal.__ge__,
    "=": Decimal.__eq__,
    "<>": Decimal.__ne__,
}
_LONGEST_DENOMINATOR = 4
_SAME = Fraction(1, 10**12)
"""A third is never exact in a spreadsheet."""


class ShownNumber(str):
    """A number whose cell shows something else.

    As a text it is what a file of texts would hold: what the cell shows, where that is the whole number, or the number
    itself. ``number`` is what the cell holds, ``shown`` what it shows; ``exact`` tells whether that is the whole
    number, and not a rounded one.
    """

    __slots__ = ("exact", "number", "only_gains_decimals", "shown")
    number: Decimal
    shown: str
    exact: bool
    only_gains_decimals: bool
    """Is it a whole number that is shown with decimals: 123 as ``123.00``?"""

    def __new__(cls, number: str, value: Decimal, shown: str, *, exact: bool, is_code: bool) -> Self:
        """``is_code`` tells whether it is shown as article numbers are, by digits and signs without decimals."""
        only_gains_decimals = exact and not is_code and value == value.to_integral_value()
        made = super().__new__(cls, shown if exact and not only_gains_decimals else number)
        made.number, made.shown, made.exact, made.only_gains_decimals = value, shown, exact, only_gains_decimals
        return made


class _Side:
    """The places on one side of the point: those for digits, and the texts around and between them."""

    def __init__(self, places: list[str]) -> None:
        digits = [place for place in places if place in _DIGITS]
        self.count = len(digits)
        self._absent = ["0" if place == "0" else "" for place in digits]
        """What a place shows for which there is no digit."""
        self._template = "".join("%s" if place in _DIGITS else place[1:].replace("%", "%%") for place in places)

    def whole(self, digits: str) -> str:
        """What the places before the point show. The first one takes all digits that are left."""
        absent = self._absent[: max(0, self.count - len(digits))]
        first = max(0, len(digits) - self.count) + 1
        return self._template % (*absent, *([digits[:first], *digits[first:]] if digits else ()))

    def decimals(self, digits: str) -> str:
        """What the places from the point on show of as many digits.

        Where ``0.##`` has no decimals to show, a spreadsheet shows ``5.`` all the same; nobody means that point.
        """
        kept = digits.rstrip("0")
        shown = (*kept, *self._absent[len(kept) :])
        text = self._template % shown
        return text if any(shown) or not self.count else text[1:]


@dataclass
class _Section:
    """One part of a format, for some of the numbers or for texts."""

    places: list[str] = field(default_factory=list[str])
    """Digits (`_DIGITS`), and ``.`` and ``/``; all else are literal texts, with a ``'`` before them."""
    condition: Callable[[Decimal], bool] | None = None
    percents: int = 0
    thousands: int = 0
    """How many times the number is divided by a thousand."""
    is_general: bool = False
    is_text: bool = False
    is_power: bool = False

    @property
    def has_digits(self) -> bool:
        return not _DIGITS.isdisjoint(self.places)

    @cached_property
    def tells_sign(self) -> bool:
        """Does it say by itself that its numbers are negative, and not by their colour alone?"""
        return any(place[0] == "'" and not {"-", "(", "\u2212"}.isdisjoint(place) for place in self.places)

    @cached_property
    def is_code(self) -> bool:
        """Does it show numbers as article numbers are, by digits and signs alone?"""
        return not ({".", "/"} & {*self.places}) and not self.thousands

    @cached_property
    def sides(self) -> tuple[_Side, _Side]:
        """Up to the point, and from it on. A format without places before it (``.00``) shows all digits there."""
        point = self.places.index(".") if "." in self.places else len(self.places)
        whole, decimals = self.places[:point], ["'.", *self.places[point + 1 :]]
        if _DIGITS.isdisjoint(whole):
            whole.append("#")
        return _Side(whole), _Side(decimals if point < len(self.places) else [])

    @cached_property
    def shift(self) -> int:
        """By how many places the point is shown further right than it stands."""
        return 2 * self.percents - 3 * self.thousands

    @cached_property
    def step(self) -> Decimal:
        """The unit of the last place."""
        return shifted(Decimal(1), -self.sides[1].count)

    def wraps(self, inner: str) -> str:
        """The literal texts around what stands for the value."""
        return "".join(place[1:] if place[0] == "'" else inner for place in self.places)


class NumberFormat:
    """One format of a workbook."""

    def __init__(self, code: str) -> None:
        sections = [_section(part) for part in _parts(code[:_LONGEST_CODE])]
        texts = [section for section in sections if section.is_text]
        self._text = texts[-1] if texts else None
        self._numbers = [section for section in sections if not section.is_text][:3] or texts
        self._has_conditions = any(section.condition for section in self._numbers)
        self.of: Callable[[str], str] = lru_cache(maxsize=1_000)(self._of)

    @property
    def shows_all(self) -> bool:
        """Does every value look as it is?"""
        sections = [*self._numbers, *([self._text] if self._text else [])]
        return all((section.is_general or section.is_text) and len(section.places) == 1 for section in sections)

    def of_text(self, text: str) -> str:
        """What a cell with this text shows."""
        return text if self._text is None else self._text.wraps(text).strip()

    def _of(self, number: str) -> str:
        """What a cell with this number shows: the number as it is, a percentage, or a `ShownNumber`."""
        value = Decimal(number)
        section = self._section_for(value)
        if section is None or section.is_power:
            return number
        signed = value < 0 and (len(self._numbers) == 1 or self._has_conditions)
        shown, exact = _rendered(section, value.copy_abs())
        shown = f"-{shown}" if signed else shown
        if section.percents:
            return shown
        if shown == number:
            return number
        exact = exact and (value >= 0 or signed or section.tells_sign)
        if shown.isascii() and shown.isdigit() and Decimal(shown) == value:
            return shown  # with zeros before it, which no reader of numbers minds
        return ShownNumber(number, value, shown, exact=exact, is_code=section.is_code)

    def _section_for(self, value: Decimal) -> _Section | None:
        numbers = self._numbers
        if not numbers:
            return None
        if self._has_conditions:
            holding = (section for section in numbers if section.condition and section.condition(value))
            return next(holding, next((section for section in numbers if not section.condition), None))
        if value < 0 and numbers[1:]:
            return numbers[1]
        return numbers[2] if value == 0 and numbers[2:] else numbers[0]


def _parts(code: str) -> list[str]:
    """``positive;negative;zero;text``."""
    found: list[str] = []
    position = 0
    while match := _SECTIONS.match(code, position):
        found.append(match[1])
        position = match.end()
        if match.end() == match.end(1):
            break
    return found


def _section(code: str) -> _Section:
    section = _Section()
    places = section.places
    for token in _TOKEN.finditer(code):
        literal = _literal(token)
        if literal:
            places.append(f"'{literal}")
        elif token["bracket"] and (condition := _CONDITION.fullmatch(token["bracket"])):
            section.condition = _condition(condition)
        elif token["general"] or token["other"] == "@":
            section.is_general, section.is_text = bool(token["general"]), not token["general"]
            places.append("@")
        elif token["power"]:
            section.is_power = True
        elif token["place"]:
            places.append(token["place"])
        elif token["other"] == ",":
            places.append(",")
        elif token["other"]:
            _take_sign(section, token["other"])
    _settle_commas(section)
    return section


def _literal(token: re.Match[str]) -> str:
    if (bracket := token["bracket"]) is not None:
        return bracket[1:].partition("-")[0] if bracket.startswith("$") else ""
    return token["quoted"] or token["escaped"] or ""


def _condition(match: re.Match[str]) -> Callable[[Decimal], bool]:
    holds, bound = _HOLDS[match[1]], Decimal(match[2])
    return lambda value: holds(value, bound)


def _take_sign(section: _Section, sign: str) -> None:
    if sign == "%":
        section.percents += 1
    is_point = sign == "." and "." not in section.places
    is_bar = sign == "/" and section.has_digits and "/" not in section.places
    section.places.append(sign if is_point or is_bar else f"'{sign}")


def _settle_commas(section: _Section) -> None:
    """A comma between digits groups them; behind the last one it divides by a thousand; any other is a text."""
    places = section.places
    digits = [number for number, place in enumerate(places) if place in _DIGITS]
    first, last = (digits[0], digits[-1]) if digits else (len(places), -1)
    whole = places.index(".") if "." in places else len(places)
    for number, place in enumerate(places):
        if place == "," and number < first:
            places[number] = "',"
        elif place == "," and (number > last or (number < whole and _DIGITS.isdisjoint(places[number:whole]))):
            section.thousands += 1
    section.places = [place for place in places if place != ","]


def _rendered(section: _Section, value: Decimal) -> tuple[str, bool]:
    """What a section shows of a number without its sign, and whether that is all of it."""
    if section.is_general or section.is_text:
        return section.wraps(format(value, "f")).strip(), True
    if not section.has_digits:
        return section.wraps("").strip(), False
    scaled = shifted(value, section.shift)
    if "/" in section.places:
        return _as_fraction(section, scaled)
    whole, decimals = section.sides
    rounded = scaled.quantize(section.step, ROUND_HALF_UP, EXACT)
    digits, _, rest = format(rounded, "f").partition(".")
    text = (whole.whole("" if digits == "0" else digits) + decimals.decimals(rest)).strip()
    return text, bool(text) and rounded == scaled and not section.thousands


def _as_fraction(section: _Section, value: Decimal) -> tuple[str, bool]:
    """``1 1/2``, with a denominator of as many digits as the format has places for, or with its own (``# ?/8``)."""
    bar = section.places.index("/")
    behind = [place.lstrip("'") for place in section.places[bar + 1 :]]
    fixed = "".join(behind).strip()
    if fixed.isascii() and fixed.isdigit() and int(fixed):
        fraction = Fraction(round(Fraction(value) * int(fixed)), int(fixed))
    else:
        count = min(sum(place in _DIGITS for place in behind), _LONGEST_DENOMINATOR)
        fraction = Fraction(value).limit_denominator(10**count - 1 or 1)
    before = "".join(place[-1] for place in section.places[:bar])
    has_whole = len(before.split()) > 1
    whole, part = divmod(fraction, 1) if has_whole else (0, fraction)
    texts = [str(whole)] if whole or not part else []
    if part:
        texts.append(f"{part.numerator}/{part.denominator}")
    is_all = abs(fraction - Fraction(value)) < _SAME and not section.thousands
    return " ".join(texts) + "%" * section.percents, is_all
