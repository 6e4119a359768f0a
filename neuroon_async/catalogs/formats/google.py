"""Google Merchant feeds: RSS 2.0 or Atom with ``g:`` fields, and the tab-separated form; Meta's catalogs, too.

Items that share an ``item_group_id`` are variants of one another without a parent among them; none is invented, and the
group stays readable as an attribute. Prices carry their currency. What can be ordered but is not there
(``preorder``, ``backorder``) is not in stock; the exact word is kept as an attribute.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...api.models import WIRE_NAMES
from ..columns import STATES
from ..fast.feed import FeedFields, FeedLanes
from ..generic import state_of
from ..mapping import ATTRIBUTE_PREFIX
from ..readers.feed_xml import xml_item_blocks, xml_items
from ..records import Draft, cell_text
from ..values.parsing import Notation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ...api.models import Product
    from ...api.shapes import RawValue
    from ..format import Reading, Sample
    from ..options import ReadingOptions
    from ..records import Record

__all__ = ["FORMAT", "FeedBuilder", "field_name"]

_FIELDS = {
    "external_id": ("id", "sku_id"),
    "name": ("title",),
    "url": ("link",),
    "sku": ("sku",),
    "image_url": ("image_link", "image[0].url"),
    "brands": ("brand",),
}
"""The second names are those of TikTok's and Meta's templates."""
_DESCRIPTIONS = ("description", "summary", "content")
_STAND_INS = {
    "name": ("structured_title",),
    "description": ("structured_description",),
    "url": ("canonical_link",),
    "image_url": ("additional_image_link", "image", "image_url", "enclosure", "media:content", "media:thumbnail"),
}
"""What is read of an item that has nothing for a field under its usual names."""
_WRITTEN_BY = re.compile(r"(?:default|trained_algorithmic_media)\s*:\s*(?=\S)", re.IGNORECASE)
"""How structured texts begin where they are one cell: they tell whether a program has written them."""
_TAG = re.compile(r"product_tags(?:\[\d+\])?")
_ATTRIBUTES = (
    "item_group_id", "availability", "condition", "gtin", "mpn", "color", "size", "material", "pattern", "gender",
    "age_group", "google_product_category", "product_highlight",
    *(f"custom_label_{number}" for number in range(5)),
)  # fmt: skip
_CURRENCY = ("currency", "price_currency", "currency_code")
_STOCK = ("quantity", "quantity_to_sell_on_facebook", "inventory", "stock")
_OF_ONE_MEANING = {
    "external_id": _FIELDS["external_id"],
    "name": _FIELDS["name"],
    "price": ("price",),
    "sale_price": ("sale_price",),
    "currency": _CURRENCY,
    "stock_quantity": _STOCK,
    "in_stock": ("availability",),
}
"""Fields of which two different texts in one item contradict each other."""
_STATES = frozenset(STATES)
_CATEGORY_PATHS = ("product_type", "google_product_category", "fb_product_category")
_USED = (
    *(name for names in _FIELDS.values() for name in names), *_DESCRIPTIONS, "price", "sale_price",
    "sale_price_effective_date", "product_type", "fb_product_category",
    *_CURRENCY, *_STOCK, *_ATTRIBUTES, *STATES,
)  # fmt: skip


def _is_google(header: Iterable[str]) -> bool:
    """Are these the columns of a feed in its tab-separated form?"""
    names = {field_name(name) for name in header}
    has_ids = not names.isdisjoint(_FIELDS["external_id"])
    has_names = not names.isdisjoint(("title", *_STAND_INS["name"]))
    return has_ids and has_names and {"link", "price"} <= names and bool({"availability", "image_link"} & names)


def field_name(name: str) -> str:
    """``g:image link`` and ``image_link`` are one field."""
    return re.sub(r"[\s-]+", "_", name.strip().lower().removeprefix("g:"))


class FeedBuilder:
    """One item, one product."""

    def __init__(self, use: Callable[[Iterable[str]], None], options: ReadingOptions) -> None:
        self._use = use
        self._options = options
        self._notation = Notation(options.decimal, lists=False)
        self._names: dict[str, str] = {}
        use(_USED)

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for record in records:
            yield Draft.unusable(record, record.problem) if record.problem else self.draft(record)

    def draft(self, record: Record) -> Draft:
        """The product of one item."""
        item = {self._name(column): value for column, value in record.row.items()}
        draft = Draft.of(record, self._notation)
        for target, names in _OF_ONE_MEANING.items():
            self._put_one(draft, target, item, names)
        for target, names in _FIELDS.items():
            if target not in _OF_ONE_MEANING:
                value = _first(item, *names)
                draft.put(target, [value] if target == "brands" and value else value)
        draft.put("description", _first(item, *_DESCRIPTIONS))
        self._put_stand_ins(draft, item, record)
        if tags := [text for name in item if _TAG.fullmatch(name) for text in _texts(item, name)]:
            draft.put("tags", tags)
        if levels := _categories(item):
            draft.put("categories", levels)
        draft.put_sale_dates(period=_first(item, "sale_price_effective_date"))
        states = [state_of(name, _first(item, name)) for name in STATES]  # of Meta's catalogs
        if False in states:
            draft.put("is_active", value=False)
        draft.put_attributes({name: ", ".join(_texts(item, name)) for name in _ATTRIBUTES})
        return draft

    def _put_one(self, draft: Draft, target: str, item: Mapping[str, Any], names: Iterable[str]) -> None:
        name = next((name for name in names if _first(item, name)), "")
        texts = list(dict.fromkeys(_texts(item, name)))
        if len(texts) > 1:
            told = ", ".join(texts[:4])
            first = self._options.names.map(WIRE_NAMES[target], f"{name}.0")
            draft.reject(
                target, item[name], f"is there several times ({told}); keep the right one ({first} takes the first)"
            )
        else:
            draft.put(target, "".join(texts))

    def _put_stand_ins(self, draft: Draft, item: Mapping[str, Any], record: Record) -> None:
        for target, names in _STAND_INS.items():
            name = next((name for name in names if _first(item, name)), None)
            if name is None or _first(item, *_NAMES[target]):
                continue
            self._use([column for column in record.row if self._name(column) == name])
            draft.put(target, _unwrapped(name, _first(item, name)))

    def _name(self, column: str) -> str:
        name = self._names.get(column)
        if name is None:
            name = field_name(column)
            if name in _USED or _TAG.fullmatch(name):
                self._use([column])
            if len(self._names) < 1_000:
                self._names[column] = name
        return name


def _unwrapped(name: str, text: str) -> Any:
    """A text without what tells who has written it; the parts of an ``<image>``, of which one is its address."""
    if name.startswith("structured_"):
        return _WRITTEN_BY.sub("", text, count=1).strip('"')
    return text.split("\n") if name == "image" else text


def _categories(item: Mapping[str, Any]) -> list[str]:
    """The levels of the shop's own ``product_type``, else of Google's or Meta's category where it is no mere number."""
    paths: list[str] = []
    for name in _CATEGORY_PATHS:
        if paths := [text for text in _texts(item, name) if not text.isdigit()]:
            break
    return _levels(paths)


