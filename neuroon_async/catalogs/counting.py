"""What one reading saw: how many records, which fields had values, and which of them something used."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .shapes import ColumnShapes
from .values.parsing import is_blank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

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
        """The same records, counted. A further reading of the same records counts them anew."""
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

    def passed(self, records: int, rows: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        """Count records that took the fast lane, and of which every field is used; ``rows`` makes their rows."""
        self.records += records
        self.shapes.postpone(records, rows)

    @property
    def ignored(self) -> dict[str, int]:
        """Field → the number of records that had a value which nothing used."""
        return {name: count for name, count in self._values.items() if name not in self._used}
