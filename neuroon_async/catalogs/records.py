"""What passes between the stations of a reading: a `Record` as the file holds it, a `Draft` of a product made of it.

A reader yields records, a format turns them into drafts, and the finishing station turns every draft into a product or
a failure. Nothing here knows a file format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..api.contract import MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH
from ..api.models import WIRE_NAMES
from .mapping import ATTRIBUTE_PREFIX
from .values.currencies import Unit
from .values.parsing import CONVERTERS, BadValue, Money, Notation, is_blank, to_attribute

if TYPE_CHECKING:
    from collections.abc import Callable

    from .values.prices import Prices

__all__ = ["Draft", "Record"]

_CUT_AT = {"name": MAX_NAME_LENGTH, "description": MAX_DESCRIPTION_LENGTH}
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
_MAP_URL = "map it to a column or a template (url=https://shop.example/p/{sku})"
_GIVE_SHOP_URL = "give the shop's address (shop_url)"


@dataclass(slots=True)
class Record:
    """One row or object as the file holds it, and ``where`` it stands (``file.csv:17``).

    ``problem`` says why nothing more can be made of it; ``row`` then holds what there is. Where ``row`` goes by other
    names than the file's, ``as_read`` is the row under its own.
    """

    where: str
    row: Mapping[str, Any]
    problem: str | None = None
    as_read: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Draft:
    """Product fields gathered from a record, and what was wrong with the others.

    ``units`` tells what the prices are in, where that is written beside them.
    """

    where: str
    row: Mapping[str, Any]
    notation: Notation
    fields: dict[str, Any] = field(default_factory=dict)
    problems: list[tuple[str, str | BadValue]] = field(default_factory=list)
    units: dict[str, Unit | None] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Record, notation: Notation) -> Draft:
        return cls(record.where, record.row if record.as_read is None else record.as_read, notation)

    @classmethod
    def unusable(cls, record: Record, problem: str) -> Draft:
        draft = cls.of(record, Notation())
        draft.problems.append(("", problem))
        return draft

    def put(self, target: str, value: Any, convert: Callable[[Any, Notation], Any] | None = None) -> None:
        """Convert a value and keep it, or keep the complaint. Nothing is put where there is no value."""
        name, _, attribute = target.partition(".")
        if is_blank(value):
            if value is None and self.notation.nulls and not attribute:
                self.fields[name] = None
            return
        try:
            if attribute:
                attributes = self.fields.get("attributes") or {}
                self.fields["attributes"] = attributes | {attribute: to_attribute(value)}
            else:
                converted = (convert or CONVERTERS[name])(value, self.notation)
                if isinstance(converted, Money):
                    self.units[name] = converted.unit
                    converted = converted.amount
                self.fields[name] = converted
        except BadValue as error:
            self.problems.append((WIRE_NAMES[name] + (f".{attribute}" if attribute else ""), error))

    def put_prices(self, prices: Prices) -> None:
        self.put("price", prices.price)
        self.put("sale_price", prices.sale_price)

    def money(self, name: str) -> Money | None:
        """A price that was put, with its unit."""
        amount = self.fields.get(name)
        return None if amount is None else Money(amount, self.units.get(name))

    def put_attributes(self, attributes: Mapping[str, Any]) -> None:
        for name, value in attributes.items():
            self.put(f"{ATTRIBUTE_PREFIX}{name}", value)
