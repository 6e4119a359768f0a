"""What a source of products may be beside an iterable: one that vouches for its products, or hands out lists of them.

Pure. A class that only inherits such a promise, and iterates in a way of its own, has not made it: its items count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

from .shapes import class_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

__all__ = ["ListSource", "is_list_source", "vouches_for_products"]

_ITERATION = ("__iter__", "__aiter__")
_PROMISE = "yields_checked_products"


class ListSource(ABC):
    """A source of this package's own that hands out its items in lists: the same ones, in the same order."""

    @abstractmethod
    def in_lists(self) -> Iterator[Sequence[Any]] | AsyncIterator[Sequence[Any]]:
        """All items, in lists as they come."""
        raise NotImplementedError

    def regrouped(
        self, regroup: Callable[[Iterator[Sequence[Any]]], Iterator[Sequence[Any]]]
    ) -> Iterator[Sequence[Any]] | AsyncIterator[Sequence[Any]]:
        """The same items, in the lists that ``regroup`` makes of those. Call it where the items are made.

        Where they are made in a thread and this is not told, they come in lists as they are.
        """
        lists = self.in_lists()
        return regroup(lists) if isinstance(lists, Iterator) else lists


def is_list_source(source: object) -> TypeGuard[ListSource]:
    """May `ListSource.in_lists` stand for iterating?"""
    return isinstance(source, ListSource) and not _iterates_anew(class_of(source), "in_lists")


def vouches_for_products(source: object) -> bool:
    """Does the source say that it yields checked products (and failures) only?"""
    if getattr(source, _PROMISE, False) is not True:
        return False
    return _PROMISE in getattr(source, "__dict__", ()) or not _iterates_anew(class_of(source), _PROMISE)


def _iterates_anew(cls: type[Any], name: str) -> bool:
    """Does a class define how it iterates further down than where ``name`` is defined?"""
    for base in cls.__mro__:
        if name in vars(base):
            return False
        if any(iteration in vars(base) for iteration in _ITERATION):
            return True
    return False
