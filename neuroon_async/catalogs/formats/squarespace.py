"""The product export of Squarespace: the row of a product is also that of its first variant; those of others follow.

- The parent's id is ``Product ID``; a variant's ``ID/choice/choice``. A parent costs what its cheapest variant costs.
- ``Sale Price`` counts where ``On Sale`` says yes. A stock of ``Unlimited`` says that there is some.
- The export holds a page and a name for each address, and how Squarespace puts them together depends on the version of
  the site: a mapping says how. It sees the product's columns in every row.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..edited_exports import notation_of
from ..grouping import grouped
from ..records import Draft, cell
from ..values.parsing import BadValue, to_money
from ..values.prices import on_sale
from ..values.words import to_flag
from ..variants import put_cheapest, put_variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..format import Reading, Sample
    from ..records import Record

__all__ = ["FORMAT"]

_ID = "Product ID [Non Editable]"
_OPTIONS = range(1, 7)
_OF_PRODUCT = (
    _ID, "Product Type [Non Editable]", "Product Page", "Product URL", "Title", "Description", "Categories", "Tags",
    "Visible", "Hosted Image URLs", *(f"Option Name {number}" for number in _OPTIONS),
)  # fmt: skip
"""Columns that only the first row of a product fills."""
_USED = (
    *_OF_PRODUCT, "Variant ID [Non Editable]", "SKU", "GTIN", "MPN", "Price", "Sale Price", "On Sale", "Stock",
    *(f"Option Value {number}" for number in _OPTIONS),
)  # fmt: skip


class _Builder:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._number = 0
        self._current = ""
        self._notation = notation_of(reading, ("Price", "Sale Price"))
        reading.use(_USED)

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for rows in grouped(records, self._product_of, self._reading.source):
            if rows[0].problem or not _id(rows[0].row):
                problem = f"{_ID}: is required in the first row of a product; its variants follow it"
                yield Draft.unusable(rows[0], rows[0].problem or problem)
            else:
                yield from self._product([rows[0], *(_filled(record, rows[0].row) for record in rows[1:])])

    def _product_of(self, record: Record) -> str:
        """Which product a row belongs to: its own, or the last one that began."""
        own = _id(record.row)
        if own and own != self._current:
            self._number += 1
            self._current = own
        return f"product {self._number}" if self._number else ""

    def _product(self, rows: list[Record]) -> Iterator[Draft]:
        first = rows[0]
        if len(rows) == 1 and not _choices(first.row):
            single = self._start(first)
            single.put("external_id", _id(first.row))
            _put_offer(single, first.row)
            yield single
            return
        parent = self._start(first)
        parent.put("external_id", _id(first.row))
        drafts = [self._variant(record) for record in rows]
        put_cheapest(parent, drafts)
        yield parent
        yield from drafts

    def _start(self, record: Record) -> Draft:
        row = record.row
        draft = Draft.of(record, self._notation)
        draft.put("name", cell(row, "Title"))
        draft.put("description", cell(row, "Description"))
        draft.put("image_url", cell(row, "Hosted Image URLs"))
        draft.put("is_active", cell(row, "Visible"))
        paths = re.split(r"\s*,\s*", cell(row, "Categories"))
        levels = [level.strip() for path in paths for level in path.split("/")]
        draft.put("categories", list(dict.fromkeys(filter(None, levels))) or None)
        draft.put("tags", [tag for tag in re.split(r"\s*,\s*", cell(row, "Tags")) if tag] or None)
        return draft

    def _variant(self, record: Record) -> Draft:
        row, choices = record.row, _choices(record.row)
        draft = self._start(record)
        missing = "has no option values, which tell the variants of a product apart"
        put_variant(draft, _id(row), cell(row, "Title"), choices, missing=missing)
        _put_offer(draft, row)
        return draft


def _id(row: Mapping[str, Any]) -> str:
    return cell(row, _ID)


def _filled(record: Record, first: Mapping[str, Any]) -> Record:
    """The row of a further variant, with what only the first row of its product says."""
    return replace(record, row={**record.row, **{column: first[column] for column in _OF_PRODUCT if column in first}})


def _choices(row: Mapping[str, Any]) -> dict[str, str]:
    pairs = ((cell(row, f"Option Name {n}"), cell(row, f"Option Value {n}")) for n in _OPTIONS)
    return {name: value for name, value in pairs if name and value}


def _put_offer(draft: Draft, row: Mapping[str, Any]) -> None:
    """Code, price, sale and stock of the variant of one row."""
    draft.put("sku", cell(row, "SKU"))
    draft.put_attributes({"gtin": cell(row, "GTIN"), "mpn": cell(row, "MPN")})
    price, sale = cell(row, "Price"), cell(row, "Sale Price")
    try:
        if price:
            holds = bool(sale) and to_flag(cell(row, "On Sale") or "no")
            own = to_money(price, draft.notation)
            draft.put_prices(on_sale(own, to_money(sale, draft.notation) if holds else None))
    except BadValue as error:
        draft.reject("price", price, error)
    stock = cell(row, "Stock")
    if stock.lower() == "unlimited":
        draft.put("in_stock", value=True)
    else:
        draft.put_stock(stock)


class _Squarespace:
    name = "squarespace"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        return {_ID, "Title", "Price", "Product URL"} <= set(sample.header) and not sample.ids_are_mapped

    def read(self, reading: Reading) -> Iterable[Draft]:
        options = reading.options
        if options.mapping.get("url") is None:
            shop = options.shop_url or "https://shop.example"
            template = options.names.map("url", f"{shop}/{{Product Page}}/p/{{Product URL}}")
            raise reading.source.error(
                1,
                "this looks like a Squarespace export, which holds no whole addresses; look at one in the shop, and "
                f"say how they are made: {template}, in older sites without /p",
            )
        return _Builder(reading)(reading.rows())


FORMAT = _Squarespace()
