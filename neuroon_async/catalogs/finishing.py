"""The finishing station: the rules that all formats share, and the check of every product.

A `Finisher` turns each `Draft` into exactly one `Product` or `ProductFailure`. Nothing here knows a file format.

- A mapping comes first. It drops what the format has gathered for its target, complaints too.
- A number that may be two is settled by the other numbers of its column, or refused (`notations.NumberNotations`).
- So is one in a currency without decimals: ``¥1,200`` of a record in JPY.
- A sale price that is 0, not below the price, or outside its dates is none.
- A parent of ``0``, and a product that names itself its parent, have none. A rating that nobody has given is none.
- Names, categories, brands and tags stand on one line, descriptions and attributes become plain text.
- Addresses get scheme and host; spaces in them are encoded, and ``&amp;`` is the sign that it stands for.
- The currency is the record's own, else the one that is written beside its prices, else the catalog's.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from ..api.contract import MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH
from ..api.models import REQUIRED_FIELDS, WIRE_NAMES, Product
from ..api.validation import check_product
from ..errors import InvalidProduct
from ..report import ProductFailure
from .columns import SALE_DATES, recognised_field
from .letters import RawRow, reading_of
from .mapping import Template, path_to, products_within
from .notes import FIELDS_THAT_NOTES_MISS
from .values.addresses import complete, is_broken
from .values.currencies import WITHOUT_DECIMALS
from .values.damage import digits_of_float, is_code_attribute
from .values.number_formats import ShownNumber
from .values.numbers import SIGNS, to_money
from .values.parsing import AmbiguousNumber, BadValue, LikeADate, NestedValue, is_blank, shown
from .values.prices import bounds_of, holds_on, on_sale
from .values.text import cut, html_to_text, is_misread, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .format import Format
    from .notations import NumberNotations
    from .options import ReadingOptions
    from .records import Draft
    from .shapes import ColumnShapes
    from .values.numbers import Money, Sign

__all__ = ["Change", "Finisher", "clean_texts", "is_no_parent"]

_CUT_AT = {"name": MAX_NAME_LENGTH, "description": MAX_DESCRIPTION_LENGTH}
_DISPENSABLE = frozenset({"stockQuantity", "rating", "reviewCount", "isActive"})
"""Fields that a catalog may do without where its words for them are its own."""
_MAX_LEFT_OUT = 100
_NO_PARENT = re.compile(r"(?i)0+(?:[.,]0+)?|-1|false")


@dataclass(frozen=True, slots=True)
class Change:
    """A value that the finishing station has changed: ``after`` is ``None`` where it is left out."""

    where: str
    external_id: str
    field: str
    before: Any
    after: Any

    def as_document(self) -> dict[str, Any]:
        """For a line of JSON, in the API's names."""
        names = {"externalId": self.external_id, "field": self.field}
        return {"where": self.where, **names, "before": self.before, "after": self.after}


