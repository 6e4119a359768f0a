"""Parquet and Arrow files whose columns are named like product fields, or are named by a mapping. Extra ``parquet``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from ..generic import GenericBuilder
from ..readers.byte_source import ByteSource
from ..readers.columnar import arrow_rows, parquet_rows
from ..records import Record
from ..values.parsing import Notation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..format import Reading, Sample
    from ..records import Draft

__all__ = ["ARROW", "PARQUET"]


@dataclass(frozen=True, slots=True)
class _Columnar:
    name: str
    magic: tuple[bytes, ...]
    """How such a file may begin."""
    rows: Callable[[ByteSource, BinaryIO, Callable[[Mapping[str, str]], None]], Iterator[Record]]
    own_ids = False

    def recognises(self, sample: Sample) -> bool:
        return sample.head.startswith(self.magic)

    def read(self, reading: Reading) -> Iterable[Draft]:
        def unread(columns: Mapping[str, str]) -> None:
            reading.counts.refuse_use_of(
                {name: reading.source.error("", f"column {name!r} {why}") for name, why in columns.items()}
            )
            for name, why in columns.items():
                reading.notice(f"column {name!r} was not read: it {why}")

        records = reading.counted(self.rows(reading.source, reading.file(), unread))
        return GenericBuilder(reading.options.mapping, Notation(reading.options.decimal), reading.use)(records)


PARQUET = _Columnar("parquet", (b"PAR1",), parquet_rows)
ARROW = _Columnar("arrow", (b"ARROW1", b"\xff\xff\xff\xff"), arrow_rows)
