"""Records whose fields are named like product fields, or are named by a mapping: CSV, JSON, Parquet and Arrow."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .columns import HIGHER_PRICES, SALE_DATES, STATES, UNDERSTOOD, WITHHELD, claims_of
from .mapping import wrapped_in
from .offers import Priced, put_higher_price
from .records import Draft
from .values.parsing import BadValue, is_blank, is_published, tells_more_than_none, to_availability
from .values.prices import is_date
from .values.words import says_yes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .mapping import FieldSource
    from .records import Record
    from .values.parsing import Notation

__all__ = ["GenericBuilder", "is_word", "state_of"]

_LAST = frozenset({*STATES, *HIGHER_PRICES})
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

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for record in records:
            yield Draft.unusable(record, record.problem) if record.problem else self._draft(record)

    def _draft(self, record: Record) -> Draft:
        if (wrapper := wrapped_in(record.row)) is not None:
            self._use([wrapper])
            inner: dict[str, Any] = record.row[wrapper]
            outer = {name: value for name, value in record.row.items() if name != wrapper and name not in inner}
            record = replace(record, row={**inner, **outer}, as_read=record.row)
        draft = Draft.of(record, self._notation)
        plan = self._plan(tuple(record.row))
        for target, column in plan:
            value = record.row[column]
            if target in SALE_DATES:
                setattr(draft, target, "" if is_blank(value) else str(value))
            elif target in STATES:
                self._put_state(draft, target, value, column)
            elif target in HIGHER_PRICES:
                put_higher_price(draft, Priced(column, value), _priced(plan, "price", record.row))
            elif target == "stock_quantity" and is_word(value):
                draft.put("in_stock", value)
            else:
                draft.put(target, value, column=column)
        return draft

    def _put_state(self, draft: Draft, target: str, value: Any, column: str) -> None:
        """A draft, or what is hidden, is not active, whatever else is said; other words are none of ours."""
        published = None if "is_active" in self._mapping else state_of(target, value)
        if published is None:
            return
        self._use([column])
        if not published or "is_active" not in draft.fields:
            draft.put("is_active", published)

    def _plan(self, columns: tuple[str, ...]) -> list[tuple[str, str]]:
        """``(target, column)`` for what these columns' names say."""
        plan = self._plans.get(columns)
        if plan is None:
            plan = self.recognise(columns)
            self._use(column for target, column in plan if target not in STATES)
            if len(self._plans) < _MAX_PLANS:
                self._plans[columns] = plan
        return plan

    def recognise(self, columns: Iterable[str]) -> list[tuple[str, str]]:
        """``(target, column)`` for each field that a column is named like. No column is used for two fields."""
        claims: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for column in columns:
            for target, rank in claims_of(column):
                if target not in self._mapping:
                    claims[target].append((rank, column))
        plan: dict[str, str] = {}
        for target in sorted(
            claims, key=lambda target: ("." in target, target in _LAST)
        ):  # a whole `attributes` first, single ones into it; a state after whether it is active
            free = [claim for claim in claims[target] if claim[1] not in plan.values()]
            best = min((rank for rank, _ in free), default=0)
            fitting = [column for rank, column in free if rank == best]
            if fitting and (len(fitting) == 1 or best < UNDERSTOOD):
                plan[target] = fitting[0]
        self._drop_higher_prices(plan)
        return list(plan.items())

    def _drop_higher_prices(self, plan: dict[str, str]) -> None:
        """A regular price says more than the price beside it; one that is struck through, more than that it is lower.

        Where the sale has a price of its own, what is struck through may be anything.
        """
        of_user = self._mapping.get("sale_price", ...) is None or "price" in self._mapping
        if of_user or "price" not in plan:
            plan.pop("regular_price", None)
        if of_user or "price" not in plan or plan.keys() & {"sale_price", "regular_price"}:
            plan.pop("struck_price", None)


def _priced(plan: Iterable[tuple[str, str]], target: str, row: Mapping[str, Any]) -> Priced:
    column = next(column for field, column in plan if field == target)
    return Priced(column, row[column])


def state_of(name: str, value: Any) -> bool | None:
    """What a column of `STATES` says of a product's being published; ``None`` where it speaks of something else."""
    if is_blank(value) or (name == "visibility" and str(value).strip().isdigit()):
        return None
    if name in WITHHELD:
        return False if is_date(value) or says_yes(str(value)) else None
    return is_published(value)


def is_word(value: Any) -> bool:
    """Does a column for the stock say in words whether there is any (``En stock``, ``10+``), rather than how many?"""
    if not isinstance(value, str):
        return False
    if any(character.isdigit() for character in value):
        return tells_more_than_none(value)
    try:
        to_availability(value)
    except BadValue:
        return False
    return True
