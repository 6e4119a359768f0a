"""A product and its variants out of one export: what tells variants apart, and what a parent costs and has. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from .column_words import is_size
from .values.damage import is_error_code, is_like_a_date, is_shortened
from .values.prices import Prices
from .values.shown import LikeADate, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .records import Draft

__all__ = ["put_cheapest", "put_variant", "refuse_damaged", "variant_id", "variant_name"]


def variant_id(parent: str, choices: Iterable[str]) -> str:
    """``parent/choice/choice``, the same in every export; ``%`` and ``/`` within a choice are percent-encoded."""
    return "/".join([parent, *map(_segment, choices)])


def _segment(choice: str) -> str:
    return re.sub("[%/]", _escape, choice) if "/" in choice or "%" in choice else choice


def _escape(match: re.Match[str]) -> str:
    return quote(match.group(), safe="")


def variant_name(title: str, values: Iterable[str]) -> str:
    """Of a variant with these values of the product's options."""
    return f"{title} - {' / '.join(values)}"


def put_variant(draft: Draft, parent: str, title: str, choices: Mapping[str, str], *, missing: str) -> None:
    """What tells a variant from the others of a product with this id and title; ``missing`` complains of no choices."""
    draft.put("external_id", variant_id(parent, choices.values()))
    draft.put("parent_external_id", parent)
    draft.put_attributes(choices)
    refuse_damaged(draft, choices)
    if choices:
        draft.put("name", variant_name(title, choices.values()))
    else:
        draft.problems.append(("", missing))


def refuse_damaged(draft: Draft, choices: Mapping[str, str]) -> None:
    """Complain of a choice that a spreadsheet has damaged: the variant's id is made of it."""
    external_id = draft.fields.get("external_id")
    for name, value in choices.items():
        if is_size(name) and is_like_a_date(value):
            draft.reject("external_id", external_id, LikeADate(value, name))
        elif is_error_code(value) or is_shortened(value):
            damaged = f"its {name} is {shown(value)}, which a spreadsheet has damaged; export the catalog again"
            draft.reject("external_id", external_id, damaged)


def put_cheapest(parent: Draft, variants: Sequence[Draft]) -> None:
    """A parent costs what its cheapest variant costs, is there where one of them is, and has what all of them have."""
    offers = [Prices(price, v.money("sale_price")) for v in variants if (price := v.money("price"))]
    if offers:
        parent.put_prices(min(offers, key=lambda offer: offer.to_pay))
    else:
        parent.problems.append(("price", "is required, and no variant of this product has one"))
    stocks = [v.fields["in_stock"] for v in variants if "in_stock" in v.fields]
    if stocks:
        parent.put("in_stock", any(stocks))
    quantities = [v.fields.get("stock_quantity") for v in variants]
    if all(quantity is not None for quantity in quantities):
        parent.put("stock_quantity", sum(quantity for quantity in quantities if quantity))
