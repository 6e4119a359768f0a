"""PrestaShop: the product list that the back office exports, and the file that its import takes (modules write it too).

- The list's columns are named in the shop's language. They are known by the product fields that they name, and by the
  two prices, of which one says that it is without tax and the other that it includes it. A list with addresses is not
  PrestaShop's.
- Shoppers pay the price that includes tax, so only that one is read. Where a file holds the other one alone, its
  products are refused until a mapping of the price says that it is the right one; a tax rule of 0 says so too.
- The import file's sale price is the price less ``Discount amount``, else less ``Discount percent``, within its dates.
- Neither file holds addresses. ``{shop_url}/index.php?controller=product&id_product={ID}`` leads to the product
  whatever the shop's addresses look like.
- The id is the product's, else its reference. Combinations (variants) are in neither file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..columns import claims_of
from ..headers import plain
from ..mapping import Column
from ..records import Draft
from ..values.arithmetic import after_discount, difference
from ..values.damage import whole_number
from ..values.parsing import BadValue, Money, Notation, is_blank, to_money, to_number
from ..values.prices import on_sale
from ..values.words import says_yes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..format import Reading, Sample
    from ..records import Record

__all__ = ["FORMAT"]

_TAXED = re.compile(
    r"(?i)\b(?:incl\w*|inkl\w*|con|com|con\s+iva|ttc|tax\s+included|taxes?\s+incluses?|brutto|amb|inclos\w*|barne)\b"
)
_UNTAXED = re.compile(
    r"(?i)\b(?:excl\w*|exkl\w*|escl\w*|sin|sem|sen|ht|hors|zzgl|ohne|tax\s+excluded|netto|sense|gabe|no\s+incl\w*)\b"
)
_PARENTHESES = re.compile(r"\(([^()]+)\)\s*$")

_IMPORT = {
    "Active (0/1)": "is_active",
    "Name *": "name",
    "Reference #": "sku",
    "Reference": "sku",
    "Manufacturer": "brands",
    "Quantity": "stock_quantity",
    "Tags (x,y,z...)": "tags",
    "Image URLs (x,y,z...)": "image_url",
}
_IMPORT_IDS = ("Product ID", "ID", "id")
_CATEGORIES = "Categories (x,y,z...)"
_DESCRIPTIONS = ("Description", "Short description", "Summary")
_CODES = {"EAN13": "gtin", "UPC": "upc", "MPN": "mpn"}
_FEATURES = "Feature"
"""How the column of features begins; releases write more or less about it in parentheses."""
_DISCOUNT = ("Discount amount", "Discount percent", "Discount from (yyyy-mm-dd)", "Discount to (yyyy-mm-dd)")
_OUT_OF_STOCK = ("Out of stock action", "Out of stock")
_VISIBILITY = "Visibility"
_TAX_RULE = "Tax rules ID"
_WITHOUT_TAX = "Price tax excluded"
_WITH_TAX = "Price tax included"


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column of a file holds what. ``taxed`` and ``untaxed`` are the prices that shoppers pay and do not."""

    fields: Mapping[str, str]
    taxed: str | None
    untaxed: str | None
    is_import: bool


def _columns_of(header: list[str]) -> _Columns | None:
    """The columns of either file of PrestaShop; ``None`` where they are not."""
    if {"Active (0/1)", "Name *", _CATEGORIES} <= set(header):
        return _import_columns(header)
    return _list_columns(header)


def _import_columns(header: list[str]) -> _Columns:
    fields = {column: target for column, target in _IMPORT.items() if column in header}
    fields |= {column: "external_id" for column in _IMPORT_IDS if column in header}
    untaxed = next((column for column in header if column.startswith(_WITHOUT_TAX)), None)
    return _Columns(fields, _WITH_TAX if _WITH_TAX in header else None, untaxed, is_import=True)


_LIST_FIELDS = {"external_id", "name", "sku", "categories", "stock_quantity", "is_active"}


