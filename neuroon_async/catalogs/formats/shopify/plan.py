"""The fast lane of Shopify's export: the rows of many handles become products, a column at a time.

What the columns mean stands in `products`; this makes the same of whole groups of rows, or declines them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from msgspec import UNSET

from ...fast.cells import DECLINED, CellColumn
from ...fast.fields import new_products
from ...fast.texts import KnownTexts, is_plain_parent
from ...mapping import ATTRIBUTE_PREFIX
from ...values.damage import is_like_a_date, unguarded
from ...values.parsing import to_integer, to_money
from ...values.words import says_yes
from ...variants import variant_id, variant_name
from .products import (
    ATTRIBUTES,
    OPTIONS,
    USED,
    is_active,
    levels,
    sells_on,
    tags,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ....api.models import Product
    from ...options import ReadingOptions
    from ...values.parsing import Notation

__all__ = ["ShopifyPlan"]

_ONLY_IN_JSON = frozenset({"Variant Available", "Currency", "URL"})
_MOST_COLUMNS = 300
_MOST_ENDINGS = 4_096
"""Combinations of options that are remembered."""
_MOST_PIECES = 10**15
_TYPE, _CATEGORY = "=", ">"
"""Which of two columns a category is from."""
_NO_OPTIONS: Final = ("", "Default Title")
_REQUIRED = frozenset({"Handle", "Title", "Variant Price"})
_OF_VARIANTS = ("price", "sale_price", "in_stock", "stock_quantity")
_COPIED = frozenset({"brands", "categories", "tags", "attributes"})
_COPIES = frozenset({list, dict})

Cells = dict[str, list[str]]
"""Of each column, stripped."""
Values = dict[str, list[Any]]
"""Of each field."""


def _texts(column: Sequence[str]) -> list[str]:
    """The cells of a column as `records.cell` gives them."""
    texts = list(map(str.strip, column))
    return list(map(unguarded, texts)) if "\n'" in "\n".join(["", *texts]) else texts


def _categories(cell: str) -> list[str]:
    return [cell[1:]] if cell[0] == _TYPE else levels(cell[1:])


@dataclass(slots=True)
class _Layout:
    """Which products there are in some groups, and which row each of them is made of.

    ``spans`` are the offers of each group; ``first`` is the row that a group begins with, ``parent`` tells whether it
    has a parent above its offers. Of each offer, ``own`` is its row, ``group`` its group, and ``options`` names the
    options whose values it has.
    """

    spans: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    first: list[int] = field(default_factory=list[int])
    images: list[str] = field(default_factory=list[str])
    has_parent: list[bool] = field(default_factory=list[bool])
    own: list[int] = field(default_factory=list[int])
    group: list[int] = field(default_factory=list[int])
    ids: list[str] = field(default_factory=list[str])
    names: list[str] = field(default_factory=list[str])
    options: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    declined: set[int] = field(default_factory=set[int])
    """Groups that are for the careful lane."""


class ShopifyPlan:
    """Makes products of the rows of one header."""

    def __init__(
        self, header: Sequence[str], known: Sequence[str], options: ReadingOptions, notation: Notation
    ) -> None:
        places = {name: place for place, name in enumerate(known)}
        self.key_place: int = places["Handle"]
        self.unused: dict[str, int] = {name: n for n, name in enumerate(header) if known[n] not in USED}
        self._places = {name: place for name, place in places.items() if name in USED}
        self._absent = [name for name in USED if name not in places]
        self._shop_url = options.shop_url
        self._currency = options.currency
        self._tells_tracker = "Variant Inventory Tracker" in places
        self._known_options = KnownTexts()
        self._endings: dict[tuple[str, ...], tuple[str, str]] = {}

        def column(target: str, prepare: Callable[[str], Any] | None = None) -> CellColumn:
            return CellColumn(target, options, notation, prepare=prepare)

        self._attributes = [
            (of_file, name, column(f"{ATTRIBUTE_PREFIX}{name}"))
            for of_file, name in ATTRIBUTES.items()
            if of_file in places
        ]
        self._id, self._name = column("external_id"), column("name")
        self._shared = {
            "description": column("description"),
            "brands": column("brands", lambda cell: [cell]),
            "categories": column("categories", _categories),
            "tags": column("tags", tags),
            "image_url": column("image_url"),
            "url": column("url"),
        }
        self._image, self._sku, self._text = column("image_url"), column("sku"), column("attributes.any")
        self._amount = column("price", lambda cell: to_money(cell, notation))
        self._pieces = column("stock_quantity", lambda cell: to_integer(cell, notation))

    @classmethod
    def of(
        cls, header: Sequence[str], known: Sequence[str], options: ReadingOptions, notation: Notation
    ) -> ShopifyPlan | None:
        """``None`` for headers whose rows are all for the careful lane. ``known`` are the names in the older export."""
        if (
            len(set(known)) < len(known)
            or len(known) > _MOST_COLUMNS
            or not _REQUIRED.issubset(known)
            or not _ONLY_IN_JSON.isdisjoint(known)
            or options.shop_url is None
            or options.mapping
        ):
            return None
        return cls(header, known, options, notation)

    def products(self, groups: Sequence[Sequence[list[str]]]) -> list[list[Product] | None]:
        """For each handle the products that the careful lane would make of its rows, or ``None`` to decline it."""
        columns = list(zip(*chain.from_iterable(groups), strict=True))
        cells: Cells = {name: _texts(columns[place]) for name, place in self._places.items()}
        cells |= dict.fromkeys(self._absent, [""] * len(columns[0]))
        layout = self._laid_out(list(map(len, groups)), cells)
        shared = self._shared_values(layout, cells)
        offers = self._offer_values(layout, cells, shared)
        parents = self._parent_values(layout, cells, shared, offers)
        made = new_products(offers, len(layout.own))
        above = iter(new_products(parents, sum(layout.has_parent)))
        found: list[list[Product] | None] = []
        for place, (start, end) in enumerate(layout.spans):
            of_group = [next(above), *made[start:end]] if layout.has_parent[place] else made[start:end]
            found.append(None if place in layout.declined else of_group)
        return found

    def _laid_out(self, sizes: Sequence[int], cells: Cells) -> _Layout:
        layout = _Layout()
        one, price, sku, title = (cells[n] for n in ("Option1 Value", "Variant Price", "Variant SKU", "Title"))
        first = 0
        for place, size in enumerate(sizes):
            end = first + size
            own = [first, *(row for row in range(first + 1, end) if one[row] or price[row] or sku[row])]
            start = len(layout.own)
            is_single = len(own) == 1 and one[first] in _NO_OPTIONS
            layout.first.append(first)
            layout.has_parent.append(not is_single)
            image = _main_image(cells["Image Src"][first:end], cells["Image Position"][first:end])
            layout.images.append(image or next(filter(None, cells["Variant Image"][first:end]), ""))
            layout.own += own
            layout.group += [place] * len(own)
            if not (title[first] and cells["Handle"][first]):
                layout.declined.add(place)
            if is_single:
                layout.ids.append(cells["Handle"][first])
                layout.names.append(title[first])
                layout.options.append(())
            else:
                self._lay_out_variants(layout, place, own, cells)
            layout.spans.append((start, len(layout.own)))
            first = end
        return layout

    def _lay_out_variants(self, layout: _Layout, place: int, own: Sequence[int], cells: Cells) -> None:
        first = own[0]
        handle, title = cells["Handle"][first], cells["Title"][first]
        names = tuple(name for number in OPTIONS if (name := cells[f"Option{number} Name"][first]))
        if len(set(names)) < len(names) or not (self._known_options.texts(names) or self._known_options.learn(names)):
            layout.declined.add(place)
        layout.options += [names] * len(own)
        columns = [cells[f"Option{number} Value"] for number in OPTIONS[: max(1, len(names))]]
        for row in own:
            values = tuple(column[row] for column in columns if column[row])
            if not values or any(map(is_like_a_date, values)):
                layout.declined.add(place)
            of_id, of_name = self._endings[values] if values in self._endings else self._learn(values)
            layout.ids.append(handle + of_id)
            layout.names.append(title + of_name)

    def _learn(self, values: tuple[str, ...]) -> tuple[str, str]:
        """How id and name of a variant with these values end."""
        if len(self._endings) >= _MOST_ENDINGS:
            self._endings.clear()
        self._endings[values] = variant_id("", values), variant_name("", values)
        return self._endings[values]

    def _shared_values(self, layout: _Layout, cells: Cells) -> Values:
        """What all products of a handle have in common, by group."""
        firsts = layout.first

        def of_first(name: str) -> list[str]:
            column = cells[name]
            return [column[row] for row in firsts]

        types, categories = of_first("Type"), of_first("Product Category")
        texts = {
            "description": of_first("Body (HTML)"),
            "brands": of_first("Vendor"),
            "categories": [
                _TYPE + kind if kind else category and _CATEGORY + category
                for kind, category in zip(types, categories, strict=True)
            ],
            "tags": of_first("Tags"),
            "image_url": layout.images,
            "url": [f"{self._shop_url}/products/{quote(handle)}" for handle in of_first("Handle")],
        }
        values: Values = {name: self._shared[name].values(texts[name], layout.declined) for name in texts}
        states = list(map(is_active, of_first("Published"), of_first("Status"), of_first("Command")))
        layout.declined.update(place for place, state in enumerate(states) if isinstance(state, str))
        values["is_active"] = [UNSET if state is None else state for state in states]
        values["attributes"] = [
            {"gift_card": "true"} if cell and says_yes(cell) else {} for cell in of_first("Gift Card")
        ]
        return values

    def _offer_values(self, layout: _Layout, cells: Cells, shared: Values) -> Values:
        """The fields of what can be bought, product by product."""
        declined: set[int] = set()

        def of_own(name: str) -> list[str]:
            column = cells[name]
            return [column[row] for row in layout.own]

        values = _spread(shared, layout.group)
        values["external_id"] = self._id.values(layout.ids, declined)
        values["name"] = self._name.values(layout.names, declined)
        values["sku"] = self._sku.values([text.lstrip("'") for text in of_own("Variant SKU")], declined)
        values["price"], values["sale_price"] = self._prices(
            of_own("Variant Price"), of_own("Variant Compare At Price"), declined
        )
        values["in_stock"], values["stock_quantity"] = self._stock(of_own, declined)
        own_images = zip(of_own("Variant Image"), layout.group, strict=True)
        self._put_images(
            values["image_url"], [image if layout.has_parent[group] else "" for image, group in own_images], declined
        )
        self._put_attributes(values["attributes"], layout, of_own, declined)
        values["parent_external_id"] = [
            cells["Handle"][layout.first[group]] if layout.has_parent[group] else UNSET for group in layout.group
        ]
        self._put_currency(values, len(layout.own))
        layout.declined.update(layout.group[place] for place in declined)
        return values

    def _prices(self, prices: list[str], compare_at: list[str], declined: set[int]) -> tuple[list[Any], list[Any]]:
        """A price that is compared with a higher one is the price of a sale."""
        amounts = self._amount.values(prices, declined)
        sales: list[Any] = [UNSET] * len(amounts)
        compared = [place for place, cell in enumerate(compare_at) if cell]
        refused: set[int] = set()
        regulars = self._amount.values([compare_at[place] for place in compared], refused) if compared else []
        declined.update(compared[place] for place in refused)
        for place, regular in zip(compared, regulars, strict=True):
            amount = amounts[place]
            if place not in declined and regular > amount > 0:
                amounts[place], sales[place] = regular, amount
        return amounts, sales

    def _stock(self, of_own: Callable[[str], list[str]], declined: set[int]) -> tuple[list[Any], list[Any]]:
        """Is it in stock, and how many pieces are there?"""
        trackers, policies = of_own("Variant Inventory Tracker"), of_own("Variant Inventory Policy")
        pieces = self._pieces.values(of_own("Variant Inventory Qty"), declined)
        in_stock: list[Any] = []
        quantities: list[Any] = []
        for place, told in enumerate(pieces):
            tracked = bool(trackers[place]) or not self._tells_tracker
            if told is UNSET:
                in_stock.append(UNSET if tracked else True)
                quantities.append(UNSET)
                continue
            count = told
            if told is DECLINED or not -_MOST_PIECES < told < _MOST_PIECES:
                declined.add(place)
                count = 0  # of a product that is not made
            in_stock.append(count > 0 or not tracked or sells_on(policies[place]))
            quantities.append(count if tracked or count > 0 else UNSET)
        return in_stock, quantities

    def _put_images(self, images: list[Any], own: list[str], declined: set[int]) -> None:
        """A variant's own image comes before that of its product."""
        if not any(own):
            return
        for place, image in enumerate(self._image.values(own, declined)):
            if image is not UNSET:
                images[place] = image
            elif own[place]:
                declined.add(place)

    def _put_attributes(
        self, maps: list[Any], layout: _Layout, of_own: Callable[[str], list[str]], declined: set[int]
    ) -> None:
        options = [self._text.values(of_own(f"Option{number} Value"), declined) for number in OPTIONS]
        columns = [
            (name, codes.values([text.lstrip("'") for text in of_own(column)], declined))
            for column, name, codes in self._attributes
        ]
        for place, names in enumerate(layout.options):
            attributes = maps[place]
            for name, texts in chain(zip(names, options, strict=False), columns):
                if texts[place] is not UNSET:
                    attributes[name] = texts[place]
            if not attributes:
                maps[place] = UNSET

    def _parent_values(self, layout: _Layout, cells: Cells, shared: Values, offers: Values) -> Values:
        """The products that stand above variants."""
        groups = [place for place, has_parent in enumerate(layout.has_parent) if has_parent]
        if not groups:
            return {}
        declined: set[int] = set()
        handles = [cells["Handle"][layout.first[place]] for place in groups]
        values = _spread(shared, groups)
        values["attributes"] = [attributes or UNSET for attributes in values["attributes"]]
        values["external_id"] = self._id.values(handles, declined)
        values["name"] = self._name.values([cells["Title"][layout.first[place]] for place in groups], declined)
        layout.declined.update(groups[place] for place in declined)
        for place, handle, external_id in zip(groups, handles, values["external_id"], strict=True):
            if handle != external_id or not is_plain_parent(handle):
                layout.declined.add(place)
        gathered = [
            (UNSET,) * 4 if place in layout.declined else _of_variants(*layout.spans[place], offers) for place in groups
        ]
        for name, column in zip(_OF_VARIANTS, zip(*gathered, strict=True), strict=False):
            values[name] = list(column)
        self._put_currency(values, len(groups))
        return values

    def _put_currency(self, values: Values, count: int) -> None:
        if self._currency is not None:
            values["currency"] = [self._currency] * count


