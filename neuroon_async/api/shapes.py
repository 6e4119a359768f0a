"""The shape of values that nobody has checked, in a way that type checkers follow. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

__all__ = [
    "class_of",
    "is_dict",
    "is_iterable",
    "is_list",
    "is_list_or_tuple",
    "is_mapping",
    "is_object",
    "is_plain_dict",
    "is_text",
]


def is_text(value: object) -> TypeGuard[str]:
    """Text of any class of texts."""
    return isinstance(value, str)


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


def is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    """Whatever can be read item by item."""
    return isinstance(value, Iterable)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """An object of JSON, whose keys are always text."""
    return isinstance(value, dict)