def _list_columns(header: list[str]) -> _Columns | None:
    taxed = untaxed = None
    fields: dict[str, str] = {}
    for column in header:
        within = _PARENTHESES.search(column)
        if within and _is("price", column[: within.start()]):
            if _UNTAXED.search(within[1]):
                untaxed = column
            elif _TAXED.search(within[1]):
                taxed = column
        elif plain(column) in _BASE:
            untaxed = column
        elif plain(column) in _FINAL:
            taxed = column
        else:
            target = _list_field(column)
            if target is not None and target not in fields.values():
                fields[column] = target
    is_list = taxed and untaxed and set(fields.values()) >= _LIST_FIELDS
    if not is_list or any(_is("url", column) for column in header):  # a list of another shop, with its own addresses
        return None
    return _Columns(fields, taxed, untaxed, is_import=False)


def _list_field(column: str) -> str | None:
    if plain(column) in {"id", "product id"} or _is("external_id", column):
        return "external_id" if not _is("sku", column) else "sku"
    if plain(column) in _STATES:
        return "is_active"
    for target in ("sku", "name", "categories", "stock_quantity", "image_url"):
        if _is(target, column):
            return target
    return None


_BASE = frozenset({"base price", "precio base", "prix de base", "prezzo base", "preço base", "preu base", "basispreis"})
_FINAL = frozenset(
    {"final price", "precio final", "prix final", "prezzo finale", "preço final", "preu final", "endpreis"}
)
"""The prices of PrestaShop 1.6: without tax, and what shoppers pay."""
_STATES = frozenset(
    {"status", "state", "displayed", "active", "estado", "activo", "mostrado", "statut", "état", "etat", "affiché"}
    | {"stato", "visualizzato", "mostrato", "ativo", "exibido", "estat", "egoera", "angezeigt", "aktiviert"}
)


def _is(target: str, column: str) -> bool:
    return any(field == target for field, _ in claims_of(column))


class _Builder:
    """One row, one product."""

    def __init__(self, reading: Reading, columns: _Columns) -> None:
        self._options = reading.options
        self._columns = columns
        self._notation = Notation(reading.options.decimal, grouped=not columns.is_import)
        source = reading.options.mapping.get("price")
        self._mapped_price = source.name if isinstance(source, Column) else None
        prices = [column for column in (columns.taxed, columns.untaxed) if column]
        reading.use([*columns.fields, *prices])
        if columns.is_import:
            reading.use([_CATEGORIES, *_DESCRIPTIONS, *_CODES, *_DISCOUNT, _TAX_RULE])
            reading.use(column for column in reading.sample.header if column.startswith(_FEATURES))
            reading.use([*_OUT_OF_STOCK, _VISIBILITY])

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for record in records:
            yield Draft.unusable(record, record.problem) if record.problem else self._draft(record)

    def _draft(self, record: Record) -> Draft:
        row = record.row
        draft = Draft.of(record, self._notation)
        for column, target in self._columns.fields.items():
            value = row.get(column)
            if target == "brands" and not is_blank(value):
                value = [value]
            elif target == "external_id" and isinstance(value, str):
                value = whole_number(value.strip())
            draft.put(target, value, column=column)
        if "external_id" not in draft.fields and not draft.problems:
            draft.put("external_id", draft.fields.get("sku"))
        self._put_price(draft, row)
        quantity = draft.fields.get("stock_quantity")
        if isinstance(quantity, int):
            draft.put("in_stock", quantity > 0 or (self._columns.is_import and _sells_on(row)))
        own_id = next((row[c] for c, t in self._columns.fields.items() if t == "external_id" and row.get(c)), None)
        if self._options.shop_url and own_id:
            query = f"controller=product&id_product={whole_number(str(own_id).strip())}"
            draft.put("url", f"{self._options.shop_url}/index.php?{query}")
        if self._columns.is_import:
            _put_texts(draft, row)
        return draft

    def _put_price(self, draft: Draft, row: Mapping[str, Any]) -> None:
        column = self._price_column(row)
        if column is not None:
            draft.put("price", row.get(column), column=column)
            if self._columns.is_import:
                self._put_sale(draft, row, column)
            return
        if "price" not in self._options.mapping and not is_blank(row.get(self._columns.untaxed or "")):
            names = self._options.names
            draft.reject(
                "price",
                row.get(self._columns.untaxed or ""),
                f"{self._columns.untaxed!r} is not clearly what shoppers pay, and the file holds no price with tax; "
                f"export that one too, or say that it is right ({names.map('price', str(self._columns.untaxed))})",
            )

    def _price_column(self, row: Mapping[str, Any]) -> str | None:
        """The column of what shoppers pay."""
        if self._mapped_price is not None and self._mapped_price in {self._columns.taxed, self._columns.untaxed}:
            return self._mapped_price
        if self._columns.taxed is not None:
            return self._columns.taxed
        return self._columns.untaxed if str(row.get(_TAX_RULE) or "").strip() == "0" else None

    def _put_sale(self, draft: Draft, row: Mapping[str, Any], column: str) -> None:
        """The price less its discount, as PrestaShop reckons it."""
        amount, percent, starts, ends = (str(row.get(name) or "").strip() for name in _DISCOUNT)
        if not (amount or percent) or is_blank(row.get(column)):
            return
        try:
            price = to_money(row[column], self._notation)
            sale = _less(price, amount, percent)
        except BadValue as error:
            draft.reject("sale_price", amount or percent, f"its discount: {error}")
            return
        if sale is not None and on_sale(price, sale).sale_price is not None:
            draft.put("sale_price", sale)
            draft.put_sale_dates(starts, ends)


