"""The shape of values that nobody has checked, in a way that type checkers follow. Pure."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, TypeGuard, TypeVar

__all__ = [
    "RawValue",
    "class_of",
    "implements",
    "is_async_iterable",
    "is_bytes",
    "is_container",
    "is_dict",
    "is_iterable",
    "is_list",
    "is_list_like",
    "is_list_or_tuple",
    "is_mapping",
    "is_number",
    "is_object",
    "is_plain_dict",
    "is_text",
    "is_whole",
]

T = TypeVar("T")

_LARGEST = sys.float_info.max

RawValue = str | int | float | bool | Decimal | list[Any] | tuple[Any, ...] | dict[str, Any] | None
"""The kinds of value that are read. As a parameter's type it lets ``isinstance`` tell the containers apart by
itself, where the call of a function below would cost too much. Other kinds occur too, and are refused."""


def is_text(value: object) -> TypeGuard[str]:
    """Text of any class of texts."""
    return isinstance(value, str)


def is_whole(value: object) -> TypeGuard[int]:
    """A whole number, and not one of Python's truth values, which count as numbers there."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """A finite number that a clock's time can be added to, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST


def is_list(value: object) -> TypeGuard[list[Any]]:
    """A list, whatever it holds."""
    return isinstance(value, list)


def is_list_or_tuple(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """A list or a tuple, whatever it holds."""
    return isinstance(value, (list, tuple))


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    """A dict, whatever it holds."""
    return isinstance(value, dict)


def is_plain_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    """A dict of no subclass: what reads it sees what it holds."""
    return type(value) is dict


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """A mapping, whatever it holds."""
    return isinstance(value, Mapping)


def class_of(value: object) -> type[Any]:
    """The class of a value of any kind."""
    return type(value)


def is_bytes(value: object) -> TypeGuard[bytes]:
    """Bytes, where a file may also be open as text."""
    return isinstance(value, bytes)


def is_container(value: object) -> TypeGuard[list[Any] | dict[Any, Any] | set[Any]]:
    """A container that can change after it was seen."""
    return isinstance(value, (list, dict, set))


def is_async_iterable(value: object) -> TypeGuard[AsyncIterable[Any]]:
    """Whatever can be read item by item, waiting for each."""
    return isinstance(value, AsyncIterable)


def is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    """Whatever can be read item by item."""
    return isinstance(value, Iterable)


def is_list_like(value: object) -> TypeGuard[Iterable[Any]]:
    """Whatever can stand for a list. Text, bytes and mappings cannot: nobody means their letters or keys."""
    return is_iterable(value) and not isinstance(value, (str, bytes, bytearray, Mapping))


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """An object of JSON, whose keys are always text."""
    return isinstance(value, dict)


def implements(value: object, protocol: Callable[[], T]) -> TypeGuard[T]:
    """Has ``value`` every method of this protocol?

    `isinstance` would not see those that a wrapper passes on by ``__getattr__``, from Python 3.12 on.
    """
    return all(hasattr(value, name) for name in _methods(protocol))


@cache
def _methods(protocol: Any) -> tuple[str, ...]:
    bases: tuple[type, ...] = protocol.__mro__
    members = {name: member for base in bases for name, member in vars(base).items()}
    return tuple(name for name, member in members.items() if callable(member) and not name.startswith("_"))
