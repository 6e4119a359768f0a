"""Google Merchant feeds: RSS 2.0 or Atom with ``g:`` fields, and the tab-separated form.

Items that share an ``item_group_id`` are variants of one another without a parent among them; none is invented, and the
group stays readable as an attribute. Prices carry their currency. What can be ordered but is not there
(``preorder``, ``backorder``) is not in stock; the exact word is kept as an attribute.

XML is read by the expat parser of the standard library behind defusedxml: entity declarations and external entities
are refused, no tree is built, and an item that outgrows 16 MiB ends the reading.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from ..readers.byte_source import MAX_RECORD_BYTES
from ..records import Draft, Record
from ..values.parsing import BadValue, Money, Notation, shown, to_money
from ..values.prices import holds_on, on_sale
from ..values.text import html_to_text, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import date

    from ..readers.byte_source import Source

__all__ = ["GoogleBuilder", "is_google", "xml_items"]

_NOTATION = Notation(decimal=".", lists=False)
_FIELDS = {
    "external_id": ("id",),
    "name": ("title",),
    "url": ("link",),
    "sku": ("sku",),
    "image_url": ("image_link",),
    "brands": ("brand",),
}
_ATTRIBUTES = (
    "item_group_id", "availability", "condition", "gtin", "mpn", "color", "size", "material", "pattern", "gender",
    "age_group", "google_product_category", "product_highlight",
    *(f"custom_label_{number}" for number in range(5)),
)  # fmt: skip
_USED = (
    *(name for names in _FIELDS.values() for name in names), "description", "summary", "content", "price", "sale_price",
    "sale_price_effective_date", "product_type", "quantity", *_ATTRIBUTES,
)  # fmt: skip
_AVAILABLE = {"in_stock": True, "out_of_stock": False, "preorder": False, "backorder": False}


def is_google(header: Iterable[str]) -> bool:
    """Are these the columns of a feed in its tab-separated form?"""
    names = {_field_name(name) for name in header}
    return {"id", "title", "link", "price"} <= names and bool({"availability", "image_link"} & names)


def _field_name(name: str) -> str:
    """``g:image link`` and ``image_link`` are one field."""
    return re.sub(r"[\s-]+", "_", name.strip().lower().removeprefix("g:"))


class GoogleBuilder:
    """One item, one product."""

    def __init__(self, use: Callable[[Iterable[str]], None], today: date) -> None:
        self._use = use
        self._today = today
        self._names: dict[str, str] = {}
        use(_USED)

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for record in records:
            yield Draft.unusable(record, record.problem) if record.problem else self._draft(record)

    def _draft(self, record: Record) -> Draft:
        item = {self._name(column): value for column, value in record.row.items()}
        draft = Draft.of(record, _NOTATION)
        for target, names in _FIELDS.items():
            for name in names:
                value = _first(item, name)
                draft.put(target, [value] if target == "brands" and value else value)
        text = _first(item, "description") or _first(item, "summary") or _first(item, "content")
        draft.put("description", html_to_text(text))
        if levels := _categories(item):
            draft.put("categories", levels)
        draft.put("stock_quantity", _first(item, "quantity"))
        self._put_prices(draft, item)
        _put_availability(draft, _first(item, "availability"))
        draft.put_attributes({name: ", ".join(_texts(item, name)) for name in _ATTRIBUTES})
        return draft

    def _name(self, column: str) -> str:
        name = self._names.get(column)
        if name is None:
            name = _field_name(column)
            if name in _USED:
                self._use([column])
            if len(self._names) < 1_000:
                self._names[column] = name
        return name

    def _put_prices(self, draft: Draft, item: Mapping[str, Any]) -> None:
        amounts: dict[str, Money] = {}
        for field in ("price", "sale_price"):
            if text := _first(item, field):
                try:
                    amounts[field] = to_money(text, _NOTATION)
                except BadValue as error:
                    draft.problems.append((field.replace("_p", "P"), str(error)))
        price, sale = amounts.get("price"), amounts.get("sale_price")
        if sale is not None and not self._sale_holds(draft, _first(item, "sale_price_effective_date")):
            sale = None
        if price is not None:
            draft.put_prices(on_sale(price, sale if sale and sale.amount else None))  # 0 is how feeds write "no sale"
        else:
            draft.put("sale_price", sale)

    def _sale_holds(self, draft: Draft, interval: str) -> bool:
        starts, _, ends = interval.partition("/")
        try:
            return holds_on(self._today, starts, ends)
        except BadValue as error:
            draft.problems.append(("salePrice", f"sale_price_effective_date {error}"))
            return False


def _put_availability(draft: Draft, value: str) -> None:
    if value:
        available = _AVAILABLE.get(_field_name(value))
        if available is None:
            draft.problems.append(
                ("inStock", f"availability must be one of {', '.join(_AVAILABLE)}, got {shown(value)}")
            )
        draft.put("in_stock", available)


def _categories(item: Mapping[str, Any]) -> list[str]:
    """The levels of the shop's own ``product_type``, else of Google's category where it is no mere number."""
    paths = _texts(item, "product_type") or [t for t in _texts(item, "google_product_category") if not t.isdigit()]
    levels = (level.strip() for path in paths for level in re.split(r">|&gt;", path))
    return list(dict.fromkeys(level for level in levels if level))


def _texts(item: Mapping[str, Any], name: str) -> list[str]:
    value = item.get(name)
    return [str(v).strip() for v in (value if isinstance(value, list) else [value]) if v is not None and str(v).strip()]


def _first(item: Mapping[str, Any], name: str) -> str:
    return next(iter(_texts(item, name)), "")


def xml_items(source: Source, chunks: Iterator[bytes], encoding: str | None) -> Iterator[Record]:
    """The items of an XML feed; a field that occurs several times is a list."""
    defused = require("defusedxml.ElementTree", "catalogs", "an XML feed")
    refused = require("defusedxml", "catalogs", "an XML feed").DefusedXmlException
    items = _Items()
    parser = defused.DefusedXMLParser(target=items, encoding=encoding, forbid_entities=True, forbid_external=True)
    number = since_item = position = 0
    for chunk in _and_end(chunks):
        fault: Exception | None = None
        try:
            parser.feed(chunk) if chunk else parser.close()
        except ParseError as error:
            line, column = error.position
            fault = source.error(f"{line}:{column + 1}", f"is not well-formed XML ({error}); the feed may be cut off")
        except refused as error:
            fault = source.error(
                f"byte {position}", f"declares entities, which may be an attack ({error!r}); remove them"
            )
        since_item += len(chunk)
        for item in items.take():
            number += 1
            since_item = 0
            yield Record(f"{source.name}:item {number}", item)
        if fault is not None:
            raise fault
        position += len(chunk)
        if since_item > MAX_RECORD_BYTES:
            raise source.error(
                f"byte {position}",
                f"no item has ended in {MAX_RECORD_BYTES // 1024 // 1024} MiB; is this a product feed?",
            )
    if number == 0 and not items.is_feed:
        raise source.error(
            "", f"is XML, but no product feed: <rss>, <feed> or <channel> is expected, not <{items.root}>"
        )


def _and_end(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""


class _Items:
    """The parser's target: gathers the direct children of each ``item`` or ``entry``, and nothing else."""

    def __init__(self) -> None:
        self.root = ""
        self._depth = 0
        self._item_depth: int | None = None
        self._item: dict[str, tuple[bool, list[str]]] = {}
        self._text: list[str] = []
        self._done: list[dict[str, Any]] = []

    @property
    def is_feed(self) -> bool:
        return self.root.lower() in {"rss", "feed", "channel", "rdf"}

    def take(self) -> list[dict[str, Any]]:
        done, self._done = self._done, []
        return done

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        _, name = _split(tag)
        self.root = self.root or name
        if self._item_depth is None:
            if name in {"item", "entry"}:
                self._item_depth, self._item = self._depth, {}
        elif self._depth == self._item_depth + 1:
            self._text = []
            if name == "link" and attributes.get("href") and attributes.get("rel", "alternate") == "alternate":
                self._text.append(attributes["href"])  # Atom

    def data(self, text: str) -> None:
        if self._item_depth is not None and self._depth >= self._item_depth + 1:
            self._text.append(text)

    def end(self, tag: str) -> None:
        depth, self._depth = self._depth, self._depth - 1
        if self._item_depth is None:
            return
        if depth == self._item_depth:
            self._done.append({name: texts[0] if len(texts) == 1 else texts for name, (_, texts) in self._item.items()})
            self._item_depth = None
        elif depth == self._item_depth + 1:
            self._keep(tag, "".join(self._text).strip())

    def _keep(self, tag: str, text: str) -> None:
        """Google's own field wins over the feed's of the same name (``g:id`` over Atom's ``id``)."""
        namespace, name = _split(tag)
        own = "base.google.com" in namespace
        if not text:
            return
        known = self._item.get(name)
        if known is None or (own and not known[0]):
            self._item[name] = (own, [text])
        elif own == known[0]:
            known[1].append(text)

    def close(self) -> None:
        """Nothing is left to do: the items were taken as they ended."""


def _split(tag: str) -> tuple[str, str]:
    namespace, _, name = tag.rpartition("}")
    return namespace, name
