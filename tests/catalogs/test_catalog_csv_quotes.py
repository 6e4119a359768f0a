"""Quotes that are not closed, or not doubled: what they cost, and what they do not."""

from __future__ import annotations

import pytest
from catalog_files import named, read, until_fault

from neuroon_async import Product, ProductFailure
from neuroon_async.catalogs import Catalog
from neuroon_async.catalogs.readers import delimited

HEAD = "id,name,price,url\n"


def test_a_stray_quote_spoils_its_own_row_only():
    items = read(HEAD + '1,"5" screen",1,u:x\n2,b,1,u:x\n3,5" screen,1,u:x\n')
    assert items[0].reason.startswith("file.csv:2: is not a row of CSV")
    assert [item.name for item in items[1:]] == ["b", '5" screen']


@pytest.mark.parametrize("between", [0, 1, 2_000])
@pytest.mark.parametrize("closing", ['"5" screen"', '5" or "6', '"b"'])
def test_a_quote_that_is_not_closed_spoils_its_own_row_only(between, closing):
    rows = "".join(f"{number},{'b' * 30},1,u:x\n" for number in range(2, between + 2))
    items = read(HEAD + f'1,"a,1,u:x\n{rows}x,{closing},1,u:x\ny,c,x,u:x\nz,"d,1,u:x\n8,e,1,u:x\n9,"f",1,u:x\n')
    assert items[0].reason.startswith("file.csv:2: is not a row of CSV")
    assert all(isinstance(item, Product) for item in items[1 : between + 1])
    places = [item.reason.split(": ")[0] for item in items if isinstance(item, ProductFailure)]
    spoilt = [2, *[between + 3] * ('"5' in closing), between + 4, between + 5]
    assert places == [f"file.csv:{line}" for line in spoilt]
    assert [item.external_id for item in items if isinstance(item, Product)][-2:] == ["8", "9"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("between", ["", "2,b,2,https://s.example/2\n" * 3])
def test_rows_within_a_cell_are_rows(between, end):
    rows = f'1,"a,1,https://s.example/1\n{between}3,15",3,https://s.example/3\n4,"x\ny, z",4,https://s.example/4\n'
    items = read(f"{HEAD}{rows}".replace("\n", end))
    told = "file.csv:2: is not a row of CSV (a quote is opened in it, and closed in a row below)"
    assert items[0].reason.startswith(told)
    assert [item.name for item in items[1:]] == [*"b" * between.count("\n"), '15"', "x y, z"]


def test_rows_within_a_cell_may_end_with_cells_in_quotes():
    rows = '1,"a,1,https://s.example/1,x\n2,15",2,https://s.example/2,"x, y\nz"\n'
    items = read(f"id,name,price,url,description\n{rows}")
    assert items[0].reason.startswith("file.csv:2: is not a row of CSV (a quote is opened in it")
    assert [(item.name, item.description) for item in items[1:]] == [('15"', "x, y\nz")]


@pytest.mark.parametrize(
    "text", ["Sizes:\n1, 2, 3, 4, 5", "to\nhttps://a, b, 1, c, d", "1, 2, 3, 4, 5\n1, 2, 3, 4, 5", "a,\nb"]
)
def test_lines_within_a_cell_are_a_text(text):
    items = read(f'id,name,price,url,description\nn,"a","1","https://s.example/1","{text}"\n')
    assert [item.description for item in items] == [text]


def test_a_table_within_a_cell_is_a_text():
    items = read('id,name,description,price,url\n1,a,"Size, colour, weight\n10, red, 5 kg",1,https://s.example/1\n')
    assert [item.description for item in items] == ["Size, colour, weight\n10, red, 5 kg"]


def test_lines_are_read_again_once():
    items = read(HEAD + '1,a","b,u:x\n' + '2,a","b,u:x\n' * 3 + '3,"c"d,1,u:x\n4,e,1,u:x\n')
    assert [item.external_id for item in items if isinstance(item, Product)] == ["4"]
    assert items[1].reason.endswith("neither are the lines below it, up to 6")


def test_many_spoilt_rows_are_no_long_row(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_RECORD_BYTES", 100_000)
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 1_000)
    items = read(HEAD + f'1,"a"{"b" * 1_000},1,u:x\n' * 300 + "2,c,1,u:x\n")
    assert len(items) == 301
    assert items[-1].external_id == "2"


def test_a_quote_never_closed_is_fatal_after_what_precedes_it():
    items, message = until_fault(Catalog(named(HEAD + '1,a,1,u:x\n2,"b,1,u:x\n3,c,1,u:x\n')))
    assert [item.external_id for item in items] == ["1"]
    assert message.startswith("file.csv:3: a quote is opened in this row and never closed")
