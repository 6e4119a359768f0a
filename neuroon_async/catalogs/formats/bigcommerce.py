"""The newer product export of BigCommerce: a row for each product, then those of its variants, images and videos.

- The parent's id is its ``ID``; a variant's is ``ID/choice/choice``. A parent costs what its cheapest variant costs.
- A variant without a price or a sale price of its own has that of its product.
- Stock counts where ``Inventory Tracking`` says so: that of the product, or that of each variant.
- Addresses are ``Product URL``, which the shop's address completes.
- Categories and brands are ids, whose names are in no column: products are sent without them, and the report says so.

The older export (``Item Type``, ``Product Code/SKU``) prices its variants by rules, and is named only.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ...api.shapes import is_object
from ..edited_exports import notation_of
from ..grouping import grouped
from ..records import Draft, cell
from ..values.parsing import BadValue, to_money
from ..values.prices import on_sale
from ..values.words import says_yes
from ..variants import put_cheapest, put_variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ...api.shapes import RawValue
    from ..format import Reading, Sample
    from ..records import Record

__all__ = ["FORMAT"]

_PRICES = ("Price", "Sale Price")
_COLUMNS = frozenset({"Item", "ID", "Name", "SKU", "Price"})
_CODES = {"Global Trade Number": "gtin", "UPC/EAN": "upc", "Manufacturer Part Number": "mpn"}
_IMAGES = ("Internal Image URL (Export)", "Image URL (Import)")
_USED = (
    *_COLUMNS, *_CODES, *_IMAGES, "Options", "Inventory Tracking", "Current Stock", "Sale Price", "Brand ID",
    "Categories", "Description", "Custom Fields", "Product URL", "Is Visible", "Availability", "Variant Image URL",
    "Image is Thumbnail",
)  # fmt: skip
_OPTION = re.compile(r"Type=[^|]*\|Name=(?P<name>.*?)\|Value=(?P<value>.*?)(?=[\s|,;]*Type=[^|]*\|Name=|\Z)", re.DOTALL)
_COLOUR_CODE = re.compile(r"\[#[^\]]*\]\s*$")
"""``Blue[#0000FF]`` is shown as ``Blue``."""


def _kind(record: Record) -> str:
    return cell(record.row, "Item").lower()


class _Builder:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._number = 0
        self._notation = notation_of(reading, _PRICES)
        reading.use(_USED)

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for rows in grouped(records, self._product_of, self._reading.source):
            first = rows[0]
            if first.problem or _kind(first) != "product":
                problem = f"Item: {_kind(first)!r} stands before any product; its rows follow that of their product"
                yield Draft.unusable(first, first.problem or problem)
            else:
                yield from self._product(rows)

    def _product_of(self, record: Record) -> str:
        """Which product a row belongs to: the last one that began."""
        self._number += _kind(record) == "product"
        return f"product {self._number}" if self._number else ""

    def _product(self, rows: list[Record]) -> Iterator[Draft]:
        first = rows[0]
        variants = [record for record in rows if _kind(record) == "variant"]
        parent = self._start(first, rows)
        parent.put("external_id", _id(first))
        parent.put("sku", cell(first.row, "SKU"))
        drafts = [self._variant(rows, record) for record in variants]
        if drafts:
            put_cheapest(parent, drafts)
            if _tracking(first.row) in {"none", "product"}:
                _put_stock(parent, first.row, first.row)
        else:
            _put_offer(parent, first.row, first.row)
        yield parent
        yield from drafts
        for record in rows:
            if _kind(record) not in {"product", "variant", "image", "video"}:
                yield Draft.unusable(record, f"Item: {_kind(record)!r} is no row that is known")

    def _start(self, record: Record, rows: list[Record]) -> Draft:
        """What every product of these rows has in common."""
        row = rows[0].row
        draft = Draft.of(record, self._notation)
        draft.put("name", cell(row, "Name"))
        draft.put("description", cell(row, "Description"))
        draft.put("url", cell(row, "Product URL"))
        draft.put("image_url", _main_image(rows))
        draft.put("is_active", cell(row, "Is Visible"))
        self._put_named(draft, "brands", [cell(row, "Brand ID")])
        paths = cell(row, "Categories").split(";")
        self._put_named(draft, "categories", [level.strip() for path in paths for level in path.split("/")])
        draft.put_attributes(_custom_fields(cell(row, "Custom Fields")))
        draft.put_attributes({name: cell(record.row, column) for column, name in _CODES.items()})
        return draft

    def _put_named(self, draft: Draft, target: str, names: list[str]) -> None:
        """Names; ids tell shoppers nothing."""
        if any(map(str.isdigit, names)):
            self._reading.notice(
                f"the export names {target} by ids only, so products are sent without them; a column with their names "
                f"can be mapped ({self._reading.options.names.map(target, 'COLUMN')})"
            )
        elif any(names):
            draft.put(target, list(dict.fromkeys(filter(None, names))))

    def _variant(self, rows: list[Record], record: Record) -> Draft:
        first = rows[0]
        choices = _choices(cell(record.row, "Options"))
        draft = self._start(record, rows)
        missing = "Options: has no values, which tell the variants of a product apart"
        put_variant(draft, _id(first), cell(first.row, "Name"), choices, missing=missing)
        draft.put("sku", cell(record.row, "SKU"))
        draft.put("image_url", cell(record.row, "Variant Image URL"))
        _put_offer(draft, first.row, record.row)
        return draft


def _id(record: Record) -> str:
    return cell(record.row, "ID") or cell(record.row, "SKU")


def _put_offer(draft: Draft, product: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Price, sale and stock of a variant, or of a product without any."""
    price, sale = (cell(row, column) or cell(product, column) for column in _PRICES)
    try:
        if price:
            own = to_money(price, draft.notation)
            draft.put_prices(on_sale(own, to_money(sale, draft.notation) if sale else None))
    except BadValue as error:
        draft.reject("price", price, error)
    _put_stock(draft, product, row)


def _tracking(product: Mapping[str, Any]) -> str:
    return cell(product, "Inventory Tracking").lower()


def _put_stock(draft: Draft, product: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """The stock of a variant, or of a product; that of a product tells of a variant only whether there is any."""
    tracking = _tracking(product)
    if tracking == "none":
        draft.put("in_stock", value=True)
    elif stock := cell(product if tracking == "product" else row, "Current Stock"):
        draft.put_stock(stock)
        if row is not product and tracking == "product":
            draft.forget("stock_quantity")
    if cell(product, "Availability").lower() in {"disabled", "preorder"}:
        draft.put("in_stock", value=False)


def _main_image(rows: list[Record]) -> str:
    images = [record.row for record in rows if _kind(record) in {"product", "image"}]
    images.sort(key=lambda row: not says_yes(cell(row, "Image is Thumbnail")))
    return next((address for row in images for column in _IMAGES if (address := cell(row, column))), "")


def _choices(text: str) -> dict[str, str]:
    """The option values of a variant, by the options' names: ``Type=Swatch|Name=Color|Value=Blue[#0000FF]Type=…``."""
    return {
        match["name"].strip(): value
        for match in _OPTION.finditer(text)
        if match["name"].strip() and (value := _COLOUR_CODE.sub("", match["value"].strip()).strip())
    }


def _custom_fields(text: str) -> dict[str, Any]:
    """``[{"name": "Fabric", "value": "Wool"}]``; anything else is none of ours."""
    try:
        fields: list[RawValue] = json.loads(text) if text.startswith("[") else []
    except (ValueError, RecursionError):
        return {}
    named = [field for field in fields if is_object(field) and isinstance(field.get("name"), str)]
    return {field["name"]: field.get("value") for field in named if field["name"].strip()}


class _BigCommerce:
    name = "bigcommerce"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        header = set(sample.header)
        is_newer = header >= _COLUMNS and bool({"Inventory Tracking", "Product URL", "Options"} & header)
        return is_newer and not sample.ids_are_mapped

    def read(self, reading: Reading) -> Iterable[Draft]:
        return _Builder(reading)(reading.rows())


FORMAT = _BigCommerce()
