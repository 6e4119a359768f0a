"""How the single values of a record are read: ids, lists, attributes, sales and their dates."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from neuroon_async.catalogs.values.currencies import Unit, is_code, unit_named
from neuroon_async.catalogs.values.numbers import Money, Notation
from neuroon_async.catalogs.values.parsing import (
    BadValue,
    to_attribute,
    to_attributes,
    to_brands,
    to_categories,
    to_code,
    to_currency,
    to_image,
    to_texts,
)
from neuroon_async.catalogs.values.prices import Prices, bounds_of, holds_on, on_sale, struck_through

PLAIN = Notation()


def test_a_code_is_text_and_a_whole_number_loses_its_decimals():
    for value, code in (
        (" A-1 ", "A-1"),
        (12, "12"),
        (12.0, "12"),
        (Decimal("7.00"), "7"),
        (1e15 - 1, "9" * 15),
        (1 - 1e15, "-" + "9" * 15),
    ):
        assert to_code(value) == code
    for value in (1.5, float("nan"), 1e15, -1e15, float("inf"), True):
        with pytest.raises(BadValue):
            to_code(value)


def test_a_currency_is_in_capitals_where_it_is_a_code():
    for value, currency in (("eur", "EUR"), (" usd ", "USD"), ("euro", "EUR"), ("€", "EUR"), ("xqz", "XQZ")):
        assert to_currency(value) == currency
    for value, told in (("€€é", ""), ("978", ""), (" $", "; '$' may be ARS, AUD, BBD, BMD …")):
        with pytest.raises(BadValue) as caught:
            to_currency(value)
        assert str(caught.value) == f"must be a code such as EUR, got '{value.strip()}'{told}"
    assert is_code("EUR")
    assert not is_code("eur")
    assert not is_code("XQZ")


def test_the_first_address_of_an_image_is_taken():
    for value in ("https://x/1.jpg", ["https://x/1.jpg", "https://x/2.jpg"], ({"src": "https://x/1.jpg"},)):
        assert to_image(value) == "https://x/1.jpg"
    for value in (5, 1.5, True):
        with pytest.raises(BadValue, match="must be an address, got"):
            to_image(value)


def test_units_agree_where_they_may_be_one_currency():
    dollar, mexican, euro = unit_named("$"), unit_named("MXN"), unit_named("€")
    assert dollar.agrees_with(mexican)
    assert not euro.agrees_with(mexican)
    assert Money(1, dollar).compares_to(Money(2, mexican))
    assert Money(1).compares_to(Money(2, mexican))
    assert not Money(1, euro).compares_to(Money(2, mexican))


def test_what_a_value_is_read_to_is_shared_so_nobody_changes_it():
    for value in (Money(1), Notation(), Prices(Money(1)), Unit("EUR", frozenset({"EUR"}))):
        assert not hasattr(value, "__dict__")  # there are many of them
        with pytest.raises(AttributeError):
            setattr(value, type(value).__slots__[0], None)


def test_a_unit_is_called_by_the_one_currency_that_it_is_or_by_its_text():
    for text, called in (("€", "EUR"), ("mxn", "MXN"), ("euro", "EUR"), ("¥", "¥"), ("Kr", "Kr"), ("USD $", "USD")):
        assert unit_named(text).text == called
    for text in ("XQZ $", "MXN ??", "XQZ ??", "", "."):
        assert unit_named(text) is None
    both = Unit("a", frozenset({"EUR", "USD"})).and_also(Unit("b", frozenset({"EUR", "USD", "MXN"})))
    assert both == Unit("a", frozenset({"EUR", "USD"}))
    assert unit_named("$").and_also(unit_named("MXN")) == unit_named("MXN")
    assert unit_named("$").and_also(unit_named("€")) is None


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


def test_a_path_of_categories_gives_the_names_of_all_levels():
    for value, categories in (
        ("Ropa > Camisas, Ropa > Zapatos", ["Ropa", "Camisas", "Zapatos"]),
        ("Ropa > > Rebajas", ["Ropa", "Rebajas"]),
        (["Ropa > Camisas"], ["Ropa > Camisas"]),
        ('["Ropa > Camisas", "Ropa"]', ["Ropa > Camisas", "Ropa"]),
        ({"name": "Ropa > Camisas"}, ["Ropa > Camisas"]),
        ("simple, virtual", None),
        ("variation", None),
        (" Variable ", None),
        ("virtual, simple", ["virtual", "simple"]),
    ):
        assert to_categories(value, PLAIN) == categories, value


def test_attributes_are_texts_by_name():
    for value, attributes in (
        ('{"color": "red", "none": "", "sizes": ["S", 2]}', {"color": "red", "sizes": "S, 2"}),
        ([("a", 1), ("b", None)], {"a": "1"}),
        ({"new": True, "old": False, "weight": 1.5, "exact": Decimal("0.50")},
         {"new": "true", "old": "false", "weight": "1.5", "exact": "0.50"}),
    ):  # fmt: skip
        assert to_attributes(value, PLAIN) == attributes, value
    assert to_attribute(["a", ["b", False]]) == "a, b, false"
    for value, told in (
        ("red", "must be a JSON object"),
        ("[1]", "must map names"),
        (5, "must map names"),
        ([("a", 1, 2)], "must map names"),
        (["ab"], "must map names"),
    ):
        with pytest.raises(BadValue, match=told):
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


def test_a_price_beside_a_higher_one_is_that_of_a_sale():
    euros = Money(2, unit_named("EUR"))
    for amount in (Decimal("0.5"), 1):
        assert struck_through(Money(amount), euros) == Prices(euros, Money(amount))
    for amount in (0, 2, 3):
        assert struck_through(Money(amount), euros) == Prices(Money(amount))
    assert struck_through(euros, None) == Prices(euros)


def test_a_period_is_cut_between_its_two_dates():
    for period, bounds in (
        ("2026-01-01T00:00+01:00/2026-01-31T23:59+01:00", ("2026-01-01T00:00+01:00", "2026-01-31T23:59+01:00")),
        ("01/11/2026/31/12/2026", ("01/11/2026", "31/12/2026")),
        ("01/11/2026 / 31/12/2026", ("01/11/2026", "31/12/2026")),
        ("1.1.2026 hasta 31.1.2026", ("1.1.2026", "31.1.2026")),
        ("1.1.2026  BIS  31.1.2026", ("1.1.2026", "31.1.2026")),
        ("2026-01-01 \u2013 2026-01-31", ("2026-01-01", "2026-01-31")),
        ("/2026-01-31", ("", "2026-01-31")),
        ("2026-01-01", ("2026-01-01", "")),
    ):
        assert bounds_of(period) == bounds, period


def test_a_sale_holds_from_its_first_day_to_its_last():
    today = date(2026, 11, 26)
    for starts, ends, holds in (
        ("", "", True),
        ("2026-11-26", "2026-11-26", True),
        ("2026-11-27", "", False),
        ("", "2026-11-25", False),
        ("2026/11/26 10:00", "2026-11-26T23:00:00+01:00", True),
        ("2026/11/26Z", "2026-11-26+01:00", True),
        ("2026/11/27Z", "", False),
        ("", "2026-11-25Z", False),
        ("0000-00-00 00:00:00", "--", True),
        ("26.11.2026", "26.11.26", True),
        ("27.11.2026", "", False),
        ("", "25.11.26", False),
        ("", "25.11.0100", False),
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
        for starts, ends in ((text, ""), ("2026-01-01", text)):
            with pytest.raises(BadValue, match=told) as caught:
                holds_on(today, starts, ends)
            assert f"'{text}'" in str(caught.value)
    for starts, ends in (("12/1/2026", "31/12/2026"), ("13/1/2026", "1/12/2026"), ("1/31/2026", "12/1/2026")):
        assert holds_on(today, starts, ends), (starts, ends)  # one tells the order of the other
    assert not holds_on(today, "1/12/2026", "31/12/2026")
    assert not holds_on(today, "1/31/2026", "1/12/2026")
    with pytest.raises(BadValue, match="may be two days"):
        holds_on(today, "12/1/2026", "12/2/2026")
