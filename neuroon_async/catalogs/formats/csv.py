"""Delimited text whose columns are named like product fields, or are named by a mapping. Needs only the core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fast.plan import RowPlan
from ..fast.rows import RowLanes
from ..format import formulas_in
from ..generic import GenericBuilder
from ..values.parsing import Notation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...api.models import Product
    from ..format import Reading, Sample
    from ..records import Draft

__all__ = ["CSV", "TSV"]


@dataclass(frozen=True, slots=True)
class _Delimited:
    name: str
    delimiter: str | None = None
    own_ids = False

    def recognises(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's signature
        """Any text may be; tabs are found in plain CSV too."""
        return self.delimiter is None

    def read(self, reading: Reading) -> Iterable[Draft | list[Product]]:
        options, notation = reading.options, Notation(reading.options.decimal)
        builder = GenericBuilder(options.mapping, notation, reading.use)
        sample = reading.sample
        header = sample.header_by(self.delimiter) if self.delimiter else sample.header
        if header and sample.sheet is not None and not options.mapping and not builder.recognise(header):
            found = ", ".join(header[:20])
            why = f"; {formulas}" if (formulas := formulas_in(header)) else sample.sheet.another
            raise reading.source.error(1, f"no column is named like a product field: {found}{why}")
        if header and not options.mapping and not builder.recognise(header):
            raise reading.source.error(
                1,
                f"no column is named like a product field: {', '.join(header[:20])}; does the file begin with its "
                f"column names? map them ({options.names.map('name', 'COLUMN')}), "
                f"or say what separates them ({options.names.name('delimiter')})",
            )
        if sample.sheet is not None or not reading.fast:
            return builder(reading.rows(self.delimiter))
        lanes = RowLanes(
            reading.table(self.delimiter),
            reading.counts,
            lambda header: RowPlan.of(header, options, notation, reading.use),
        )
        return lanes.read(lambda record: builder((record,)))


CSV = _Delimited("csv")
TSV = _Delimited("tsv", "\t")
