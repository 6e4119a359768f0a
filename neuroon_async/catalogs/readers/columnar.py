"""Rows of Parquet and Arrow files, a thousand at a time. pyarrow does the reading (extra ``parquet``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from ..records import Record
from ..values.text import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .byte_source import ByteSource

__all__ = ["arrow_rows", "parquet_rows"]

_BATCH_ROWS = 1_000


def parquet_rows(source: ByteSource, file: BinaryIO) -> Iterator[Record]:
    """Rows of a seekable Parquet file."""
    pyarrow = require("pyarrow", "parquet", "Parquet")
    parquet = require("pyarrow.parquet", "parquet", "Parquet")
    try:
        with parquet.ParquetFile(file) as table:
            yield from _rows(source, table.iter_batches(batch_size=_BATCH_ROWS))
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
                yield from _rows(source, (table.get_batch(index) for index in range(table.num_record_batches)))
        else:
            with pyarrow.ipc.open_stream(file) as stream:
                yield from _rows(source, stream)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column whose name is no text
        raise source.error("", f"cannot be read as Arrow: {error}; write the file again") from error


def _rows(source: ByteSource, batches: Iterable[Any]) -> Iterator[Record]:
    number = 0
    for batch in batches:
        for offset in range(0, batch.num_rows, _BATCH_ROWS):
            for row in _as_python(source, batch.slice(offset, _BATCH_ROWS), number):
                number += 1
                yield Record(f"{source.name}:row {number}", row)


def _as_python(source: ByteSource, rows: Any, before: int) -> list[dict[str, Any]]:
    """The rows as dicts. A damaged file may hold what is no text, no date, or lies outside of its columns."""
    try:
        rows.validate(full=True)
        values: list[dict[str, Any]] = rows.to_pylist()
    except (ArithmeticError, LookupError, ValueError) as error:
        raise source.error(
            f"row {before + 1}", f"or one of the next {_BATCH_ROWS} is damaged: {error}; write the file again"
        ) from error
    return values
