"""The fields of products, out of their cells: a field at a time, for a group of products. Made once a file.

What one field says of another (a sale of its price, a currency of its unit) is settled afterwards, product by product,
where there is anything to settle.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from ...api.models import WIRE_NAMES, Product
from ..columns import SALE_DATES
from ..mapping import ATTRIBUTE_PREFIX
from ..values.parsing import BadValue
from ..values.prices import bounds_of, holds_on
from .cells import CellColumn, with_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..options import ReadingOptions

__all__ = ["FieldColumns"]

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


class FieldColumns:
    """How the cells of each field become values, and the values products."""

    def __init__(self, columns: Mapping[str, CellColumn], options: ReadingOptions) -> None:
        self._columns = columns
        self._options = options
        self._dates: dict[tuple[str, str, str], bool | None] = {}
        self._attributes = [name for name in columns if name.startswith(ATTRIBUTE_PREFIX)]

    def products(self, cells: Mapping[str, list[str]], count: int) -> list[Product | None]:
        """For each of so many products the one that the careful lane would make, or ``None`` to decline it.

        ``cells`` are those of each field and of the dates of sales, by product; a field that no product has may be
        missing there, unless it is required.
        """
        declined: set[int] = set()
        amounts: dict[str, list[str]] = {}
        codes: dict[str, str] = {}
        for target in ("price", "sale_price"):
            if target in cells:
                amounts[target], code = with_unit(cells[target])
                if code is not None:
                    codes[target] = code
        values = {
            target: column.values(amounts[target] if target in amounts else cells[target], declined)
            for target, column in self._columns.items()
            if target in cells
        }
        attributes = [name for name in self._attributes if name in values]
        if attributes:
            values["attributes"] = self._attribute_maps(attributes, values)
        if "parent_external_id" in values:
            pairs = zip(values["parent_external_id"], values["external_id"], strict=True)
            values["parent_external_id"] = [UNSET if parent == own else parent for parent, own in pairs]
        if "rating" in values and "review_count" in values:
            pairs = zip(values["rating"], values["review_count"], strict=True)
            values["rating"] = [UNSET if rating == count == 0 else rating for rating, count in pairs]
        if "sale_price" in values:
            self._settle_sales(values, cells, declined, one_unit=codes.get("price") == codes.get("sale_price"))
        self._settle_currencies(values, codes.get("price"), count, declined)
        products: list[Product | None] = [*new_products(values, count)]
        for place in declined:
            products[place] = None
        return products

    def _attribute_maps(self, targets: list[str], values: dict[str, list[Any]]) -> list[Any]:
        names = [target.removeprefix(ATTRIBUTE_PREFIX) for target in targets]
        columns = [values.pop(target) for target in targets]
        if not any(UnsetType in set(map(type, column)) for column in columns):
            return [dict(zip(names, texts, strict=True)) for texts in zip(*columns, strict=True)]
        maps: list[Any] = []
        for texts in zip(*columns, strict=True):
            filled = {name: text for name, text in zip(names, texts, strict=True) if text is not UNSET}
            maps.append(filled or UNSET)
        return maps

    def _settle_sales(
        self, values: dict[str, list[Any]], cells: Mapping[str, list[str]], declined: set[int], *, one_unit: bool
    ) -> None:
        """A sale that does not hold today, of 0, or not below the price is none."""
        sales, prices = values["sale_price"], values["price"]
        for place, sale in enumerate(sales):
            if sale is UNSET or place in declined:
                continue
            holds = self._holds(*(cells[name][place] if name in cells else "" for name in SALE_DATES))
            if holds is None or not one_unit:
                declined.add(place)
            elif not holds or not 0 < sale < prices[place]:
                sales[place] = UNSET

    def _settle_currencies(
        self, values: dict[str, list[Any]], code: str | None, count: int, declined: set[int]
    ) -> None:
        """The product's own; else the one that is written beside its price; else the catalog's."""
        given = values.get("currency")
        default = self._options.currency if code is None else code
        if code is not None and self._options.leaves_out("currency"):
            declined.update(range(count))
        elif given is None:
            if default is not None:
                values["currency"] = [default] * count
        else:
            values["currency"] = [default if own is UNSET and default is not None else own for own in given]
            if code is not None:
                declined.update(place for place, own in enumerate(given) if own is not UNSET and own != code)

    def _holds(self, starts: str, ends: str, period: str) -> bool | None:
        """Does a sale of these dates hold today? ``None`` where that cannot be told."""
        key = (starts, ends, period)
        if key not in self._dates:
            if len(self._dates) >= _MOST_DATES:
                self._dates.clear()
            if period and not period.isspace():
                starts, ends = bounds_of(period)
            try:
                self._dates[key] = holds_on(self._options.today, starts, ends)
            except BadValue:
                self._dates[key] = None
        return self._dates[key]
