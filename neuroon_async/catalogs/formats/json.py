"""JSON and JSON Lines whose fields are named like product fields, or are named by a mapping. Needs only the core.

A document is an array, or an object with one list of objects; it is read twice where that list is not named
``products``, because only the end of the document shows that there is no other.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..generic import GenericBuilder
from ..readers.byte_source import CatalogError
from ..readers.json_records import PRODUCTS, Survey, is_json_lines, json_array, json_lines
from ..values.parsing import Notation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..format import Reading, Sample
    from ..records import Draft, Record

__all__ = ["JSON", "JSON_LINES"]


@dataclass(frozen=True, slots=True)
class _Json:
    name: str
    lines: bool
    own_ids = False

    def recognises(self, sample: Sample) -> bool:
        if not sample.is_json:
            return False
        is_lines = not sample.text.lstrip().startswith(b"[") and is_json_lines(sample.text, sample.name)
        return is_lines == self.lines

    def read(self, reading: Reading) -> Iterable[Draft]:
        notation = Notation(reading.options.decimal, lists=False, nulls=True)
        records = json_lines(reading.source, reading.text()) if self.lines else _records(reading)
        return GenericBuilder(reading.options.mapping, notation, reading.use)(reading.counted(records))


def _records(reading: Reading) -> Iterator[Record]:
    survey = Survey()
    survey.feed(reading.sample.text)
    if not reading.sample.text.lstrip().startswith(b"{") or survey.has_products:
        return json_array(reading.source, reading.text())
    reading.replay.keep_all()
    key = _key_of_list(reading, reading.text())
    return json_array(reading.source, reading.text(), key)


def _key_of_list(reading: Reading, chunks: Iterator[bytes]) -> bytes:
    """Which list of an object holds the products; only its end tells that there is no other."""
    survey = Survey()
    with contextlib.suppress(CatalogError):  # the reading of the list comes to the same fault, and reports it
        for chunk in chunks:
            survey.feed(chunk)
            if survey.has_products or survey.is_stuck:
                return PRODUCTS
    if len(survey.lists) > 1:
        keys = ", ".join(key.decode(errors="replace") for key in survey.lists[:20])
        raise reading.source.error("", f'holds several lists of objects ({keys}); name the one to read "products"')
    return survey.only_list or PRODUCTS


JSON = _Json("json", lines=False)
JSON_LINES = _Json("jsonl", lines=True)
