"""Numbers of a column agree, or the ambiguous ones are refused: from files, and from pipes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from catalog_files import Pipe, named, read
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async import Product
from neuroon_async.catalogs import Catalog
from neuroon_async.catalogs.readers import replay

HEAD = "id;name;price;url;stock;rating\n"


def rows(*prices: str, stock: str = "", rating: str = "") -> str:
    return HEAD + "".join(f"{n};n;{price};/p/{n};{stock};{rating}\n" for n, price in enumerate(prices))


def prices(content: str, *, pipe: bool = False, **options) -> list[Decimal | int | None]:
    catalog = Catalog(Pipe(content.encode(), 50) if pipe else named(content), shop_url="https://s.example", **options)
    return [item.price if isinstance(item, Product) else None for item in catalog]


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["1.299", "49,90"], [1299, Decimal("49.90")]),
        (["1.299", "49.90"], [Decimal("1.299"), Decimal("49.90")]),
        (["1,299", "49,90"], [Decimal("1.299"), Decimal("49.90")]),
        (["49,90", "1.299"], [Decimal("49.90"), 1299]),
        (["1.299", "49,90", "9.90"], [None, Decimal("49.90"), Decimal("9.90")]),
        (["1.299", "49"], [None, 49]),
        (["1.299", "1.299.000"], [1299, 1299000]),
        (["89,900", "1,299,000", "50.25"], [89900, 1299000, Decimal("50.25")]),
        (["1.299", "1,299,000"], [Decimal("1.299"), 1299000]),
        (["1.299", "1 299 000"], [None, 1299000]),
        (["1.299"] + ["49"] * 500 + ["0,5"], [1299] + [49] * 500 + [Decimal("0.5")]),
    ],
)
def test_the_clear_numbers_of_a_column_settle_the_others(column, expected, pipe):
    assert prices(rows(*column), pipe=pipe) == expected


def test_the_option_settles_ambiguous_numbers_alone():
    content = rows("1.299", "49.90", "1299,5")
    assert prices(content, decimal=",") == [1299, Decimal("49.90"), Decimal("1299.5")]
    assert prices(content, decimal=".") == [Decimal("1.299"), Decimal("49.90"), Decimal("1299.5")]


def test_columns_do_not_settle_each_other():
    content = 'id,name,url,price,sale_price\n1,n,u:x,"1,299","9,5"\n2,n,u:x,"2,000","1,5"\n'
    items = read(content)
    assert [item.reason.count("may be") for item in items] == [1, 1]
    items = read(content, mapping={"price": "sale_price", "sale_price": ""})
    assert [item.price for item in items] == [Decimal("9.5"), Decimal("1.5")]


def test_counts_follow_the_prices():
    content = rows("9,90", stock="3.000")
    (item,) = read(content, shop_url="https://s.example")
    assert item.stock_quantity == 3000
    (item,) = read(rows("9.90", stock="3.000", rating="4.125"), shop_url="https://s.example")
    assert (item.stock_quantity, item.rating) == (3, Decimal("4.125"))
    (item,) = read(rows("9", stock="1.250"), shop_url="https://s.example")
    assert item.stock_quantity == 1250  # whole only where the sign groups thousands
    (item,) = read(rows("9,90", stock="1.250 uds"), shop_url="https://s.example")
    assert item.stock_quantity == 1250
    (item,) = read(rows("9.90", stock="1.250"), shop_url="https://s.example")  # sold by weight
    assert "stockQuantity: must be a whole number, got '1.250'" in item.reason
    (item,) = read(rows("9", stock="3.000"), shop_url="https://s.example")
    assert "stockQuantity: '3.000' may be" in item.reason


def test_what_was_inferred_is_reported():
    catalog = Catalog(named(rows("1.299", "2.299", "9,5")), shop_url="https://s.example")
    assert len(list(catalog)) == 3
    assert catalog.notes == [
        "price: 2 numbers such as 1.299 were read by decimal=',', as all clear numbers of this column show"
    ]
    assert (catalog.records, catalog.ignored_fields) == (3, {})
    assert catalog.bytes_read == catalog.total_bytes


@pytest.mark.parametrize("pipe", [False, True])
def test_the_first_pass_is_bounded(monkeypatch, pipe):
    monkeypatch.setattr(replay, "MAX_RECORDED_BYTES", 300)
    far = rows("1.299", *["5"] * 40, "9,90")
    assert prices(far, pipe=pipe)[0] is None
    assert len(prices(far, pipe=pipe)) == 42
    near = rows("1.299", "9,90", *["5"] * 40, "9.90")
    assert prices(near, pipe=pipe)[0] == 1299


@given(st.lists(st.sampled_from(["1.299", "5", "9,90", "0,5", "12.000", "1.299,00"]), max_size=12))
def test_pipes_and_files_are_read_alike(column):
    assert prices(rows(*column), pipe=True) == prices(rows(*column))


@pytest.mark.parametrize("pipe", [False, True])
def test_a_number_that_the_bound_cuts_off_counts_for_nothing(monkeypatch, pipe):
    content = "id;name;url;price\n1;n;/1;1.299\n2;n;/2;1.299,50\n3;n;/3;5\n"
    monkeypatch.setattr(replay, "MAX_RECORDED_BYTES", content.index("9,50"))  # what is left of it looks like 1.2
    assert prices(content, pipe=pipe) == [None, Decimal("1299.50"), 5]
