"""Checks of options: text is neither a number nor a truth value, and a truth value is no number."""

import math
from decimal import Decimal
from functools import partial
from unittest.mock import AsyncMock, Mock

import pytest

from neuroon_async.api.arguments import (
    check_callback,
    check_choice,
    check_count,
    check_flag,
    check_fraction,
    check_seconds,
    check_text,
    shown,
)
from neuroon_async.errors import UsageError


async def later(*_):
    """Never awaited."""


def pieces(*_):
    yield "never run"


class Plain:
    def __call__(self):
        """Like any function."""


class Async:
    __call__ = later


class Pieces:
    __call__ = pieces


class Column:
    """Such as an array: what it is compared with, it compares each of its values with."""

    def __eq__(self, _):
        raise ValueError("neither true nor false")

    __hash__ = None


NO_NUMBERS = (
    Column(),
    None,
    "",
    "8",
    b"8",
    [],
    {},
    object(),
    math.nan,
    math.inf,
    -math.inf,
    Decimal(1),
    Decimal("NaN"),
    True,
    False,
)
CHECKS = {
    check_flag: ((True, False), ("false", "", "no", 0, 1, None, [])),
    check_count: ((1, 8, 2**63 - 1), (*NO_NUMBERS, 0, -1, 2.0, 2**63, 10**5000)),
    check_fraction: ((0, 1, 0.5), (*NO_NUMBERS, -0.1, 1.1)),
    check_seconds: ((1, 0.5), (*NO_NUMBERS, 0, -1, 10**400)),
    check_text: (("x", "ñ", " "), ("", None, 5, b"x", ["x"], "\ud800")),
    check_choice: (("a", 5), ("b", 6, None, [], {}, object())),
    check_callback: (
        (None, print, int, Plain(), partial(print, 1), partial(Plain()), Mock()),
        ("print", 5, [], later, pieces, Async(), Pieces(), partial(Async()), partial(Pieces()), AsyncMock()),
    ),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_kinds(check):
    good, bad = CHECKS[check]
    if check is check_choice:
        check = partial(check, known=("a", 5))
    for value in good:
        check("option", value)
    for value in bad:
        with pytest.raises(UsageError, match=r"(?s)^option .*") as caught:
            check("option", value)
        assert caught.value.where == "option"


def test_bounds_that_differ():
    check_count("option", 0, least=0)
    check_seconds("option", 0, zero=True)
    check_seconds("option", None, none=True)
    check_seconds("option", math.inf, endless=True)
    with pytest.raises(UsageError, match="option must be"):
        check_seconds("option", -math.inf, endless=True)
    check_seconds("option", 1_000, most=1_000)
    with pytest.raises(UsageError, match="option must be a number of seconds above 0, and 1,000 or less; got 1001"):
        check_seconds("option", 1_001, most=1_000)
    check_count("option", None, none=True)
    check_text("option", None, none=True)
    check_text("option", "", empty=True)
    check_choice("option", None, (None, "a"))
    check_callback("option", later, awaited=True)
    for nothing in (None, print):
        check_callback("option", nothing)
    with pytest.raises(UsageError, match="option must be a function, got None"):
        check_callback("option", None, none=False)
    with pytest.raises(UsageError, match=r"option must be a whole number, in 1\.\.9223372036854775807; got 9"):
        check_count("option", 2**63)
    with pytest.raises(UsageError, match=r"option must be a whole number, in 1\.\.5; got 6"):
        check_count("option", 6, 5)
    with pytest.raises(UsageError, match="option must be a number of seconds, 0 or more, or None; got '5'"):
        check_seconds("option", "5", zero=True, none=True)


def test_values_are_shown_shortly_and_always():
    assert shown("x" * 1000) == "'" + "x" * 78 + "…"
    assert shown(10**5000) == "a int"
