"""Values in messages: as the file shows them, not as Python does. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

__all__ = ["BadValue", "shown"]

_MOST = 60


class BadValue(ValueError):
    """A value that cannot become the field's; the text says why."""


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
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return "a value that cannot be shown"
