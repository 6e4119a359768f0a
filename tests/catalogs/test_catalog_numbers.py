"""How single numbers and amounts are read: what each text says, and what it leaves open."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neuroon_async.catalogs.values.numbers import (
    Money,
    Notation,
    is_beyond_reason,
    to_integer,
    to_money,
    to_number,
    to_pieces,
    to_rating,
)
from neuroon_async.catalogs.values.parsing import AmbiguousNumber, BadValue, UnknownWord, shown, to_text

PLAIN = Notation()


def test_numbers_that_are_clear():
    for text, number, sign in (
        ("1,299.50", Decimal("1299.50"), "."),
        ("1.299,50", Decimal("1299.50"), ","),
        ("49.90", Decimal("49.90"), "."),
        ("49,90", Decimal("49.90"), ","),
        ("1234.567", Decimal("1234.567"), "."),
        ("0.125", Decimal("0.125"), "."),
        (".125", Decimal("0.125"), "."),
        (",5", Decimal("0.5"), ","),
        ("1234,5", Decimal("1234.5"), ","),
        ("1 234 567", 1_234_567, None),
        ("1.299.000", 1_299_000, ","),
        ("1,299,000", 1_299_000, "."),
        ("1 299 000", 1_299_000, None),
        ("1299", 1_299, None),
        ("1\u2019299.50", Decimal("1299.50"), "."),  # a typographic apostrophe, as Switzerland groups
        ("1\u202f299,50", Decimal("1299.50"), ","),  # a narrow space, as France does
    ):
        assert to_money(f"{text} EUR", PLAIN).amount == number, text
        assert to_money(f"{text} EUR", PLAIN).sign == sign, text


def test_a_number_with_three_digits_behind_its_sign_is_open_until_told():
    for text, grouped, decimals in (("1.299", 1_299, Decimal("1.299")), ("123,456", 123_456, Decimal("123.456"))):
        with pytest.raises(AmbiguousNumber):
            to_number(text, PLAIN)
        shown = "." if "." in text else ","
        other = "," if shown == "." else "."
        assert to_number(text, Notation(decimal=shown)) == decimals
        assert to_number(text, Notation(decimal=other)) == grouped
        assert to_number(text, Notation(grouped=False)) == decimals
        assert to_money(text, Notation(decimal=shown)).sign is None  # it was told, and does not say so itself
        assert to_money(text, Notation(grouped=False)).sign == shown


def test_what_is_no_number_is_told_with_what_happened_to_it():
    for value, told in (
        (True, "true"),
        ("abc", "'abc'"),
        ("1,2E+12", "'1,2E+12'; a spreadsheet has shortened it"),
        ("1.23.4", "'1.23.4'"),
        ("12.34.567,5", "'12.34.567,5'"),
        ("1,234.567.8", "'1,234.567.8'"),
        ("1 234'567", '"1 234\'567"'),
        ("1234 567", "'1234 567'"),
        ("5.", "'5.'"),
        ("1,299.", "'1,299.'"),
    ):
        with pytest.raises(BadValue) as caught:
            to_number(value, PLAIN)
        assert str(caught.value) == f"must be a number, got {told}"


def test_a_unit_that_ends_in_a_letter_takes_no_sign_with_it():
    for text in ("kr.5", "R.5", "Rs,50", "$ MXN.5"):
        with pytest.raises(BadValue, match="must be an amount"):
            to_money(text, PLAIN)
    assert to_money("kr. 5", PLAIN) == to_money("kr 5", PLAIN)
    assert to_money("US$.5", PLAIN).amount == Decimal("0.5")


def test_an_amount_in_markup_is_read_and_one_beside_unknown_words_is_none():
    for text in ("<span>12,50&nbsp;€</span>", "12,50&nbsp;€", "12,50 &euro;", "<b>€</b> 12,50"):
        assert to_money(text, PLAIN) == to_money("12,50 €", PLAIN)
    for text in ("€5 foo", "foo 5 €", "foo 5", "5 € 6", "", "€"):
        with pytest.raises(BadValue) as caught:
            to_money(text, PLAIN)
        assert str(caught.value) == f"must be an amount such as 49.99 or 49.99 EUR, got '{text}'"
    with pytest.raises(BadValue, match=r"got ' 1,2E\+12 '; a spreadsheet has shortened it$"):
        to_money(" 1,2E+12 ", PLAIN)


def test_a_rating_is_up_to_five_so_its_thousands_are_never_grouped():
    for value, rating in (
        ("4,5/5", Decimal("4.5")), ("4.5 out of 5 stars", Decimal("4.5")), (" 4.125 ", Decimal("4.125")), (3, 3),
        ("4,125", Decimal("4.125")), ("5 ★", 5),
    ):  # fmt: skip
        assert to_rating(value, PLAIN) == rating, value
    assert to_rating("4,125", Notation(decimal=".")) == 4_125  # a spreadsheet has made a group of it; refused later
    with pytest.raises(BadValue, match="must be a number"):
        to_rating("good", PLAIN)


def test_pieces_are_counted_with_or_without_a_word_for_them():
    for value, pieces in (("3 uds", 3), ("12 in stock", 12), (" 7 ", 7), (4.0, 4), ("-2", -2)):
        assert to_pieces(value, PLAIN) == pieces, value
    for value, error, told in (
        ("plenty", UnknownWord, "must be a number, got 'plenty'"),
        ("1.5", BadValue, "must be a whole number, got '1.5'"),
        ("1.5 pcs", BadValue, "must be a whole number, got '1.5'"),
        ([1], BadValue, "must be a number, got [1]"),
        ("3.000 pcs", AmbiguousNumber, "'3.000' may be 3.000 or 3000"),
        ("1.250 pcs", AmbiguousNumber, "'1.250' may be 1.250 or 1250"),
    ):
        with pytest.raises(BadValue) as caught:
            to_pieces(value, PLAIN)
        assert (type(caught.value), str(caught.value)) == (error, told)


def test_plain_digits_are_read_at_once(monkeypatch):
    monkeypatch.setattr("neuroon_async.catalogs.values.numbers.to_number", None)
    for text in ("0", "12", "9" * 40):
        assert to_integer(text, PLAIN) == int(text)
    monkeypatch.setattr("neuroon_async.catalogs.values.numbers._plain", None)
    for text in ("12", "12.5", "9" * 15 + ".99"):
        amount = Decimal(text)
        assert to_money(text, PLAIN) == (Money(amount, None, ".") if "." in text else Money(int(text)))


def test_whole_numbers_are_whole():
    for value, whole in (("3.0000", 3), ("1.250", 1_250), (4.0, 4), ("0012", 12), ("9" * 40, int("9" * 40))):
        assert to_integer(value, PLAIN) == whole
    for value in ("1.5", 2.5, float("nan"), float("inf"), -float("inf"), "3.000", Decimal("0.1"), True):
        with pytest.raises(BadValue):
            to_integer(value, PLAIN)
    with pytest.raises(BadValue, match=r"must be a whole number, got '1\.5'"):
        to_integer("1.5", PLAIN)


def test_a_number_of_more_digits_than_can_be_meant_is_beyond_reason():
    for number in (1e41, 1e40, Decimal("1e40"), Decimal("-1e40")):
        assert is_beyond_reason(number)
    for number in (9.9e39, Decimal("9.9e39"), 10**40, float("inf"), float("nan"), Decimal("Infinity")):
        assert not is_beyond_reason(number)


def test_a_dash_for_cents_tells_a_group_from_decimals():
    for text, amount in (("1.299,-", 1_299), ("11.299,-", 11_299), ("1.299.-", 1_299), ("49,-", 49), ("9.99", "9.99")):
        assert to_money(text, PLAIN).amount == Decimal(amount), text


def test_a_text_may_be_a_whole_number_and_nothing_else():
    assert to_text(5) == "5"
    assert to_text("  a ") == "a"
    for value in (True, 1.5, None, ["a"]):
        with pytest.raises(BadValue, match="must be text"):
            to_text(value)


def test_amounts_below_nothing_are_refused_and_money_stays_money():
    for value in (-1, "-0.01", "-5 EUR", Decimal("-0.5")):
        with pytest.raises(BadValue) as caught:
            to_money(value, PLAIN)
        assert str(caught.value) == f"must be 0 or more, got {shown(value)}"
    assert to_money(0, PLAIN) == Money(0)
    assert to_money(Money(3), PLAIN) == Money(3)


def test_forty_digits_are_read_and_more_are_none():
    assert to_number("1" * 39 + ".5", PLAIN) == Decimal("1" * 39 + ".5")
    with pytest.raises(BadValue):
        to_number("1" * 40 + ".5", PLAIN)
