"""How the single values of a record are read: ids, lists, attributes, sales and their dates."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from neuroon_async.catalogs.values.currencies import is_code, unit_named
from neuroon_async.catalogs.values.numbers import Money, Notation
from neuroon_async.catalogs.values.parsing import (
    BadValue,
    to_attribute,
    to_attributes,
    to_brands,
    to_code,
    to_currency,
    to_texts,
)
from neuroon_async.catalogs.values.prices import Prices, holds_on, on_sale

PLAIN = Notation()


def test_a_code_is_text_and_a_whole_number_loses_its_decimals():
    for value, code in ((" A-1 ", "A-1"), (12, "12"), (12.0, "12"), (Decimal("7.00"), "7")):
        assert to_code(value) == code
    for value in (1.5, float("nan"), 2.0**53, -(2.0**53), float("inf"), True):
        with pytest.raises(BadValue):
            to_code(value)


def test_a_currency_is_in_capitals_where_it_is_a_code():
    for value, currency in (("eur", "EUR"), (" usd ", "USD"), ("euro", "EUR"), ("€", "EUR"), ("xqz", "XQZ")):
        assert to_currency(value) == currency
    for value in ("€€é", "978", "$"):
        with pytest.raises(BadValue, match="must be a code such as EUR"):
            to_currency(value)
    assert is_code("EUR")
    assert not is_code("eur")
    assert not is_code("XQZ")


def test_units_agree_where_they_may_be_one_currency():
    dollar, mexican, euro = unit_named("$"), unit_named("MXN"), unit_named("€")
    assert dollar.agrees_with(mexican)
    assert not euro.agrees_with(mexican)
    assert Money(1, dollar).compares_to(Money(2, mexican))
    assert Money(1).compares_to(Money(2, mexican))
    assert not Money(1, euro).compares_to(Money(2, mexican))


def test_lists_by_what_separates_them():
    for value, texts in (
        ("a|b;c", ["a", "b;c"]),
        ("a;b,c", ["a", "b,c"]),
        ("a, b,,", ["a", "b"]),
        ('["a", " ", "b"]', ["a", "b"]),
        ("[a] b", ["[a] b"]),
        ([{"id": 9, "name": "Hats"}, None, {"id": 1, "name": " "}, "Caps"], ["Hats", "Caps"]),
        ("caf&eacute;, tea", ["café", "tea"]),
    ):
        assert to_texts(value, PLAIN) == texts, value
    assert to_texts("a, b", Notation(lists=False)) == ["a, b"]
    assert to_texts('["a", "b, c"]', Notation(lists=False)) == ["a", "b, c"]
    assert to_brands("Procter, Gamble & Co;Other", PLAIN) == ["Procter, Gamble & Co", "Other"]
    with pytest.raises(BadValue):
        to_texts([{"name": 5}], PLAIN)


def test_attributes_are_texts_by_name():
    for value, attributes in (
        ('{"color": "red", "none": "", "sizes": ["S", 2]}', {"color": "red", "sizes": "S, 2"}),
        ([("a", 1), ("b", None)], {"a": "1"}),
        ({"new": True, "old": False, "weight": 1.5, "exact": Decimal("0.50")},
         {"new": "true", "old": "false", "weight": "1.5", "exact": "0.50"}),
    ):  # fmt: skip
        assert to_attributes(value, PLAIN) == attributes, value
    assert to_attribute(["a", ["b", False]]) == "a, b, false"
    for value in ("red", "[1]", 5, [("a", 1, 2)], ["ab"]):
        with pytest.raises(BadValue, match=r"must be a JSON object|must map names to texts"):
            to_attributes(value, PLAIN)


def test_a_sale_is_above_nothing_and_below_the_price():
    regular = Money(10)
    for amount, kept in (
        (0, False),
        (Decimal("0.5"), True),
        (1, True),
        (Decimal("9.99"), True),
        (10, False),
        (11, False),
    ):
        assert (on_sale(regular, Money(amount)).sale_price is not None) == kept, amount
    assert on_sale(regular, None) == Prices(regular)
    assert on_sale(regular, Money(3)).to_pay == 3
    assert on_sale(regular, None).to_pay == 10
    euros, dollars = Money(10, unit_named("EUR")), Money(11, unit_named("USD"))
    assert on_sale(euros, dollars).sale_price == dollars  # to be complained of


def test_a_sale_holds_from_its_first_day_to_its_last():
    today = date(2026, 11, 26)
    for starts, ends, holds in (
        ("", "", True),
        ("2026-11-26", "2026-11-26", True),
        ("2026-11-27", "", False),
        ("", "2026-11-25", False),
        ("2026/11/26 10:00", "2026-11-26T23:00:00+01:00", True),
        ("0000-00-00 00:00:00", "--", True),
        ("26.11.2026", "26.11.26", True),
        ("27.11.2026", "", False),
        ("1.12.2026", "", False),  # of dots it is clear: the day comes first
        ("26/11/2026", "11/26/26", True),
        ("", "25-11-2026, 10:00", False),
        ("1/2/2026", "", True),  # two days, and both are over
        ("", "3/4/99", True),
    ):
        assert holds_on(today, starts, ends) == holds, (starts, ends)
    for text, told in (
        ("12/1/2026", "may be two days"),
        ("soon", "must be a date"),
        ("13/13/2026", "must be a date"),
        ("2026-02-30", "must be a date"),
        ("1/2-2026", "must be a date"),
    ):
        with pytest.raises(BadValue, match=told):
            holds_on(today, text, "")
