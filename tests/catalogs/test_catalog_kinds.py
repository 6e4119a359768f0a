"""What shops write in one column, kind by kind: the right value, or a reason; never a wrong value."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from catalog_files import SHOP, named, one_failure, products, read, until_fault
from msgspec import UNSET
from spreadsheets import workbook

from neuroon_async import Product
from neuroon_async.catalogs import Catalog

TODAY = date(2026, 6, 15)


def of_column(column: str, texts: list[str], **options: Any) -> list[Any]:
    """What a file of these cells gives: products in the order of the cells, and failures' reasons."""
    rows = "".join(f'{n}\tA\t9.00\t/a\t"{text}"\n' for n, text in enumerate(texts))
    catalog = Catalog(named(f"id\tname\tprice\turl\t{column}\n{rows}"), **{"shop_url": SHOP, "today": TODAY} | options)
    return [item if isinstance(item, Product) else item.reason for item in catalog]


STOCK: dict[str, tuple[Any, Any]] = {
    "10+": (UNSET, True), ">10": (UNSET, True), "> 5": (UNSET, True), "más de 20": (UNSET, True),
    "plus de 3": (UNSET, True), "Unlimited": (UNSET, True), "∞": (UNSET, True), "ilimitado": (UNSET, True),
    "En stock": (UNSET, True), "3 uds": (3, UNSET), "3 uds.": (3, UNSET), "12 in stock": (12, UNSET),
    "7 Stück": (7, UNSET), "-3": (-3, UNSET), "5.0": (5, UNSET), "0+": (UNSET, UNSET), "< 5": (UNSET, UNSET),
    "consultar": (UNSET, UNSET), "few": (UNSET, UNSET),
}  # fmt: skip
"""A cell, and what it says of ``stock_quantity`` and ``in_stock``."""


def test_what_a_column_for_the_stock_says():
    catalog_items = of_column("stock", list(STOCK))
    for (text, expected), item in zip(STOCK.items(), catalog_items, strict=True):
        assert (item.stock_quantity, item.in_stock) == expected, text


def test_words_for_the_stock_that_are_not_known_are_counted_and_fractions_refused():
    catalog = Catalog(named('id,name,price,url,stock\n1,A,1,/a,< 5\n2,B,1,/b,few\n3,C,1,/c,"2,5"\n'), shop_url=SHOP)
    failure = list(catalog)[2]
    assert "stockQuantity: must be a whole number, got '2,5'" in failure.reason
    (note,) = catalog.notes
    assert "2 products were sent without stockQuantity: nothing is known to be meant by '< 5', 'few'" in note


def test_ratings_out_of_five_and_ratings_that_nobody_has_given():
    cells = ["4.5/5", "4,5 de 5", "5 stars", "4.5 out of 5 stars", "92%", "9.2"]
    *found, percent, ten = of_column("rating", cells)
    assert [item.rating for item in found] == [Decimal("4.5"), Decimal("4.5"), 5, Decimal("4.5")]
    assert "rating: must be a number, got '92%'" in percent
    assert "rating: must be at most 5, got 9.2" in ten
    header = "id,name,price,url,rating,reviews_count\n"
    rated = products(f"{header}1,A,1,/a,0,0\n2,B,1,/b,0.0,0\n3,C,1,/c,0,2\n4,D,1,/d,0,\n", shop_url=SHOP)
    assert [(item.rating, item.review_count) for item in rated] == [(UNSET, 0), (UNSET, 0), (0, 2), (0, UNSET)]
    line = {"externalId": "1", "name": "A", "price": 1, "url": f"{SHOP}/a", "rating": 0, "reviewCount": 0}
    (item,) = products(json.dumps(line) + "\n", "file.jsonl")
    assert item.rating is UNSET


@pytest.mark.parametrize(
    ("header", "row", "options"),
    [
        ("currency", '"¥1,200",JPY', {}),
        ("currency", '"1,200",jpy', {}),
        ("x", '"1,200 JPY",', {}),
        ("x", '"JPY 1.200",', {}),
        ("x", '"₩1,200",', {}),
        ("x", '"1,200",', {"currency": "CLP"}),
    ],
)
def test_a_currency_without_decimals_tells_what_a_sign_means(header, row, options):
    (item,) = products(f"id,name,url,price,{header}\n1,A,/a,{row}\n", shop_url=SHOP, **options)
    assert item.price == 1200


