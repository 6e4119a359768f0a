"""Many products at once, a field at a time: what `validation.plainly_valid` tells of one. Pure.

The values of one field are converted together, to a list of that field's own type in `Product`, so msgspec looks at
them in C. A processor does that in less than half of the time that Python takes to ask product after product.
"""

from __future__ import annotations

import math
from contextlib import suppress
from decimal import Decimal
from itertools import zip_longest
from types import GenericAlias
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType, convert, structs

from .addresses import all_plain_addresses
from .contract import MAX_RATING
from .models import REQUIRED_FIELDS, WIRE_NAMES, Product

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NUMBERS", "all_amounts_fit", "all_plainly_valid", "given"]

NUMBERS: set[type[Any]] = {float, Decimal, int}
"""The types of an amount: a bool is none."""
_LISTS: set[type[Any]] = {list, type(None), UnsetType}
"""msgspec would also take sets for lists, and other mappings for dicts."""
_DICTS: set[type[Any]] = {dict, type(None), UnsetType}

_Fields: Any = msgspec.defstruct(
    Product.__name__, [(field.name, GenericAlias(list, (field.type,))) for field in structs.fields(Product)]
)
"""For each field of a product, the values of many."""


def all_plainly_valid(products: Sequence[Product]) -> bool:
    """Is `plainly_valid` true for each of these? ``False`` also where each has to be asked by itself.

    There is at least one of them. An object of a subclass of ``str`` or ``int`` counts as the text or the number in it.
    """
    if set(map(type, products)) != {Product}:
        return False
    with suppress(Exception):  # a value's own methods may raise anything, as may the comparison of a signalling Decimal
        columns = dict(map(_column, WIRE_NAMES, zip_longest(*map(structs.astuple, products))))  # all of one length
        fields = _converted(columns)
        return (
            all_amounts_fit(fields.price)
            and all_plain_addresses(fields.url)
            and all_plain_addresses(given(fields.image_url))
            and all_amounts_fit(given(fields.sale_price))
            and all_amounts_fit(given(fields.rating), at_most=MAX_RATING)
            and all(_LISTS.issuperset(map(type, columns[name])) for name in ("categories", "brands", "tags"))
            and _DICTS.issuperset(map(type, columns["attributes"]))
        )
    return False


def _column(name: str, values: tuple[Any, ...]) -> tuple[str, Sequence[Any]]:
    """A field, and its values; none where no product has it, and none needs it."""
    # Counting compares each value with `UNSET`, so it takes long where most products have the field: the first value is
    # looked at before.
    if values[0] is UNSET and name not in REQUIRED_FIELDS and values.count(UNSET) == len(values):
        return name, ()
    return name, values


def _converted(columns: Mapping[str, Sequence[Any]]) -> Any:
    try:
        return convert(columns, _Fields)
    except msgspec.ValidationError:  # perhaps only because some of them leave a field out: look at the other values
        return convert({name: _without_unset(name, column) for name, column in columns.items()}, _Fields)


def _without_unset(name: str, column: Sequence[Any]) -> Sequence[Any]:
    return column if name in REQUIRED_FIELDS else [value for value in column if value is not UNSET]


def given(values: list[Any]) -> list[Any]:
    """Those that are neither left out nor null."""
    return [value for value in values if value is not UNSET and value is not None]


def all_amounts_fit(amounts: list[Any], *, at_most: float = math.inf) -> bool:
    """Are these numbers, of 0 to ``at_most`` and finite?"""
    if not amounts:
        return True
    kinds = set(map(type, amounts))
    finite = Decimal.is_finite if kinds == {Decimal} else math.isfinite
    return NUMBERS.issuperset(kinds) and all(map(finite, amounts)) and min(amounts) >= 0 and max(amounts) <= at_most
