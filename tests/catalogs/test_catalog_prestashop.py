"""PrestaShop's product list, exported from the back office in any language, and the file that its import takes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from catalog_files import SHOP, named, one_failure, products, until_fault
from msgspec import UNSET

from neuroon_async.catalogs import Catalog

CASES = Path(__file__).parent / "cases"
OPTIONS = {"shop_url": SHOP, "currency": "EUR", "today": date(2026, 6, 15)}
IMPORT = (
    "Product ID;Active (0/1);Name *;Categories (x,y,z...);{price};Tax rules ID;Discount amount;Discount percent;"
    "Discount from (yyyy-mm-dd);Discount to (yyyy-mm-dd);Reference #;Quantity;Visibility;Image URLs (x,y,z...)\n"
)


def imported(*rows: str, price: str = "Price tax included", **options):
    return products(IMPORT.format(price=price) + "\n".join(rows) + "\n", **OPTIONS | options)


def test_the_list_in_spanish():
    first, second = products((CASES / "12-prestashop-grid-es.csv").read_bytes(), "file", **OPTIONS)
    assert (first.external_id, first.sku, first.price, first.sale_price) == ("1", "MO-1", Decimal("99.90"), UNSET)
    assert (first.categories, first.image_url) == (["Mesas"], "https://shop.example/1-small.jpg")
    assert (first.in_stock, first.stock_quantity, first.is_active) == (True, 4, True)
    assert first.url == f"{SHOP}/index.php?controller=product&id_product=1"
    assert (second.price, second.in_stock, second.is_active) == (Decimal("1249.00"), False, False)


@pytest.mark.parametrize(
    "header",
    [
        "Product ID;Image;Name;Reference;Category;Price (tax excl.);Price (tax incl.);Quantity;Status;Position",
        "ID;Image;Nom;Référence;Catégorie;Prix (HT);Prix (TTC);Quantité;État;Position",
        "ID;Bild;Name;Artikelnummer;Kategorie;Preis (zzgl. MwSt.);Preis (inkl. MwSt.);Menge;Status;Position",
        "ID;Immagine;Nome;Riferimento;Categoria;Prezzo (tasse escl.);Prezzo (tasse incl.);Quantità;Stato;Posizione",
        "ID;Imagem;Nome;Referência;Categoria;Preço (sem IVA);Preço (com IVA);Quantidade;Estado;Posição",
        "ID;Imatge;Nom;Referència;Categoria;Preu (imp. excl.);Preu (imp. incl.);Quantitat;Estat;Posició",
        "ID;Image;Name;Reference;Category;Base price;Final price;Quantity;Status;Position",
        "ID;Imagen;Nombre;Referencia;Categoría;Precio base;Precio final;Cantidad;Estado;Posición",
        "ID;Image;Nom;Référence;Catégorie;Prix de base;Prix final;Quantité;État;Position",
    ],
)
def test_the_list_in_other_languages(header):
    catalog = Catalog(named(f"{header}\n7;;Mesa;M-7;Mesas;82,56 €;99,90 €;4;1;1\n"), **OPTIONS)
    (table,) = catalog
    assert catalog.format == "prestashop"
    assert (table.external_id, table.sku, table.name, table.price) == ("7", "M-7", "Mesa", Decimal("99.90"))
    assert (table.stock_quantity, table.is_active, table.categories) == (4, True, ["Mesas"])


def test_the_import_file():
    catalog = Catalog(named((CASES / "13-prestashop-import.csv").read_bytes(), "file"), **OPTIONS)
    walnut, beech = catalog
    assert (walnut.price, walnut.sale_price, walnut.brands) == (Decimal("49.90"), UNSET, ["Roble"])
    assert (walnut.categories, walnut.tags) == (["Inicio", "Sillas"], ["silla", "nogal"])
    assert (walnut.description, walnut.image_url) == ("Larga", f"{SHOP}/img/1.jpg")
    assert walnut.attributes == {"gtin": "8400000000062", "Altura": "90 cm"}
    assert (walnut.in_stock, walnut.stock_quantity, walnut.is_active) == (True, 12, True)
    assert (beech.is_active, beech.in_stock, beech.attributes) == (False, False, UNSET)
    assert beech.price == Decimal("59.90")
    assert beech.sale_price == Decimal("49.90")  # its discount is an amount of 10
    assert beech.url == f"{SHOP}/index.php?controller=product&id_product=2"


@pytest.mark.parametrize(
    ("discount", "sale"),
    [
        (";10;;", Decimal("53.91")),
        (";10 %;0000-00-00;0000-00-00", Decimal("53.91")),
        ("10;;;", Decimal("49.90")),
        ("0;0;;", UNSET),
        ("59.90;;;", UNSET),  # to nothing
        ("60;;;", UNSET),
        (";100;;", UNSET),
        (";10;2019-01-01;2019-02-01", UNSET),
        (";10;2030-01-01;", UNSET),
        (";10;2026-01-01;2099-12-31", Decimal("53.91")),
    ],
)
def test_discounts(discount, sale):
    (chair,) = imported(f"2;1;Silla;Inicio;59.90;1;{discount};SN-2;3;both;")
    assert (chair.price, chair.sale_price) == (Decimal("59.90"), sale)


def test_a_discount_that_cannot_be_understood_is_refused():
    row = IMPORT.format(price="Price tax included") + "2;1;Silla;Inicio;59.90;1;;150;;;SN-2;3;both;\n"
    assert "at most 100 per cent, got 150" in one_failure(row, **OPTIONS).reason


def test_hidden_products_and_references_as_ids():
    hidden, unnumbered = imported(
        "2;1;Silla;Inicio;59.90;1;;;;;SN-2;3;none;",
        ";1;Mesa;Inicio;10;1;;;;;SN-3;3;both;",
        mapping={"url": "/p/{Reference #}"},
    )
    assert (hidden.is_active, unnumbered.is_active, unnumbered.external_id) == (False, True, "SN-3")


PRICE = "Price tax excluded"


def test_a_price_without_tax_is_not_taken_for_what_shoppers_pay():
    row = IMPORT.format(price=PRICE) + "2;1;Silla;Inicio;49.50;1;;10;;;SN-2;3;both;\n"
    reason = one_failure(row, **OPTIONS).reason
    assert "not clearly what shoppers pay" in reason
    assert "mapping={'price': 'Price tax excluded'}" in reason
    (chair,) = products(row, **OPTIONS, mapping={"price": PRICE})
    assert (chair.price, chair.sale_price) == (Decimal("49.50"), Decimal("44.55"))
    (free,) = products(row.replace("49.50;1;", "49.50;0;"), **OPTIONS)  # without tax, says its tax rule
    assert free.price == Decimal("49.50")


def test_a_file_that_is_cut_off_ends_with_an_error():
    content = IMPORT.format(price="Price tax included") + '1;1;A;;1;1;;;;;R;1;both;\n2;1;"B'
    items, fault = until_fault(Catalog(named(content), **OPTIONS))
    assert [item.external_id for item in items] == ["1"]
    assert "never closed" in fault


@pytest.mark.parametrize(
    "header",
    [
        "ID;Nombre;Referencia;Precio;Cantidad",
        "id;name;reference;price;Price (old)",
        "ID;Nombre;Precio (imp. incl.)",
        "ID;Nombre;Referencia;Precio (sin IVA);Precio (con IVA)",
        "ID;Nombre;Referencia;Categoría;Precio (sin IVA);Precio (con IVA);Cantidad;Estado;URL",
    ],
)
def test_neighbours_stay_plain_csv(header):
    catalog = Catalog(named(header + "\n1" + ";2" * header.count(";") + "\n"), **OPTIONS)
    list(catalog)
    assert catalog.format == "csv"