def test_an_amount_stays_ambiguous_where_the_currency_has_decimals_or_is_not_certain():
    for row in ('"1,200",EUR', '"1,200",KWD', '"¥1,200",', '"1,200",'):
        assert (
            "may be 1.200 or 1200" in one_failure(f"id,name,url,price,currency\n1,A,/a,{row}\n", shop_url=SHOP).reason
        )


def test_prices_in_markup():
    header = "id\tname\turl\tprice\n"
    for text in ('<span class=""amount"">12,50&nbsp;<b>€</b></span>', "12,50 €<br>"):
        (item,) = products(f'{header}1\tA\t/a\t"{text}"\n', shop_url=SHOP)
        assert (item.price, item.currency) == (Decimal("12.50"), "EUR")
    assert (
        "price: must be an amount"
        in one_failure(f"{header}1\tA\t/a\t<del>15 €</del> <b>12 €</b>\n", shop_url=SHOP).reason
    )


def test_currencies_by_sign_or_name_are_codes():
    *found, dollar, number = of_column("currency", ["€", "euro", "eur", "zł", "£", "TL", "S$", "$", "978"])
    assert [item.currency for item in found] == ["EUR", "EUR", "EUR", "PLN", "GBP", "TRY", "SGD"]
    assert "currency: must be a code such as EUR, got '$'; '$' may be " in dollar
    assert "currency: must be a code such as EUR, got '978'" in number


def test_words_for_no_parent():
    found = of_column("parent_id", ["-1", "False", "0", "0.0", "NULL", "77"])
    assert [item.parent_external_id for item in found] == [UNSET] * 5 + ["77"]


def test_words_for_no_value_are_no_brands_tags_or_addresses():
    for column, field in (("brand", "brands"), ("tags", "tags"), ("categories", "categories")):
        found = of_column(column, ["N/A", "-", "none", "nan"])
        assert [getattr(item, field) for item in found] == [UNSET] * 4
    for word in ("null", "-", "n/a"):
        reason = one_failure(f"code,name,price,url\n1,A,1,{word}\n", shop_url=SHOP).reason
        assert f"url: is required; map it to a column or a template (mapping={{'url': '{SHOP}/p/{{code}}'}})" in reason


def test_categories_of_several_levels():
    cells = ["Ropa > Camisas", "Ropa > Camisas | Ofertas > Verano", "Ropa &gt; Camisas", "Ropa/Camisas"]
    assert [item.categories for item in of_column("categories", cells)] == [
        ["Ropa", "Camisas"], ["Ropa", "Camisas", "Ofertas", "Verano"], ["Ropa", "Camisas"], ["Ropa/Camisas"],
    ]  # fmt: skip
    line = {"id": 1, "name": "A", "price": 1, "url": "/a", "categories": ["Regalos > 50 €"]}
    assert products(json.dumps([line]), "file.json", shop_url=SHOP)[0].categories == ["Regalos > 50 €"]


def test_lists_of_images_with_empty_places_and_paths_with_backslashes():
    cells = {
        "https://x.example/a.jpg||https://x.example/b.jpg": "https://x.example/a.jpg",
        "https://x.example/a.jpg; ;https://x.example/b.jpg": "https://x.example/a.jpg",
        "a.jpg||b.jpg": f"{SHOP}/a.jpg",
        r"img\p\a.jpg": f"{SHOP}/img/p/a.jpg",
    }
    assert [item.image_url for item in of_column("image", list(cells))] == list(cells.values())


def test_addresses_that_were_written_wrongly_are_refused():
    texts = (
        "https:/s.example/a",
        "http:s.example/a",
        "https//s.example/a",
        '<a href="https://s.example">x</a>',
        r"\\s\a",
    )
    for text in texts:
        quoted = text.replace('"', '""')
        reason = one_failure(f'id,name,price,url\n1,A,1,"{quoted}"\n', shop_url=SHOP).reason
        assert "is no address; it is written as https://shop.example/tea" in reason


def test_words_for_no_date_bound_no_sale():
    header = "id,name,price,sale_price,url,sale_start,sale_end\n"
    for starts, ends in (("NULL", "n/a"), ("none", "-"), ("0000-00-00", "0000-00-00 00:00:00")):
        (item,) = products(f"{header}1,A,10,8,/a,{starts},{ends}\n", shop_url=SHOP, today=TODAY)
        assert item.sale_price == 8


