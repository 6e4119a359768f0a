"""The product export of WooCommerce: simple, variable, grouped and external products, and variations.

A variable or grouped product has no price of its own: it costs what its cheapest child costs, and children may stand
anywhere in the file; a variable child of a grouped product costs what its own cheapest variation does. So the file is
read twice. The first reading puts every price and what variations inherit into a temporary SQLite database on disk, so
memory stays the same however large the catalog is.

- The columns' names are read in English, Spanish, German and French: the export writes them in the shop's language,
  its values (``variable``, ``visible``) in English always.
- The id is the ``ID`` column, else the SKU. ``Parent`` names a product by ``id:741`` or by its SKU.
- A variation inherits its parent's address, categories, tags, brands and image where it has none of its own. A parent
  that is not in the file is a complaint: the server would refuse the variation.
- Addresses: a ``Permalink`` column; for external products their ``External URL``; else
  ``{shop_url}/product/{slug of the name, or the SKU}/``, WooCommerce's own default.
- ``Published`` 1 is active, 0 and -1 (draft) are not; nor is a product that the shop hides from its search.
- Categories ``Clothing > Hats, Sale`` become the names of all levels: Clothing, Hats, Sale.
"""

from __future__ import annotations

import contextlib
import html
import json
import re
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..format import needs_lxml
from ..headers import Renaming, plain
from ..mapping import slug
from ..readers.byte_source import CatalogError
from ..records import Draft, Record
from ..values.currencies import unit_named
from ..values.parsing import BadValue, Money, Notation, is_blank, to_flag, to_integer, to_money
from ..values.prices import Prices, holds_on, on_sale
from ..values.text import html_to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import date

    from ..format import Reading, Sample

    _Offer = tuple[int, float, str, str | None]
    """Is it inactive, what is there to pay, the price, the sale price."""

__all__ = ["FORMAT"]

_NOTATION = Notation(grouped=False)
"""The export writes the shop's decimal separator, and never groups thousands."""
_ADDRESSES = ("Permalink", "URL", "Product URL")
_INHERITED = (
    "ID", "SKU", "Name", "Slug", "Type", "Categories", "Tags", "Brands", "Images", "External URL", *_ADDRESSES,
    "Published", "Visibility in catalog",
)  # fmt: skip
_USED = (
    *_INHERITED, "Short description", "Description", "In stock?", "Stock", "Regular price", "Sale price", "Parent",
    "Date sale price starts", "Date sale price ends", "Grouped products", "GTIN, UPC, EAN, or ISBN",
)  # fmt: skip
_ATTRIBUTE_NAME = re.compile(r"Attribute (\d+) name")
_SEPARATING_COMMA = re.compile(r"(?<!\\),")


_TRANSLATIONS: dict[str, tuple[str, ...]] = {
    # Spanish, then German, then French; several where versions or countries differ.
    "Type": ("Tipo", "Typ"),
    "SKU": ("Artikelnummer", "UGS"),
    "GTIN, UPC, EAN, or ISBN": (
        "GTIN, UPC, EAN o ISBN", "GTIN, UPC, EAN oder ISBN", "GTIN, UPC, EAN ou ISBN",
    ),
    "Name": ("Nombre", "Nom"),
    "Published": ("Publicado", "Veröffentlicht", "Publié"),
    "Visibility in catalog": (
        "Visibilidad en el catálogo", "Sichtbarkeit im Katalog", "Visibilité dans le catalogue",
    ),
    "Short description": ("Descripción corta", "Kurzbeschreibung", "Description courte"),
    "Description": ("Descripción", "Beschreibung"),
    "Date sale price starts": (
        "Día en que empieza el precio rebajado", "Fecha en que empieza el precio rebajado",
        "Datum, an dem Angebotspreis beginnt", "Date de début de promo",
    ),
    "Date sale price ends": (
        "Día en que termina el precio rebajado", "Fecha en que termina el precio de oferta",
        "Datum, an dem Angebotspreis endet", "Date de fin de promo",
    ),
    "In stock?": ("¿Existencias?", "¿En inventario?", "Vorrätig?", "En stock ?", "En inventaire?"),
    "Stock": ("Inventario", "Lager", "Bestand", "Inventaire"),
    "Sale price": ("Precio rebajado", "Precio de oferta", "Angebotspreis", "Tarif promo"),
    "Regular price": ("Precio normal", "Regulärer Preis", "Tarif régulier"),
    "Categories": ("Categorías", "Kategorien", "Catégories"),
    "Tags": ("Etiquetas", "Schlagwörter", "Étiquettes"),
    "Images": ("Imágenes", "Bilder"),
    "Parent": ("Superior", "Principal", "Übergeordnetes Produkt"),
    "Grouped products": ("Productos agrupados", "Gruppierte Produkte", "Groupes de produits"),
    "External URL": ("URL externa", "Externe URL", "URL externe"),
    "Brands": ("Marcas", "Marken"),
}  # fmt: skip
_ENGLISH_NAMES = {plain(name): english for english, names in _TRANSLATIONS.items() for name in names}
_ENGLISH_ATTRIBUTES = (
    (re.compile(r"(?:nombre del atributo|nom de l'attribut) (\d+)|attribut (\d+) name"), "Attribute {} name"),
    (
        re.compile(r"(?:valor\(es\) del atributo|valeur\(s\) de l'attribut) (\d+)|attribut (\d+) wert\(e\)"),
        "Attribute {} value(s)",
    ),
)


