"""Values of other libraries' types, as what they stand for: text, numbers, lists and maps of JSON. Pure.

One small table. What is not in it stays as it is, and the rules then refuse it by name: a ``datetime`` where text is
wanted, a set (whose order differs from run to run), a secret. No library is imported for this.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

from msgspec import UnsetType

from .shapes import class_of, is_list_or_tuple, is_mapping

__all__ = ["as_plain", "plain_count", "plain_id", "plain_value"]

Reading = Callable[[Any], Any]

_PLAIN = {str, int, float, bool, Decimal, type(None), UnsetType}


def as_plain(value: object) -> str | float | int | Decimal:
    """What a template engine's, a parser's or numpy's own kind of text or number stands for."""
    if isinstance(value, str):
        return str.__str__(value)  # the text itself, whatever the kind's own __str__ shows
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, Decimal):
        return Decimal(value)
    raise TypeError(f"{type(value).__name__} objects have no place in JSON")


def plain_id(value: Any) -> Any:
    """The id of a product: a number of a database's, or a UUID, is text."""
    plain = plain_count(value)
    return _digits(plain) if type(plain) is int else plain


def plain_count(value: Any) -> Any:
    """A number of things: databases give sums, and numbers of their own, as a ``Decimal`` without decimals."""
    plain = plain_value(value)
    if type(plain) is Decimal and plain.as_tuple().exponent == 0:
        return int(plain)
    return plain


def _digits(number: int) -> str | int:
    try:
        return str(number)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return number


def plain_value(value: Any) -> Any:
    """A value of any field. Lists and maps are copied."""
    if type(value) in _PLAIN:
        return value
    value = _plain_item(value)
    if is_list_or_tuple(value):
        return [_plain_item(item) for item in value]
    if is_mapping(value):
        return {_plain_item(key): _plain_item(item) for key, item in value.items()}
    return value


def _plain_item(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (str, float, int, Decimal)):  # subclasses: template engines, parsers, numpy, StrEnum, IntEnum
        return as_plain(value)
    if isinstance(value, Enum):
        return _plain_item(value.value)
    reading = _reading_of(class_of(value))
    return value if reading is None else reading(value)


def _numpy_scalar(value: Any) -> Any:
    """Python's own number or text. A number of single precision is the short one that it shows, such as 0.1."""
    plain = value.item()
    if isinstance(plain, float) and value.itemsize < 8:
        return float(str(value))
    return plain


def _array(value: Any) -> Any:
    return value.tolist() if value.ndim == 1 else value


_TABLE: tuple[tuple[str, str, Reading], ...] = (
    ("uuid", "UUID", str),
    ("pydantic", "_BaseUrl", str),
    ("pydantic_core", "Url", str),
    ("yarl", "URL", str),
    ("httpx", "URL", str),
    ("django", "Promise", str),  # text that is translated when it is shown
    ("numpy", "generic", _numpy_scalar),
    ("numpy", "ndarray", _array),
)
"""Package, class (or a base of it), and what the value stands for."""

_readings: WeakKeyDictionary[type[Any], Reading | None] = WeakKeyDictionary()


def _reading_of(cls: type[Any]) -> Reading | None:
    try:
        return _readings[cls]
    except KeyError:
        bases = {(base.__module__.partition(".")[0], base.__name__) for base in cls.__mro__}
        found = next((reading for package, name, reading in _TABLE if (package, name) in bases), None)
        _readings[cls] = found
        return found
