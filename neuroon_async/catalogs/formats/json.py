"""JSON and JSON Lines whose fields are named like product fields, or are named by a mapping. Needs only the core.

A document is an array, or an object with one list of objects; it is read twice where that list is not named
``products``, because only the end of the document shows that there is no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..generic import GenericBuilder
from ..letters import LetterReader, is_letter
from ..values.parsing import Notation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..format import Reading, Sample
    from ..records import Draft

__all__ = ["JSON", "JSON_LINES"]


@dataclass(frozen=True, slots=True)
class _Json:
    name: str
    lines: bool
    own_ids = False

    def recognises(self, sample: Sample) -> bool:
        return sample.is_json and sample.is_json_lines == self.lines

    def read(self, reading: Reading) -> Iterator[Draft]:
        notation = Notation(reading.options.decimal, lists=False, nulls=True)
        build = GenericBuilder(reading.options.mapping, notation, reading.use)
        letters = LetterReader(reading)
        for record in reading.json_records(lines=self.lines):
            if not record.problem and is_letter(record.row):
                yield from letters.drafts(record)
            else:
                yield from build((record,))


JSON = _Json("json", lines=False)
JSON_LINES = _Json("jsonl", lines=True)
