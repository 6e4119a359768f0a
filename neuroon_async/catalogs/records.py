"""The three stations of a record: read (`Record`), understood (`Draft`), finished (a product or a complaint).

A format reader yields records, a builder turns them into drafts, and a `Finisher` turns every draft into exactly one
`Product` or `ProductFailure`. Nothing here knows a file format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from ..api.contract import MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH
from ..api.models import REQUIRED_FIELDS, WIRE_NAMES, Product
from ..api.validation import check_product
from ..errors import InvalidProduct
from ..report import ProductFailure
from .mapping import ATTRIBUTE_PREFIX
from .values.currencies import Unit, unit_named
from .values.parsing import CONVERTERS, BadValue, Money, Notation, is_blank, to_attribute
from .values.text import cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from .mapping import FieldSource
    from .values.prices import Prices

__all__ = ["Draft", "Finisher", "Record"]

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
    problems: list[tuple[str, str]] = field(default_factory=list)
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
            self.problems.append((WIRE_NAMES[name] + (f".{attribute}" if attribute else ""), str(error)))

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


class Finisher:
    """Fills in what the whole catalog shares and checks every product against the documented rules.

    ``fitted`` counts the texts that were cut.
    """

    def __init__(
        self, overrides: Mapping[str, FieldSource | None], shop_url: str | None, currency: str | None, *, fit: bool
    ) -> None:
        self.fitted = 0
        self._overrides = overrides
        self._shop_url = shop_url
        self._currency = currency
        self._fit = fit

    def finish(self, draft: Draft) -> Product | ProductFailure:
        self._override(draft)
        fields = draft.fields
        if not draft.problems:
            self._complete(draft)
            missing = [name for name in REQUIRED_FIELDS if fields.get(name) is None]
            draft.problems += [(WIRE_NAMES[name], self._missing(name, draft)) for name in missing]
        if not draft.problems:
            product = Product(**fields)
            try:
                check_product(product)
            except InvalidProduct as error:
                draft.problems += [(name, _with_hint(name, rule)) for name, rule in error.violations]
            else:
                return product
        reason = "; ".join(f"{name}: {problem}" if name else problem for name, problem in draft.problems)
        external_id = fields.get("external_id")
        return ProductFailure(
            external_id if isinstance(external_id, str) and external_id else None,
            f"{draft.where}: {reason}",
            "local",
            product=draft.row,
        )

    def _override(self, draft: Draft) -> None:
        for target, source in self._overrides.items():
            if source is None:
                draft.fields.pop(target, None)
                draft.units.pop(target, None)
                continue
            try:
                value = source.value(draft.row)
            except BadValue as error:
                draft.problems.append((WIRE_NAMES.get(target, target), str(error)))
                continue
            draft.put(target, value)

    def _complete(self, draft: Draft) -> None:
        fields = draft.fields
        self._settle_currency(draft)
        for name in ("url", "image_url"):
            if fields.get(name) and not _SCHEME.match(fields[name]):
                self._make_absolute(name, draft)
        if self._fit:
            for name, limit in _CUT_AT.items():
                text = fields.get(name)
                if isinstance(text, str) and len(text) > limit:
                    fields[name] = cut(text, limit)
                    self.fitted += 1

    def _settle_currency(self, draft: Draft) -> None:
        """The record's own; else the one that is written beside its prices; else the catalog's."""
        fields = draft.fields
        units = {name: unit for name in ("price", "sale_price") if (unit := draft.units.get(name))}
        possible = frozenset.intersection(*(unit.currencies for unit in units.values())) if units else frozenset()
        whose = "record"
        if fields.get("currency") is None:
            if len(possible) == 1 and not self._leaves_out("currency"):
                (fields["currency"],) = possible
            elif self._currency is not None:
                whose, fields["currency"] = "catalog", self._currency
        if units:
            _check_units(draft, units, whose)

    def _leaves_out(self, name: str) -> bool:
        return name in self._overrides and self._overrides[name] is None

    def _make_absolute(self, name: str, draft: Draft) -> None:
        address = draft.fields[name]
        base = self._shop_url or ("https:" if address.startswith("//") else None)
        if base is not None:
            draft.fields[name] = urljoin(f"{base}/", address)
        else:
            draft.problems.append((WIRE_NAMES[name], f"{address!r} is relative; {_GIVE_SHOP_URL}"))

    def _missing(self, name: str, draft: Draft) -> str:
        if (source := self._overrides.get(name)) is not None:
            return f"is required, and this record has no value for it in {', '.join(map(repr, source.columns))}"
        if name in draft.fields:
            return "is required, and this record gives null"
        if name == "url":
            other = "" if self._shop_url else f", or, for an export that holds no addresses, {_GIVE_SHOP_URL}"
            return f"is required; {_MAP_URL}{other}"
        return f"is required; fill it in, or map it to a column or a template ({name}=COLUMN)"


def _check_units(draft: Draft, units: Mapping[str, Unit], whose: str) -> None:
    """Complain of a price that is in another currency than the other one, or than its record or catalog says."""
    told: list[tuple[str, Unit]] = []
    if code := draft.fields.get("currency"):
        told.append((f"the {whose}'s currency is", unit_named(code) or Unit(code, frozenset({code.upper()}))))
    for name, unit in units.items():
        for what, other in told:
            if not unit.agrees_with(other):
                draft.problems.append((WIRE_NAMES[name], f"is in {unit.text}, and {what} {other.text}"))
                break
        told.append(("the price in", unit))


def _with_hint(name: str, rule: str) -> str:
    return f"{rule}; fit=True cuts it at a word" if name in _CUT_AT and "at most" in rule else rule
