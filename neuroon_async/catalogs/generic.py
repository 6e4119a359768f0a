"""Records whose fields are named like product fields, or are named by a mapping: CSV, JSON, Parquet and Arrow."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .mapping import recognised_field
from .records import Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .mapping import FieldSource
    from .records import Record
    from .values.parsing import Notation

__all__ = ["GenericBuilder"]

_MAX_PLANS = 1_000
"""Sets of field names whose reading is remembered; objects of JSON may all differ."""


class GenericBuilder:
    """One record, one product. The user's mapping comes first; recognised names fill the rest."""

    def __init__(
        self, mapping: Mapping[str, FieldSource | None], notation: Notation, use: Callable[[Iterable[str]], None]
    ) -> None:
        self._mapping = mapping
        self._notation = notation
        self._use = use
        self._plans: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        use(column for source in mapping.values() if source is not None for column in source.columns)

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for record in records:
            yield Draft.unusable(record, record.problem) if record.problem else self._draft(record)

    def _draft(self, record: Record) -> Draft:
        draft = Draft.of(record, self._notation)
        for target, column in self._plan(tuple(record.row)):
            draft.put(target, record.row[column])
        return draft

    def _plan(self, columns: tuple[str, ...]) -> list[tuple[str, str]]:
        """``(target, column)`` for what these columns' names say."""
        plan = self._plans.get(columns)
        if plan is None:
            plan = self.recognise(columns)
            self._use(column for _, column in plan)
            if len(self._plans) < _MAX_PLANS:
                self._plans[columns] = plan
        return plan

    def recognise(self, columns: Iterable[str]) -> list[tuple[str, str]]:
        claims: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for column in columns:
            recognised = recognised_field(column)
            if recognised is not None and recognised[0] not in self._mapping:
                target, rank = recognised
                claims[target].append((rank, column))
        order = sorted(claims, key=lambda target: "." in target)  # a whole `attributes` first, single ones into it
        return [(target, min(claims[target])[1]) for target in order]
