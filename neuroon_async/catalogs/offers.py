"""Two prices of one product, of which the lower one is that of a sale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .values.numbers import SIGNS, to_money
from .values.parsing import AmbiguousNumber, BadValue, is_blank
from .values.words import means_no_value

if TYPE_CHECKING:
    from .records import Draft

__all__ = ["Priced", "put_higher_price"]


class Priced(NamedTuple):
    """A price as a record holds it, and its column."""

    column: str
    value: Any


def put_higher_price(draft: Draft, higher: Priced, price: Priced) -> None:
    """Make the price of a draft that of a sale where another one is higher. The sale's own price comes first."""
    if is_blank(higher.value) or means_no_value(str(higher.value)) or "price" in draft.rejected:
        return
    if is_blank(price.value):
        draft.put("price", higher.value, column=higher.column)
        return
    try:
        is_higher = _is_higher(draft, higher.value, price.value)
    except BadValue:
        draft.left_out.append(("sale_price", str(higher.value).strip()))
        return
    if is_higher:
        draft.forget("price")
        draft.put("price", higher.value, column=higher.column)
        if "sale_price" not in draft.fields and "sale_price" not in draft.ambiguous:
            draft.put("sale_price", price.value, column=price.column)


def _is_higher(draft: Draft, higher: Any, price: Any) -> bool:
    """However the signs in both are read; amounts of two currencies count as such, and are complained of later."""
    found = False
    for sign in SIGNS:
        notation = replace(draft.notation, decimal=sign)
        try:
            one, other = to_money(higher, notation), to_money(price, notation)
        except AmbiguousNumber:
            return False
        if other.amount == 0 or (one.amount <= other.amount and one.compares_to(other)):
            return False
        found = True
    return found