def _english_name(column: str) -> str | None:
    """What the English export calls this column, where the name is a translated one."""
    name = plain(column)
    for pattern, english in _ENGLISH_ATTRIBUTES:
        if match := pattern.fullmatch(name):
            return english.format(match[match.lastindex or 0])
    return _ENGLISH_NAMES.get(name)


def _is_woocommerce(header: Iterable[str]) -> bool:
    """Are these the columns of a product export of WooCommerce, in a language that is known?"""
    return {"Type", "SKU", "Name", "Regular price"} <= {_english_name(column) or column for column in header}


class _Builder:
    """Reads the records twice: ``read`` gives them anew at each call."""

    def __init__(
        self,
        read: Callable[[], Iterable[Record]],
        shop_url: str | None,
        use: Callable[[Iterable[str]], None],
        today: date,
    ) -> None:
        self._read = read
        self._shop_url = shop_url
        self._use = use
        self._today = today
        self._attribute_columns: list[tuple[str, str]] | None = None
        use(_USED)

    def __iter__(self) -> Iterator[Draft]:
        with contextlib.closing(_Index()) as index:
            with contextlib.suppress(CatalogError):  # the second reading comes to the same fault, and tells it
                for record in self._read():
                    if not record.problem:
                        index.add(record.row, self._own_prices(record.row))
            for record in self._read():
                yield Draft.unusable(record, record.problem) if record.problem else self._draft(record, index)

    def _draft(self, record: Record, index: _Index) -> Draft:
        row = record.row
        draft = Draft.of(record, _NOTATION)
        draft.put("external_id", _external_id(row))
        parent: Mapping[str, Any] = {}
        if _is_variation(row):
            reference = _cell(row, "Parent")
            parent = index.parent(reference) or {}
            if parent:
                draft.put("parent_external_id", _external_id(parent))
            else:
                draft.problems.append(("parentExternalId", f"the parent {reference!r} is not in this file"))
        self._put_texts(draft, row, parent)
        self._put_prices(draft, row, index)
        _put_stock(draft, row)
        self._put_attributes(draft, row)
        return draft

    def _put_texts(self, draft: Draft, row: Mapping[str, Any], parent: Mapping[str, Any]) -> None:
        draft.put("name", html.unescape(_cell(row, "Name")))
        draft.put("sku", _cell(row, "SKU"))
        draft.put("url", self._address(row, parent))
        text = _cell(row, "Description") or _cell(row, "Short description")
        draft.put("description", html_to_text(text.replace("\\n", "\n")))  # so the export writes line ends
        draft.put("image_url", _first_image(row) or _first_image(parent))
        for target, column, split in (
            ("categories", "Categories", _levels), ("tags", "Tags", _names), ("brands", "Brands", _names)
        ):  # fmt: skip
            if names := split(_cell(row, column) or _cell(parent, column)):
                draft.put(target, names)
        if active := [_is_active(r) for r in (row, parent) if _cell(r, "Published")]:
            draft.put("is_active", all(active))

    def _address(self, row: Mapping[str, Any], parent: Mapping[str, Any]) -> str | None:
        for candidate in (row, parent):
            for column in (*_ADDRESSES, "External URL"):
                if address := _cell(candidate, column):
                    return address
        owner = parent or row
        name = _cell(owner, "Slug") or slug(html.unescape(_cell(owner, "Name"))) or slug(_cell(owner, "SKU"))
        return f"{self._shop_url}/product/{name}/" if self._shop_url and name else None

    def _put_prices(self, draft: Draft, row: Mapping[str, Any], index: _Index) -> None:
        try:
            prices = self._prices(row)
        except BadValue as error:
            draft.problems.append(("price", error))
            return
        if prices is None and (kind := _needs_childrens_price(row)):
            prices = index.cheapest_of(row)
            if prices is None:
                draft.problems.append(
                    ("price", f"is required, and no child of this {kind} product has one in this file")
                )
        if prices is not None:
            draft.put_prices(prices)

    def _prices(self, row: Mapping[str, Any]) -> Prices | None:
        regular, sale = _cell(row, "Regular price"), _cell(row, "Sale price")
        if not regular:
            return None
        if sale and not holds_on(self._today, _cell(row, "Date sale price starts"), _cell(row, "Date sale price ends")):
            sale = ""
        return on_sale(to_money(regular, _NOTATION), to_money(sale, _NOTATION) if sale else None)

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
            if name := _cell(row, name_column):
                draft.put(f"attributes.{name}", ", ".join(_names(_cell(row, value_column))))
        draft.put("attributes.gtin", _cell(row, "GTIN, UPC, EAN, or ISBN"))