def _less(price: Money, amount: str, percent: str) -> Money | None:
    notation = Notation(grouped=False)
    off = to_money(amount, notation).amount if amount else 0
    if off > 0:
        return Money(difference(price.amount, off), price.unit)
    share = to_number(percent.rstrip("% "), notation) if percent else 0
    if share <= 0:
        return None
    if share > 100:
        raise BadValue(f"must be at most 100 per cent, got {percent}")
    return Money(after_discount(price.amount, share), price.unit)


def _sells_on(row: Mapping[str, Any]) -> bool:
    """May it be ordered while there is none?"""
    return any(says_yes(str(row.get(column) or "")) for column in _OUT_OF_STOCK)


def _put_texts(draft: Draft, row: Mapping[str, Any]) -> None:
    if str(row.get(_VISIBILITY) or "").strip().lower() in {"none", "catalog"}:  # 'catalog': in lists, not in search
        draft.put("is_active", value=False)
    for column in _DESCRIPTIONS:
        if "description" not in draft.fields:
            draft.put("description", row.get(column))
    paths = str(row.get(_CATEGORIES) or "").split(",")
    levels = [level.strip() for path in paths for level in path.split("/")]
    draft.put("categories", [level for level in dict.fromkeys(levels) if level] or None)
    draft.put_attributes({name: row.get(column) for column, name in _CODES.items() if row.get(column) != "0"})
    features = next((text for column, text in row.items() if column.startswith(_FEATURES)), None)
    for feature in str(features or "").split(","):
        name, colon, rest = feature.partition(":")
        if colon and name.strip():
            draft.put(f"attributes.{name.strip()}", rest.partition(":")[0].strip())


class _PrestaShop:
    name = "prestashop"
    own_ids = False

    def recognises(self, sample: Sample) -> bool:
        return _columns_of(sample.header) is not None

    def read(self, reading: Reading) -> Iterable[Draft]:
        columns = _columns_of(reading.sample.header)
        if columns is None:
            raise reading.source.error(1, "has not the columns of a product export of PrestaShop; read it as csv")
        return _Builder(reading, columns)(reading.rows())


FORMAT = _PrestaShop()
