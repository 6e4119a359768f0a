"""WooCommerce's column names in the languages that its export is translated into. Pure."""

from __future__ import annotations

import re

from ...headers import plain

__all__ = ["english_name"]

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


def english_name(column: str) -> str | None:
    """What the English export calls this column, where the name is a translated one."""
    name = plain(column)
    for pattern, english in _ENGLISH_ATTRIBUTES:
        if match := pattern.fullmatch(name):
            return english.format(match[match.lastindex or 0])
    return _ENGLISH_NAMES.get(name)