class _Index:
    """Prices and parents by key (``id:741``, ``sku:cc-hoodie``), in a temporary database that lives on disk."""

    def __init__(self) -> None:
        # A name that is empty is a temporary file. A bulk run may read from several threads, one after the other.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            """
            PRAGMA synchronous = OFF;
            PRAGMA journal_mode = OFF;
            CREATE TABLE price (key TEXT, price TEXT, sale_price TEXT, to_pay REAL, inactive INTEGER);
            CREATE INDEX price_by_key ON price (key);
            CREATE TABLE parent (key TEXT PRIMARY KEY, row TEXT) WITHOUT ROWID;
            BEGIN;
            """
        )

    def close(self) -> None:
        self._database.close()

    def add(self, row: Mapping[str, Any], prices: Prices | None) -> None:
        keys = _keys(row)
        if _is_variable(row):
            inherited = json.dumps({column: value for column in _INHERITED if (value := row.get(column))})
            for key in keys:
                self._database.execute("INSERT OR IGNORE INTO parent VALUES (?, ?)", (key, inherited))
        if prices is None:
            return
        if _is_variation(row):
            keys.append(f"child of {_reference(_cell(row, 'Parent'))}")
        sale = None if prices.sale_price is None else _stored(prices.sale_price)
        for key in keys:
            self._database.execute(
                "INSERT INTO price VALUES (?, ?, ?, ?, ?)",
                (key, _stored(prices.price), sale, float(prices.to_pay), not _is_active(row)),
            )

    def parent(self, reference: str) -> Mapping[str, Any] | None:
        found = self._database.execute("SELECT row FROM parent WHERE key = ?", (_reference(reference),)).fetchone()
        return json.loads(found[0]) if found else None

    def cheapest_of(self, row: Mapping[str, Any]) -> Prices | None:
        """The lowest price among the children of a variable or grouped product; of active ones, where there are any."""
        if _is_variable(row):
            offers = [self._cheapest_variation(row)]
        else:
            offers = [self._cheapest_in_group(name) for name in _names(_cell(row, "Grouped products"))]
        best = _cheapest(offers)
        return best and Prices(_restored(best[2]), None if best[3] is None else _restored(best[3]))

    def _cheapest_in_group(self, reference: str) -> _Offer | None:
        """Of one child. Groups within groups are not followed, so a group that holds itself ends here."""
        own = self._cheapest_of_key(_reference(reference))
        variable = self.parent(reference)
        if own is not None or variable is None:
            return own
        offer = self._cheapest_variation(variable)
        return offer and (max(offer[0], int(not _is_active(variable))), *offer[1:])

    def _cheapest_variation(self, variable: Mapping[str, Any]) -> _Offer | None:
        return _cheapest(self._cheapest_of_key(f"child of {key}") for key in _keys(variable))

    def _cheapest_of_key(self, key: str) -> _Offer | None:
        offer: _Offer | None = self._database.execute(
            "SELECT inactive, to_pay, price, sale_price FROM price WHERE key = ? ORDER BY inactive, to_pay LIMIT 1",
            (key,),
        ).fetchone()
        return offer


def _cheapest(offers: Iterable[_Offer | None]) -> _Offer | None:
    return min((offer for offer in offers if offer is not None), key=lambda offer: offer[:2], default=None)


def _stored(money: Money) -> str:
    return f"{money.amount} {money.unit.text if money.unit else ''}"


def _restored(text: str) -> Money:
    amount, _, unit = text.partition(" ")
    return Money(int(amount) if amount.isdigit() else Decimal(amount), unit_named(unit))  # a Decimal may read 0E-7


def _cell(row: Mapping[str, Any], column: str) -> str:
    return str(row.get(column) or "").strip()


def _kinds(row: Mapping[str, Any]) -> list[str]:
    """``simple, downloadable, virtual``: the type and what else it is."""
    return [kind.strip() for kind in _cell(row, "Type").lower().split(",")]


def _is_variation(row: Mapping[str, Any]) -> bool:
    return any(kind.endswith("variation") for kind in _kinds(row))


def _is_variable(row: Mapping[str, Any]) -> bool:
    return any(kind.startswith("variable") for kind in _kinds(row))


def _needs_childrens_price(row: Mapping[str, Any]) -> str | None:
    if _is_variable(row):
        return "variable"
    return "grouped" if "grouped" in _kinds(row) else None


def _external_id(row: Mapping[str, Any]) -> str:
    return _cell(row, "ID") or _cell(row, "SKU")


def _keys(row: Mapping[str, Any]) -> list[str]:
    return [f"{kind}:{value}" for kind, value in (("id", _cell(row, "ID")), ("sku", _cell(row, "SKU"))) if value]


def _reference(text: str) -> str:
    return text if text.startswith("id:") else f"sku:{text}"


def _names(text: str) -> list[str]:
    """Names separated by commas; a comma within a name has a backslash before it."""
    parts = (part.replace("\\,", ",").strip() for part in _SEPARATING_COMMA.split(text))
    return [html.unescape(part) for part in parts if part]


def _levels(text: str) -> list[str]:
    paths = (part.split(">") for part in _SEPARATING_COMMA.split(text.replace("&gt;", ">")))
    levels = (html.unescape(level.replace("\\,", ",").strip()) for path in paths for level in path)
    return list(dict.fromkeys(level for level in levels if level))


def _first_image(row: Mapping[str, Any]) -> str:
    return next(iter(_names(_cell(row, "Images"))), "")


def _is_active(row: Mapping[str, Any]) -> bool:
    hidden = _cell(row, "Visibility in catalog").lower() in {"hidden", "catalog"}  # 'catalog': in lists, not in search
    return _cell(row, "Published") in {"", "1"} and not hidden


def _put_stock(draft: Draft, row: Mapping[str, Any]) -> None:
    stock = _cell(row, "Stock")
    if stock and stock.lower() != "parent":
        draft.put("stock_quantity", stock, to_integer)
    available = _cell(row, "In stock?")
    if not is_blank(available):
        draft.put("in_stock", available.lower() == "backorder" or available, to_flag)


class _WooCommerce:
    name = "woocommerce"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        return _is_woocommerce(sample.header)

    def read(self, reading: Reading) -> Iterable[Draft]:
        needs_lxml(self.name)
        reading.replay.keep_all()
        english = Renaming(reading.sample.header, _english_name)
        return _Builder(
            lambda: english.rename(reading.rows()),  # counts anew at each reading
            reading.options.shop_url,
            lambda names: reading.use(english.columns(names)),
            reading.options.today,
        )


FORMAT = _WooCommerce()
