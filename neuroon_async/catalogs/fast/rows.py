"""Delimited text in two lanes: rows that hold nothing unusual become products a group at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..records import Record
from .turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...api.models import Product
    from ..counting import FieldCounts
    from ..readers.delimited import DelimitedRows
    from ..records import Draft
    from .plan import RowPlan

__all__ = ["RowLanes"]


class RowLanes:
    """One reading of a table.

    The first record takes the careful lane, which tells what columns are used, and complains of two with one name.
    """

    def __init__(
        self, table: DelimitedRows, counts: FieldCounts, plan_of: Callable[[list[str]], RowPlan | None]
    ) -> None:
        self._table = table
        self._counts = counts
        self._plan_of = plan_of
        self._plan: RowPlan | None = None
        self._unused: dict[str, int] = {}

    def read(self, careful: Callable[[Record], Iterator[Draft]]) -> Iterator[Draft | list[Product]]:
        """What the rows hold, in their order; ``careful`` makes drafts of a record."""
        self._counts.start_over()
        begun = False
        for block in self._table.blocks():
            if isinstance(block, Record):
                yield from self._carefully(block, careful)
                continue
            numbers, rows = block
            first = 0
            while not begun and first < len(rows):
                record = self._table.record(numbers[first], rows[first])
                yield from self._carefully(record, careful)
                first += 1
                if not record.problem:
                    begun = True
                    self._begin()
            yield from self._group(numbers[first:], rows[first:], careful)

    def _begin(self) -> None:
        self._plan = self._plan_of(self._table.header)
        if self._plan is not None:
            self._unused = self._plan.unused

    def _carefully(self, record: Record, careful: Callable[[Record], Iterator[Draft]]) -> Iterator[Draft]:
        self._counts.see(record)
        return careful(record)

    def _group(
        self, numbers: list[int], rows: list[list[str]], careful: Callable[[Record], Iterator[Draft]]
    ) -> Iterator[Draft | list[Product]]:
        return in_turns(
            self._products(rows),
            lambda run, where: self._taken(run, rows[where]),
            lambda place: self._carefully(self._table.record(numbers[place], rows[place]), careful),
        )

    def _products(self, rows: list[list[str]]) -> list[Product | None]:
        """Of rows as wide as the header; ``None`` for those that are not, and for those that the plan declines."""
        if self._plan is None or not rows:
            return [None] * len(rows)
        width = len(self._table.header)
        whole = rows if set(map(len, rows)) == {width} else [row for row in rows if len(row) == width]
        made = iter(self._plan.products(whole)) if whole else iter(())
        return [next(made) if len(row) == width else None for row in rows]

    def _taken(self, products: list[Product], rows: list[list[str]]) -> list[Product]:
        self._counts.passed(rows, self._as_mapping)
        if self._unused:
            self._counts.unused(self._unused, rows)
        return products

    def _as_mapping(self, row: Sequence[str]) -> dict[str, Any]:
        return dict(zip(self._table.header, row, strict=True))