def _levels(paths: Iterable[str]) -> list[str]:
    levels = (level.strip() for path in paths for level in path.replace("&gt;", ">").split(">"))
    return list(dict.fromkeys(level for level in levels if level))


def _texts(item: Mapping[str, Any], name: str) -> list[str]:
    value: RawValue = item.get(name)
    values = value if isinstance(value, list) else [value]
    return [cell_text(v) for v in values if v is not None and str(v).strip()]


def _first(item: Mapping[str, Any], *names: str) -> str:
    """The first text under any of these names, best first."""
    return next((text for name in names for text in _texts(item, name)), "")


_NAMES: Mapping[str, tuple[str, ...]] = {**_FIELDS, "description": _DESCRIPTIONS}
_FAST = FeedFields(
    names={
        **_FIELDS,
        "description": _DESCRIPTIONS,
        "categories": _CATEGORY_PATHS,
        "stock_quantity": _STOCK,
        "price": ("price",),
        "currency": _CURRENCY,
        "sale_price": ("sale_price",),
        "sale_period": ("sale_price_effective_date",),
        "in_stock": ("availability",),
        **{f"{ATTRIBUTE_PREFIX}{name}": (name,) for name in _ATTRIBUTES},
    },
    accepts={"categories": lambda path: not path.isdigit()},
    prepare={
        "brands": lambda text: [text],
        "categories": lambda text: _levels([text]) or None,
    },
    used=frozenset(_USED),
    is_exact=lambda name: field_name(name) == name,
    is_special=lambda item: (
        (
            not _STATES.isdisjoint(item)
            and any(state_of(name, item[name]) is False for name in _STATES.intersection(item))
        )
        or "product_tags" in item
        or any(
            not item.keys().isdisjoint(names) and item.keys().isdisjoint(_NAMES[target])
            for target, names in _STAND_INS.items()
        )
    ),
)
"""What `FeedBuilder` says of items whose fields are one text each."""


class _Google:
    name = "google"
    own_ids = False

    def recognises(self, sample: Sample) -> bool:
        return sample.is_xml or _is_google(sample.header)

    def read(self, reading: Reading) -> Iterable[Draft | list[Product]]:
        options = reading.options
        build = FeedBuilder(reading.use, options)
        if not reading.sample.is_xml:
            return build(reading.rows())
        source, chunks = reading.source, reading.replay.chunks()
        if options.mapping or not reading.fast:
            return build(reading.counted(xml_items(source, chunks)))
        lanes = FeedLanes(reading, _FAST, Notation(options.decimal, lists=False))
        return lanes.read(xml_item_blocks(source, chunks), lambda record: build((record,)))


FORMAT = _Google()
