"""The product export of WooCommerce: simple, variable, grouped and external products, and variations.

A variable or grouped product has no price of its own: it costs what its cheapest child costs, and children may stand
anywhere in the file; a variable child of a grouped product costs what its own cheapest variation does. So the file is
read twice. The first reading puts every price and what variations inherit into a temporary SQLite database on disk, so
memory stays the same however large the catalog is.

- The columns' names are read in the nine languages of the API: the export writes them in the language of who exports,
  its values (``variable``, ``visible``) in English always. An export in another language is named as such.
- The id is the ``ID`` column, else the SKU. ``Parent`` names a product by ``id:741`` or by its SKU.
- A variation inherits its parent's address, categories, tags, brands and image where it has none of its own. A parent
  that is not in the file is a complaint: the server would refuse the variation.
- Addresses: a ``Permalink`` column; for external products their ``External URL``; else
  ``{shop_url}/?post_type=product&p={ID}``, which leads to the product whatever the shop's permalinks are, or
  ``{shop_url}/?product={slug}`` where there is a ``Slug`` and no ``ID``. The report says so, once.
- ``Published`` 1 is active, 0 and -1 (draft) are not; nor is a product that the shop hides from its search.
- Categories ``Clothing > Hats, Sale`` become the names of all levels: Clothing, Hats, Sale.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from ...headers import Renaming
from ...readers.byte_source import CatalogError
from ...records import Draft, Record
from ...values.parsing import BadValue, Notation, is_blank, to_money
from ...values.price_signs import PriceSigns
from ...values.prices import Prices, holds_on, on_sale
from .headers import english_name, is_untranslated
from .index import INHERITED, Index
from .rows import (
    cell,
    external_id,
    first_image,
    is_active,
    is_variation,
    levels_in,
    names_in,
    needs_childrens_price,
    post_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ...format import Reading, Sample

__all__ = ["FORMAT"]

_NOTATION = Notation(grouped=False)
"""The export writes the shop's decimal separator, and never groups thousands. Who edits it may do so."""
_ADDRESSES = ("Permalink", "URL", "Product URL")
_USED = (
    *INHERITED, "Short description", "Description", "In stock?", "Stock", "Regular price", "Sale price", "Parent",
    "Date sale price starts", "Date sale price ends", "Grouped products", "GTIN, UPC, EAN, or ISBN",
)  # fmt: skip
_NEEDED = ("Type", "SKU", "Name", "Regular price")
"""Columns that an export is known by."""
_ATTRIBUTE_NAME = re.compile(r"Attribute (\d+) name")


def _is_woocommerce(header: Iterable[str]) -> bool:
    """Are these the columns of a product export of WooCommerce, in a language that is known?"""
    return not _missing_columns(header)


def _missing_columns(header: Iterable[str]) -> list[str]:
    known = {english_name(column) or column for column in header}
    return [name for name in _NEEDED if name not in known]


