"""JSON Lines in two lanes: what holds the API's own keys becomes products at once, every other line a record."""

from __future__ import annotations

from itertools import compress
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec import UNSET

from ...api.models import WIRE_NAMES
from ..readers.json_records import decode_object, json_record, line_blocks
from .api_json import ApiObjects
from .turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...api.models import Product
    from ..format import Reading
    from ..records import Draft, Record

__all__ = ["JsonLinesLanes"]

_GROUP = 64
"""Lines that are looked at together."""


class JsonLinesLanes:
    """One reading of a file."""

    def __init__(self, reading: Reading) -> None:
        self._counts = reading.counts
        self._source = reading.source
        self._text = reading.text
        self._fast = ApiObjects.of(reading.options, reading.sample.text) if reading.fast else None
        self._names = WIRE_NAMES if self._fast is None or self._fast.camel_case else {name: name for name in WIRE_NAMES}
        self._unused = {name: attrgetter(name) for name in WIRE_NAMES}
        """The fields that no product of the fast lane has had yet."""

    def read(self, careful: Callable[[Record], Iterator[Draft]]) -> Iterator[Draft | list[Product]]:
        """What the lines hold, in their order; ``careful`` makes drafts of a record."""
        self._counts.start_over()
        for number, lines in line_blocks(self._source, self._text()):
            for start in range(0, len(lines), _GROUP):
                group = lines[start : start + _GROUP]
                yield from self._group(number + start, group, careful)

    def _products(self, lines: list[bytes]) -> list[Product | None]:
        return [None] * len(lines) if self._fast is None else self._fast.products(lines)

    def _group(
        self, number: int, lines: list[bytes], careful: Callable[[Record], Iterator[Draft]]
    ) -> Iterator[Draft | list[Product]]:
        numbers: Sequence[int] = range(number, number + len(lines))
        products = self._products(lines)
        if not all(products):
            filled = [bool(line) and not line.isspace() for line in lines]
            numbers = list(compress(numbers, filled))
            lines = list(compress(lines, filled))
            products = list(compress(products, filled))

        def carefully(place: int) -> Iterator[Draft]:
            record = json_record(f"{self._source.name}:{numbers[place]}", lines[place])
            self._counts.see(record)
            return careful(record)

        return in_turns(products, lambda run, where: self._taken(run, lines[where]), carefully)

    def _taken(self, products: list[Product], lines: list[bytes]) -> list[Product]:
        """Count products of the fast lane, and tell which keys they use."""
        self._counts.passed(lines, decode_object)
        for name in [*self._unused]:
            values = list(map(self._unused[name], products))
            if values.count(UNSET) < len(values):
                self._counts.use([self._names[name]])
                del self._unused[name]
        return products
