"""A sheet of a spreadsheet whose columns are named like product fields, or are named by a mapping. Extra ``xlsx``.

A sheet with the columns of a platform's export is read as that export: this is for all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .csv import CSV

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...api.models import Product
    from ..format import Reading, Sample
    from ..records import Draft

__all__ = ["FORMAT"]


class _Xlsx:
    name = "xlsx"
    own_ids = False

    def recognises(self, sample: Sample) -> bool:
        return sample.is_spreadsheet

    def read(self, reading: Reading) -> Iterable[Draft | list[Product]]:
        return CSV.read(reading)


FORMAT = _Xlsx()
