"""The documented rules for a product's fields, as types. Pure data.

`Product` is made of these types, so msgspec checks the rules while it converts or decodes, and the schema of the API's
description comes from them too. Constructors check nothing. `validation` holds the same rules in words, for the full
list of what is wrong, and what types cannot say: prices are ``Any`` to msgspec, because every union that has a number
and `Decimal` in it would also take text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, UnsetType

from .contract import MAX_CURRENCY_LENGTH, MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH, MAX_RATING

__all__ = ["Currency", "Description", "Id", "Name", "Number", "OptionalPrice", "OptionalRating", "Price", "Url"]

Number = Decimal | float | int
"""A price as the user gives it. A `Decimal` travels exactly; a ``float`` as its shortest text."""

Id = Annotated[str, Meta(min_length=1)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Url = Annotated[str, Meta(min_length=1)]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION_LENGTH)]
Currency = Annotated[str, Meta(max_length=MAX_CURRENCY_LENGTH)]

if TYPE_CHECKING:
    Price = Number
    OptionalPrice = Number | None | UnsetType
    OptionalRating = Number | None | UnsetType
else:
    _OPTIONAL_NUMBER = {"type": ["number", "null"]}
    Price = Annotated[Any, Meta(extra_json_schema={"type": "number", "minimum": 0})]
    OptionalPrice = Annotated[Any, Meta(extra_json_schema=_OPTIONAL_NUMBER)]
    OptionalRating = Annotated[Any, Meta(extra_json_schema={**_OPTIONAL_NUMBER, "minimum": 0, "maximum": MAX_RATING})]
