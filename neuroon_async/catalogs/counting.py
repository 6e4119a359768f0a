"""What one reading saw: how many records, which fields had values, and which of them something used."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from .shapes import ColumnShapes
from .values.parsing import is_blank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .mapping import FieldSource
    from .readers.byte_source import CatalogError
    from .records import Record

__all__ = ["FieldCounts"]

_MAX_COUNTED_FIELDS = 1_000


class FieldCounts:
    """Counts the records that pass and the values of their fields; formats report which fields they use."""

    def __init__(self, mapping: Mapping[str, FieldSource | None]) -> None:
        self.records: int = 0
        self.notices: dict[str, None] = {}
        """What the format has to say about its reading, each once."""
        self.shapes: ColumnShapes = ColumnShapes()
        self._values: Counter[str] = Counter()
        self._used: set[str] = set()
        self._twice: Mapping[str, CatalogError] = {}
        for source in mapping.values():
            if source is not None:
                self._used.update(source.columns, (column.partition(".")[0] for column in source.columns))

    def use(self, columns: Iterable[str]) -> None:
        """These columns are read by something. Raises `CatalogError` for one that is there twice."""
        self._used.update(columns)
        self.refuse_use_of(self._twice)

    def refuse_use_of(self, columns: Mapping[str, CatalogError]) -> None:
        """Columns that nothing may read, with the error for those who do."""
        self._twice = columns
        for name, error in columns.items():
            if name in self._used:
                raise error

    def counted(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, counted. A further reading of the same records counts them again."""
        self.start_over()
        for record in records:
            self.see(record)
            yield record

    def start_over(self) -> None:
        """A reading of the records begins."""
        self.records = 0
        self._values.clear()

    def see(self, record: Record) -> None:
        """Count a record and the values of its fields."""
        self.records += 1
        if not record.problem:
            self.shapes.see(record.row)
            for name, value in record.row.items():
                if not is_blank(value) and (name in self._values or len(self._values) < _MAX_COUNTED_FIELDS):
                    self._values[name] += 1

    def passed(self, texts: Sequence[Any], row_of: Callable[[Any], Mapping[str, Any]]) -> None:
        """Count records that took the fast lane, as their texts; ``row_of`` makes the row of one.

        The values of columns that nothing uses are counted apart.
        """
        self.records += len(texts)
        if self.shapes.in_question:
            size = sum(map(_size_of, texts))
            self.shapes.postpone(len(texts), partial(map, row_of, texts), size)

    def add(self, name: str, count: int) -> None:
        """Count further values of a field that was met before."""
        if name in self._values:
            self._values[name] += count

    def unused(self, places: Mapping[str, int], rows: Sequence[Sequence[str]]) -> None:
        """Count the values of columns that nothing uses. There are fewer of them than names are counted at most."""
        columns = list(zip(*rows, strict=True))
        new: list[tuple[int, int, str, int]] = []
        for name, place in places.items():
            filled = sum(map(bool, map(str.strip, columns[place])))
            if filled and name in self._values:
                self._values[name] += filled
            elif filled:
                first = next(row for row, cell in enumerate(columns[place]) if cell.strip())
                new.append((first, place, name, filled))
        for _, _, name, filled in sorted(new):  # in the order in which they would have been met, row by row
            self._values[name] = filled

    @property
    def ignored(self) -> dict[str, int]:
        """Field → the number of records that had a value which nothing used."""
        return {name: count for name, count in self._values.items() if name not in self._used}


def _size_of(text: Any) -> int:
    """About how much memory the texts of a record take."""
    if isinstance(text, bytes):
        return len(text)
    texts: Iterable[str] = cast("dict[str, str]", text).values() if isinstance(text, dict) else text
    return sum(map(len, texts))
