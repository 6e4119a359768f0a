"""What may be the source of a bulk run, and what is known of it before it is read."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from ..api.shapes import class_of, is_async_iterable, is_list_like
from ..api.sources import is_list_source
from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sized

__all__ = ["ALL_THERE", "check_source", "iterator_of", "known_length"]

ALL_THERE: set[type[Any]] = {list, tuple}
"""Whose items nobody changes while they are read: no code of the source's runs meanwhile."""
_NO_MAPPING: dict[Any, Any] = {}
_VIEWS = (type(_NO_MAPPING.keys()), type(_NO_MAPPING.values()), type(_NO_MAPPING.items()))
_CHEAP_LENGTHS: set[type[Any]] = {list, tuple, set, frozenset, deque, range, *_VIEWS}
"""Whose length is known at no cost. That of any other class may query a database, or raise."""


def check_source(given: object) -> None:
    """Raises `UsageError` for what is no iterable, or one whose items nobody means: a text, a mapping."""
    if is_async_iterable(given) or is_list_source(given) or is_list_like(given):
        return
    kind, advice = class_of(given).__name__, None
    if inspect.iscoroutine(given):
        given.close()  # it will not be awaited, and Python would say so once more
        advice = "await it first"
    elif inspect.isroutine(given):
        advice = "call it: what it returns may be one"
    elif isinstance(given, (str, PathLike)):
        advice = "a single id belongs into a list, and a file is read by neuroon_async.catalogs.read_catalog"
    elif isinstance(given, Mapping) or hasattr(given, "external_id"):
        advice = "a single product belongs into a list, and of a mapping of many products give its values()"
    raise UsageError(f"must be an iterable or async iterable, got {kind}", where="the source", advice=advice)


def known_length(source: object) -> int | None:
    """How many items there are, where that is known before they are read."""
    return len(cast("Sized", source)) if type(source) in _CHEAP_LENGTHS else None


def iterator_of(source: Any) -> Iterator[Any] | AsyncIterator[Any]:
    """Its iterator, which one loop after another may go on with. Of a source's own, ``for`` does not ask for that."""
    if is_async_iterable(source):
        iterator = aiter(source)
        return iterator if hasattr(iterator, "__aiter__") else _IterableAsync(iterator)
    plain = iter(source)
    return plain if hasattr(plain, "__iter__") else _Iterable(plain)


class _Iterable:
    """An iterator that is not iterable itself."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._iterator)


class _IterableAsync:
    """Likewise for ``async for``."""

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._iterator)
