"""The product export of Ecwid by Lightspeed: a row for each product, then those of its options and variations.

- The parent's id is ``product_internal_id``; a variation's is ``id/choice/choice``. A parent costs what its cheapest
  variation costs. A variation without a price of its own has that of its product.
- ``product_compare_to_price`` above the price is the price, and the other one that of the sale.
- Stock counts where ``product_is_inventory_tracked`` says so.
- Rows of options, files and categories tell nothing that a product holds.
- The export holds no addresses, and Ecwid's depend on the site that the shop is part of: a mapping says how they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..edited_exports import notation_of
from ..grouping import grouped
from ..records import Draft, cell
from ..values.parsing import BadValue, to_flag, to_money
from ..values.prices import struck_through
from ..variants import put_cheapest, put_variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..format import Reading, Sample
    from ..records import Record

__all__ = ["FORMAT"]

_PRICES = ("product_price", "product_compare_to_price")
_COLUMNS = frozenset({"type", "product_internal_id", "product_name", "product_price"})
_CATEGORY = re.compile(r"product_category_[0-9]+")
_CHOICE = "product_variation_option_"
_USED = (
    *_COLUMNS, "product_sku", "product_variation_sku", "product_compare_to_price", "product_is_inventory_tracked",
    "product_quantity", "product_is_available",
    "product_media_main_image_url", "product_description", "product_brand", "product_upc",
)  # fmt: skip


def _kind(record: Record) -> str:
    return cell(record.row, "type").lower()


class _Builder:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._notation = notation_of(reading, _PRICES)
        header = reading.sample.header
        self._categories = [column for column in header if _CATEGORY.fullmatch(column)]
        self._choices = [column for column in header if column.startswith(_CHOICE)]
        reading.use([*_USED, *self._categories, *self._choices])

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        products = (record for record in records if record.problem or not _kind(record).startswith("category"))
        for rows in grouped(products, lambda record: cell(record.row, "product_internal_id"), self._reading.source):
            first = rows[0]
            if first.problem or not cell(first.row, "product_internal_id"):
                yield Draft.unusable(first, first.problem or "product_internal_id: is required; it is the product's id")
            elif _kind(first) != "product":
                for record in rows:
                    yield Draft.unusable(record, "type: the row of the product does not stand before this one")
            else:
                yield from self._product(first, [record for record in rows if _kind(record) == "product_variation"])

    def _product(self, first: Record, variations: list[Record]) -> Iterator[Draft]:
        parent = self._start(first, first)
        parent.put("external_id", cell(first.row, "product_internal_id"))
        parent.put("sku", cell(first.row, "product_sku"))
        drafts = [self._variation(first, record) for record in variations]
        if drafts:
            put_cheapest(parent, drafts)
        else:
            _put_offer(parent, first.row, first.row)
        yield parent
        yield from drafts

    def _start(self, first: Record, record: Record) -> Draft:
        """What a product and its variations have in common."""
        row = first.row
        draft = Draft.of(record, self._notation)
        draft.put("name", cell(row, "product_name"))
        draft.put("description", cell(row, "product_description"))
        draft.put("image_url", cell(record.row, "product_media_main_image_url"))
        if "image_url" not in draft.fields:
            draft.put("image_url", cell(row, "product_media_main_image_url"))
        draft.put("is_active", cell(row, "product_is_available"))
        draft.put("brands", [brand] if (brand := cell(row, "product_brand")) else None)
        levels = [level.strip() for column in self._categories for level in cell(row, column).split("/")]
        draft.put("categories", list(dict.fromkeys(filter(None, levels))) or None)
        draft.put("attributes.upc", cell(record.row, "product_upc"))
        return draft

    def _variation(self, first: Record, record: Record) -> Draft:
        draft = self._start(first, record)
        values = {column.removeprefix(_CHOICE): cell(record.row, column) for column in self._choices}
        choices = {name: value for name, value in values.items() if value}
        missing = f"has no values in {_CHOICE}…, which tell the variations of a product apart"
        parent_id, title = cell(first.row, "product_internal_id"), cell(first.row, "product_name")
        put_variant(draft, parent_id, title, choices, missing=missing)
        draft.put("sku", cell(record.row, "product_variation_sku"))
        _put_offer(draft, first.row, record.row)
        return draft


def _put_offer(draft: Draft, product: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Price, sale and stock of a variation, or of a product without any."""
    own = cell(row, "product_price")
    price = own or cell(product, "product_price")
    struck = cell(row if own else product, "product_compare_to_price")
    try:
        if price:
            higher = to_money(struck, draft.notation) if struck else None
            draft.put_prices(struck_through(to_money(price, draft.notation), higher))
        tracked = to_flag(cell(row, "product_is_inventory_tracked") or False)
    except BadValue as error:
        draft.reject("price", price, error)
        return
    if not tracked:
        if "product_is_inventory_tracked" in row:
            draft.put("in_stock", value=True)
        return
    draft.put_stock(cell(row, "product_quantity"))


class _Ecwid:
    name = "ecwid"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        return set(sample.header) >= _COLUMNS and not sample.ids_are_mapped

    def read(self, reading: Reading) -> Iterable[Draft]:
        options = reading.options
        if options.mapping.get("url") is None:
            shop = options.shop_url or "https://shop.example"
            template = options.names.map("url", f"{shop}/p/{{product_internal_id}}")
            raise reading.source.error(
                1,
                "this looks like an Ecwid export, which holds no addresses of its products; say how the shop makes "
                f"them: {template}",
            )
        return _Builder(reading)(reading.rows())


FORMAT = _Ecwid()
