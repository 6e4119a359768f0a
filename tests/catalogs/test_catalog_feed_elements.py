"""What the elements of an XML feed say in their attributes, and in elements within them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from catalog_files import SHOP, one_failure, products, read
from msgspec import UNSET

_ITEM = "<g:id>A</g:id><title>Tea</title><link>https://shop.example/tea</link>"
_MEDIA = 'xmlns:media="http://search.yahoo.com/mrss/"'


def feed(body: str, item: str = "item") -> str:
    end = item.partition(" ")[0]
    return (
        '<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>'
        f"<{item}>{body}</{end}></channel></rss>"
    )


def of(body: str, **options):
    (product,) = products(feed(_ITEM + body), "feed.xml", **{"currency": "EUR"} | options)
    return product


@pytest.mark.parametrize(
    "price",
    [
        '<g:price currency="USD">12.50</g:price>',
        '<price currencyIso="USD">12,50</price>',
        '<price divisa="usd">12.50</price>',
        '<price unit="$ USD">12.50</price>',
        '<price currency="USD">US$ 12.50</price>',
        '<price currency="USD">12.50 USD</price>',
        '<g:price amount="12.50" currency="USD"/>',
        '<g:price currency="USD" value="12.50"></g:price>',
        "<g:price><g:value>12.50</g:value><g:currency>USD</g:currency></g:price>",
        "<g:price>\n  <currency>USD</currency>\n  <value>12.50</value>\n</g:price>",
        '<g:price><value currency="USD">12.50</value></g:price>',
        "<price>12.50</price><currency>USD</currency>",
    ],
)
def test_a_currency_beside_the_amount_comes_before_that_of_the_catalog(price):
    product = of(price)
    assert (product.price, product.currency) == (Decimal("12.50"), "USD")


def test_units_that_are_no_currencies_say_nothing_of_a_price():
    product = of('<g:price unit="kg">12.50</g:price><g:quantity unit="pcs">5</g:quantity>')
    assert (product.price, product.currency, product.stock_quantity) == (Decimal("12.50"), "EUR", 5)


def test_an_empty_price_of_a_sale_is_none_although_it_names_its_currency():
    assert of('<g:price currency="EUR">5</g:price><g:sale_price currency="EUR"/>').sale_price is UNSET


@pytest.mark.parametrize(
    ("price", "told"),
    [
        ('<price currency="USD">12.50 EUR</price>', "price: names two currencies: 'USD 12.50 EUR'"),
        ("<price>12.50 EUR</price><currency>USD</currency>", "USD"),
        ('<price currency="XXQ">12.50</price>', "got '12.50 XXQ'"),
        ("<price><net>10</net><gross>299</gross></price>", r"got '10\n299'"),
        ("<price><net>1</net> <gross>299</gross></price>", "must be an amount"),
        (
            '<price currency="EUR">12.50</price><price currency="USD">14</price>',
            "price: is there several times (12.50 EUR, 14 USD)",
        ),
        ('<price>20</price><sale_price type="a">9</sale_price><sale_price>8</sale_price>', "salePrice: is there"),
    ],
)
def test_what_may_be_two_prices_is_none(price, told):
    assert told in one_failure(feed(_ITEM + price), "feed.xml", currency="EUR").reason


@pytest.mark.parametrize(
    ("twice", "told"),
    [
        ("<g:id>B</g:id>", "externalId: is there several times (A, B); keep the right one"),
        ("<g:availability>in stock</g:availability><g:availability>out of stock</g:availability>", "inStock: is there"),
        ("<g:quantity>5</g:quantity><g:quantity>6</g:quantity>", "stockQuantity: is there several times (5, 6)"),
        ("<currency>EUR</currency><currency>USD</currency>", "currency: is there several times (EUR, USD)"),
        (
            '<title xml:lang="es">Té</title>',
            "name: is there several times (Tea, Té); keep the right one (mapping={'name': 'title.0'} takes the first)",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(twice, told):
    assert told in one_failure(feed(f"{_ITEM}<price>5</price>{twice}"), "feed.xml").reason


def test_a_price_that_is_said_twice_alike_is_one_and_a_mapping_chooses_among_others():
    assert of("<price>12.50 EUR</price><price>12.50 EUR</price>").price == Decimal("12.50")
    prices = '<price currency="EUR">12.50</price><price currency="USD">14</price>'
    assert of(prices, mapping={"price": "price.1"}).currency == "USD"


@pytest.mark.parametrize(("place", "names"), [("0", ["Tea", "Mug"]), ("1", ["Té", None])])
def test_a_mapping_chooses_among_titles_and_the_first_of_one_is_that_one(place, names):
    several = f"{_ITEM}<price>5</price><title>Té</title>"
    one = "<g:id>B</g:id><title>Mug</title><link>/b</link><price>5</price>"
    found = read(feed(f"{several}</item><item>{one}"), "feed.xml", shop_url=SHOP, mapping={"name": f"title.{place}"})
    assert [getattr(item, "name", None) for item in found] == names


@pytest.mark.parametrize(
    "image",
    [
        '<image url="https://shop.example/i.jpg"/>',
        '<g:image_link href="https://shop.example/i.jpg"/>',
        '<image src="/i.jpg"/>',
        "<image><title>Tea</title><url>https://shop.example/i.jpg</url></image>",
        '<enclosure url="https://shop.example/i.jpg" type="image/jpeg" length="7"/>',
        '<enclosure url="https://shop.example/i.jpg"/>',
        '<link rel="enclosure" type="image/jpeg" href="https://shop.example/i.jpg"/>',
        f'<media:title {_MEDIA}>Photo</media:title><media:content {_MEDIA} url="/i.jpg" medium="image"/>',
    ],
)
def test_images_that_elements_name_in_attributes(image):
    product = of(f"{image}<g:price>1 EUR</g:price>", shop_url=SHOP)
    assert product.image_url == f"{SHOP}/i.jpg"
    assert (product.name, product.description, product.url) == ("Tea", UNSET, "https://shop.example/tea")


@pytest.mark.parametrize(
    "other",
    [
        '<enclosure url="https://shop.example/i.mp3" type="audio/mpeg"/>',
        f'<media:content {_MEDIA} url="https://shop.example/film" medium="video"/>',
        '<link rel="self" href="https://shop.example/i.jpg"/>',
        '<content src="https://shop.example/i.jpg"/>',
    ],
)
def test_addresses_that_are_no_images(other):
    product = of(f"{other}<g:price>1 EUR</g:price>")
    assert (product.image_url, product.description) == (UNSET, UNSET)


def test_an_image_of_its_own_comes_before_others():
    product = of('<image url="/other.jpg"/><g:image_link>/i.jpg</g:image_link><price>1 EUR</price>', shop_url=SHOP)
    assert product.image_url == f"{SHOP}/i.jpg"


def test_paragraphs_stand_apart_and_words_stay_whole():
    content = '<content><div xmlns="http://www.w3.org/1999/xhtml">Gr<b>ee</b>n<p>tea</p><p>from Uji</p></div></content>'
    assert of(f"{content}<price>1 EUR</price>").description == "Green\ntea\nfrom Uji"


def test_attributes_of_an_item_are_fields_that_it_lacks():
    body = "<title>Tea</title><link>https://shop.example/tea</link><price>5</price>"
    (product,) = products(feed(body, 'item id="B" currency="USD" xml:lang="es"'), "feed.xml", currency="EUR")
    assert (product.external_id, product.currency) == ("B", "USD")
    (product,) = products(feed(f"<id>C</id>{body}", 'item id="B"'), "feed.xml")
    assert product.external_id == "C"