class Finisher:
    """Makes the product of each draft, or says why there is none.

    ``format`` is that of the catalog. ``filled`` are the fields that any product has. ``fitted`` counts the texts that
    were cut. ``left_out`` counts the values that products were sent without: ``(field, value)``, the first 100
    different ones. ``repaired`` counts the ids that had decimals, by field, with an example. ``sales`` counts the
    products with a sale price, and ``misread`` those whose texts show that somebody decoded them wrongly before
    (``CafÃ©``): they are sent as they are.
    """

    def __init__(self, options: ReadingOptions, notations: NumberNotations, shapes: ColumnShapes | None = None) -> None:
        self.fitted: int = 0
        self.misread: int = 0
        self.left_out: Counter[tuple[str, str]] = Counter()
        self.repaired: dict[str, tuple[int, str]] = {}
        self.sales: int = 0
        self.format: Format | None = None
        self.filled: set[str] = set()
        self.on_change: Callable[[Change], None] | None = None
        self._default_options = self._options = options
        self._notations = notations
        self._shapes = shapes

    def mapped(self, drafts: Iterable[Draft]) -> Iterator[Draft]:
        """Drafts as the user's mapping has them, not finished: what a first pass looks at."""
        for draft in drafts:
            self._override(draft)
            yield draft

    def finish(self, draft: Draft) -> Product | ProductFailure:
        """The product, checked; or a failure that names every problem of the draft."""
        self._options = draft.options or self._default_options
        self._override(draft)
        if draft.ambiguous:
            self._read_whole_amounts(draft)
            self._notations.settle(draft)
        fields = draft.fields
        before = dict(fields) if self.on_change is not None else {}
        if not draft.problems:
            self._complete(draft)
            missing = [name for name in REQUIRED_FIELDS if fields.get(name) is None]
            draft.problems += [(WIRE_NAMES[name], self._missing(name, draft)) for name in missing]
        if not draft.problems:
            product = Product(**fields)
            try:
                check_product(product)
            except InvalidProduct as error:
                draft.problems += [(name, self._rule(name, rule, fields)) for name, rule in error.violations]
            else:
                self._count_left_out(draft)
                self.filled.update(fields)
                self.sales += "sale_price" in fields
                self._report_changes(draft, before)
                self.misread += _is_misread(product.name) or _is_misread(product.description)
                return product
        self.filled.update(fields)
        reason = "; ".join(f"{name}: {problem}" if name else problem for name, problem in self.reasons(draft))
        external_id = fields.get("external_id")
        return ProductFailure(
            str(external_id) if isinstance(external_id, str) and external_id else None,
            f"{draft.where}: {reason}",
            "local",
            product=self._raw_row(draft),
        )

    def take(self, products: list[Product]) -> None:
        """Note what products of the fast lane have: that lane does nothing else which a reading tells of."""
        self.sales += sum(product.sale_price is not UNSET for product in products)
        for name in FIELDS_THAT_NOTES_MISS - self.filled:
            if any(getattr(product, name) is not UNSET for product in products):
                self.filled.add(name)

    def _raw_row(self, draft: Draft) -> RawRow:
        """The record, and how a dead letter of it is read again."""
        if not draft.usable:
            return RawRow(draft.row, draft.row, None)
        if draft.reading is not None:
            return RawRow(draft.row, draft.row, draft.reading)
        inferred = {sign for sign, _ in self._notations.inferred.values()}
        decimal = next(iter(inferred)) if len(inferred) == 1 else None
        if self.format is None or self.format.name in {"json", "jsonl"}:
            return RawRow(draft.row, draft.row, reading_of("json", self._options, decimal))
        if self.format.own_ids:  # other rows have a part in this product
            without_mapping = replace(self._options, given_mapping={})
            return RawRow(draft.row, draft.as_product(), reading_of("json", without_mapping, decimal))
        return RawRow(draft.row, draft.row, reading_of(self.format.name, self._options, decimal))

    def reasons(self, draft: Draft) -> list[tuple[str, str]]:
        """``(field, problem)`` of a draft that has failed."""
        return [(name, self._shown(name, problem)) for name, problem in draft.problems]

    def _report_changes(self, draft: Draft, before: Mapping[str, Any]) -> None:
        if self.on_change is None:
            return
        for name in WIRE_NAMES:
            old, new = before.get(name), draft.fields.get(name)
            if old != new:
                self.on_change(Change(draft.where, draft.fields["external_id"], WIRE_NAMES[name], old, new))
        for name, text in draft.left_out:
            self.on_change(Change(draft.where, draft.fields["external_id"], WIRE_NAMES.get(name, name), text, None))

    def _count_left_out(self, draft: Draft) -> None:
        for left_out in draft.left_out:
            if left_out in self.left_out or len(self.left_out) < _MAX_LEFT_OUT:
                self.left_out[left_out] += 1

    def _shown(self, name: str, problem: str | BadValue) -> str:
        if isinstance(problem, AmbiguousNumber):
            names = self._options.names
            either = f"{names.set('decimal', '.')} or {names.set('decimal', ',')}"
            return f"{problem}: say which sign separates decimals ({either})"
        if isinstance(problem, LikeADate) and not (self.format and self.format.own_ids):
            as_it_is = self._options.names.map("externalId", f"{{{problem.column}}}")
            return f"{problem}. Where it is right, {as_it_is} takes it as it is"
        if isinstance(problem, NestedValue) and problem.path:
            return f"{problem} ({self._options.names.map(name, problem.path)})"
        if isinstance(problem, BadValue) and name in _DISPENSABLE:
            return f"{problem} ({self._options.names.map(name, '')} leaves the field out)"
        return str(problem)

    def _override(self, draft: Draft) -> None:
        for target, source in self._options.mapping.items():
            if target in SALE_DATES:
                setattr(draft, target, "")
            else:
                draft.forget(target)
            if source is None:
                continue
            try:
                value = source.value(draft.row)
            except BadValue as error:
                draft.problems.append((WIRE_NAMES.get(target, target), str(error)))
                continue
            if target in SALE_DATES:
                setattr(draft, target, "" if is_blank(value) else str(value))
                continue
            column = source.columns[0] if source.columns else None
            draft.put(target, value, column=column, is_template=isinstance(source, Template))
            draft.take_currency_beside(target, column)

    def _complete(self, draft: Draft) -> None:
        fields = draft.fields
        for name in ("external_id", "sku", "parent_external_id"):
            self._repair(name, fields, name)
        attributes: dict[str, Any] = fields.get("attributes") or {}
        for name in [name for name in attributes if is_code_attribute(name)]:
            self._repair(f"attributes.{name}", attributes, name)
        parent = fields.get("parent_external_id")
        if parent is not None and (is_no_parent(parent) or parent == fields.get("external_id")):
            del fields["parent_external_id"]
        if fields.get("rating") == 0 and fields.get("review_count") == 0:
            del fields["rating"]
        self._settle_sale(draft)
        self._settle_currency(draft)
        if not draft.canonical:
            clean_texts(fields)
        for name in ("url", "image_url"):
            if fields.get(name):
                self._complete_address(name, draft)
        if self._options.fit:
            self._fit_texts(fields)

    def _read_whole_amounts(self, draft: Draft) -> None:
        """Where a currency has no decimals, a sign in an amount can only group thousands."""
        default = draft.fields.get("currency") or self._options.currency
        for target in [name for name in ("price", "sale_price") if name in draft.ambiguous]:
            value = draft.ambiguous[target].value
            try:
                readings: list[tuple[Sign, Money]] = [
                    (sign, to_money(value, replace(draft.notation, decimal=sign))) for sign in SIGNS
                ]
            except BadValue:
                continue
            sign, money = next(reading for reading in readings if isinstance(reading[1].amount, int))
            possible = money.unit.currencies if money.unit else frozenset({default})
            if possible <= WITHOUT_DECIMALS or (default in possible and default in WITHOUT_DECIMALS):
                draft.read_ambiguous(target, sign)

    def _repair(self, field: str, values: dict[str, Any], name: str) -> None:
        """Take a long id or code without the decimals that a program has added."""
        text = values.get(name)
        if not isinstance(text, str):
            return
        digits = str(text) if isinstance(text, ShownNumber) else digits_of_float(text)
        if digits is not None:
            values[name] = digits
            count, example = self.repaired.get(field, (0, text.shown if isinstance(text, ShownNumber) else text))
            self.repaired[field] = (count + 1, example)

    def _fit_texts(self, fields: dict[str, Any]) -> None:
        for name, limit in _CUT_AT.items():
            text = fields.get(name)
            if isinstance(text, str) and len(text) > limit:
                fields[name] = cut(text, limit)
                self.fitted += 1

    def _settle_sale(self, draft: Draft) -> None:
        """A sale that is over or has not begun, of 0, or not below the price is none."""
        sale = draft.money("sale_price")
        if sale is None:
            return
        starts, ends = draft.sale_starts, draft.sale_ends
        if draft.sale_period:
            starts, ends = bounds_of(draft.sale_period)
        try:
            holds = holds_on(self._options.today, starts, ends)
        except BadValue as error:
            leave_out = self._options.names.map(self._bad_bound(draft), "")
            draft.problems.append(("salePrice", f"its dates: {error} ({leave_out} leaves such a column out)"))
            return
        price = draft.money("price")
        if not holds or (price is not None and on_sale(price, sale).sale_price is None):
            del draft.fields["sale_price"]
            draft.units.pop("sale_price", None)

    def _bad_bound(self, draft: Draft) -> str:
        """Which of the dates cannot be read, as a mapping calls it."""
        if draft.sale_period:
            return "salePeriod"
        try:
            holds_on(self._options.today, draft.sale_starts, "")
        except BadValue:
            return "saleStarts"
        return "saleEnds"

    def _settle_currency(self, draft: Draft) -> None:
        """The record's own; else the one that is written beside its prices; else the catalog's."""
        fields = draft.fields
        units = {name: unit for name in ("price", "sale_price") if (unit := draft.units.get(name))}
        meanings = [unit.currencies for unit in units.values()]
        possible: frozenset[str] = meanings[0].intersection(*meanings[1:]) if meanings else frozenset()
        whose = "record"
        if fields.get("currency") is None:
            if len(possible) == 1 and not self._options.leaves_out("currency"):
                (fields["currency"],) = possible
            elif self._options.currency is not None:
                whose, fields["currency"] = "catalog", self._options.currency
        if units:
            draft.check_units(units, whose)

    def _complete_address(self, name: str, draft: Draft) -> None:
        address = complete(draft.fields[name], self._options.shop_url)
        if address is None and is_broken(draft.fields[name]):
            broken = f"{shown(draft.fields[name])} is no address; it is written as https://shop.example/tea"
            draft.problems.append((WIRE_NAMES[name], broken))
        elif address is None:
            relative = f"{shown(draft.fields[name])} is relative; {self._give_shop_url()}"
            draft.problems.append((WIRE_NAMES[name], relative))
        else:
            draft.fields[name] = address

    def _missing(self, name: str, draft: Draft) -> str:
        if (source := self._options.mapping.get(name)) is not None:
            return f"is required, and this record has no value for it in {', '.join(map(repr, source.columns))}"
        if name in draft.fields:
            return "is required, and this record gives null"
        if (inner := products_within(draft.row)) is not None:
            option = self._options.names.set("list", f"PATH.{inner}")
            return (
                f"is required; this record's {inner!r} are products of their own: read those, by their path ({option})"
            )
        own_ids = self.format is not None and self.format.own_ids
        column = None if self._shapes is None or own_ids else path_to(name, draft.row) or self._shapes.best_for(name)
        if column is not None and recognised_field(column) == name and is_blank(draft.row.get(column)):
            column = None  # the very one that is empty here
        if name == "url":
            other = (
                "" if self._options.shop_url else f"; for an export that holds no addresses, {self._give_shop_url()}"
            )
            shop = self._options.shop_url or "https://shop.example"
            ids = (name for name in draft.row if recognised_field(name) == "external_id")
            code = next(ids, None) or (self._shapes.best_for("external_id") if self._shapes else None) or "COLUMN"
            template = self._options.names.map("url", column or f"{shop}/p/{{{code}}}")
            return f"is required; map it to a column or a template ({template}){other}"
        return (
            "is required; fill it in, or map it to a column or a template "
            f"({self._options.names.map(WIRE_NAMES[name], column or 'COLUMN')})"
        )

    def _give_shop_url(self) -> str:
        return f"give the shop's address ({self._options.names.name('shop_url')})"

    def _rule(self, name: str, rule: str, fields: Mapping[str, Any]) -> str:
        """A broken rule of the API, with the value as the file shows it."""
        told, got, _ = rule.partition(", got ")
        value = fields.get({wire: field for field, wire in WIRE_NAMES.items()}.get(name, name))
        if name in _CUT_AT and "at most" in rule:
            return f"{rule}; {self._options.names.set('fit', value=True)} cuts it at a word"
        return f"{told}, got {shown(value)}" if got else rule


def _is_misread(text: object) -> bool:
    return isinstance(text, str) and is_misread(text)


def is_no_parent(external_id: str) -> bool:
    """Is it what exports write where there is no parent?"""
    return _NO_PARENT.fullmatch(external_id) is not None


def clean_texts(fields: dict[str, Any]) -> None:
    """Names and lists on one line, descriptions and attributes as plain text."""
    for field, cleaned in (("name", one_line), ("description", html_to_text)):
        if isinstance(raw := fields.get(field), str):
            if text := cleaned(raw):
                fields[field] = text
            else:
                del fields[field]
    for field in ("categories", "brands", "tags"):
        if texts := fields.get(field):
            fields[field] = list(dict.fromkeys(text for text in map(one_line, texts) if text))
    for field in ("url", "image_url"):
        if address := fields.get(field):
            fields[field] = address.replace("&amp;", "&")
    if attributes := fields.get("attributes"):
        fields["attributes"] = {one_line(name): html_to_text(text) for name, text in attributes.items()}
