"""What is read of a product that has nothing where its platform usually says it."""

from __future__ import annotations

from datetime import date

import pytest
from catalog_files import SHOP, named, products
from msgspec import UNSET

from neuroon_async.catalogs import Catalog

_FEED = '<rss xmlns:g="http://base.google.com/ns/1.0"><channel>{}</channel></rss>'
_ITEM = "<item><g:id>{}</g:id>{}<g:price>10 EUR</g:price></item>"
_NAMED = "<g:title>Mesa</g:title><g:link>https://s.example/m</g:link>"
_SOURCE = "<g:digital_source_type>trained_algorithmic_media</g:digital_source_type>"


def of_feed(*items: str) -> Catalog:
    return Catalog(named(_FEED.format("".join(_ITEM.format(n, item) for n, item in enumerate(items))), "f.xml"))


def test_structured_texts_of_a_feed_stand_in_for_plain_ones():
    structured = (
        f"<g:structured_title>{_SOURCE}<g:content>Mesa &amp; silla</g:content></g:structured_title>"
        f"<g:structured_description><g:content>Roble</g:content>{_SOURCE}</g:structured_description>"
        "<g:link>https://s.example/m</g:link>"
    )
    catalog = of_feed(structured, structured + "<g:title>Banco</g:title>", structured)
    assert [(item.name, item.description) for item in catalog] == [
        ("Mesa & silla", "Roble"), ("Banco", "Roble"), ("Mesa & silla", "Roble"),
    ]  # fmt: skip
    assert catalog.ignored_fields == {}
    header = "id\tstructured title\tlink\tprice\timage_link\n"
    (item,) = products(f'{header}1\ttrained_algorithmic_media:"Mesa"\thttps://s.example/m\t10 EUR\t\n')
    assert item.name == "Mesa"


def test_further_images_and_canonical_addresses_of_a_feed_stand_in():
    further = "<g:additional_image_link>https://s.example/{}.jpg</g:additional_image_link>"
    canonical = "<g:canonical_link>https://s.example/c</g:canonical_link>"
    main = "<g:image_link>https://s.example/main.jpg</g:image_link>"
    plain = _NAMED + main + further.format(2)
    catalog = of_feed(
        plain, plain, plain, _NAMED + further.format(2) + further.format(3), _NAMED + canonical, plain,
        "<g:title>Mesa</g:title>" + canonical,
    )  # fmt: skip
    items = list(catalog)
    assert [item.image_url for item in items] == [
        *["https://s.example/main.jpg"] * 3, "https://s.example/2.jpg", UNSET, "https://s.example/main.jpg", UNSET,
    ]  # fmt: skip
    assert [item.url.rpartition("/")[2] for item in items] == ["m"] * 6 + ["c"]
    catalog = of_feed(plain, plain)
    assert list(catalog)
    assert catalog.ignored_fields == {"additional_image_link": 2}


def test_the_numbered_columns_of_metas_template():
    header = (
        "id,title,availability,condition,price,link,image[0].url,image[0].tag[0],image[1].url,product_tags[0],"
        "product_tags[1],video[0].url\n"
    )
    row = 'F-1,Mesa,in stock,new,10 EUR,/m,/1.jpg,Hero,/2.jpg,nuevo,"de madera, roble",/v.mp4\n'
    catalog = Catalog(named(header + row), shop_url=SHOP)
    (item,) = catalog
    assert (item.image_url, item.tags) == (f"{SHOP}/1.jpg", ["nuevo", "de madera, roble"])
    assert catalog.ignored_fields == {"image[0].tag[0]": 1, "image[1].url": 1, "video[0].url": 1}


def test_tiktoks_template():
    header = "sku_id,title,description,availability,condition,price,link,image_link,brand\n"
    (item,) = products(header + "T-1,Mesa,x,in stock,new,10 EUR,/m,/1.jpg,Norte\n", shop_url=SHOP)
    assert (item.external_id, item.in_stock, item.brands) == ("T-1", True, ["Norte"])


def test_the_image_of_a_variant_where_a_product_of_shopify_has_none():
    header = "Handle,Title,Published,Option1 Name,Option1 Value,Variant Price,Image Src,Variant Image\n"
    rows = (
        "a,A,true,Title,Default Title,1,,https://c.example/a.jpg\n"
        "b,B,true,Color,Rojo,1,,\nb,,,,Azul,2,,https://c.example/azul.jpg\n"
        "c,C,true,Color,Rojo,1,,https://c.example/v.jpg\nc,,,,Azul,2,https://c.example/c.jpg,\n"
    )
    for options in ({}, {"mapping": {"attributes.own": "Handle"}}):  # in the fast lane, and in the careful one
        found = products(header + rows, shop_url=SHOP, **options)
        assert [str(item.image_url).rpartition("/")[2] for item in found] == [
            "a.jpg", "azul.jpg", "azul.jpg", "azul.jpg", "c.jpg", "v.jpg", "c.jpg",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("period", "holds"),
    [
        ("2026-11-01/2026-12-11", True),
        ("2026-11-01T13:00-0800 / 2026-12-11T15:30-0800", True),
        ("2026-01-01 - 2026-02-01", False),
        ("2026-11-01 – 2026-12-31", True),
        ("01/11/2026 - 31/12/2026", True),
        ("01/11/2026/20/11/2026", False),
        ("del 01.11.2026 al 31.12.2026", None),
        ("01.11.2026 bis 31.12.2026", True),
        ("2026-11-01T00:00-0800/", True),
    ],
)
def test_the_period_of_a_sale_with_other_signs_between_its_dates(period, holds):
    header = "id\ttitle\tlink\timage_link\tprice\tsale_price\tsale_price_effective_date\n"
    content = f"{header}1\tA\t/a\t/a.jpg\t10 EUR\t8 EUR\t{period}\n"
    (item,) = Catalog(named(content), shop_url=SHOP, today=date(2026, 11, 26))
    if holds is None:
        assert "its dates: must be a date" in item.reason
    else:
        assert item.sale_price == (8 if holds else UNSET)


def test_barcodes_lose_the_decimals_that_a_program_has_added():
    item = "<g:gtin>{}</g:gtin>" + _NAMED
    catalog = of_feed(item.format("8436571234567"), item.format("8436571234567.0"), item.format("2.0"))
    assert [product.attributes["gtin"] for product in catalog] == ["8436571234567", "8436571234567", "2.0"]
    assert "1 value of attributes.gtin had decimals, such as 8436571234567.0" in catalog.notes[0]
