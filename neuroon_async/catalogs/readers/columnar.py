"""Rows of Parquet and Arrow files, a thousand at a time. pyarrow does the reading (extra ``parquet``).

The values come as other formats give them:

- A number in single precision has the digits that it was written with: ``19.99``, where Python's own number would be
  19.989999771118164.
- What is no number (NaN) is no value: so frames write what they lack.
- Dates, times and UUIDs are texts, as a spreadsheet's are; the part of a microsecond does not count.
- A column whose type keeps other values than those that were written is not read, and nothing may use it.
- Bytes that are a text in UTF-8 are that text: some programs write texts without saying that they are such.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

from ..records import Record
from ..values.text import require
from .column_types import exact_type, is_plain_type, why_unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...api.shapes import RawValue
    from .byte_source import ByteSource

__all__ = ["arrow_rows", "parquet_rows"]

_BATCH_ROWS = 1_000


_Tell = Callable[[Mapping[str, str]], None]
"""Takes the columns that cannot be read, each with the reason."""


def parquet_rows(source: ByteSource, file: BinaryIO, unread: _Tell) -> Iterator[Record]:
    """Rows of a seekable Parquet file."""
    pyarrow = require("pyarrow", "parquet", "Parquet")
    parquet = require("pyarrow.parquet", "parquet", "Parquet")
    try:
        with parquet.ParquetFile(file) as table:
            rows = _Rows(source, pyarrow, table.schema_arrow, unread)
            yield from rows.of(table.iter_batches(batch_size=_BATCH_ROWS))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column whose name is no text
        raise source.error("", f"cannot be read as Parquet: {error}; write the file again") from error


def arrow_rows(source: ByteSource, file: BinaryIO, unread: _Tell) -> Iterator[Record]:
    """Rows of a seekable Arrow IPC file (Feather), or of an IPC stream."""
    pyarrow = require("pyarrow", "parquet", "Arrow")
    try:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        if is_file:
            with pyarrow.ipc.open_file(file) as table:
                batches = (table.get_batch(index) for index in range(table.num_record_batches))
                yield from _Rows(source, pyarrow, table.schema, unread).of(batches)
        else:
            with pyarrow.ipc.open_stream(file) as stream:
                yield from _Rows(source, pyarrow, stream.schema, unread).of(stream)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column whose name is no text
        raise source.error("", f"cannot be read as Arrow: {error}; write the file again") from error


class _Rows:
    """The rows of a file whose columns are known."""

    def __init__(self, source: ByteSource, pyarrow: Any, schema: Any, unread: _Tell) -> None:
        self._source = source
        self._pyarrow = pyarrow
        self._names: tuple[str, ...] = tuple(schema.names)
        self._refuse_columns_there_twice()
        reasons = ((field.name, field.type, why_unread(pyarrow, field.type)) for field in schema)
        self._unread = {name: f"is of the type {kind}: {why}" for name, kind, why in reasons if why is not None}
        unread(self._unread)

    def _refuse_columns_there_twice(self) -> None:
        names = self._names
        if len(set(names)) < len(names):
            twice = next(name for place, name in enumerate(names) if name in names[:place])
            raise self._source.error("", f"two columns are named {twice!r}; rename one of them")

    def of(self, batches: Iterable[Any]) -> Iterator[Record]:
        """All rows, a part of a batch at a time."""
        number = 0
        for batch in batches:
            for offset in range(0, batch.num_rows, _BATCH_ROWS):
                for row in self._as_python(batch.slice(offset, _BATCH_ROWS), number):
                    number += 1
                    yield Record(f"{self._source.name}:row {number}", row)

    def _as_python(self, rows: Any, before: int) -> list[dict[str, Any]]:
        """The rows as dicts. A damaged file may hold what is no text, no date, or lies outside of its columns."""
        part, column, columns = f"row {before + 1}", "", list[list[Any]]()
        try:
            rows.validate(full=True)
            for place, name in enumerate(self._names):
                column = f" in the column {name!r} (of the type {rows.column(place).type})"
                columns.append(
                    [None] * rows.num_rows if name in self._unread else _values(self._pyarrow, rows.column(place))
                )
        except (ArithmeticError, LookupError, ValueError, self._pyarrow.ArrowException) as error:
            raise self._source.error(
                part, f"or one of the next {_BATCH_ROWS} is damaged{column}: {error}; write the file again"
            ) from error
        if not columns:
            return [{} for _ in range(rows.num_rows)]
        return [dict(zip(self._names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(pyarrow: Any, column: Any) -> list[Any]:
    kind = column.type
    if pyarrow.types.is_run_end_encoded(kind):
        compute = require("pyarrow.compute", "parquet", "Arrow")
        return _values(pyarrow, compute.run_end_decode(column))
    exact = exact_type(pyarrow, kind, pyarrow.float64())
    if exact != kind and pyarrow.types.is_dictionary(kind):
        return _values(pyarrow, column.dictionary_decode())
    if exact != kind:  # by way of a text, which has the digits of the shorter number
        column = column.cast(exact_type(pyarrow, kind, pyarrow.string()), safe=False).cast(exact)
    values: list[Any] = column.to_pylist()
    return values if is_plain_type(pyarrow, exact) else list(map(_plain, values))


def _plain(value: RawValue) -> Any:
    """A value as texts, numbers, lists and objects hold it."""
    kind: type[Any] = type(value)
    if convert := _PLAIN.get(kind):
        return convert(value)
    if isinstance(value, tuple):  # a pair of a map
        return tuple(map(_plain, value))
    if isinstance(value, list):
        return list(map(_plain, value))
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def _number(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN


def _moment(value: dt.datetime) -> str:
    is_day = value.time() == dt.time() and value.tzinfo is None
    return value.date().isoformat() if is_day else value.isoformat()


def _text_in(value: bytes) -> str | bytes:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value
    return text if all(character.isprintable() or character.isspace() for character in text) else value


_PLAIN: dict[type, Callable[[Any], Any]] = {
    float: _number,
    dt.datetime: _moment,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    dt.timedelta: str,
    UUID: str,
    bytes: _text_in,
}
