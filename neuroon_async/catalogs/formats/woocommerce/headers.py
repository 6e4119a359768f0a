"""WooCommerce's column names in the languages that its export is translated into. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...headers import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["english_name", "is_untranslated"]

_TRANSLATIONS: dict[str, tuple[str, ...]] = {
    # Spanish, German, French, Italian, Portuguese (of Portugal, of Brazil), Catalan, Basque, Galician; several where
    # versions differ. The colons of the Basque prices are the platform's own; they are read without them as well.
    "ID": ("Identificador",),
    "Type": ("Tipo", "Typ", "Tipus", "Mota"),
    "SKU": ("Artikelnummer", "UGS", "COD", "REF"),
    "GTIN, UPC, EAN, or ISBN": (
        "GTIN, UPC, EAN o ISBN", "GTIN, UPC, EAN oder ISBN", "GTIN, UPC, EAN ou ISBN", "GTIN, UPC, EAN, o ISBN",
        "GTIN, UPC, EAN edo ISBN", "GTIN, UPC, EAN, edo ISBN",
    ),
    "Name": ("Nombre", "Nom", "Nome", "Izena"),
    "Published": ("Publicado", "Veröffentlicht", "Publié", "Pubblicato", "Publicat", "Argitaratuta"),
    "Visibility in catalog": (
        "Visibilidad en el catálogo", "Sichtbarkeit im Katalog", "Katalogsichtbarkeit", "Visibilité dans le catalogue",
        "Visibilità nel catalogo", "Visibilidade no catálogo", "Visibilitat en el catàleg", "Katalogoko ikuspena",
    ),
    "Short description": (
        "Descripción corta", "Kurzbeschreibung", "Description courte", "Breve descrizione", "Descrição curta",
        "Descrição breve", "Descripció breu", "Deskribapen laburra", "Descrición curta",
    ),
    "Description": (
        "Descripción", "Beschreibung", "Descrizione", "Descrição", "Descripció", "Deskribapena", "Descrición",
    ),
    "Date sale price starts": (
        "Día en que empieza el precio rebajado", "Fecha en que empieza el precio rebajado",
        "Datum, an dem Angebotspreis beginnt", "Datum, an dem der Angebotspreis beginnt", "Date de début de promo",
        "Data di partenza del prezzo in saldo", "Data de início do preço promocional",
        "Data de preço promocional começa em", "Dia en què comença el preu rebaixat",
        "Beheratutako prezioa hasten den eguna", "Día en que empeza o prezo rebaixado",
    ),
    "Date sale price ends": (
        "Día en que termina el precio rebajado", "Fecha en que termina el precio de oferta",
        "Datum, an dem Angebotspreis endet", "Datum, an dem der Angebotspreis endet", "Date de fin de promo",
        "Data in cui termina l'offerta", "Termine data del prezzo di vendita", "Data de término do preço promocional",
        "Data de preço promocional termina em", "Dia en què acaba el preu rebaixat",
        "Beheratutako prezioa amaitzen den eguna", "Día en que termina o prezo rebaixado",
    ),
    "In stock?": (
        "¿Existencias?", "¿En inventario?", "Vorrätig?", "En stock ?", "En inventaire?", "Em stock?", "Em estoque?",
        "En estoc?", "Eskuragarri?", "Existencias?", "En inventario?", "Con existencias?",
    ),
    "Stock": ("Inventario", "Lager", "Bestand", "Inventaire", "Magazzino", "Estoque", "Estoc", "Stocka"),
    "Sale price": (
        "Precio rebajado", "Precio de oferta", "Angebotspreis", "Tarif promo", "Prezzo in offerta", "Preço promocional",
        "Preu rebaixat", "Merkealdi Prezioa:", "Merkealdi Prezioa", "Prezo rebaixado",
    ),
    "Regular price": (
        "Precio normal", "Regulärer Preis", "Tarif régulier", "Prezzo di listino", "Preço normal", "Preço",
        "Preu habitual", "Ohiko Prezioa:", "Ohiko Prezioa", "Prezo normal",
    ),
    "Categories": ("Categorías", "Kategorien", "Catégories", "Categorie", "Categorias", "Kategoriak"),
    "Tags": ("Etiquetas", "Schlagwörter", "Étiquettes", "Etichette", "Tag", "Etiquetes", "Etiketak"),
    "Images": ("Imágenes", "Bilder", "Immagine", "Immagini", "Imagens", "Imatges", "Irudiak", "Imaxes"),
    "Parent": ("Superior", "Principal", "Übergeordnetes Produkt", "Genitore", "Pai", "Ascendente", "Pare", "Gurasoa"),
    "Grouped products": (
        "Productos agrupados", "Gruppierte Produkte", "Groupes de produits", "Prodotti raggruppati",
        "Produtos agrupados", "Grupo de produtos", "Productes agrupats", "Taldekatutako produktuak",
    ),
    "External URL": (
        "URL externa", "Externe URL", "URL externe", "URL esterna", "URL esterno", "URL externo", "URL extern",
        "Kanpo URLa",
    ),
    "Brands": ("Marcas", "Marken", "Marchi", "Marques", "Markak"),
}  # fmt: skip
_ENGLISH_NAMES = {plain(name): english for english, names in _TRANSLATIONS.items() for name in names}
_ENGLISH_ATTRIBUTES = (
    (
        re.compile(
            r"(?:nombre del atributo|nom de l'attribut|nome dell'attributo|nome do atributo|nom de l'atribut) (\d+)"
            r"|(?:attribut|attributo|atributo) (\d+) (?:name|nome)|(\d+) atributuaren izena"
        ),
        "Attribute {} name",
    ),
    (
        re.compile(
            r"(?:valor\(es\) del atributo|valeur\(s\) de l'attribut|valore dell'attributo|valore\(i\) dell'attributo"
            r"|valor(?:\(es\)|es) do atributo|valor\(s\) de l'atribut) (\d+)"
            r"|(?:attribut|attributo|atributo) (\d+) (?:wert\(e\)|valuta\(e\)|valore\(i\)|valor\(es\))"
            r"|(\d+) atributu(?:aren|en) balioa\(k\)"
        ),
        "Attribute {} value(s)",
    ),
)
_KINDS = frozenset({"simple", "variable", "grouped", "external", "variation"})


def is_untranslated(header: Sequence[str], first_row: Sequence[str]) -> bool:
    """Is this the export in a language that is not known here? Its kinds of products are in English always."""
    return (
        len(header) >= 12
        and len(first_row) > 2
        and first_row[0].isdigit()
        and first_row[1].partition(",")[0].strip() in _KINDS
        and first_row[1] not in {"", header[1]}
    )


def english_name(column: str) -> str | None:
    """What the English export calls this column, where the name is a translated one."""
    name = plain(column)
    for pattern, english in _ENGLISH_ATTRIBUTES:
        if match := pattern.fullmatch(name):
            return english.format(match[match.lastindex or 0])
    return _ENGLISH_NAMES.get(name)
