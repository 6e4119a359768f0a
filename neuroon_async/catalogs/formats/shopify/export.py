"""The product export of Shopify in CSV, under the column names of the older and of the newer export.

Columns may bear the names of the older export (``Handle``, ``Variant Price``), of the newer (``URL handle``, ``Price``)
or of Matrixify (``Body HTML``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...edited_exports import notation_of
from ...fast.groups import GroupLanes
from ...headers import Renaming, plain
from ...readers.delimited import column_names
from .plan import ShopifyPlan
from .products import ShopifyProducts, handle_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ....api.models import Product
    from ...format import Reading, Sample
    from ...records import Draft

__all__ = ["FORMAT"]

_OPTIONS = (1, 2, 3)
_PRICES = ("Variant Price", "Variant Compare At Price")
_OLDER_NAMES = {
    plain(newer): older
    for newer, older in {
        "URL handle": "Handle",
        "Description": "Body (HTML)",
        "Body HTML": "Body (HTML)",
        "Product category": "Product Category",
        "Published on online store": "Published",
        "SKU": "Variant SKU",
        "Barcode": "Variant Barcode",
        "Price": "Variant Price",
        "Compare-at price": "Variant Compare At Price",
        "Inventory tracker": "Variant Inventory Tracker",
        "Inventory quantity": "Variant Inventory Qty",
        "Continue selling when out of stock": "Variant Inventory Policy",
        "Product image URL": "Image Src",
        "Image position": "Image Position",
        "Variant image URL": "Variant Image",
        "Gift card": "Gift Card",
        "Google Shopping / Manufacturer part number (MPN)": "Google Shopping / MPN",
        "Google Shopping / Age group": "Google Shopping / Age Group",
        **{f"Option{n} {part.lower()}": f"Option{n} {part}" for n in _OPTIONS for part in ("Name", "Value")},
    }.items()
}


def _older_name(column: str) -> str | None:
    """What the older export called this column, where the newer one renamed it."""
    return _OLDER_NAMES.get(plain(column))


def _is_shopify(header: Iterable[str]) -> bool:
    """Are these the columns of a product export of Shopify, older or newer?"""
    names = set(header)
    return {"Handle", "Title", "Variant Price"} <= names or {"URL handle", "Title", "Price"} <= names


class _Shopify:
    name = "shopify"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        return _is_shopify(sample.header)

    def read(self, reading: Reading) -> Iterable[Draft | list[Product]]:
        older = Renaming(reading.sample.header, _older_name)
        notation = notation_of(reading, older.columns(_PRICES))
        build = ShopifyProducts(
            reading.source, reading.options.shop_url, lambda names: reading.use(older.columns(names)), notation
        )
        header = column_names(reading.sample.header)
        plan = ShopifyPlan.of(header, list(map(older.known, header)), reading.options, notation)
        if plan is None or reading.sample.sheet is not None or not reading.fast:
            return build(older.rename(reading.rows()))
        lanes = GroupLanes(
            reading.table(),
            reading.source,
            reading.counts,
            lambda record: next(map(handle_of, older.rename((record,)))),
            plan,
        )
        return lanes.read(lambda rows: build.group(list(older.rename(rows))))


FORMAT = _Shopify()
