"""Items of a product feed in two lanes: a plan for the fields of Google's and Meta's feeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import TYPE_CHECKING, Any

from ...api.models import REQUIRED_FIELDS
from ..columns import SALE_DATES
from ..readers.feed_xml import item_place
from ..records import Record
from .cells import CellColumn
from .fields import FieldColumns
from .turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...api.models import Product
    from ..format import Reading
    from ..records import Draft
    from ..values.parsing import Notation

__all__ = ["FeedFields", "FeedLanes"]

_GROUP = 64


@dataclass(frozen=True)
class FeedFields:
    """How the names of a feed become fields.

    ``names`` are for each field those that may hold its text, best first; for the fields in ``accepts``, a text must
    also be such. ``prepare`` is what the format makes of it before it is put. ``used`` are the names that the format
    reads, ``is_exact`` tells whether a name is spelled as the format knows it, and ``is_special`` whether an item is
    for the careful lane: one that says that it is not published, or that has a field under a name of last resort.
    """

    names: Mapping[str, tuple[str, ...]]
    accepts: Mapping[str, Callable[[str], bool]]
    prepare: Mapping[str, Callable[[str], Any]]
    used: frozenset[str]
    is_exact: Callable[[str], bool]
    is_special: Callable[[Mapping[str, str]], bool]

    def cells(self, items: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
        """For each field that any of these items has, and for the required ones, its text in each item."""
        there = set(chain.from_iterable(items))
        cells: dict[str, list[str]] = {}
        for target, names in self.names.items():
            present = [name for name in names if name in there]
            if len(present) == 1 and target not in self.accepts:
                (name,) = present
                cells[target] = [item.get(name, "") for item in items]
            elif present:
                accepts = self.accepts.get(target, bool)
                cells[target] = [
                    next((text for name in present if (text := item.get(name)) and accepts(text)), "") for item in items
                ]
            elif target in REQUIRED_FIELDS:
                cells[target] = [""] * len(items)
        return cells


class FeedLanes:
    """One reading of a feed. An item with a name that no item before it had takes the careful lane, which counts it."""

    def __init__(self, reading: Reading, fields: FeedFields, notation: Notation) -> None:
        options = reading.options
        self._counts = reading.counts
        self._source = reading.source
        self._fields = fields
        self._known: set[str] = set()
        self._columns = FieldColumns(
            {
                target: CellColumn(target, options, notation, prepare=fields.prepare.get(target))
                for target in fields.names
                if target not in SALE_DATES
            },
            options,
        )

    def read(
        self, blocks: Iterable[tuple[int, list[dict[str, Any]]]], careful: Callable[[Record], Iterator[Draft]]
    ) -> Iterator[Draft | list[Product]]:
        """What the items hold, in their order; ``careful`` makes drafts of a record."""
        self._counts.start_over()
        for number, items in blocks:
            for start in range(0, len(items), _GROUP):
                yield from self._group(number + start, items[start : start + _GROUP], careful)

    def _group(
        self, number: int, items: list[dict[str, Any]], careful: Callable[[Record], Iterator[Draft]]
    ) -> Iterator[Draft | list[Product]]:
        plain = [self._is_plain(item) for item in items]
        made = iter(self._products(list(compress(items, plain))))
        products = [next(made) if is_plain else None for is_plain in plain]

        def carefully(place: int) -> Iterator[Draft]:
            record = Record(item_place(self._source, number + place), items[place])
            self._counts.see(record)
            yield from careful(record)
            self._known.update(filter(self._fields.is_exact, items[place]))

        return in_turns(products, lambda run, where: self._taken(run, items[where]), carefully)

    def _is_plain(self, item: dict[str, Any]) -> bool:
        """Are its names known and its values texts, and is there nothing special about it?"""
        return (
            self._known.issuperset(item)
            and list not in set(map(type, item.values()))
            and not self._fields.is_special(item)
        )

    def _products(self, items: list[dict[str, str]]) -> list[Product | None]:
        if not items:
            return []
        return self._columns.products(self._fields.cells(items), len(items))

    def _taken(self, products: list[Product], items: list[dict[str, Any]]) -> list[Product]:
        self._counts.passed(items, dict)
        for name in self._known - self._fields.used:
            self._counts.add(name, sum(name in item for item in items))
        return products
