"""Codes and signs beside a price: what they settle, what they leave open, and what contradicts them."""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal

import pytest
from catalog_files import SHOP, one_failure, products, read
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from neuroon_async.catalogs.values.currencies import unit_named

HEAD = "id;name;price;url;currency;sale_price\n"


def row(price: str, currency: str = "", sale: str = "") -> str:
    return f"{HEAD}1;n;{price};u:x;{currency};{sale}\n"


@pytest.mark.parametrize(
    ("signs", "codes"),
    [
        ("zł", "PLN"), ("Kč", "CZK"), ("Ft", "HUF"), ("R$", "BRL"), ("US$", "USD"), ("HK$", "HKD"), ("NT$", "TWD"),
        ("NZ$", "NZD"), ("S$", "SGD"), ("₸", "KZT"), ("₼", "AZN"), ("SFr", "CHF"), ("kr", "DKK ISK NOK SEK"),
        ("Fr", "CHF XAF XOF XPF"), ("FCFA|F CFA|CFA|francs CFA|franc CFA", "XAF XOF"), ("¥", "CNY JPY"),
        ("AED", "AED"), ("bif", "BIF"),
    ],
)  # fmt: skip
def test_what_a_sign_may_mean(signs, codes):
    for sign in signs.split("|"):
        assert " ".join(sorted(unit_named(sign).currencies)) == codes, sign


def test_where_there_is_no_smaller_coin_three_digits_are_a_group():
    (product,) = products(row("1,200 BIF"))
    assert product.price == 1200


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("49,99 €", "49.99", "EUR"),
        ("€49.99", "49.99", "EUR"),
        ("1.299,00 €", "1299.00", "EUR"),
        ("1\u00a0299,00\u00a0€", "1299.00", "EUR"),
        ("€ 1,299.00", "1299.00", "EUR"),
        ("£5", "5", "GBP"),
        ("1 299,00 zł", "1299.00", "PLN"),
        ("49 Kč", "49", "CZK"),
        ("R$ 1.299,90", "1299.90", "BRL"),
        ("US$ 49.99", "49.99", "USD"),
        ("USD 49.99", "49.99", "USD"),
        ("49.99 usd", "49.99", "USD"),
        ("1'299.50 CHF", "1299.50", "CHF"),
        ("$49.99 MXN", "49.99", "MXN"),
        ("MXN $ 49.99", "49.99", "MXN"),
        ("USD$49.99", "49.99", "USD"),
        ("€49.99 EUR", "49.99", "EUR"),
        ("5 EURO", "5", "EUR"),
        ("49,- €", "49", "EUR"),
        ("49.– CHF", "49", "CHF"),
        ("1.299,- €", "1299", "EUR"),
        ("1,299.— CHF", "1299", "CHF"),
        ("1'299.- CHF", "1299", "CHF"),
        ("1.299,00.- CHF", "1299", "CHF"),
        ("1.299:- SEK", "1299", "SEK"),
        ("1.299.- EUR", "1299", "EUR"),
        ("12.50 EUR IVA incl.", "12.50", "EUR"),
        ("12,50 € inkl. 19% MwSt.", "12.50", "EUR"),
        ("12,50 € (21 % IVA incluido)", "12.50", "EUR"),
        ("129,00 PLN brutto", "129.00", "PLN"),
        ("49:90 SEK", "49.90", "SEK"),
        ("49:- SEK", "49", "SEK"),
        ("12,50 € (inkl. MwSt.)", "12.50", "EUR"),
        ("12,50 € TTC", "12.50", "EUR"),
        ("129,90 лв.", "129.90", "BGN"),
        ("S/ 12.50", "12.50", "PEN"),
    ],
)
def test_what_names_one_currency_sets_it(text, amount, currency):
    (product,) = products(row(text))
    assert (product.price, product.currency) == (Decimal(amount), currency)
    (product,) = products(row(text), currency="JPY")  # is for products that name none
    assert product.currency == currency


