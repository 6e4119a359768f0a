"""Exports under other column names: the newer header of Shopify, WooCommerce's in Spanish, German and French."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from catalog_files import SHOP, Pipe, named, one_failure, products, read, until_fault
from msgspec import UNSET

from neuroon_async.catalogs import Catalog, CatalogFormat

NEWER = (
    "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode,"
    "Option1 name,Option1 value,Option1 Linked To,Option2 name,Option2 value,Option2 Linked To,Price,Compare-at price,"
    "Cost per item,Charge tax,Tax code,Inventory tracker,Inventory quantity,Continue selling when out of stock,"
    "Weight value (grams),Weight unit for display,Requires shipping,Fulfillment service,Product image URL,"
    "Image position,Image alt text,Variant image URL,Gift card,SEO title,SEO description,"
    "Google Shopping / Gender,Google Shopping / Age group,Google Shopping / Manufacturer part number (MPN),"
    "Google Shopping / Condition"
)
OLDER = (
    "Title,Handle,Body (HTML),Vendor,Product Category,Type,Tags,Published,Status,Variant SKU,Variant Barcode,"
    "Option1 Name,Option1 Value,Option1 Linked To,Option2 Name,Option2 Value,Option2 Linked To,Variant Price,"
    "Variant Compare At Price,Cost per item,Charge tax,Tax code,Variant Inventory Tracker,Variant Inventory Qty,"
    "Variant Inventory Policy,Weight value (grams),Weight unit for display,Requires shipping,Fulfillment service,"
    "Image Src,Image Position,Image alt text,Variant Image,Gift Card,SEO title,SEO description,"
    "Google Shopping / Gender,Google Shopping / Age Group,Google Shopping / MPN,Google Shopping / Condition"
)
LAMP = (
    'Lamp,lamp,<p>Warm &amp; bright</p>,Acme,Home & Garden > Lighting,,"lamps, home",TRUE,Active,\'L-S,4006381333931,'
    "Size,Small,,Color,Red,,15.00,20.00,7,TRUE,,shopify,3,DENY,100,g,TRUE,manual,https://c/1.jpg,1,A lamp,,FALSE,,,"
    "unisex,adult,MP-1,new\n"
    ",lamp,,,,,,,,L-L,,,Large,,,Blue,,25.00,,9,TRUE,,shopify,0,CONTINUE,200,g,TRUE,manual,https://c/2.jpg,2,,"
    "https://c/blue.jpg,,,,,,,\n"
    ",lamp,,,,,,,,,,,,,,,,,,,,,,,,,,,,https://c/3.jpg,3,,,,,,,,,\n"
    "Card,card,,Acme,,Cards,,FALSE,Draft,,,Title,Default Title,,,,,10.00,,,TRUE,,,,,,,,,,,,,TRUE,,,,,,\n"
)


@pytest.mark.parametrize("pipe", [False, True])
def test_the_newer_shopify_header(pipe):
    content = f"{NEWER}\n{LAMP}".encode()
    catalog = Catalog(Pipe(content) if pipe else named(content), shop_url=SHOP)
    lamp, small, large, card = catalog
    assert (catalog.format, catalog.records, catalog.failed) == (CatalogFormat.SHOPIFY, 4, 0)
    assert (lamp.external_id, lamp.url, lamp.name) == ("lamp", f"{SHOP}/products/lamp", "Lamp")
    assert (lamp.price, lamp.sale_price, lamp.currency) == (20, 15, UNSET)
    assert (lamp.description, lamp.brands, lamp.tags) == ("Warm & bright", ["Acme"], ["lamps", "home"])
    assert (lamp.categories, lamp.image_url, lamp.is_active) == (["Home & Garden", "Lighting"], "https://c/1.jpg", True)
    assert (lamp.in_stock, lamp.stock_quantity) == (True, 3)
    assert (small.external_id, small.parent_external_id, small.sku) == ("lamp/Small/Red", "lamp", "L-S")
    assert (small.price, small.sale_price, small.stock_quantity) == (20, 15, 3)
    assert small.attributes == {
        "Size": "Small",
        "Color": "Red",
        "barcode": "4006381333931",
        "gender": "unisex",
        "age_group": "adult",
        "mpn": "MP-1",
        "condition": "new",
    }
    assert (large.external_id, large.price, large.image_url) == ("lamp/Large/Blue", 25, "https://c/blue.jpg")
    assert (large.in_stock, large.stock_quantity) == (True, 0)  # sold on when out of stock
    assert (card.external_id, card.is_active, card.categories) == ("card", False, ["Cards"])
    assert card.attributes == {"gift_card": "true"}
    assert "Price" not in catalog.ignored_fields
    assert catalog.ignored_fields["Cost per item"] == 2


def test_both_shopify_headers_give_the_same_products():
    newer = products(f"{NEWER}\n{LAMP}", shop_url=SHOP)
    older = products(f"{OLDER}\n{LAMP.replace('CONTINUE', 'continue')}", shop_url=SHOP)
    assert newer == older


@pytest.mark.parametrize(("policy", "available"), [("TRUE", True), ("FALSE", False), ("DENY", False)])
def test_selling_on_may_be_told_as_yes_or_no(policy, available):
    header = "Title,URL handle,Price,Inventory tracker,Inventory quantity,Continue selling when out of stock\n"
    (product,) = products(f"{header}A,a,1,shopify,0,{policy}\n", shop_url=SHOP)
    assert product.in_stock is available


def test_complaints_and_mappings_speak_of_the_files_own_columns():
    failure = one_failure("Title,URL handle,Price\nA,a,abc\n", shop_url=SHOP)
    assert failure.reason.startswith("file.csv:2: price: must be an amount")
    assert failure.product == {"Title": "A", "URL handle": "a", "Price": "abc"}
    (product,) = products("Title,URL handle,Price\nA,a,1\n", shop_url=SHOP, mapping={"sku": "URL handle"})
    assert product.sku == "a"


def test_a_handle_and_a_price_alone_are_no_shopify_export():
    catalog = Catalog(named("id,Handle,Title,Price,url\n1,a,A,2,u:x\n"))
    assert [product.external_id for product in catalog] == ["1"]
    assert catalog.format is CatalogFormat.CSV


ENGLISH = [
    "ID", "Type", "SKU", "GTIN, UPC, EAN, or ISBN", "Name", "Published", "Is featured?", "Visibility in catalog",
    "Short description", "Description", "Date sale price starts", "Date sale price ends", "Tax status", "In stock?",
    "Stock", "Sale price", "Regular price", "Categories", "Tags", "Images", "Parent", "Grouped products",
    "External URL", "Brands", "Attribute 1 name", "Attribute 1 value(s)", "Attribute 2 name", "Attribute 2 value(s)",
]  # fmt: skip
SPANISH = [
    "ID", "Tipo", "SKU", "GTIN, UPC, EAN o ISBN", "Nombre", "Publicado", "¿Está destacado?",
    "Visibilidad en el catálogo", "Descripción corta", "Descripción", "Día en que empieza el precio rebajado",
    "Día en que termina el precio rebajado", "Estado del impuesto", "¿Existencias?", "Inventario", "Precio rebajado",
    "Precio normal", "Categorías", "Etiquetas", "Imágenes", "Superior", "Productos agrupados", "URL externa", "Marcas",
    "Nombre del atributo 1", "Valor(es) del atributo 1", "Nombre del atributo 2", "Valor(es) del atributo 2",
]  # fmt: skip
SPANISH_AMERICAN = [
    {
        "¿Existencias?": "¿En inventario?",
        "Precio rebajado": "Precio de oferta",
        "Día en que empieza el precio rebajado": "Fecha en que empieza el precio rebajado",
        "Día en que termina el precio rebajado": "Fecha en que termina el precio de oferta",
        "Superior": "Principal",
    }.get(name, name)
    for name in SPANISH
]
GERMAN = [
    "ID", "Typ", "Artikelnummer", "GTIN, UPC, EAN oder ISBN", "Name", "Veröffentlicht", "Ist hervorgehoben?",
    "Sichtbarkeit im Katalog", "Kurzbeschreibung", "Beschreibung", "Datum, an dem Angebotspreis beginnt",
    "Datum, an dem Angebotspreis endet", "Steuerstatus", "Vorrätig?", "Bestand", "Angebotspreis", "Regulärer Preis",
    "Kategorien", "Schlagwörter", "Bilder", "Übergeordnetes Produkt", "Gruppierte Produkte", "Externe URL", "Marken",
    "Attribut 1 Name", "Attribut 1 Wert(e)", "Attribut 2 Name", "Attribut 2 Wert(e)",
]  # fmt: skip
FRENCH = [
    "ID", "Type", "UGS", "GTIN, UPC, EAN ou ISBN", "Nom", "Publié", "Mis en avant ?", "Visibilité dans le catalogue",
    "Description courte", "Description", "Date de début de promo", "Date de fin de promo", "État de la TVA",
    "En stock\u00a0?", "Stock", "Tarif promo", "Tarif régulier", "Catégories", "Étiquettes", "Images", "Parent",
    "Groupes de produits", "URL externe", "Brands", "Nom de l\u2019attribut 1", "Valeur(s) de l\u2019attribut 1 ",
    "Nom de l'attribut 2", "Valeur(s) de l'attribut 2",
]  # fmt: skip
FRENCH_CANADIAN = [{"En stock\u00a0?": "En inventaire?", "Stock": "Inventaire"}.get(name, name) for name in FRENCH]
ITALIAN = [
    "ID", "Tipo", "COD", "GTIN, UPC, EAN, o ISBN", "Nome", "Pubblicato", "In primo piano?", "Visibilità nel catalogo",
    "Breve descrizione", "Descrizione", "Data di partenza del prezzo in saldo", "Data in cui termina l'offerta",
    "Stato delle imposte", "In stock?", "Magazzino", "Prezzo in offerta", "Prezzo di listino", "Categorie", "Tag",
    "Immagine", "Genitore", "Prodotti raggruppati", "URL esterno", "Marchi", "Nome dell'attributo 1",
    "Valore dell'attributo 1", "Nome dell'attributo 2", "Valore dell'attributo 2",
]  # fmt: skip
ITALIAN_BEFORE = [
    {
        "Data in cui termina l'offerta": "Termine data del prezzo di vendita",
        "Tag": "Etichette",
        "URL esterno": "URL esterna",
        "Nome dell'attributo 1": "Attributo 1 nome",
        "Valore dell'attributo 1": "Attributo 1 valuta(e)",
        "Nome dell'attributo 2": "Attributo 2 nome",
        "Valore dell'attributo 2": "Attributo 2 valuta(e)",
    }.get(name, name)
    for name in ITALIAN
]
PORTUGUESE = [
    "ID", "Tipo", "REF", "GTIN, UPC, EAN ou ISBN", "Nome", "Publicado", "Em destaque?", "Visibilidade no catálogo",
    "Descrição breve", "Descrição", "Data de início do preço promocional", "Data de término do preço promocional",
    "Situação fiscal", "Em stock?", "Stock", "Preço promocional", "Preço normal", "Categorias", "Etiquetas", "Imagens",
    "Pai", "Produtos agrupados", "URL externo", "Marcas", "Atributo 1 nome", "Atributo 1 valor(es)", "Atributo 2 nome",
    "Atributo 2 valor(es)",
]  # fmt: skip
BRAZILIAN = [
    "ID", "Tipo", "SKU", "GTIN, UPC, EAN ou ISBN", "Nome", "Publicado", "Em destaque?", "Visibilidade no catálogo",
    "Descrição curta", "Descrição", "Data de preço promocional começa em", "Data de preço promocional termina em",
    "Status do imposto", "Em estoque?", "Estoque", "Preço promocional", "Preço", "Categorias", "Tags", "Imagens",
    "Ascendente", "Grupo de produtos", "URL externa", "Marcas", "Nome do atributo 1", "Valores do atributo 1",
    "Nome do atributo 2", "Valores do atributo 2",
]  # fmt: skip
CATALAN = [
    "Identificador", "Tipus", "SKU", "GTIN, UPC, EAN, o ISBN", "Nom", "Publicat", "Està destacat?",
    "Visibilitat en el catàleg", "Descripció breu", "Descripció", "Dia en què comença el preu rebaixat",
    "Dia en què acaba el preu rebaixat", "Estat de l'impost", "En estoc?", "Estoc", "Preu rebaixat", "Preu habitual",
    "Categories", "Etiquetes", "Imatges", "Pare", "Productes agrupats", "URL extern", "Marques", "Nom de l'atribut 1",
    "Valor(s) de l'atribut 1", "Nom de l'atribut 2", "Valor(s) de l'atribut 2",
]  # fmt: skip
BASQUE = [
    "ID", "Mota", "SKU", "GTIN, UPC, EAN edo ISBN", "Izena", "Argitaratuta", "Nabarmenduta dago?",
    "Katalogoko ikuspena", "Deskribapen laburra", "Deskribapena", "Beheratutako prezioa hasten den eguna",
    "Beheratutako prezioa amaitzen den eguna", "Zerga egoera", "Eskuragarri?", "Stocka", "Merkealdi Prezioa:",
    "Ohiko Prezioa:", "Kategoriak", "Etiketak", "Irudiak", "Gurasoa", "Taldekatutako produktuak", "Kanpo URLa",
    "Markak", "1 atributuaren izena", "1 atributuen balioa(k)", "2 atributuaren izena", "2 atributuen balioa(k)",
]  # fmt: skip
GALICIAN = [
    "ID", "Tipo", "SKU", "GTIN, UPC, EAN ou ISBN", "Nome", "Publicado", "Está destacado?", "Visibilidade no catálogo",
    "Descrición curta", "Descrición", "Día en que empeza o prezo rebaixado", "Día en que termina o prezo rebaixado ",
    "Estado do imposto", "En inventario?", "Inventario", "Prezo rebaixado", "Prezo normal", "Categorías", "Etiquetas",
    "Imaxes", "Superior", "Produtos agrupados", "URL externa ", "Marcas", "Nome do atributo 1 ",
    "Valor(es) do atributo 1 ", "Nome do atributo 2 ", "Valor(es) do atributo 2 ",
]  # fmt: skip
LANGUAGES = [ITALIAN, ITALIAN_BEFORE, PORTUGUESE, BRAZILIAN, CATALAN, BASQUE, GALICIAN]
CLOTHES = [
    {"ID": "3", "Type": "variation", "SKU": "v1", "Name": "Camisa - M", "Published": "1", "In stock?": "1",
     "Stock": "parent", "Sale price": "7,50", "Regular price": "9,00", "Parent": "id:2", "Attribute 1 name": "Talla",
     "Attribute 1 value(s)": "M"},
    {"ID": "2", "Type": "variable", "SKU": "c", "Name": "Camisa", "Published": "1", "Visibility in catalog": "visible",
     "Description": "<b>Suave</b>", "In stock?": "1", "Categories": "Ropa > Camisas", "Tags": "a, b", "Images": "i:1",
     "Brands": "Acme", "Attribute 1 name": "Talla", "Attribute 1 value(s)": "S, M", "Attribute 2 name": "Color",
     "Attribute 2 value(s)": "Azul"},
    {"ID": "5", "Type": "grouped", "SKU": "g", "Name": "Juego", "Published": "1", "In stock?": "backorder",
     "Grouped products": "v1, id:6"},
    {"ID": "6", "Type": "simple, virtual", "SKU": "s", "Name": "Gorra", "Published": "1", "In stock?": "0",
     "Visibility in catalog": "hidden", "Short description": "Corta", "Stock": "4", "Regular price": "12",
     "Sale price": "10", "Date sale price starts": "2020-01-01", "Date sale price ends": "2020-02-01",
     "GTIN, UPC, EAN, or ISBN": "123"},
    {"ID": "7", "Type": "external", "SKU": "x", "Name": "Fuera", "Published": "0", "In stock?": "1",
     "Regular price": "3", "External URL": "https://otra.example/x"},
]  # fmt: skip


def woocommerce(header: list[str], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(header)
    writer.writerows([row.get(name, "") for name in ENGLISH] for row in CLOTHES)
    return text.getvalue()


@pytest.mark.parametrize("header", [SPANISH, SPANISH_AMERICAN, GERMAN, FRENCH, FRENCH_CANADIAN, *LANGUAGES])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_woocommerce_in_the_shops_language(header, delimiter):
    catalog = Catalog(named(woocommerce(header, delimiter)), shop_url=SHOP)
    found = {item.external_id: item for item in catalog}
    assert (catalog.format, catalog.records, catalog.failed) == (CatalogFormat.WOOCOMMERCE, 5, 0)
    shirt, medium, group, cap, outside = (found[i] for i in "23567")
    assert (shirt.name, shirt.sku, shirt.url) == ("Camisa", "c", f"{SHOP}/?post_type=product&p=2")
    assert (shirt.price, shirt.sale_price) == (Decimal("9.00"), Decimal("7.50"))
    assert (shirt.categories, shirt.tags, shirt.brands) == (["Ropa", "Camisas"], ["a", "b"], ["Acme"])
    assert (shirt.description, shirt.image_url) == ("Suave", "i:1")
    assert shirt.attributes == {"Talla": "S, M", "Color": "Azul"}
    assert (medium.parent_external_id, medium.categories, medium.attributes) == ("2", shirt.categories, {"Talla": "M"})
    assert (group.price, group.sale_price, group.in_stock) == (Decimal("9.00"), Decimal("7.50"), True)
    assert (cap.description, cap.price, cap.sale_price, cap.stock_quantity) == ("Corta", 12, UNSET, 4)
    assert (cap.is_active, cap.in_stock, cap.attributes) == (False, False, {"gtin": "123"})
    assert (outside.url, outside.is_active) == ("https://otra.example/x", False)
    assert catalog.ignored_fields == {}
    assert list(found.values()) == products(woocommerce(ENGLISH), shop_url=SHOP)


def test_every_translated_column_is_used():
    """A name that the table lacks would show up as ignored: each column has a value in some row."""
    filled = {name for row in CLOTHES for name in row}
    assert set(ENGLISH) - filled == {"Is featured?", "Tax status"}


def test_a_spreadsheets_encoding_of_the_spanish_header():
    found = products(woocommerce(SPANISH).encode("cp1252"), shop_url=SHOP)
    assert [product.external_id for product in found] == ["3", "2", "5", "6", "7"]


def test_an_english_column_comes_before_a_translated_one():
    content = "ID,Type,SKU,Name,Regular price,Precio normal,Inventario,Bestand\n5,simple,s,N,1,2,3,4\n"
    catalog = Catalog(named(content), shop_url=SHOP)
    (product,) = catalog
    assert (product.price, product.stock_quantity) == (1, 3)
    assert catalog.ignored_fields == {"Precio normal": 1, "Bestand": 1}


def test_translated_failures_show_the_row_as_it_is_in_the_file():
    content = "ID,Tipo,SKU,Nombre,Precio normal,Superior\n1,variation,s,N,1,id:9\n2,simple,t,M,x,\n"
    lost, priced = read(content, shop_url=SHOP)
    assert lost.reason == "file.csv:2: parentExternalId: the parent 'id:9' is not in this file"
    assert lost.product["Precio normal"] == "1"
    assert priced.reason.startswith("file.csv:3: price: must be an amount")
    assert set(priced.product) == {"ID", "Tipo", "SKU", "Nombre", "Precio normal", "Superior"}


DUTCH = [
    "ID", "Type", "SKU", "Naam", "Gepubliceerd", "Uitgelicht?", "Zichtbaarheid in catalogus", "Korte beschrijving",
    "Beschrijving", "Op voorraad?", "Voorraad", "Actieprijs", "Reguliere prijs", "Categorieën",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["simple", "variable", '"simple, virtual"'])
@pytest.mark.parametrize("options", [{}, {"format": "woocommerce"}])
def test_an_export_in_another_language_is_named(kind, options):
    content = ",".join(DUTCH) + f"\n5,{kind},s,Tas,1,0,visible,,,1,3,,9,Tassen\n"
    _, fault = until_fault(Catalog(named(content), shop_url=SHOP, **options))
    assert "a WooCommerce export in a language that is not known here (ID, Type, SKU, Naam" in fault
    assert "format='csv', mapping={'name': 'Naam'}" in fault
    mapping = {"name": "Naam", "price": "Reguliere prijs", "url": "/p/{ID}"}
    (product,) = products(content, shop_url=SHOP, format="csv", mapping=mapping)
    assert (product.external_id, product.name, product.price) == ("5", "Tas", 9)


def test_an_export_without_its_column_of_types_is_told_which_name_is_missing():
    header = ["Type" if name == "Typ" else name for name in GERMAN]
    without = [" " if name == "Type" else name for name in header]
    _, fault = until_fault(Catalog(named(woocommerce(without)), shop_url=SHOP))
    assert "looks like a WooCommerce export, but no column is named Type" in fault
    assert "language" not in fault


def test_german_sale_dates_count_with_and_without_the_comma_in_their_names():
    header = [name.replace(", an dem", " an dem") for name in GERMAN]
    assert header != GERMAN
    assert products(woocommerce(header), shop_url=SHOP) == products(woocommerce(GERMAN), shop_url=SHOP)
    catalog = Catalog(named(woocommerce(header)), shop_url=SHOP)
    assert len(list(catalog)) == 5
    assert catalog.ignored_fields == {}


def test_a_count_says_that_shopify_counts_where_no_column_does():
    header = "Handle,Title,Variant Inventory Qty,Variant Inventory Policy,Variant Price\n"
    none, some, goes_on, unknown = products(
        f"{header}a,A,0,deny,1\nb,B,7,deny,1\nc,C,0,continue,1\nd,D,,deny,1\n", shop_url=SHOP
    )
    assert (none.in_stock, none.stock_quantity) == (False, 0)
    assert (some.in_stock, some.stock_quantity) == (True, 7)
    assert (goes_on.in_stock, goes_on.stock_quantity) == (True, 0)
    assert (unknown.in_stock, unknown.stock_quantity) == (UNSET, UNSET)
    header = header.replace("Qty,", "Qty,Variant Inventory Tracker,")
    (untracked,) = products(f"{header}a,A,0,,deny,1\n", shop_url=SHOP)
    assert (untracked.in_stock, untracked.stock_quantity) == (True, UNSET)


def test_every_variant_of_a_gift_card_is_one():
    header = "Handle,Title,Option1 Name,Option1 Value,Variant Price,Gift Card\n"
    found = products(f"{header}g,Gift,Amount,10,10,true\ng,,,25,25,\n", shop_url=SHOP)
    assert [product.attributes["gift_card"] for product in found] == ["true"] * 3
