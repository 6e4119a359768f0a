"""Magento 2 and Adobe Commerce: the product export (System > Data Transfer > Export).

A configurable product has no price, and its row names its variants, which stand before it. So the file is read twice:
the first reading puts prices and parents into a temporary SQLite database on disk, so memory stays the same however
large the catalog is.

- The id is the SKU. A configurable product is a parent, and costs what its cheapest variant costs; so does a grouped
  product with those that it groups. A bundle whose price depends on its parts is refused.
- Rows of a store view only translate the row of all store views: they are skipped and counted.
- ``special_price`` is a sale within its dates; that of a bundle is a percentage of its price.
- Addresses are made of ``url_key``: ``{shop_url}/{url_key}.html``; the report says so, once. A variant has that
  of its parent.
- Images stand in the shop's ``/media/catalog/product``.
- What is disabled, or not found by the shop's search, is not active; a variant is where it is enabled. The export
  calls what is found in the language of who exports.
- Categories become the names of all levels below the root, which shoppers never see.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from ..edited_exports import notation_of
from ..readers.byte_source import CatalogError
from ..records import Draft, cell
from ..values.addresses import is_absolute
from ..values.arithmetic import after_discount, difference
from ..values.parsing import BadValue, Money, to_integer, to_money
from ..values.prices import Prices, holds_on, on_sale
from ..values.words import says_no

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..format import Reading, Sample
    from ..records import Record
    from ..values.parsing import Notation

__all__ = ["FORMAT"]

_COLUMNS = frozenset({"sku", "product_type", "attribute_set_code", "name", "price"})
_USED = (
    "sku", "store_view_code", "product_type", "categories", "name", "description", "short_description",
    "product_online", "visibility", "price", "special_price",
    "special_price_from_date", "special_from_date", "special_price_to_date", "special_to_date",
    "url_key", "base_image", "small_image", "additional_attributes", "qty", "is_in_stock", "manage_stock",
    "use_config_manage_stock", "configurable_variations", "configurable_variation_labels", "associated_skus",
    "bundle_price_type",
)  # fmt: skip
_INHERITED = ("url_key", "base_image", "small_image", "configurable_variation_labels")
_STARTS = ("special_price_from_date", "special_from_date")
_ENDS = ("special_price_to_date", "special_to_date")
"""As the export calls them, and as the attributes are called."""
_SEARCH = re.compile(
    "[34]|search|suche|(?:re)?cherche(?:r)?|ricerca|cerca|cercar|búsqueda|buscar|busca|pesquisa|pesquisar|procurar"
    "|bilaketa|bilatu|zoeken|szukaj"
)
_CATALOG_ALONE = re.compile("[12]|catalog(?:ue|us|o)?|catálogo|catàleg|katalog(?:oa|o)?")
_NOT_INDIVIDUALLY = re.compile("individ|einzeln|singol|indywid|banaka")
_NEXT_ATTRIBUTE = re.compile(r",(?=[A-Za-z][A-Za-z0-9_]*=)")
_NO_ATTRIBUTES = frozenset(
    {"has_options", "required_options", "quantity_and_stock_status", "url_path", "gift_wrapping"}
)
_BRANDS = ("manufacturer", "brand", "marca")
_LEVEL_ENDS = re.compile(r"(?<!\\)/")
_MADE_OF_OTHERS = frozenset({"configurable", "grouped", "bundle"})


class _Index:
    """Parents of variants, and prices, by SKU, in a temporary database that lives on disk."""

    def __init__(self) -> None:
        # A name that is empty is a temporary file. A bulk run may read from several threads, one after the other.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            """
            PRAGMA synchronous = OFF;
            PRAGMA journal_mode = OFF;
            CREATE TABLE price (sku TEXT PRIMARY KEY, price TEXT, sale_price TEXT, to_pay REAL, offline INTEGER)
                WITHOUT ROWID;
            CREATE TABLE parent (sku TEXT PRIMARY KEY, parent TEXT, row TEXT) WITHOUT ROWID;
            CREATE TABLE product (sku TEXT PRIMARY KEY) WITHOUT ROWID;
            BEGIN;
            """
        )

    def close(self) -> None:
        self._database.close()

    def add(self, row: Mapping[str, Any], prices: Prices | None) -> None:
        sku = cell(row, "sku")
        self._database.execute("INSERT OR IGNORE INTO product VALUES (?)", (sku,))
        if prices is not None:
            sale = None if prices.sale_price is None else str(prices.sale_price.amount)
            offer = (sku, str(prices.price.amount), sale, float(prices.to_pay), not _is_online(row))
            self._database.execute("INSERT OR IGNORE INTO price VALUES (?, ?, ?, ?, ?)", offer)
        variants = _variants(row)
        inherited = msgspec.json.encode({name: cell(row, name) for name in _INHERITED}, enc_hook=str)
        for variant in variants:
            self._database.execute("INSERT OR IGNORE INTO parent VALUES (?, ?, ?)", (variant, sku, inherited))

    def parent(self, sku: str) -> tuple[str, dict[str, Any]] | None:
        found = self._database.execute("SELECT parent, row FROM parent WHERE sku = ?", (sku,)).fetchone()
        return (found[0], msgspec.json.decode(found[1])) if found else None

    def holds(self, sku: str) -> bool:
        """Has this product a row for all store views?"""
        return self._database.execute("SELECT 1 FROM product WHERE sku = ?", (sku,)).fetchone() is not None

    def cheapest(self, skus: Iterable[str]) -> Prices | None:
        """The lowest price of these; of those that are enabled, where any is."""
        found: list[tuple[Any, ...]] = []
        for sku in skus:
            offer = self._database.execute(
                "SELECT offline, to_pay, price, sale_price FROM price WHERE sku = ?", (sku,)
            ).fetchone()
            if offer:
                found.append(offer)
        if not found:
            return None
        _, _, price, sale = min(found, key=lambda offer: offer[:2])
        return Prices(Money(Decimal(price)), None if sale is None else Money(Decimal(sale)))


def _variants(row: Mapping[str, Any]) -> list[str]:
    """The SKUs of a configurable product: ``sku=CH-S,size=S|sku=CH-M,size=M``."""
    parts = cell(row, "configurable_variations").split("|")
    return [match[1].strip() for part in parts if (match := re.match(r"\s*sku=([^,]+)", part))]


def _grouped(row: Mapping[str, Any]) -> list[str]:
    """The SKUs of a grouped product, without their quantities: ``A=1.0000,B=1.0000``."""
    return [part.rpartition("=")[0].strip() or part.strip() for part in cell(row, "associated_skus").split(",")]


def _is_online(row: Mapping[str, Any]) -> bool:
    online = cell(row, "product_online")
    return online not in {"2", "2.0"} and not says_no(online)


class _Builder:
    """Reads the records twice."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._options = reading.options
        self._store_rows = 0
        self._made_addresses = False
        self._notation = notation_of(reading, ("price", "special_price"))
        reading.use(_USED)

    def __iter__(self) -> Iterator[Draft]:
        with contextlib.closing(_Index()) as index:
            with contextlib.suppress(CatalogError):  # the second reading comes to the same fault, and tells it
                for record in self._reading.rows():
                    if not record.problem and not cell(record.row, "store_view_code"):
                        index.add(record.row, self._own_prices(record.row))
            for record in self._reading.rows():
                if record.problem:
                    yield Draft.unusable(record, record.problem)
                elif (view := cell(record.row, "store_view_code")) and index.holds(cell(record.row, "sku")):
                    self._store_rows += 1
                elif view:
                    yield Draft.unusable(
                        record,
                        f"store_view_code: this row is that of the store view {view!r}, and the file has none of "
                        f"{cell(record.row, 'sku')!r} for all store views, where this column is empty",
                    )
                else:
                    yield self._draft(record, index)
        if self._store_rows:
            rows = "row of a store view was" if self._store_rows == 1 else "rows of store views were"
            self._reading.notice(
                f"{self._store_rows:,} {rows} skipped: they translate products that have a row for all store views"
            )

    def _draft(self, record: Record, index: _Index) -> Draft:
        row = record.row
        draft = Draft.of(record, self._notation)
        sku = cell(row, "sku")
        draft.put("external_id", sku)
        draft.put("sku", sku)
        parent_sku, parent = index.parent(sku) or ("", {})
        draft.put("parent_external_id", parent_sku)
        draft.put("name", cell(row, "name"))
        draft.put("description", cell(row, "description") or cell(row, "short_description"))
        draft.put("categories", _categories(row) or None)
        _put_state(draft, row, is_variant=bool(parent))
        self._put_addresses(draft, row, parent)
        self._put_prices(draft, row, index)
        _put_stock(draft, row)
        _put_attributes(draft, row, cell(parent, "configurable_variation_labels"))
        return draft

    def _put_addresses(self, draft: Draft, row: Mapping[str, Any], parent: Mapping[str, Any]) -> None:
        shop_url = self._options.shop_url
        key = cell(parent, "url_key") or cell(row, "url_key")
        if key and shop_url:
            if "url" not in self._options.mapping and not self._made_addresses:
                self._made_addresses = True
                template = self._options.names.map("url", f"{shop_url}/{{url_key}}")
                self._reading.notice(
                    f"addresses were made of url_key and .html, such as {shop_url}/{key}.html: a shop that has changed "
                    f"this ending needs a mapping ({template})"
                )
            draft.put("url", f"{shop_url}/{key}.html")
        images = (cell(source, name) for source in (row, parent) for name in ("base_image", "small_image"))
        image = next((image for image in images if image and image != "no_selection"), "")
        if image and not is_absolute(image):
            image = f"/media/catalog/product/{image.lstrip('/')}"
        if image and (shop_url or is_absolute(image)):
            draft.put("image_url", image)

    def _put_prices(self, draft: Draft, row: Mapping[str, Any], index: _Index) -> None:
        kind = cell(row, "product_type").lower()
        try:
            prices = self._prices(row)
        except BadValue as error:
            draft.reject("price", row.get("price"), error)
            return
        if kind == "bundle" and (prices is None or cell(row, "bundle_price_type").lower() == "dynamic"):
            draft.reject("price", row.get("price"), "is that of the parts that shoppers choose for this bundle; map it")
            return
        if kind in {"configurable", "grouped"}:
            prices = index.cheapest(_variants(row) if kind == "configurable" else _grouped(row)) or prices
            if prices is None or prices.price.amount == 0:
                parts = "variant" if kind == "configurable" else "product"
                draft.reject("price", row.get("price"), f"is required, and this file has none of a {parts} of this one")
                return
        if prices is not None:
            draft.put_prices(prices)

    def _prices(self, row: Mapping[str, Any]) -> Prices | None:
        price, special = cell(row, "price"), cell(row, "special_price")
        if not price:
            return None
        starts, ends = (
            next((text for column in columns if (text := cell(row, column))), "") for columns in (_STARTS, _ENDS)
        )
        if special and not holds_on(self._options.today, starts, ends):
            special = ""
        own = to_money(price, self._notation)
        lower = to_money(special, self._notation) if special else None
        if lower is not None and cell(row, "product_type").lower() == "bundle":
            lower = Money(after_discount(own.amount, difference(100, lower.amount)), own.unit)
        return on_sale(own, lower)

    def _own_prices(self, row: Mapping[str, Any]) -> Prices | None:
        if cell(row, "product_type").lower() in _MADE_OF_OTHERS:
            return None
        with contextlib.suppress(BadValue):  # the row's own draft complains
            return self._prices(row)
        return None


