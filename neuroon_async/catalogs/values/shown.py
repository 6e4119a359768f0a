"""Values in messages: as the file shows them, not as Python does. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import cast

import msgspec

__all__ = ["BadValue", "LikeADate", "NestedValue", "UnknownWord", "shown"]

_MOST = 60
_IN_CENTS = re.compile(r"(?i)cents?(?![a-z])|cent_?amount|unit_?amount|minor|fraction_?digits|divisor|micros")
"""Keys of prices whose amounts are fractions: 1999 for 19.99."""


class BadValue(ValueError):
    """A value that cannot become the field's; the text says why."""


class UnknownWord(BadValue):
    """A word for the stock that is not known: the product is sent without it, and the words are counted."""


class LikeADate(BadValue):
    """An id that a spreadsheet may have made of another one. ``column`` is where it stands."""

    def __init__(self, text: str, column: str) -> None:
        kind, code = ("date", "1-2") if "-" in text or "/" in text else ("time", "1:18")
        super().__init__(
            f"{shown(text)} is a {kind}, as a spreadsheet makes it of a code such as {code}; export the catalog again "
            "and do not save it in a spreadsheet, or format the column as text before"
        )
        self.column = column


class NestedValue(BadValue):
    """An object, or a list of them, where one value is wanted. ``path`` leads to the likeliest of its values.

    It is ``None`` where no value can be taken as it is.
    """

    def __init__(self, value: object, column: str) -> None:
        several = shown(value)
        inner: object = cast("list[object]", value)[0] if isinstance(value, list) else value
        path = f"{column}.0" if isinstance(value, list) else column
        keys = list(map(str, cast("dict[object, object]", inner))) if isinstance(inner, dict) else []
        likely = next((key for key in ("amount", "value", "name", "text", "src", "url") if key in keys), None)
        in_cents = next((key for key in keys if _IN_CENTS.search(key)), None)
        told = (
            "name one of them"
            if in_cents is None
            else f"by {in_cents!r}, its amounts are in cents; write them as 19.99"
        )
        super().__init__(f"holds several values, {several}: {told}")
        self.path: str | None = None if in_cents else f"{path}.{likely or next(iter(keys), 'KEY')}"


def shown(value: object) -> str:
    """A value for a message: texts in quotes, anything else as JSON; cut at 60 characters.

    >>> shown("x"), shown(True), shown({"src": None})
    ("'x'", 'true', '{"src":null}')
    """
    text = _text(value)
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"


def _text(value: object) -> str:
    if isinstance(value, str):
        return repr(value.replace("\u00a0", " ").replace("\u202f", " "))
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes that are no text"
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return "a value that cannot be shown"
