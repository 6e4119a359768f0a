"""From a cell or a JSON value to the value of a product field, or a complaint. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .addresses import first_image
from .currencies import unit_named
from .nested import NO_ITEMS, nested_value, without_brackets
from .number_formats import ShownNumber
from .numbers import AmbiguousNumber, Money, Notation, to_integer, to_money, to_number, to_pieces, to_rating
from .shown import BadValue, LikeADate, NestedValue, UnknownWord, shown
from .text import decoded
from .words import is_published, tells_more_than_none, to_availability, to_flag

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...api.shapes import RawValue

__all__ = [
    "CONVERTERS",
    "AmbiguousNumber",
    "BadValue",
    "LikeADate",
    "Money",
    "NestedValue",
    "Notation",
    "UnknownWord",
    "is_blank",
    "is_published",
    "shown",
    "tells_more_than_none",
    "to_attribute",
    "to_availability",
    "to_flag",
    "to_integer",
    "to_money",
    "to_number",
    "to_text",
    "without_decimals",
]


_MOST_EXACT = 10**15
"""Below it, programs that know but one kind of number keep every digit."""


def is_blank(value: object) -> bool:
    """Is there no value: nothing, or a text of spaces?"""
    return value is None or (isinstance(value, str) and not value.strip())


def to_text(value: object, notation: Notation | None = None) -> str:  # noqa: ARG001 - one signature for all
    """A text without the spaces around it; a whole number counts as one, as ids often are."""
    if isinstance(value, ShownNumber):
        return value.shown
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadValue(f"must be text, got {shown(value)}")


def to_code(value: object, notation: Notation | None = None) -> str | None:
    """A text, as `to_text`; a number that is whole counts without its decimals. A cell's list of none has no code.

    Where a cell shows such decimals, it comes as `ShownNumber` still, for the report to tell.
    """
    if isinstance(value, ShownNumber):
        if not value.exact:
            raise BadValue(
                f"is shown as {shown(value.shown)}, and its cell holds {value.number}; "
                "write into the cell, formatted as text, what the id is"
            )
        return value if value.only_gains_decimals else value.shown
    text = to_text(without_decimals(value))
    return None if text == NO_ITEMS and notation is not None and notation.lists else text


def without_decimals(value: object) -> object:
    """A whole number as such, where a program that knows no whole ones has given it decimals; else the value itself."""
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return int(value)  # a column of whole numbers, which are exact however long
    if isinstance(value, (float, Decimal)) and -_MOST_EXACT < value < _MOST_EXACT and value == int(value):
        return int(value)
    return value


def to_currency(value: object, notation: Notation | None = None) -> str:  # noqa: ARG001 - one signature for all
    """A code in capitals, as ISO 4217 writes it; so ``eur``, ``€`` and ``euro`` are one currency to the server.

    Raises `BadValue` for a sign that may be several currencies (``$``), and for what is no code.
    """
    text = to_text(value)
    if len(text) == 3 and text.isascii() and text.isalpha():
        return text.upper()
    unit = unit_named(text)
    if unit is None or len(unit.currencies) != 1:
        told = f"; {shown(text)} may be {', '.join(sorted(unit.currencies)[:4])} …" if unit else ""
        raise BadValue(f"must be a code such as EUR, got {shown(text)}{told}")
    return min(unit.currencies)


def to_image(value: RawValue, notation: Notation | None = None) -> str | None:  # noqa: ARG001 - one signature for all
    """The first address of an image; ``None`` for words such as ``no image``."""
    if isinstance(value, (str, list, tuple, dict)):
        return first_image(value)
    raise BadValue(f"must be an address, got {shown(value)}")


def _to_texts(value: RawValue, notation: Notation, separators: str) -> list[str]:
    if isinstance(value, str) and (items := _list_in(value)) is not None:
        value = items
    if isinstance(value, (list, tuple)):
        return [to_text(_named(item)) for item in value if not is_blank(_named(item))]
    text = decoded(to_text(_named(value)))  # before the text is split: an entity ends with a semicolon
    may_be_list = notation.lists and not isinstance(value, dict)
    separator = next((sign for sign in separators if sign in text), None) if may_be_list else None
    parts = without_brackets(text).split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def _list_in(text: str) -> list[Any] | None:
    """The list that a cell holds; ``None`` where it holds another text, if in brackets too."""
    value = nested_value(text)
    return value if isinstance(value, list) else None


def _named(item: RawValue) -> RawValue:
    """``{"id": 9, "name": "Hats"}`` stands for its name."""
    return item["name"] if isinstance(item, dict) and isinstance(item.get("name"), str) else item


def to_texts(value: RawValue, notation: Notation) -> list[str]:
    """A list of texts; a cell separates them by ``|``, else by ``;``, else by ``,``."""
    return _to_texts(value, notation, "|;,")


_TYPES = frozenset({"simple", "variable", "variation", "product_variation", "grouped", "external", "configurable"})
"""What WooCommerce and Magento call kinds of products by."""


def to_categories(value: RawValue, notation: Notation) -> list[str] | None:
    """As `to_texts`, with the names of all levels: of ``Ropa > Camisas`` both. Those in a list stay whole.

    ``None`` for a kind of product, such as ``simple, virtual``.
    """
    if isinstance(value, str) and value.partition(",")[0].strip().casefold() in _TYPES:
        return None
    found = to_texts(value, notation)
    if not isinstance(value, str) or _list_in(value) is not None:
        return found
    levels = [level.strip() for path in found for level in path.split(">")]
    return list(dict.fromkeys(level for level in levels if level))


def to_brands(value: RawValue, notation: Notation) -> list[str]:
    """As `to_texts`, but a comma belongs to the name: ``Procter, Gamble & Co``."""
    return _to_texts(value, notation, "|;")


def to_attributes(value: RawValue, _notation: Notation | None = None) -> dict[str, str]:
    """A mapping of texts; a cell holds it as a JSON object."""
    if isinstance(value, str):
        text, value = value, nested_value(value)
        if value is None:
            raise BadValue(f'must be a JSON object such as {{"color": "red"}}, got {shown(text)}')
    if isinstance(value, (list, tuple)) and all(_is_pair(item) for item in value):
        value = dict(value)  # the map type of columnar files
    if not isinstance(value, dict):
        raise BadValue(f"must map names to texts, got {shown(value)}")
    return {to_text(name): to_attribute(item) for name, item in value.items() if not is_blank(item)}


def _is_pair(value: RawValue) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def to_attribute(value: RawValue, notation: Notation | None = None) -> str:  # noqa: ARG001 - one signature for all
    """An attribute's text, whatever its value is; a list is joined by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(to_attribute(item) for item in value)
    if isinstance(value, (float, Decimal)):
        return str(value)
    return to_text(value)


CONVERTERS: dict[str, Callable[[Any, Notation], Any]] = {
    "external_id": to_code,
    "name": to_text,
    "price": to_money,
    "url": to_text,
    "sku": to_code,
    "description": to_text,
    "currency": to_currency,
    "image_url": to_image,
    "categories": to_categories,
    "brands": to_brands,
    "tags": to_texts,
    "in_stock": to_availability,
    "stock_quantity": to_pieces,
    "rating": to_rating,
    "review_count": to_integer,
    "is_active": to_flag,
    "sale_price": to_money,
    "parent_external_id": to_code,
    "attributes": to_attributes,
}
"""Product field → how a catalog's value becomes its value."""
