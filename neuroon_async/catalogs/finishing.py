"""The finishing station: what all formats share is filled in, and every product is checked.

A `Finisher` turns each `Draft` into exactly one `Product` or `ProductFailure`. Nothing here knows a file format.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ..api.contract import MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH
from ..api.models import REQUIRED_FIELDS, WIRE_NAMES, Product
from ..api.validation import check_product
from ..errors import InvalidProduct
from ..report import ProductFailure
from .values.currencies import Unit, unit_named
from .values.parsing import AmbiguousNumber, BadValue
from .values.text import cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .options import ReadingOptions
    from .records import Draft

__all__ = ["Finisher"]

_CUT_AT = {"name": MAX_NAME_LENGTH, "description": MAX_DESCRIPTION_LENGTH}
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")


class Finisher:
    """Fills in what the whole catalog shares and checks every product against the documented rules.

    ``fitted`` counts the texts that were cut.
    """

    def __init__(self, options: ReadingOptions) -> None:
        self.fitted = 0
        self._options = options

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
                draft.problems += [(name, self._with_hint(name, rule)) for name, rule in error.violations]
            else:
                return product
        reason = "; ".join(
            f"{name}: {self._shown(problem)}" if name else self._shown(problem) for name, problem in draft.problems
        )
        external_id = fields.get("external_id")
        return ProductFailure(
            external_id if isinstance(external_id, str) and external_id else None,
            f"{draft.where}: {reason}",
            "local",
            product=draft.row,
        )

    def _shown(self, problem: str | BadValue) -> str:
        if isinstance(problem, AmbiguousNumber):
            names = self._options.names
            either = f"{names.set('decimal', '.')} or {names.set('decimal', ',')}"
            return f"{problem}: say which sign separates decimals ({either})"
        return str(problem)

    def _override(self, draft: Draft) -> None:
        for target, source in self._options.mapping.items():
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
        if self._options.fit:
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
            if len(possible) == 1 and not self._options.leaves_out("currency"):
                (fields["currency"],) = possible
            elif self._options.currency is not None:
                whose, fields["currency"] = "catalog", self._options.currency
        if units:
            _check_units(draft, units, whose)

    def _make_absolute(self, name: str, draft: Draft) -> None:
        address = draft.fields[name]
        base = self._options.shop_url or ("https:" if address.startswith("//") else None)
        if base is not None:
            draft.fields[name] = urljoin(f"{base}/", address)
        else:
            draft.problems.append((WIRE_NAMES[name], f"{address!r} is relative; {self._give_shop_url()}"))

    def _missing(self, name: str, draft: Draft) -> str:
        if (source := self._options.mapping.get(name)) is not None:
            return f"is required, and this record has no value for it in {', '.join(map(repr, source.columns))}"
        if name in draft.fields:
            return "is required, and this record gives null"
        if name == "url":
            other = (
                ""
                if self._options.shop_url
                else f", or, for an export that holds no addresses, {self._give_shop_url()}"
            )
            template = self._options.names.map("url", "https://shop.example/p/{sku}")
            return f"is required; map it to a column or a template ({template}){other}"
        return (
            "is required; fill it in, or map it to a column or a template "
            f"({self._options.names.map(WIRE_NAMES[name], 'COLUMN')})"
        )

    def _give_shop_url(self) -> str:
        return f"give the shop's address ({self._options.names.name('shop_url')})"

    def _with_hint(self, name: str, rule: str) -> str:
        if name in _CUT_AT and "at most" in rule:
            return f"{rule}; {self._options.names.set('fit', value=True)} cuts it at a word"
        return rule


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
