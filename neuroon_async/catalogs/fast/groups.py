"""Rows that stand together, as those of a product and its variants do, in two lanes: a group takes one of them whole.

Rows are counted as they are read, whichever lane they take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..grouping import grouped
from ..readers.byte_source import CatalogError
from ..records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ...api.models import Product
    from ..counting import FieldCounts
    from ..readers.byte_source import ByteSource
    from ..readers.delimited import DelimitedRows
    from ..records import Draft

    Row = tuple[int, list[str]] | Record
    """The line that it begins on, and its cells; a record where it does not fit the header."""

__all__ = ["GroupLanes", "GroupPlan"]

_ROWS = 64
"""Rows whose groups are looked at together."""


class GroupPlan(Protocol):
    """Makes products of the groups of one header."""

    @property
    def key_place(self) -> int:
        """Where the column stands that tells which group a row belongs to."""
        ...

    @property
    def unused(self) -> Mapping[str, int]:
        """The columns that nothing uses, and where they stand."""
        ...

    def products(self, groups: Sequence[Sequence[list[str]]], /) -> list[list[Product] | None]:
        """For each group the products that the careful lane would make of it, or ``None`` to decline it."""
        ...


class GroupLanes:
    """One reading of a table."""

    def __init__(
        self,
        table: DelimitedRows,
        source: ByteSource,
        counts: FieldCounts,
        key_of: Callable[[Record], str],
        plan: GroupPlan,
    ) -> None:
        """``key_of`` a record tells its group; it is empty for one that belongs to none."""
        self._table = table
        self._source = source
        self._counts = counts
        self._key_of = key_of
        self._plan = plan
        self._unused = plan.unused

    def read(self, careful: Callable[[list[Record]], Iterator[Draft]]) -> Iterator[Draft | list[Product]]:
        """What the groups hold, in their order; ``careful`` makes drafts of one of them."""
        self._counts.start_over()
        for groups in self._batches():
            made: list[Product] = []
            for group, products in zip(groups, self._products(groups), strict=True):
                if products is not None:
                    made += products
                    continue
                if made:
                    yield made
                    made = []
                yield from careful([self._record(row) for row in group])
            if made:
                yield made

    def _batches(self) -> Iterator[list[list[Row]]]:
        """Groups that are looked at together. A fault comes after all that was read before it."""
        batch: list[list[Row]] = []
        rows = 0
        try:
            for group in grouped(self._rows(), self._key, self._source):
                batch.append(group)
                rows += len(group)
                if rows >= _ROWS:
                    finished, batch, rows = batch, [], 0
                    yield finished
        except CatalogError:
            yield batch
            raise
        yield batch

    def _rows(self) -> Iterator[Row]:
        """The rows, counted."""
        for block in self._table.blocks():
            if isinstance(block, Record):
                self._counts.see(block)
                yield block
            elif set(map(len, block[1])) == {len(self._table.header)}:
                self._count(block[1])
                yield from zip(*block, strict=True)
            else:
                for record in map(self._table.record, *block):
                    self._counts.see(record)
                    yield record

    def _count(self, rows: list[list[str]]) -> None:
        self._counts.passed(rows, self._as_mapping)
        if self._unused:
            self._counts.unused(self._unused, rows)

    def _as_mapping(self, row: Sequence[str]) -> dict[str, str]:
        return dict(zip(self._table.header, row, strict=True))

    def _key(self, row: Row) -> str:
        if isinstance(row, Record):
            return self._key_of(row)
        return row[1][self._plan.key_place].strip()

    def _record(self, row: Row) -> Record:
        return row if isinstance(row, Record) else self._table.record(*row)

    def _products(self, groups: list[list[Row]]) -> list[list[Product] | None]:
        """``None`` for groups with a row that does not fit, and for those that the plan declines."""
        rows = [[row[1] for row in group if not isinstance(row, Record)] for group in groups]
        whole = [len(cells) == len(group) for cells, group in zip(rows, groups, strict=True)]
        fitting = [cells for cells, is_whole in zip(rows, whole, strict=True) if is_whole]
        made = iter(self._plan.products(fitting) if fitting else ())
        return [next(made, None) if is_whole else None for is_whole in whole]
