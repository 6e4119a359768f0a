"""A plan for the rows of one header: which cells become which fields, and how. Made once a file.

Rows are read a group at a time, and a field at a time: see `cells`. What one field says of another (a sale of its
price, a currency of its unit) is settled afterwards, row by row, where there is anything to settle.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from ...api.models import WIRE_NAMES, Product
from ..columns import SALE_DATES, STATES
from ..generic import GenericBuilder
from ..mapping import ATTRIBUTE_PREFIX, Column
from ..values.parsing import BadValue
from ..values.prices import holds_on
from ..values.text import one_line
from .cells import CellColumn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..mapping import FieldSource, Template
    from ..options import ReadingOptions
    from ..values.parsing import Notation

__all__ = ["RowPlan", "new_products"]

_MOST_COLUMNS = 300
"""Wider tables take the careful lane."""
_MOST_DATES = 1_000


def _positional_twin() -> Any:
    """`Product` without keywords: the same fields in the same order, so the same layout in memory."""
    fields = [(field.name, Any, UNSET) for field in msgspec.structs.fields(Product)]
    return msgspec.defstruct("PositionalProduct", fields, gc=False)


_Positional = _positional_twin()


def new_products(values: Mapping[str, Sequence[Any]], count: int) -> list[Product]:
    """So many products, of the values of each field."""
    columns = [values[name] if name in values else repeat(UNSET, count) for name in WIRE_NAMES]
    products: list[Any] = list(map(_Positional, *columns))
    for product in products:
        product.__class__ = Product  # not copied: a class may be changed for one of the same layout
    return products


class RowPlan:
    """Makes products of the rows of one header."""

    def __init__(
        self, places: Mapping[str, int], sources: Mapping[str, FieldSource], options: ReadingOptions, notation: Notation
    ) -> None:
        """``places`` are those of the columns by name; ``sources`` say where each field's cells come from."""
        self._options = options
        self._places = places
        self._sources = sources
        self._dates: dict[tuple[str, str, str], bool | None] = {}
        self._columns = {
            target: CellColumn(
                target, options, notation, column=source.columns[0], is_template=not isinstance(source, Column)
            )
            for target, source in sources.items()
            if target not in SALE_DATES
        }
        self._attributes = [name for name in self._columns if name.startswith(ATTRIBUTE_PREFIX)]

    @classmethod
    def of(cls, header: Sequence[str], options: ReadingOptions, notation: Notation) -> RowPlan | None:
        """``None`` for headers and mappings whose rows are all for the careful lane."""
        found = GenericBuilder(options.mapping, notation, lambda _: None).recognise(header)
        sources: dict[str, FieldSource] = {target: Column(column) for target, column in found}
        sources |= {target: source for target, source in options.mapping.items() if source is not None}
        used = {column for source in sources.values() for column in source.columns}
        attributes = [
            target.removeprefix(ATTRIBUTE_PREFIX) for target in sources if target.startswith(ATTRIBUTE_PREFIX)
        ]
        if (
            len(set(header)) < len(header)
            or len(header) > _MOST_COLUMNS
            or "attributes" in sources
            or not sources.keys().isdisjoint(STATES)
            or "attributes" in options.mapping
            or not used <= set(header)
            or not all(source.columns for source in sources.values())
            or any(not name or one_line(name) != name for name in attributes)
        ):
            return None
        return cls({name: place for place, name in enumerate(header)}, sources, options, notation)

    @property
    def unused(self) -> dict[str, int]:
        """The columns that nothing uses, and where they stand."""
        used = {column for source in self._sources.values() for column in source.columns}
        return {name: place for name, place in self._places.items() if name not in used}

    def products(self, rows: Sequence[Sequence[str]], columns: Sequence[Sequence[str]]) -> list[Product | None]:
        """For each row the product that the careful lane would make of it, or ``None`` to decline it.

        ``columns`` are the same cells by column.
        """
        declined: set[int] = set()
        values = {
            target: column.values(self._cells(target, rows, columns), declined)
            for target, column in self._columns.items()
        }
        if self._attributes:
            values["attributes"] = self._attribute_maps(values)
        self._settle(values, rows, columns, declined)
        products: list[Product | None] = [*new_products(values, len(rows))]
        for place in declined:
            products[place] = None
        return products

    def _cells(self, target: str, rows: Sequence[Sequence[str]], columns: Sequence[Sequence[str]]) -> list[str]:
        source = self._sources.get(target)
        if source is None:
            return [""] * len(rows)
        if isinstance(source, Column):
            return list(columns[self._places[source.name]])
        return [self._filled(source, row) for row in rows]

    def _filled(self, template: Template, row: Sequence[str]) -> str:
        try:
            text = template.value({column: row[self._places[column]] for column in template.columns})
        except BadValue:
            return _DAMAGED
        return text or ""

    def _attribute_maps(self, values: dict[str, list[Any]]) -> list[Any]:
        names = [target.removeprefix(ATTRIBUTE_PREFIX) for target in self._attributes]
        columns = [values.pop(target) for target in self._attributes]
        if not any(UnsetType in set(map(type, column)) for column in columns):
            return [dict(zip(names, texts, strict=True)) for texts in zip(*columns, strict=True)]
        maps: list[Any] = []
        for texts in zip(*columns, strict=True):
            filled = {name: text for name, text in zip(names, texts, strict=True) if text is not UNSET}
            maps.append(filled or UNSET)
        return maps

    def _settle(
        self,
        values: dict[str, list[Any]],
        rows: Sequence[Sequence[str]],
        columns: Sequence[Sequence[str]],
        declined: set[int],
    ) -> None:
        parents, sales = values.get("parent_external_id"), values.get("sale_price")
        if parents is not None:
            ids = values["external_id"]
            values["parent_external_id"] = [
                UNSET if parent == ids[place] else parent for place, parent in enumerate(parents)
            ]
        if sales is not None and not all(sale is UNSET for sale in sales):
            dates = [self._cells(name, rows, columns) for name in SALE_DATES]
            for place, sale in enumerate(sales):
                if sale is not UNSET and place not in declined:
                    holds = self._holds(*(cells[place] for cells in dates))
                    if holds is None:
                        declined.add(place)
                    elif not holds or not 0 < sale < values["price"][place]:
                        sales[place] = UNSET
        if self._options.currency is not None:
            currencies = values.get("currency") or [UNSET] * len(rows)
            values["currency"] = [self._options.currency if code is UNSET else code for code in currencies]

    def _holds(self, starts: str, ends: str, period: str) -> bool | None:
        """Does a sale of these dates hold today? ``None`` where that cannot be told."""
        key = (starts, ends, period)
        if key not in self._dates:
            if len(self._dates) >= _MOST_DATES:
                self._dates.clear()
            if not period.isspace() and period:
                starts, _, ends = period.partition("/")
            try:
                self._dates[key] = holds_on(self._options.today, starts, ends)
            except BadValue:
                self._dates[key] = None
        return self._dates[key]


_DAMAGED = "#REF!"
"""In place of what a template makes of a damaged value: no field takes it, so the row is declined."""