def test_a_sign_of_its_own_means_the_currency_that_unicode_calls_it_by():
    names = {
        "EURO": "EUR", "POUND": "GBP", "TURKISH LIRA": "TRY", "HRYVNIA": "UAH", "RUBLE": "RUB", "INDIAN RUPEE": "INR",
        "NEW SHEQEL": "ILS", "WON": "KRW", "DONG": "VND", "PESO": "PHP", "NAIRA": "NGN", "GUARANI": "PYG",
        "COLON": "CRC",
    }  # fmt: skip
    signs = {unicodedata.lookup(f"{name} SIGN"): code for name, code in names.items()} | {"฿": "THB", "Ft": "HUF"}
    file = HEAD + "".join(f"{number};n;{sign} 5;u:x;;\n" for number, sign in enumerate(signs))
    assert [product.currency for product in products(file)] == list(signs.values())


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("$49.99", "49.99"),
        ("$ 1,299.00", "1299.00"),
        ("5 kr.", "5"),
        ("¥5", "5"),
        ("149,99 Lei", "149.99"),
        ("199 kronor", "199"),
        ("15 000 Fcfa", "15000"),
        ("12000FCFA", "12000"),
    ],
)
def test_a_sign_of_several_currencies_leaves_it_open(text, amount):
    (product,) = products(row(text))
    assert (product.price, product.currency) == (Decimal(amount), UNSET)


def test_an_open_sign_takes_the_records_currency_or_the_catalogs():
    assert products(row("$5", "MXN"))[0].currency == "MXN"
    assert products(row("$5"), currency="ars")[0].currency == "ARS"
    assert products(row("$5", "MXN"), currency="USD")[0].currency == "MXN"


@pytest.mark.parametrize(
    ("content", "options", "complaint"),
    [
        (row("5 €", "USD"), {}, "price: is in EUR, and the record's currency is USD"),
        (row("$5", "EUR"), {}, "price: is in $, and the record's currency is EUR"),
        (row("5 USD", "eur"), {}, "price: is in USD, and the record's currency is EUR"),
        (row("$5"), {"currency": "EUR"}, "price: is in $, and the catalog's currency is EUR"),
        (row("9 €", sale="$5"), {}, "salePrice: is in $, and the price in EUR"),
        (row("9", "EUR", "5 GBP"), {}, "salePrice: is in GBP, and the record's currency is EUR"),
        (row("€5 USD"), {}, "price: names two currencies: '€5 USD'"),
        (row("$5 EUR"), {}, "price: names two currencies: '$5 EUR'"),
    ],
)
def test_a_contradiction_is_a_complaint(content, options, complaint):
    failure = one_failure(content, **options)
    assert failure.reason == f"file.csv:2: {complaint}"


@pytest.mark.parametrize(
    "text",
    ["5 pcs", "5 €/kg", "ab 5", "from 5 €", "5 € 6 €", "5 FURO", "kr.5", "5,-- € x", "XYZ 5", "€", "$" + "1" * 200],
)
def test_what_is_no_amount_of_money(text):
    assert "price: must be" in one_failure(row(text)).reason


def test_a_hostile_price_takes_linear_time():
    assert "price: must be an amount" in one_failure(row("1.-x" * 100_000)).reason


@pytest.mark.parametrize("text", ["1,299 €", "$1.299", "USD 12.500"])
def test_a_unit_does_not_settle_what_separates_decimals(text):
    assert "may be" in one_failure(row(text)).reason
    assert products(row(text), decimal="." if "," in text else ",")[0].price in {1299, 12500}