def _put_state(draft: Draft, row: Mapping[str, Any], *, is_variant: bool) -> None:
    seen = True if is_variant else _is_found(cell(row, "visibility").lower())
    if seen is None and _is_online(row):
        draft.left_out.append(("is_active", cell(row, "visibility")))
    else:
        draft.put("is_active", _is_online(row) and seen)


def _is_found(visibility: str) -> bool | None:
    """Does the shop's search find what is visible so? Of its four words, one alone has a comma: ``Katalog, Suche``.

    ``None`` for words of a language that is not known.
    """
    if _CATALOG_ALONE.fullmatch(visibility) or _NOT_INDIVIDUALLY.search(visibility):
        return False
    return True if not visibility or "," in visibility or _SEARCH.fullmatch(visibility) else None


def _put_stock(draft: Draft, row: Mapping[str, Any]) -> None:
    if says_no(cell(row, "manage_stock")) and says_no(cell(row, "use_config_manage_stock")):
        draft.put("in_stock", value=True)
        return
    draft.put("in_stock", cell(row, "is_in_stock"))
    if cell(row, "product_type").lower() not in _MADE_OF_OTHERS:
        draft.put("stock_quantity", cell(row, "qty"), _pieces)


def _pieces(value: Any, notation: Notation) -> int | None:
    """Whole pieces; what is sold by weight (``2.5000``) has none."""
    with contextlib.suppress(BadValue):
        return to_integer(value, notation)
    to_money(str(value).lstrip("-"), notation)
    return None