def test_a_column_that_says_whether_a_product_is_shown():
    for column in ("Visible", "is_visible", "Sichtbar", "Mostrado"):
        assert [item.is_active for item in of_column(column, ["Sí", "no", "1", "0", "x"])] == [
            True, False, True, False, UNSET,
        ]  # fmt: skip


def test_an_archived_product_of_a_meta_catalog_is_not_active():
    header = "id,title,availability,condition,price,link,image_link,status,visibility\n"
    rows = "".join(
        f"{n},A,in stock,new,9 EUR,/a,/a.jpg,{cells}\n"
        for n, cells in enumerate(("active,published", "archived,", ",staging", ",hidden", "new,"))
    )
    assert [item.is_active for item in products(header + rows, shop_url=SHOP)] == [UNSET, False, False, False, UNSET]
    item = "<item><id>{}</id><title>A</title><link>/a</link><price>9 EUR</price><status>{}</status></item>"
    feed = "".join(item.format(n, state) for n, state in enumerate(["active"] * 3 + ["archived"] * 3))
    found = products(f"<rss><channel>{feed}</channel></rss>", "file.xml", shop_url=SHOP)
    assert [product.is_active for product in found] == [UNSET] * 3 + [False] * 3


def test_a_caption_over_groups_of_columns_is_no_header():
    rows: list[list[object]] = [
        ["Producto", None, "Precio", None],
        ["Código", "Nombre", "PVP", "URL"],
        ["1", "A", 5, "/a"],
    ]
    for content in (workbook({"S": rows}), "Producto;;Precio;\nCódigo;Nombre;PVP;URL\n1;A;5;/a\n"):
        (item,) = products(content, shop_url=SHOP)
        assert (item.external_id, item.name, item.price) == ("1", "A", 5)
    few = "Clau;;;;Estat;\n;Títol;Preu;Marca;;Talla\n1;A;5;M;nou;S\n"
    (item,) = products(few, mapping={"externalId": "{Títol:hash}", "url": "https://shop.example/{Títol:slug}"})
    assert (item.name, item.price) == ("A", 5)
    assert len(read("id,name,price,url\nid,name,price,url\n1,A,5,/a\n", shop_url=SHOP)) == 2  # a header, and one again
    assert "NUL bytes" in until_fault(Catalog(named(b"\0id,name\n1,A\n")))[1]  # no rows at all


def test_below_captions_the_header_is_the_first_full_row_and_no_row_of_a_product():
    """A row whose cells happen to be called like fields was taken for the header, and all above it left out."""
    captions = "Almacén;;Venta;;\n"
    rows = "Interno;Texto;Importe;Peso;Largo\nname;Precio;1;;2\n7;A;5;2;3\n"
    for content in (captions + rows, f"{captions};;Con IVA;;cm\n{rows}", f"Listado\n{captions}{rows}"):
        _, fault = until_fault(Catalog(named(content), shop_url=SHOP))
        assert "no column is named like a product field: Interno, Texto, Importe, Peso, Largo" in fault
        mapping = {"externalId": "Interno", "name": "Texto", "price": "Importe", "url": "/{Interno}"}
        found = products(content, shop_url=SHOP, mapping=mapping)
        assert [(item.external_id, item.name) for item in found] == [("name", "Precio"), ("7", "A")]
    trailing = "id;name;price;url;;;;;\n1;title;5;/a;x;y;z;x;y\n"
    assert [item.name for item in products(trailing, shop_url=SHOP)] == ["title"]


def test_a_list_further_down_in_a_document_of_one_line_is_named():
    answer = {"status": "ok", "id": "x", "data": {"items": [{"id": 1, "name": "A", "price": 5, "url": "/a"}]}}
    items, fault = until_fault(Catalog(named(json.dumps(answer), "file"), shop_url=SHOP))
    assert items == []
    assert "list='data.items'" in fault
    assert len(products(json.dumps(answer), "file", shop_url=SHOP, list="data.items")) == 1


def test_brands_by_their_italian_name():
    assert of_column("Marchio", ["Lago"])[0].brands == ["Lago"]


