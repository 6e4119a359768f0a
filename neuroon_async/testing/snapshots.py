"""Dictionaries that one thread reads while another one changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _collections_abc import dict_items, dict_keys, dict_values
    from collections.abc import Iterator

__all__ = ["SnapshotDict"]

K = TypeVar("K")
V = TypeVar("V")


class SnapshotDict(dict[K, V]):
    """A ``dict`` whose iteration goes over a copy, so that it cannot meet a change in the middle.

    Single operations on a ``dict`` are atomic already.
    """

    def copy(self) -> dict[K, V]:
        while True:
            try:
                return dict(list(super().items()))
            except RuntimeError:  # a finalizer ran while the list was made, and let the other thread in
                continue

    def __iter__(self) -> Iterator[K]:
        return iter(self.copy())

    def keys(self) -> dict_keys[K, V]:
        return self.copy().keys()

    def values(self) -> dict_values[K, V]:
        return self.copy().values()

    def items(self) -> dict_items[K, V]:
        return self.copy().items()
