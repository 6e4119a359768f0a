"""Rows of Parquet and Arrow files, a thousand at a time. pyarrow does the reading (extra ``parquet``).

The values come as other formats give them:

- A number in single precision has the digits that it was written with: ``19.99``, where Python's own number would be
  19.989999771118164.
- What is no number (NaN) is no value: so frames write what they lack.
- Dates, times and UUIDs are texts, as a spreadsheet's are; the part of a microsecond does not count.
- Bytes that are a text in UTF-8 are that text: some programs write texts without saying that they are such.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

from ..records import Record
from ..values.text import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ...api.shapes import RawValue
    from .byte_source import ByteSource

__all__ = ["arrow_rows", "parquet_rows"]

_BATCH_ROWS = 1_000


def parquet_rows(source: ByteSource, file: BinaryIO) -> Iterator[Record]:
    """Rows of a seekable Parquet file."""
    pyarrow = require("pyarrow", "parquet", "Parquet")
    parquet = require("pyarrow.parquet", "parquet", "Parquet")
    try:
        with parquet.ParquetFile(file) as table:
            yield from _rows(source, pyarrow, table.iter_batches(batch_size=_BATCH_ROWS))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column whose name is no text
        raise source.error("", f"cannot be read as Parquet: {error}; write the file again") from error


def arrow_rows(source: ByteSource, file: BinaryIO) -> Iterator[Record]:
    """Rows of a seekable Arrow IPC file (Feather), or of an IPC stream."""
    pyarrow = require("pyarrow", "parquet", "Arrow")
    try:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        if is_file:
            with pyarrow.ipc.open_file(file) as table:
                batches = (table.get_batch(index) for index in range(table.num_record_batches))
                yield from _rows(source, pyarrow, batches)
        else:
            with pyarrow.ipc.open_stream(file) as stream:
                yield from _rows(source, pyarrow, stream)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column whose name is no text
        raise source.error("", f"cannot be read as Arrow: {error}; write the file again") from error


def _rows(source: ByteSource, pyarrow: Any, batches: Iterable[Any]) -> Iterator[Record]:
    number = 0
    for batch in batches:
        _refuse_columns_there_twice(source, batch.schema.names)
        for offset in range(0, batch.num_rows, _BATCH_ROWS):
            for row in _as_python(source, pyarrow, batch.slice(offset, _BATCH_ROWS), number):
                number += 1
                yield Record(f"{source.name}:row {number}", row)


def _refuse_columns_there_twice(source: ByteSource, names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise source.error("", f"two columns are named {twice!r}; rename one of them")


def _as_python(source: ByteSource, pyarrow: Any, rows: Any, before: int) -> list[dict[str, Any]]:
    """The rows as dicts. A damaged file may hold what is no text, no date, or lies outside of its columns."""
    try:
        rows.validate(full=True)
        columns = {name: _values(pyarrow, rows.column(place)) for place, name in enumerate(rows.schema.names)}
    except (ArithmeticError, LookupError, ValueError) as error:
        raise source.error(
            f"row {before + 1}", f"or one of the next {_BATCH_ROWS} is damaged: {error}; write the file again"
        ) from error
    names = tuple(columns)
    if not names:
        return [{} for _ in range(rows.num_rows)]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _values(pyarrow: Any, column: Any) -> list[Any]:
    kind = column.type
    exact = _exact(pyarrow, kind, pyarrow.float64())
    if exact != kind:  # by way of a text, which has the digits of the shorter number
        column = column.cast(_exact(pyarrow, kind, pyarrow.string()), safe=False).cast(exact)
    values: list[Any] = column.to_pylist()
    return values if _is_plain(pyarrow, exact) else list(map(_plain, values))


def _exact(pyarrow: Any, kind: Any, single: Any) -> Any:
    """The type without what Python has no exact value for. ``single`` replaces numbers in single precision."""
    types = pyarrow.types
    if types.is_float32(kind):
        return single
    if types.is_timestamp(kind) and kind.unit == "ns":
        return pyarrow.timestamp("us", kind.tz)
    if types.is_time64(kind) and kind.unit == "ns":
        return pyarrow.time64("us")
    if types.is_duration(kind) and kind.unit == "ns":
        return pyarrow.duration("us")
    if types.is_dictionary(kind):
        inner = _exact(pyarrow, kind.value_type, single)
        return kind if inner == kind.value_type else inner
    return _exact_nested(pyarrow, kind, single)


def _exact_nested(pyarrow: Any, kind: Any, single: Any) -> Any:
    def of(field: Any) -> Any:
        return field.with_type(_exact(pyarrow, field.type, single))

    types = pyarrow.types
    if types.is_list(kind):
        return pyarrow.list_(of(kind.value_field))
    if types.is_large_list(kind):
        return pyarrow.large_list(of(kind.value_field))
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(of(kind.value_field), kind.list_size)
    if types.is_map(kind):
        return pyarrow.map_(of(kind.key_field), of(kind.item_field), keys_sorted=kind.keys_sorted)
    if types.is_struct(kind):
        return pyarrow.struct([of(kind.field(place)) for place in range(kind.num_fields)])
    return kind


def _is_plain(pyarrow: Any, kind: Any) -> bool:
    """Are these texts, whole numbers, exact ones, or yes and no, which need no look at each value?"""
    types = pyarrow.types
    if types.is_dictionary(kind) or types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    checks = (types.is_string, types.is_large_string, types.is_integer, types.is_boolean, types.is_decimal)
    return any(check(kind) for check in checks)


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
    UUID: str,
    bytes: _text_in,
}
