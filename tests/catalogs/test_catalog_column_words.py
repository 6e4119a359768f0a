"""Columns of plain files that are understood by their words: remarks, articles and the like say nothing new."""

from __future__ import annotations

import pytest
from catalog_files import SHOP, named, one_failure, products

from neuroon_async.catalogs import Catalog
from neuroon_async.catalogs.columns import recognised_field

UNDERSTOOD = {
    "external_id": (
        "Código *", "ID (obligatorio)", "Código del artículo", "Product Reference", "Cod. producto", "Réf. produit",
        "retailer_id",
    ),
    "name": (
        "Nombre (es)", "Nombre del artículo", "Nome articolo", "Nom de l'article", "Nom article", "Name_de",
        "product.name", "Título (obligatorio)", "title-es", "Designação", "Kurzbez.",
    ),
    "price": (
        "Precio [€]", "Preis (brutto)", "VK-Preis (brutto)", "Prezzo (IVA incl.)", "PVP c/ IVA", "PVP (IVA inclòs)",
        "Precio web", "Precio del producto (€)", "Prix TTC (€)", "Price incl. VAT", "Preço com IVA", "Item price",
        "Preis inkl. MwSt. (€)", "Price (tax included)", "Unit Price", "Precio venta (Total)", "Precio (IGIC incluido)",
        "Prix vente", "Preço final", "Prezzo al pubblico", "Preu final", "Endpreis (brutto)",
    ),
    "sale_price": ("Precio de oferta (€)", "Precio oferta web", "Sonderpreis (brutto)", "Prix promo TTC"),
    "url": ("Artikel-URL", "Product Page URL", "URL del artículo (es)", "Lien de l'article", "URL *"),
    "image_url": ("Imagen 1", "Bild-URL_1", "Foto principal", "Imagen destacada", "URL imagen 1", "Image link (main)"),
    "description": (
        "Descripción HTML", "Descrizione estesa", "Descrição completa", "description_fr",
        "Descripción larga (html)",
    ),
    "categories": ("Categoría 1", "Catégorie principale", "Categoria merceologica", "Category (en)"),
    "stock_quantity": (
        "Stock total", "Qty In Stock", "Unitats en estoc", "Stock (uds)", "Stock web", "Qtd.", "countInStock",
    ),
    "in_stock": ("Disponibilità (pz)", "Disponible online", "In stock (y/n)", "Lieferstatus", "availabilityStatus"),
    "is_active": ("Activo (S/N)", "Active (0/1)", "Publicado en la web", "Activo web"),
    "brands": ("Marca del producto", "Marque du produit", "Fabricante / Marca"),
}  # fmt: skip
OTHERS = (
    "Precio (sin IVA)", "Precio s/ IVA", "Prix HT (€)", "Preis netto", "Price excl. VAT", "Precio de coste",
    "Tax price",
    "UVP", "Price (USD)", "Precio EUR", "Precio por kg", "Precio al por mayor",
    "Precio 1", "Preis AT", "Price from", "Peso bruto", "Price incl. shipping", "Precio C", "Impuestos incluidos",
    "Nombre del proveedor", "Shop name", "Nombre de la tienda", "URL web", "Nombre fabricante", "Image alt",
    "SEO title",
    "Marca / Modelo", "Reparto", "Nombre / Descripción", "Precio/kg", "Price / Poland", "/",
    "Imagen 2", "Image of brand", "Category image", "Categoría 2", "Código de barras", "Cód. proveedor",
    "Meta title", "Item type", "Product weight", "No. artículo (int)", "Parent", "Stock in transit", "Active from",
    "Estado del pedido", "Marca 2", "Página web", "Name 2", "Descripción 2", "es", "(obligatorio)", "",
)  # fmt: skip


@pytest.mark.parametrize("field", UNDERSTOOD)
def test_names_that_are_understood_by_their_words(field):
    assert {name: recognised_field(name) for name in UNDERSTOOD[field]} == dict.fromkeys(UNDERSTOOD[field], field)


def test_names_that_say_something_else():
    assert {name: recognised_field(name) for name in OTHERS} == dict.fromkeys(OTHERS)


def test_a_name_that_is_known_as_it_stands_comes_first():
    (item,) = products("id,name,price,url,Precio web,Nombre del artículo\n1,A,1,/a,2,B\n", shop_url=SHOP)
    assert (item.price, item.name) == (1, "A")


def test_a_name_in_several_languages_is_for_the_user_to_choose():
    content = "id;Nombre (es);Nombre (en);Descripción (es);price;url\n1;Mesa;Table;Roble;1;/a\n"
    assert "mapping={'name': 'Nombre (es)'}" in one_failure(content, shop_url=SHOP).reason
    catalog = Catalog(named(content), shop_url=SHOP, mapping={"name": "Nombre (en)"})
    (item,) = catalog
    assert (item.name, item.description) == ("Table", "Roble")
    assert catalog.ignored_fields == {"Nombre (es)": 1}