def test_what_ails_a_feed_is_named():
    feed = "<rss><channel><item><id>1</id><title>A</title>{}<price>9 EUR</price></item></channel></rss>"
    ails = {
        feed.format("<link>https://s.example/a?x=1&y=2</link>").encode(): "holds a bare &, which is written &amp;",
        feed.format("<description>Sol & mar</description>").encode(): "holds a bare &, which is written &amp;",
        feed.format("<description>Año</description>").encode("cp1252"): "name it (encoding='cp1252')",
        feed.format("<b>").encode(): "the feed may be cut off",
    }
    for content, told in ails.items():
        assert told in until_fault(Catalog(named(content, "f.xml")))[1]


def test_products_of_a_feed_that_are_no_items():
    product = "<{0}><id>1</id><title>A</title><link>/a</link><price>9 EUR</price></{0}>"
    for element in ("item", "Item", "ENTRY"):
        assert products(f"<rss><channel>{product.format(element)}</channel></rss>", shop_url=SHOP)[0].price == 9
    told = until_fault(Catalog(named(f"<rss><channel>{product.format('product')}</channel></rss>", "f.xml")))[1]
    assert told.startswith("f.xml: holds prices, but no <item> or <entry>")
    assert products("<rss><channel><title>Shop</title></channel></rss>") == []


def test_the_stock_of_a_feed_and_images_by_translated_names():
    assert products("id|title|link|price|categories|stock\n1|A|/a|9|X|3\n", shop_url=SHOP)[0].stock_quantity == 3
    for column in ("enlace imagen", "Bildlink", "lien image", "link immagine", "link da imagem"):
        assert of_column(column, ["/a.jpg"])[0].image_url == f"{SHOP}/a.jpg"


def test_more_names_of_columns_in_the_languages():
    headers = (
        "Cod. artículo;Denominación;PVP con IVA;Precio especial;Stock actual;Sección;Fotos;Página producto",
        "Réf.;Intitulé;Prix de vente TTC;Prix réduit;Qté;Famille;Visuel;Lien du produit",
        "Bestellnummer;Produkttitel;Preis inkl. MwSt.;Rabattpreis;Verfügbare Menge;Produktkategorie;Bild;Produktseite",
        "Cod. articolo;Denominazione;Prezzo IVA inclusa;Prezzo promo;Q.tà;Categoria;Foto;Pagina prodotto",
        "Item no;Item title;Price incl. tax;Offer price;Available quantity;Product category;image_1;Canonical URL",
    )
    for header in headers:
        (item,) = products(f"{header}\nA-1;Mesa;12,50;9,90;3;Mesas;/a.jpg;/mesa\n", shop_url=SHOP)
        assert (item.external_id, item.name, item.price) == ("A-1", "Mesa", Decimal("12.50"))
        assert (item.sale_price, item.stock_quantity, item.categories) == (Decimal("9.90"), 3, ["Mesas"])
        assert (item.image_url, item.url) == (f"{SHOP}/a.jpg", f"{SHOP}/mesa")


def test_prices_that_nobody_pays_and_those_in_a_currency_of_the_columns_own_are_not_taken():
    for column in ("Prix barré", "MSRP", "Precio sin IVA", "Price USD", "Prix HT"):
        assert "price: is required" in one_failure(f"id;name;{column};url\n1;A;12;/a\n", shop_url=SHOP).reason


def test_a_name_of_markup_alone_is_none():
    for name in ("<br>", "&nbsp;", "<p> </p>"):
        reason = one_failure(f"id,name,price,url\n1,{name},1,/a\n", shop_url=SHOP).reason
        assert "name: is required; fill it in" in reason
    assert "this record gives null" in one_failure('[{"id":1,"name":null,"price":1,"url":"/a"}]', "f.json").reason


def test_one_date_tells_the_order_of_day_and_month_in_the_other():
    header = "id,name,price,sale_price,url,sale_start,sale_end\n"
    sales = {
        "01/07/2026,31/12/2026": UNSET,
        "01/02/2026,31/12/2026": 8,
        "07/01/2026,12/31/2026": UNSET,
        "25/1/26,7/6/26": UNSET,
    }
    for dates, sale in sales.items():
        (item,) = products(f"{header}1,A,10,8,/a,{dates}\n", shop_url=SHOP, today=TODAY)
        assert item.sale_price == sale, dates
    assert "may be two days" in one_failure(f"{header}1,A,10,8,/a,01/07/2026,\n", shop_url=SHOP, today=TODAY).reason
