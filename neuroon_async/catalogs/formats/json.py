"""JSON and JSON Lines whose fields are named like product fields, or are named by a mapping. Needs only the core.

A document is an array, or an object with one list of objects; it is read twice where that list is not named
``products``, because only the end of the document shows that there is no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from ..fast.json_lines import JsonLinesLanes
from ..generic import GenericBuilder
from ..letters import LetterReader, is_letter
from ..values.parsing import Notation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...api.models import Product
    from ..format import Reading, Sample
    from ..records import Draft, Record

__all__ = ["JSON", "JSON_LINES"]


@dataclass(frozen=True, slots=True)
class _Json:
    name: str
    lines: bool
    own_ids = False

    def recognises(self, sample: Sample) -> bool:
        return sample.is_json and sample.is_json_lines == self.lines

    def read(self, reading: Reading) -> Iterator[Draft | list[Product]]:
        careful = _Careful(reading)
        if self.lines and reading.options.list_path is None:
            return JsonLinesLanes(reading).read(careful.drafts)
        return chain.from_iterable(map(careful.drafts, reading.json_records(lines=self.lines)))


class _Careful:
    """The drafts of a record: mostly one, of the record itself."""

    def __init__(self, reading: Reading) -> None:
        notation = Notation(reading.options.decimal, lists=False, nulls=True)
        self._build = GenericBuilder(reading.options.mapping, notation, reading.use)
        self._letters = LetterReader(reading)

    def drafts(self, record: Record) -> Iterator[Draft]:
        if not record.problem and is_letter(record.row):
            return self._letters.drafts(record)
        return self._build((record,))


JSON = _Json("json", lines=False)
JSON_LINES = _Json("jsonl", lines=True)
