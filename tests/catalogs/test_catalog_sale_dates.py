"""When a sale holds: columns that say so under whatever name, and those that nothing understands."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from catalog_files import SHOP, named, one_failure, products
from msgspec import UNSET

from neuroon_async.catalogs import Catalog
from neuroon_async.errors import ConfigurationError

TODAY = date(2026, 6, 15)
STARTS = [
    "Sonderpreis von", "sale_price_from", "promoStartDate", "fecha inicio promoción", "Inicio de la oferta",
    "date de début promo", "Angebotsbeginn", "data inizio sconto", "início da promoção", "inici rebaixes",
    "eskaintzaren hasiera", "on_sale_since", "comezo do desconto",
]  # fmt: skip
ENDS = [
    "Sonderpreis bis", "sale_price_until", "promoEndDate", "fecha fin de oferta", "date de fin de soldes",
    "Aktionsende", "data fine offerta", "fim da promoção", "fins rebaixes", "eskaintzaren amaiera", "discount_expires",
    "remata oferta",
]  # fmt: skip


@pytest.mark.parametrize(("names", "over"), [(STARTS, "2099-01-01"), (ENDS, "2019-12-31")])
def test_bounds_of_a_sale_are_known_by_the_words_of_their_names(names, over):
    for name in names:
        content = f"id;name;price;sale price;{name};url\n1;A;10;8;{over};/a\n2;B;10;8;;/b\n"
        first, second = products(content, shop_url=SHOP, today=TODAY)
        assert (first.sale_price, second.sale_price) == (UNSET, 8), name


@pytest.mark.parametrize("name", ["precio oferta", "prezzo scontato", "Angebotspreis", "promo price"])
def test_a_price_is_no_date(name):
    (product,) = products(f"id;name;price;{name};url\n1;A;10;8;/a\n", shop_url=SHOP, today=TODAY)
    assert product.sale_price == 8


HEADER = "id;nombre;precio;precio oferta;válido desde;válido hasta;alta;url\n"
OVER = HEADER + "1;A;10;8;2019-01-01;2019-12-31;2018-01-01;/a\n2;B;10;;2019-01-01;2019-12-31;2018-01-01;/b\n"


def test_dates_that_nothing_understands_are_told_where_there_is_a_sale():
    catalog = Catalog(named(OVER), shop_url=SHOP, today=TODAY)
    assert [item.sale_price for item in catalog] == [8, UNSET]
    (note,) = catalog.notes
    assert note == (
        "'válido desde' and 'válido hasta' hold dates that are not used, so 1 product is sent with a sale price, "
        "whatever the dates say; where they bound the sale: "
        "mapping={'saleStarts': 'válido desde'} mapping={'saleEnds': 'válido hasta'}"
    )
    catalog = Catalog(named(OVER.replace(";8;", ";;")), shop_url=SHOP, today=TODAY)
    assert [item.sale_price for item in catalog] == [UNSET, UNSET]
    assert catalog.notes == []


def test_moments_that_nothing_uses_are_dates_too():
    content = "id;name;price;sale price;válido hasta;url\n1;A;10;8;2019-12-31T00:00+0100;/a\n"
    catalog = Catalog(named(content), shop_url=SHOP, today=TODAY)
    assert [item.sale_price for item in catalog] == [Decimal(8)]
    assert "'válido hasta' holds dates that are not used" in catalog.notes[0]


def test_the_columns_of_a_google_feed_in_its_languages():
    for price, period in (
        ("Sonderangebotspreis", "Sonderangebotszeitraum"),
        ("prix soldé", "période de validité du prix soldé"),
        ("precio de oferta", "fecha de entrada en vigor del precio de oferta"),
        ("prezzo scontato", "data di validità prezzo scontato"),
        ("preço promocional", "data de validade do preço promocional"),
    ):
        header = f"id;name;price;{price};{period};url\n"
        rows = "".join(f"{year};A;10;8;{year}-01-01T00:00+0100/{year}-12-31T23:59+0100;/a\n" for year in (2019, 2026))
        over, holds = products(header + rows, shop_url=SHOP, today=date(2026, 6, 15))
        assert (over.sale_price, holds.sale_price) == (UNSET, Decimal(8)), period


@pytest.mark.parametrize("mapping", [{"saleEnds": "válido hasta"}, {"sale_ends": "válido hasta"}])
def test_a_mapping_names_the_bounds_of_a_sale(mapping):
    catalog = Catalog(named(OVER), shop_url=SHOP, today=TODAY, mapping=mapping)
    assert [item.sale_price for item in catalog] == [UNSET, UNSET]
    period = "id;name;price;sale price;when;url\n1;A;10;8;2019-01-01/2019-12-31;/a\n"
    (product,) = products(period, shop_url=SHOP, today=TODAY, mapping={"salePeriod": "when"})
    assert product.sale_price is UNSET


def test_a_bound_that_is_no_date_refuses_the_sale_and_names_the_way_out():
    content = "id;name;price;sale price;sale from;url\n1;A;10;8;soon;/a\n"
    failure = one_failure(content, shop_url=SHOP, today=TODAY)
    assert failure.reason.endswith(
        "salePrice: its dates: must be a date such as 2026-01-31, got 'soon' "
        "(mapping={'saleStarts': ''} leaves such a column out)"
    )
    (product,) = products(content, shop_url=SHOP, today=TODAY, mapping={"saleStarts": ""})
    assert product.sale_price == Decimal(8)


def test_an_export_that_knows_its_sales_takes_no_mapping_of_their_bounds():
    content = "Handle,Title,Variant Price,until\na,A,1,2019-01-01\n"
    with pytest.raises(ConfigurationError, match="sale_ends has no effect on a shopify export"):
        list(Catalog(named(content), shop_url=SHOP, mapping={"saleEnds": "until"}))


@pytest.mark.parametrize("ends", ["2020/1/14 0:00", "2020.1.14", "2020-1-4", "2020/01/14", "2020/12/1"])
def test_a_date_that_begins_with_the_year_is_one_day(ends):
    over, held = products(
        f"id;name;price;sale price;sale ends;url\n1;A;10;8;{ends};/a\n2;B;10;8;{ends.replace('2020', '2099')};/b\n",
        shop_url=SHOP,
        today=TODAY,
    )
    assert (over.sale_price, held.sale_price) == (UNSET, 8)


def test_a_day_that_no_calendar_has_is_no_date():
    content = "id;name;price;sale price;sale ends;url\n1;A;10;8;2020/13/1;/a\n"
    assert "must be a date such as 2026-01-31" in one_failure(content, shop_url=SHOP, today=TODAY).reason