class _Builder:
    """Reads the records twice: ``read`` gives them again at each call."""

    def __init__(self, reading: Reading, english: Renaming) -> None:
        self._reading = reading
        self._english = english
        self._notation = _NOTATION
        self._shop_url = reading.options.shop_url
        self._today = reading.options.today
        self._made_addresses = False
        self._attribute_columns: list[tuple[str, str]] | None = None
        self._use(_USED)

    def _use(self, columns: Iterable[str]) -> None:
        self._reading.use(self._english.columns(columns))

    def _read(self) -> Iterator[Record]:
        return self._english.rename(self._reading.rows())  # counts anew at each reading

    def __iter__(self) -> Iterator[Draft]:
        signs = PriceSigns()
        index = self._indexed(signs)
        if (grouped := signs.grouped) is not None:
            self._notation = Notation(grouped.decimal)
            self._reading.notice(
                f"prices such as {grouped.example} were read as thousands, because the clear prices of the file have "
                f"their decimals after {grouped.decimal!r}"
            )
            index.close()
            index = self._indexed(signs)
        with contextlib.closing(index):
            for record in self._read():
                yield Draft.unusable(record, record.problem) if record.problem else self._draft(record, index)

    def _indexed(self, signs: PriceSigns) -> Index:
        index = Index()
        with contextlib.suppress(CatalogError):  # the last reading comes to the same fault, and tells it
            for record in self._read():
                if not record.problem:
                    signs.see(cell(record.row, "Regular price"))
                    signs.see(cell(record.row, "Sale price"))
                    index.add(record.row, self._own_prices(record.row))
        return index

    def _draft(self, record: Record, index: Index) -> Draft:
        row = record.row
        draft = Draft.of(record, _NOTATION)
        draft.put("external_id", external_id(row))
        parent: Mapping[str, Any] = {}
        if is_variation(row):
            reference = cell(row, "Parent")
            parent = index.parent(reference) or {}
            if parent:
                draft.put("parent_external_id", external_id(parent))
            else:
                draft.problems.append(("parentExternalId", f"the parent {reference!r} is not in this file"))
        self._put_texts(draft, row, parent)
        self._put_prices(draft, row, index)
        _put_stock(draft, row)
        self._put_attributes(draft, row)
        return draft

    def _put_texts(self, draft: Draft, row: Mapping[str, Any], parent: Mapping[str, Any]) -> None:
        draft.put("name", cell(row, "Name"))
        draft.put("sku", cell(row, "SKU"))
        draft.put("url", self._address(row, parent))
        text = cell(row, "Description") or cell(row, "Short description")
        draft.put("description", text.replace("\\n", "\n"))  # so the export writes line ends
        draft.put("image_url", first_image(row) or first_image(parent))
        for target, column, split in (
            ("categories", "Categories", levels_in), ("tags", "Tags", names_in), ("brands", "Brands", levels_in)
        ):  # fmt: skip
            if names := split(cell(row, column) or cell(parent, column)):
                draft.put(target, names)
        if active := [is_active(r) for r in (row, parent) if cell(r, "Published")]:
            draft.put("is_active", all(active))

    def _address(self, row: Mapping[str, Any], parent: Mapping[str, Any]) -> str | None:
        for candidate in (row, parent):
            for column in (*_ADDRESSES, "External URL"):
                if address := cell(candidate, column):
                    return address
        owner = parent or row
        external_id, name = post_id(owner), cell(owner, "Slug")
        if not self._shop_url or not (external_id or name):
            return None
        query = f"post_type=product&p={external_id}" if external_id else f"product={name}"
        address = f"{self._shop_url}/?{query}"
        if not self._made_addresses:
            self._made_addresses = True
            _notice_made_addresses(self._reading, address, next(iter(self._english.columns(["Name"]))))
        return address

    def _put_prices(self, draft: Draft, row: Mapping[str, Any], index: Index) -> None:
        try:
            prices = self._prices(row)
        except BadValue as error:
            draft.reject("price", cell(row, "Regular price"), error)
            return
        if prices is None and (kind := needs_childrens_price(row)):
            prices = index.cheapest_of(row)
            if prices is None:
                draft.problems.append(
                    ("price", f"is required, and no child of this {kind} product has one in this file")
                )
        if prices is not None:
            draft.put_prices(prices)

    def _prices(self, row: Mapping[str, Any]) -> Prices | None:
        regular, sale = cell(row, "Regular price"), cell(row, "Sale price")
        if not regular:
            return None
        if sale and not holds_on(self._today, cell(row, "Date sale price starts"), cell(row, "Date sale price ends")):
            sale = ""
        return on_sale(to_money(regular, self._notation), to_money(sale, self._notation) if sale else None)

    def _own_prices(self, row: Mapping[str, Any]) -> Prices | None:
        with contextlib.suppress(BadValue):  # the row's own draft complains
            return self._prices(row)
        return None

    def _put_attributes(self, draft: Draft, row: Mapping[str, Any]) -> None:
        if self._attribute_columns is None:
            numbers = [match[1] for column in row if (match := _ATTRIBUTE_NAME.fullmatch(column))]
            self._attribute_columns = [(f"Attribute {n} name", f"Attribute {n} value(s)") for n in numbers]
            self._use(column for pair in self._attribute_columns for column in pair)
        for name_column, value_column in self._attribute_columns:
            if name := cell(row, name_column):
                draft.put(f"attributes.{name}", ", ".join(names_in(cell(row, value_column))))
        draft.put("attributes.gtin", cell(row, "GTIN, UPC, EAN, or ISBN"))


def _put_stock(draft: Draft, row: Mapping[str, Any]) -> None:
    stock = cell(row, "Stock")
    if stock and stock.lower() != "parent":
        draft.put("stock_quantity", stock)
    available = cell(row, "In stock?")
    if not is_blank(available):
        draft.put("in_stock", available.lower() == "backorder" or available)


def _is_in_unknown_language(sample: Sample) -> bool:
    header, *rows = sample.rows(sample.delimiter, 2) or [[]]
    return bool(rows) and is_untranslated(header, rows[0])


class _WooCommerce:
    name = "woocommerce"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        return _is_woocommerce(sample.header) or _is_in_unknown_language(sample)

    def read(self, reading: Reading) -> Iterable[Draft]:
        if not _is_woocommerce(reading.sample.header) and _is_in_unknown_language(reading.sample):
            names, header = reading.options.names, reading.sample.header
            missing = _missing_columns(header)
            if len(missing) <= len(_NEEDED) // 2 and "Name" not in missing:
                raise reading.source.error(
                    1,
                    f"this looks like a WooCommerce export, but no column is named {' or '.join(missing)}, or as "
                    "WooCommerce translates that; name it so, or export again and leave the first row as it is",
                )
            raise reading.source.error(
                1,
                "this looks like a WooCommerce export in a language that is not known here "
                f"({', '.join(header[:6])}…); export it with the shop's administration in English, or "
                f"map its columns: {names.set('format', 'csv')}, {names.map('name', header[3])} and so on",
            )
        reading.replay.keep_all()
        return _Builder(reading, Renaming(reading.sample.header, english_name))


def _notice_made_addresses(reading: Reading, address: str, name_column: str) -> None:
    if "url" in reading.options.mapping:
        return
    template = reading.options.names.map("url", f"{reading.options.shop_url}/product/{{{name_column}:slug}}/")
    reading.notice(
        "the export holds no addresses of its products, so they were made from the ids, such as "
        f"{address}: these lead to the products whatever the shop's "
        f"permalinks are. A template gives the real ones, with the words of the shop's own permalinks: {template}"
    )


FORMAT = _WooCommerce()
