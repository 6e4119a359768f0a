"""The product export of Wix Stores, in the columns of both of its catalogs: a row a product, and one for each variant.

- The older columns (``handleId``, ``productImageUrl``) give a price, a discount, and what a variant costs more
  (``surcharge``). The newer ones (``handle``, ``media``) give each variant its price and the one struck through.
- The parent's id is the handle; a variant's is ``handle/choice/choice`` (``%`` and ``/`` within a choice are
  percent-encoded). A parent costs what its cheapest variant costs.
- Images without a host are files of ``https://static.wixstatic.com/media/``.
- The export holds no addresses. Wix makes them of a product's name, ``{shop_url}/product-page/{name}``; the report says
  so, once, because a shop may have changed them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..edited_exports import notation_of
from ..grouping import grouped
from ..mapping import slug
from ..records import Draft, cell
from ..values.addresses import is_absolute
from ..values.arithmetic import after_discount, difference, total
from ..values.parsing import BadValue, Money, to_money, to_number
from ..values.prices import Prices, on_sale, struck_through
from ..variants import put_cheapest, put_variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..format import Reading, Sample
    from ..records import Record
    from ..values.parsing import Notation

__all__ = ["FORMAT"]

_PRICES = ("price", "surcharge", "strikethroughPrice")
_OPTIONS = range(1, 7)
_MEDIA = "https://static.wixstatic.com/media/"
_USED = (
    "handleId", "handle", "fieldType", "name", "description", "plainDescription", "productImageUrl", "media",
    "collection", "categorySlugs", "sku", "barcode", "price", "surcharge", "strikethroughPrice", "visible",
    "discountMode", "discountValue", "inventory", "brand",
    *(f"productOption{part}{number}" for number in _OPTIONS for part in ("Name", "Description", "Choices")),
)  # fmt: skip


def _cell(row: Mapping[str, Any], *columns: str) -> str:
    """The text of the first of these columns that has one."""
    return next((text for column in columns if (text := cell(row, column))), "")


def _handle(record: Record) -> str:
    return "" if record.problem else _cell(record.row, "handleId", "handle")


def _kind(record: Record) -> str:
    return _cell(record.row, "fieldType").lower()


class _Builder:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._options = reading.options
        self._made_addresses = False
        self._notation = notation_of(reading, _PRICES)
        reading.use(_USED)

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for rows in grouped(records, _handle, self._reading.source):
            first = rows[0]
            if not _handle(first):
                yield Draft.unusable(first, first.problem or "handleId: is required; it tells the product of the row")
            elif _kind(first) != "product":
                for record in rows:
                    yield Draft.unusable(
                        record,
                        f"fieldType: the row of the product {_handle(first)!r} does not stand before those of its "
                        "variants; all rows of one product must stand together",
                    )
            else:
                yield from self._product(rows)

    def _product(self, rows: list[Record]) -> Iterator[Draft]:
        first = rows[0]
        variants: list[Record] = []
        for record in rows[1:]:
            if _kind(record) == "variant":
                variants.append(record)
            elif _kind(record) != "media":
                yield Draft.unusable(record, f"fieldType: {_kind(record)!r} is no row of a product that is known")
        image = next((text for record in rows if (text := _image(record.row))), "")
        parent = self._start(first, first, image)
        parent.put("external_id", _handle(first))
        drafts = [self._variant(first, record, image) for record in variants]
        if drafts:
            put_cheapest(parent, drafts)
        else:
            _put_offer(parent, first.row, first.row)
        yield parent
        yield from drafts

    def _start(self, first: Record, record: Record, image: str) -> Draft:
        """What every product of this handle has in common."""
        row = first.row
        draft = Draft.of(record, self._notation)
        draft.put("name", _cell(row, "name"))
        draft.put("description", _cell(row, "description", "plainDescription"))
        draft.put("categories", _parts(_cell(row, "collection", "categorySlugs")) or None)
        draft.put("brands", [brand] if (brand := _cell(row, "brand")) else None)
        draft.put("image_url", image)
        draft.put("sku", _cell(record.row, "sku").lstrip("'"))
        draft.put("attributes.barcode", _cell(record.row, "barcode"))
        draft.put("is_active", _cell(row, "visible"))
        if draft.fields.get("is_active", True):
            draft.put("is_active", _cell(record.row, "visible"))
        if self._options.shop_url and (name := _cell(row, "handle", "name")):
            address = f"{self._options.shop_url}/product-page/{slug(name)}"
            self._notice_made_address(address)
            draft.put("url", address)
        return draft

    def _notice_made_address(self, address: str) -> None:
        if "url" in self._options.mapping or self._made_addresses:
            return
        self._made_addresses = True
        template = self._options.names.map("url", f"{self._options.shop_url}/product-page/{{name:slug}}")
        self._reading.notice(
            "the export holds no addresses of its products, so they were made of the names, such as "
            f"{address.replace('{', '').replace('}', '')}, as Wix does it for a new product; look at some of them. "
            f"A template gives others: {template}"
        )

    def _variant(self, first: Record, record: Record, image: str) -> Draft:
        choices = _choices(first.row, record.row)
        draft = self._start(first, record, _image(record.row) or image)
        missing = "has no option values, which tell the variants of a product apart"
        put_variant(draft, _handle(first), _cell(first.row, "name"), choices, missing=missing)
        _put_offer(draft, first.row, record.row)
        return draft


def _put_offer(draft: Draft, product: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Price, sale and stock of a variant, or of a product without any."""
    try:
        if (prices := _prices(product, row, draft.notation)) is not None:
            draft.put_prices(prices)
    except BadValue as error:
        draft.reject("price", _cell(row, "price", "surcharge") or _cell(product, "price"), error)
    stock = _cell(row, "inventory")
    if not stock:
        return
    if any(character.isdigit() for character in stock):
        draft.put_stock(stock)
    else:
        draft.put("in_stock", stock)


