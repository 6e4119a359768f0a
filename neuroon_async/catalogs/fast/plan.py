"""A plan for the rows of one header: which cells become which fields. Made once a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import force_setattr

from ...api.models import REQUIRED_FIELDS
from ..columns import HIGHER_PRICES, SALE_DATES, STATES
from ..generic import GenericBuilder, state_of
from ..mapping import ATTRIBUTE_PREFIX, Column
from ..values.parsing import BadValue
from ..values.text import one_line
from .cells import CellColumn
from .fields import FieldColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...api.models import Product
    from ..mapping import FieldSource, Template
    from ..options import ReadingOptions
    from ..values.parsing import Notation

__all__ = ["RowPlan"]

_MOST_COLUMNS = 300
"""Wider tables take the careful lane."""
_MOST_WORDS = 1_000
_DAMAGED = "#REF!"
"""In place of what a template makes of a damaged value: no field takes it, so the row is declined."""


class StateColumn:
    """A column whose words may tell that a product is no longer, or not yet, published."""

    def __init__(self, state: str, column: str, place: int, use: Callable[[Iterable[str]], None]) -> None:
        self.place: int = place
        self._state = state
        self.column: str = column
        self._use = use
        self._known: dict[str, bool | None] = {}

    def settle(self, products: Sequence[Product | None], cells: Sequence[str]) -> None:
        """What is not published is not active, whatever else is said; what is published is, where nothing else is."""
        known = self._known
        for product, cell in zip(products, cells, strict=True):
            published = known[cell] if cell in known else self._learn(cell)
            if product is not None and published is not None and (not published or product.is_active is UNSET):
                force_setattr(product, "is_active", published)

    def _learn(self, cell: str) -> bool | None:
        published = state_of(self._state, cell)
        if published is not None:
            self._use([self.column])
        if len(self._known) >= _MOST_WORDS:
            self._known.clear()
        self._known[cell] = published
        return published


class RowPlan:
    """Makes products of the rows of one header."""

    def __init__(
        self,
        places: Mapping[str, int],
        sources: Mapping[str, FieldSource],
        states: Sequence[StateColumn],
        options: ReadingOptions,
        notation: Notation,
    ) -> None:
        """``places`` are those of the columns by name; ``sources`` say where each field's cells come from."""
        self._places = places
        self._sources = sources
        self._states = states
        columns = {
            target: CellColumn(
                target, options, notation, column=source.columns[0], is_template=not isinstance(source, Column)
            )
            for target, source in sources.items()
            if target not in SALE_DATES
        }
        self._fields = FieldColumns(columns, options)

    @classmethod
    def of(
        cls,
        header: Sequence[str],
        options: ReadingOptions,
        notation: Notation,
        use: Callable[[Iterable[str]], None],
    ) -> RowPlan | None:
        """``None`` for headers and mappings whose rows are all for the careful lane.

        ``use`` takes the names of columns whose words tell what is published, once they do.
        """
        found = GenericBuilder(options.mapping, notation, lambda _: None).recognise(header)
        sources: dict[str, FieldSource] = {target: Column(column) for target, column in found if target not in STATES}
        sources |= {target: source for target, source in options.mapping.items() if source is not None}
        used = {column for source in sources.values() for column in source.columns}
        states = [
            StateColumn(target, column, header.index(column), use)
            for target, column in found
            if target in STATES and "is_active" not in options.mapping
        ]
        names = [target.removeprefix(ATTRIBUTE_PREFIX) for target in sources if target.startswith(ATTRIBUTE_PREFIX)]
        if (
            len(set(header)) < len(header)
            or len(header) > _MOST_COLUMNS
            or not sources.keys() >= set(REQUIRED_FIELDS)
            or "attributes" in sources
            or "attributes" in options.mapping
            or not used <= set(header)
            or not all(source.columns for source in sources.values())
            or any(target in HIGHER_PRICES for target, _ in found)
            or any(not name or one_line(name) != name for name in names)
            or any(name.startswith(f"{state.column} (") for name in header for state in states)  # is there twice
        ):
            return None
        places = {name: place for place, name in enumerate(header)}
        return cls(places, sources, states, options, notation)

    @property
    def unused(self) -> dict[str, int]:
        """The columns that nothing uses, and where they stand."""
        used = {column for source in self._sources.values() for column in source.columns}
        return {name: place for name, place in self._places.items() if name not in used}

    def products(self, rows: Sequence[Sequence[str]]) -> list[Product | None]:
        """For each row the product that the careful lane would make of it, or ``None`` to decline it."""
        columns = list(zip(*rows, strict=True))
        cells = {target: self._cells(source, rows, columns) for target, source in self._sources.items()}
        products = self._fields.products(cells, len(rows))
        for state in self._states:
            state.settle(products, columns[state.place])
        return products

    def _cells(self, source: FieldSource, rows: Sequence[Sequence[str]], columns: Sequence[Sequence[str]]) -> list[str]:
        if isinstance(source, Column):
            return list(columns[self._places[source.name]])
        return [self._filled(source, row) for row in rows]

    def _filled(self, template: Template, row: Sequence[str]) -> str:
        try:
            text = template.value({column: row[self._places[column]] for column in template.columns})
        except BadValue:
            return _DAMAGED
        return text or ""