def test_a_mapping_decides_over_the_sign():
    content = row("5 €", "USD")
    assert products(content, mapping={"currency": ""})[0].currency is UNSET
    items = read(HEAD.replace("\n", ";cost\n") + "1;n;5 €;u:x;USD;;7\n", mapping={"price": "cost"})
    assert (items[0].price, items[0].currency) == (7, "USD")
    content = "Handle,Title,Variant Price,Price / Chile\na,A,€20,$9\nb,B,€20,9\n"
    items = read(content, shop_url=SHOP, mapping={"price": "Price / Chile"}, currency="CLP")
    assert [(item.price, item.currency) for item in items] == [(9, "CLP"), (9, "CLP")]


def test_json_texts_and_numbers():
    objects = [
        {"id": "1", "name": "n", "url": "u:x", "price": "49,99 €"},
        {"id": "2", "name": "n", "url": "u:x", "price": 49.99, "currency": "USD"},
        {"id": "3", "name": "n", "url": "u:x", "price": "$4", "currency": None},
        {"id": "4", "name": "n", "url": "u:x", "price": "£4", "currency": None},
    ]
    assert [(str(p.price), p.currency) for p in products(json.dumps(objects))] == [
        ("49.99", "EUR"),
        ("49.99", "USD"),
        ("4", None),
        ("4", "GBP"),
    ]


def test_shopify_parents_have_their_variants_currency():
    content = (
        "Handle,Title,Variant Price,Variant Compare At Price,Option1 Name,Option1 Value\n"
        "a,A,€20,€25,Size,S\na,,€15.00,,,L\nb,B,$5,$5,Title,Default Title\nc,C,USD 5,€9,Title,Default Title\n"
        "d,D,USD 9,€5,Title,Default Title\n"
    )
    parent, small, large, dollars, mixed, lower = read(content, shop_url=SHOP)
    assert (parent.external_id, parent.price, parent.sale_price, parent.currency) == ("a", 15, UNSET, "EUR")
    assert (small.price, small.sale_price, small.currency) == (25, 20, "EUR")
    assert (large.price, large.currency) == (15, "EUR")
    assert (dollars.price, dollars.sale_price, dollars.currency) == (5, UNSET, UNSET)
    assert mixed.reason == "file.csv:5: salePrice: is in USD, and the price in EUR"
    assert lower.reason == "file.csv:6: salePrice: is in USD, and the price in EUR"


def test_woocommerce_parents_have_their_childrens_currency():
    content = (
        "ID,Type,SKU,Name,Sale price,Regular price,Parent,Grouped products\n"
        '1,variable,p,P,,,,\n2,variation,v,P v,"7,50 €","1.009,00 €",id:1,\n3,grouped,g,G,,,,"p, s"\n'
        '4,simple,s,S,,"$9.00",,\n5,simple,t,T,5 USD,9 EUR,,\n6,grouped,h,H,,,,s\n'
    )
    *good, mixed, shared = read(content, shop_url=SHOP)
    assert [(p.external_id, str(p.price), p.sale_price, p.currency) for p in good] == [
        ("1", "1009.00", Decimal("7.50"), "EUR"),
        ("2", "1009.00", Decimal("7.50"), "EUR"),
        ("3", "1009.00", Decimal("7.50"), "EUR"),
        ("4", "9.00", UNSET, UNSET),
    ]
    assert mixed.reason == "file.csv:6: salePrice: is in USD, and the price in EUR"
    assert (str(shared.price), shared.currency) == ("9.00", UNSET)
    assert "price: is in $" in read(content, shop_url=SHOP, currency="EUR")[-1].reason


@given(st.text(max_size=12))
def test_whatever_stands_beside_a_number_is_a_unit_or_a_complaint(text):
    cleaned = "".join(c for c in text if c not in '"\r\n;\0').strip()
    (item,) = read(f'{HEAD}1;n;"{cleaned} 5";u:x;;\n'.encode("utf-8", "replace"), delimiter=";")
    unit = unit_named(cleaned)
    if unit is not None:
        assert item.price == 5
    elif cleaned and not any(character in "0123456789.,+-'" for character in cleaned):
        assert "price:" in item.reason
