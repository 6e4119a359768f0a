"""MongoDB's extended JSON, in which a value may stand within the name of its type. Pure.

``{"$oid": "65a1…"}``, ``{"$numberDecimal": "12.50"}`` and ``{"$date": "2026-01-01T00:00:00Z"}`` become a text, a number
and a text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...api.shapes import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["has_types", "without_types"]

_TYPED = re.compile(rb'\{\s*"\$(?:oid|uuid|date|number(?:Decimal|Double|Long|Int))"\s*:')
_NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,4})?")
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


def has_types(text: bytes) -> bool:
    """Does a text in JSON hold such values?"""
    return b'"$' in text and _TYPED.search(text) is not None


def without_types(value: Any) -> Any:
    """The same, with plain values; what is not understood stays as it is."""
    if is_list(value):
        return list(map(without_types, value))
    if not is_object(value):
        return value
    plain = {name: without_types(item) for name, item in value.items()}
    (name, item), *others = plain.items() or [("", None)]
    read = _TYPES.get(name) if not others else None
    return plain if read is None else read(item, plain)


def _text(value: Any, otherwise: Any) -> Any:
    return value if isinstance(value, str) else otherwise


def _number(value: Any, otherwise: Any) -> Any:
    if value in {"NaN", "Infinity", "-Infinity"}:
        return None  # no value, as in frames
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return otherwise
    return int(value) if value.lstrip("-").isdecimal() else Decimal(value)


def _moment(value: Any, otherwise: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):  # milliseconds
        try:
            return (_BEGIN + timedelta(milliseconds=value)).isoformat()
        except OverflowError:
            return otherwise
    return _text(value, otherwise)


_TYPES: dict[str, Callable[[Any, Any], Any]] = {
    "$oid": _text,
    "$uuid": _text,
    "$date": _moment,
    "$numberDecimal": _number,
    "$numberDouble": _number,
    "$numberLong": _number,
    "$numberInt": _number,
}