def _put_attributes(draft: Draft, row: Mapping[str, Any], labels: str) -> None:
    """``color=Azul,size=S``, each under the name that shoppers see where the parent tells it (``size=Talla``)."""
    named = dict(_pairs(labels))
    for code, value in _pairs(cell(row, "additional_attributes")):
        if code in _BRANDS:
            draft.put("brands", value.split("|"))
        elif code not in _NO_ATTRIBUTES:
            draft.put(f"attributes.{named.get(code, code)}", ", ".join(value.split("|")))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in _NEXT_ATTRIBUTE.split(text):
        code, sign, value = part.partition("=")
        value = value.strip().removeprefix('"').removesuffix('"').replace('""', '"')
        if sign and code.strip() and value:
            yield code.strip(), value


def _categories(row: Mapping[str, Any]) -> list[str]:
    """The names of all levels below the root: ``Default Category/Ropa/Chaquetas,Default Category/Ofertas``.

    A slash within a name has a backslash before it.
    """
    paths = re.split("[,|]", cell(row, "categories"))
    levels = (level.replace("\\/", "/").strip() for path in paths for level in _LEVEL_ENDS.split(path)[1:])
    return list(dict.fromkeys(level for level in levels if level))


class _Magento:
    name = "magento"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        return set(sample.header) >= _COLUMNS

    def read(self, reading: Reading) -> Iterable[Draft]:
        reading.replay.keep_all()
        return _Builder(reading)


FORMAT = _Magento()