def _prices(product: Mapping[str, Any], row: Mapping[str, Any], notation: Notation) -> Prices | None:
    """In the newer columns, the price and the one struck through; in the older ones, surcharge and discount count."""
    own, whole = _cell(row, "price"), _cell(product, "price")
    if not (own or whole):
        return None
    price = to_money(own or whole, notation)
    if "strikethroughPrice" in row:
        struck = _cell(row, "strikethroughPrice") or (_cell(product, "strikethroughPrice") if not own else "")
        return struck_through(price, to_money(struck, notation) if struck else None)
    if row is not product and not own and (more := _cell(row, "surcharge")):
        extra = to_number(more, notation)
        price = Money(total(price.amount, extra), price.unit)
        if price.amount < 0:
            raise BadValue(f"must be 0 or more, got a surcharge of {more}")
    return on_sale(price, _discounted(price, product, notation))


def _discounted(price: Money, product: Mapping[str, Any], notation: Notation) -> Money | None:
    mode, text = _cell(product, "discountMode").upper(), _cell(product, "discountValue")
    if not text:
        return None
    value = to_money(text.rstrip("% "), notation).amount
    if value == 0:
        return None
    if mode == "PERCENT" and value <= 100:
        return Money(after_discount(price.amount, value), price.unit)
    if mode == "AMOUNT":
        return Money(difference(price.amount, value), price.unit)
    raise BadValue(f"its discount cannot be understood: {text!r} in the mode {mode!r}")


def _choices(product: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, str]:
    """The option values of a variant, by the options' names."""
    choices: dict[str, str] = {}
    for number in _OPTIONS:
        name = _cell(row, f"productOptionName{number}") or _cell(product, f"productOptionName{number}")
        value = _cell(row, f"productOptionChoices{number}", f"productOptionDescription{number}")
        if name and value:
            choices[name] = _without_colour_code(value)
    return choices


def _without_colour_code(value: str) -> str:
    """``#0000ff:Azul`` is shown as ``Azul``."""
    return re.sub(r"^(?:#[0-9A-Fa-f]{3,8}|rgba?\([^()]*\)):(?=.)", "", value)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _image(row: Mapping[str, Any]) -> str:
    image = next(iter(_parts(_cell(row, "productImageUrl", "media"))), "")
    return image if not image or is_absolute(image) or image.startswith("//") else f"{_MEDIA}{image}"


class _Wix:
    name = "wix"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        header = set(sample.header)
        older = {"handleId", "fieldType", "name", "price"} <= header
        return older or ({"handle", "fieldType", "name", "price"} <= header and bool({"visible", "media"} & header))

    def read(self, reading: Reading) -> Iterable[Draft]:
        return _Builder(reading)(reading.rows())


FORMAT = _Wix()