def _of_variants(start: int, end: int, offers: Values) -> tuple[Any, ...]:
    """What the product of these variants costs, which is what its cheapest one does, and how many there are of it."""
    prices, sales, in_stock, pieces = (offers[name][start:end] for name in _OF_VARIANTS)
    to_pay = [price if sale is UNSET else sale for price, sale in zip(prices, sales, strict=True)]
    cheapest = to_pay.index(min(to_pay))
    stocks = [stock for stock in in_stock if stock is not UNSET]
    return (
        prices[cheapest],
        sales[cheapest],
        any(stocks) if stocks else UNSET,
        UNSET if UNSET in pieces else sum(pieces),
    )


def _main_image(images: list[str], positions: list[str]) -> str:
    """The first one at position 1; else the first one of all."""
    if images[0] and positions[0] == "1":
        return images[0]
    first = next((image for image, position in zip(images, positions, strict=True) if image and position == "1"), "")
    return first or next(filter(None, images), "")


def _spread(shared: Values, groups: Sequence[int]) -> Values:
    """What groups have in common, for each product of theirs; lists and maps are each product's own."""
    values: Values = {}
    for name, column in shared.items():
        if name in _COPIED:
            values[name] = [
                value.copy() if value.__class__ in _COPIES else value for value in map(column.__getitem__, groups)
            ]
        else:
            values[name] = [column[place] for place in groups]
    return values
