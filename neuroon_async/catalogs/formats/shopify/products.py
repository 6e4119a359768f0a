"""The products of Shopify, out of the rows of its export: several rows a product, its variants and images among them.

A product whose only variant is the ``Default Title`` is one product. Any other becomes a parent and one product a
variant:

- the parent's id is the handle; a variant's is ``handle/option value/option value`` (``%`` and ``/`` within a value are
  percent-encoded). Handle and options are what Shopify itself keeps unique; SKUs may be absent or repeated.
- a variant has its parent's address: the export holds no variant ids, which Shopify's own variant addresses need.
- where ``Compare At Price`` is above ``Variant Price`` it is the price, and the other one the sale price. A parent
  costs what its cheapest variant costs.
- stock that Shopify does not track (no inventory tracker) and has none of is no reason to call a product sold out.
  Where no column says whether it does, a count that is there says so.

``Variant Available``, ``Currency`` and ``URL`` are in no export of Shopify's: its JSON says so much more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...edited_exports import DECIMAL_POINT
from ...grouping import grouped
from ...records import Draft, Record, cell
from ...values.parsing import BadValue, is_blank, is_published, to_flag, to_integer, to_money
from ...values.prices import struck_through
from ...values.words import says_no, says_yes
from ...variants import put_cheapest, refuse_damaged, variant_id, variant_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ...readers.byte_source import ByteSource
    from ...values.parsing import Notation

__all__ = [
    "ATTRIBUTES",
    "OPTIONS",
    "USED",
    "ShopifyProducts",
    "handle_of",
    "is_active",
    "levels",
    "sells_on",
    "tags",
]

OPTIONS = (1, 2, 3)
ATTRIBUTES = {
    "Variant Barcode": "barcode",
    "Google Shopping / MPN": "mpn",
    "Google Shopping / Gender": "gender",
    "Google Shopping / Age Group": "age_group",
    "Google Shopping / Condition": "condition",
}
USED = (
    "Handle", "Title", "Body (HTML)", "Vendor", "Type", "Product Category", "Tags", "Published", "Status",
    "Variant SKU", "Variant Inventory Tracker", "Variant Inventory Qty", "Variant Inventory Policy", "Variant Price",
    "Variant Compare At Price", "Variant Available", "Currency", "URL", "Gift Card",
    "Image Src", "Image Position", "Variant Image", "Command", *ATTRIBUTES,
    *(f"Option{number} {part}" for number in OPTIONS for part in ("Name", "Value")),
)  # fmt: skip


class ShopifyProducts:
    """Groups the rows of one handle, which stand together, and makes its products of them."""

    def __init__(
        self,
        source: ByteSource,
        shop_url: str | None,
        use: Callable[[Iterable[str]], None],
        notation: Notation = DECIMAL_POINT,
    ) -> None:
        self._notation = notation
        self._source = source
        self._shop_url = shop_url
        use(USED)

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for rows in grouped(records, handle_of, self._source):
            yield from self.group(rows)

    def group(self, rows: list[Record]) -> Iterator[Draft]:
        """The products of the rows of one handle, or what is wrong with a row that has none."""
        if handle_of(rows[0]):
            yield from self.product(rows)
        else:
            problem = rows[0].problem or "Handle: is required; it tells which product the row belongs to"
            yield Draft.unusable(rows[0], problem)

    def product(self, rows: list[Record]) -> Iterator[Draft]:
        """The products of one handle: one, or a parent and its variants."""
        first = rows[0]
        handle = cell(first.row, "Handle")
        if is_blank(first.row.get("Title")):
            for record in rows:
                yield Draft.unusable(
                    record,
                    f"Title: is empty in the first row of {handle!r}; all rows of one handle must stand together",
                )
            return
        options = [name for number in OPTIONS if (name := cell(first.row, f"Option{number} Name"))]
        variants = [record for record in rows if record is first or _is_variant(record.row)]
        shared = self._shared(handle, rows)
        if len(variants) == 1 and _values(first.row, 3)[0] in {"", "Default Title"}:
            yield self._single(handle, first, shared)
            return
        drafts = [self._variant(handle, record, options, shared) for record in variants]
        yield self._parent(handle, first, shared, drafts)
        yield from drafts

    def _shared(self, handle: str, rows: list[Record]) -> dict[str, Any]:
        """What every product of this handle has in common, as the export writes it."""
        row = rows[0].row
        return {
            "name": cell(row, "Title"),
            "description": cell(row, "Body (HTML)"),
            "brands": [cell(row, "Vendor")],
            "categories": [kind] if (kind := cell(row, "Type")) else levels(cell(row, "Product Category")),
            "tags": tags(cell(row, "Tags")),
            "is_active": is_active(cell(row, "Published"), cell(row, "Status"), cell(row, "Command")),
            "image_url": _main_image(rows),
            "url": cell(row, "URL") or (f"{self._shop_url}/products/{quote(handle)}" if self._shop_url else None),
            "currency": cell(row, "Currency"),
            "attributes.gift_card": "true" if says_yes(cell(row, "Gift Card")) else None,
        }

    def _start(self, external_id: str, record: Record, shared: Mapping[str, Any]) -> Draft:
        draft = Draft.of(record, self._notation)
        draft.put("external_id", external_id)
        for target, value in shared.items():
            if value not in ([], [""]):
                draft.put(target, value)
        return draft

    def _single(self, handle: str, record: Record, shared: Mapping[str, Any]) -> Draft:
        draft = self._start(handle, record, shared)
        _put_offer(draft, record.row)
        return draft

    def _variant(self, handle: str, record: Record, options: list[str], shared: Mapping[str, Any]) -> Draft:
        values = [value for value in _values(record.row, max(1, len(options))) if value]
        draft = self._start(variant_id(handle, values), record, shared)
        if values:
            draft.put("name", variant_name(shared["name"], values))
        draft.put("parent_external_id", handle)
        draft.put("image_url", cell(record.row, "Variant Image"))
        choices = dict(zip(options, _values(record.row, len(options)), strict=True))
        draft.put_attributes(choices)
        refuse_damaged(draft, choices)
        _put_offer(draft, record.row)
        if not values:
            draft.problems.append(("", "has no option values, which tell the variants of a product apart"))
        return draft

    def _parent(self, handle: str, first: Record, shared: Mapping[str, Any], variants: list[Draft]) -> Draft:
        draft = self._start(handle, first, shared)
        put_cheapest(draft, variants)
        return draft


def _put_offer(draft: Draft, row: Mapping[str, Any]) -> None:
    """SKU, prices, stock and attributes of the row of one variant."""
    draft.put("sku", cell(row, "Variant SKU").lstrip("'"))  # spreadsheets are told "text" by an apostrophe
    draft.put_attributes({name: cell(row, column).lstrip("'") for column, name in ATTRIBUTES.items()})
    price = cell(row, "Variant Price")
    try:
        if price:
            compare_at = cell(row, "Variant Compare At Price")
            own = to_money(price, draft.notation)
            draft.put_prices(struck_through(own, to_money(compare_at, draft.notation) if compare_at else None))
    except BadValue as error:
        draft.reject("price", price, error)
    _put_stock(draft, row)


def is_active(published: str, status: str, command: str) -> bool | str | None:
    """Is a product of these states shown? ``None`` where neither of them is told.

    Where nothing is known to be meant by ``published``, it is given back. ``command`` is Matrixify's: what it deletes
    is shown no longer.
    """
    if command.upper() == "DELETE":
        return False
    if not published and not status:
        return None
    if says_no(published) or (status and not is_published(status)):
        return False
    return published if published and not says_yes(published) else True


def _put_stock(draft: Draft, row: Mapping[str, Any]) -> None:
    _put_quantity(draft, row)
    if available := cell(row, "Variant Available"):
        draft.put("in_stock", available)


def _put_quantity(draft: Draft, row: Mapping[str, Any]) -> None:
    quantity = cell(row, "Variant Inventory Qty")
    tracked = bool(cell(row, "Variant Inventory Tracker")) or "Variant Inventory Tracker" not in row
    if not quantity:
        if not tracked:
            draft.put("in_stock", value=True)
        return
    try:
        count = to_integer(quantity, draft.notation)
    except BadValue as error:
        draft.reject("stock_quantity", quantity, error)
        return
    goes_on = sells_on(cell(row, "Variant Inventory Policy"))
    draft.put("in_stock", count > 0 or not tracked or goes_on, to_flag)
    if tracked or count > 0:
        draft.put("stock_quantity", count)


def sells_on(policy: str) -> bool:
    """Does the shop take orders for what is sold out?"""
    return policy.lower() == "continue" or says_yes(policy)


def handle_of(record: Record) -> str:
    """Which product a row belongs to; empty where it tells of none."""
    return "" if record.problem else cell(record.row, "Handle")


def _values(row: Mapping[str, Any], count: int) -> list[str]:
    return [cell(row, f"Option{number} Value") for number in OPTIONS[:count]]


def _is_variant(row: Mapping[str, Any]) -> bool:
    """Rows without any of these carry a further image only."""
    return bool(_values(row, 1)[0] or cell(row, "Variant Price") or cell(row, "Variant SKU"))


def levels(category: str) -> list[str]:
    """The levels of Shopify's standard category, ``A > B > C``, which counts where the shop has no type of its own."""
    return [level.strip() for level in category.split(">")]


def tags(text: str) -> list[str]:
    """The tags of a product."""
    return [tag.strip() for tag in text.split(",")]


def _main_image(rows: list[Record]) -> str:
    """The first one of the product; else that of its first variant with one, which is an image of the product, too."""
    images = [(cell(r.row, "Image Position") != "1", cell(r.row, "Image Src")) for r in rows]
    if of_product := [image for image in images if image[1]]:
        return min(of_product, key=lambda image: image[0])[1]
    return next((image for r in rows if (image := cell(r.row, "Variant Image"))), "")
