"""Broken bytes through every reader: only products, complaints, or one `CatalogError`."""

from __future__ import annotations

import gzip
import io
import json
from functools import cache
from pathlib import Path

import pytest
from catalog_files import SHOP, Pipe, named
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spreadsheets import workbook

from neuroon_async import Product, ProductFailure
from neuroon_async.catalogs import Catalog, CatalogError, CatalogFormat, registry
from neuroon_async.catalogs.values.numbers import Notation, to_money

CASES = sorted((Path(__file__).parent / "cases").iterdir())
LETTER = {
    "failure": {"reason": "x"},
    "raw": {"id": "1", "name": "n", "price": "1", "url": "/1"},
    "reading": {"format": "csv", "shop_url": SHOP, "mapping": {"sku": "id"}},
}


def _columnar(kind: str) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"id": ["1", "2"], "name": ["a", "b"], "price": [1.5, 2.5], "url": ["/1", "/2"]})
    sink = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(table, sink)
    else:
        with pyarrow.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


@cache
def contents() -> list[bytes]:
    found = [path.read_bytes()[:2_000] for path in CASES]
    found += [_columnar("parquet"), _columnar("arrow")]
    found.append(gzip.compress(b"id,name,price,url\n1,n,1,/1\n", mtime=0))
    found.append(b"id|title|link|price|image link|categories\n1|n|/1|9,90|/1.jpg|A > B%%C\n")
    found.append("\n".join([json.dumps(LETTER)] * 3).encode())
    found.append(workbook({"A": [["id", "name", "price", "url"], [1, "n", 1.5, "/1"], ["2", True, None, "/2"]]}))
    options = "Type=Swatch|Name=C|Value=Red[#ff0000]"
    found.append(f"Item,ID,Name,SKU,Price,Options\nProduct,1,n,s,9,\nVariant,2,,v,,{options}\n".encode())
    ecwid = b"type,product_internal_id,product_name,product_price,product_variation_option_S\n"
    found.append(ecwid + b"product,1,n,9,\nproduct_variation,1,,,M\n")
    squarespace = b"Product ID [Non Editable],Product URL,Title,Price,Option Name 1,Option Value 1\n"
    found.append(squarespace + b"1,u,n,9,S,M\n,,,8,,L\n")
    bulk = [{"id": "P", "handle": "h", "title": "t"}, {"id": "V", "sku": "s", "price": "1", "__parentId": "P"}]
    found.append("\n".join(map(json.dumps, bulk)).encode())
    prices = {"price": "1", "currency_minor_unit": 2}
    found.append(
        json.dumps([{"id": 1, "name": "n", "permalink": "/p", "prices": prices, "is_in_stock": True}]).encode()
    )
    found.append(json.dumps({"data": [LETTER["raw"]] * 3}).encode())
    return found


@st.composite
def broken(draw) -> bytes:
    content = bytearray(draw(st.sampled_from(contents())))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "remove"]))
        if kind == "flip" and content:
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = draw(
                st.one_of(st.binary(max_size=8), st.sampled_from([b'"', b"\0", b"{", b"]", b"<", b"&#0;"]))
            )
        else:
            del content[at : at + draw(st.integers(1, 40))]
    return bytes(content)


def outcome_of(catalog: Catalog) -> list[Product | ProductFailure]:
    items = []
    try:
        items.extend(catalog)
    except CatalogError as error:
        assert str(error).startswith("file")  # noqa: PT017 - either outcome is right
    assert all(isinstance(item, (Product, ProductFailure)) for item in items)
    assert all("Decimal(" not in item.reason for item in items if isinstance(item, ProductFailure))
    return items


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(broken(), st.booleans())
def test_whatever_the_file_is(content, pipe):
    file = Pipe(content, 300) if pipe else named(content, "file")
    if pipe:
        file.name = "file"
    outcome_of(Catalog(file, shop_url=SHOP, currency="EUR", fit=True))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(broken(), st.sampled_from([f for f in CatalogFormat if f is not CatalogFormat.AUTO]))
def test_whatever_it_is_said_to_be(content, format_):
    outcome_of(Catalog(named(content, "file"), format=format_, shop_url=SHOP))


def test_every_format_is_among_the_contents():
    seen = set()
    for content in contents():
        catalog = Catalog(named(content, "file"), shop_url=SHOP)
        outcome_of(catalog)
        seen.add(catalog.format)
    assert {format_.name for format_ in registry.FORMATS} - {"tsv"} <= seen


@given(st.from_regex(r"\A[0-9]{1,17}(\.[0-9]{1,3})?\Z"))
def test_ordinary_prices_are_read_as_the_long_way_reads_them(text):
    notation = Notation(grouped=False)
    short, long = to_money(text, notation), to_money(f" {text}", notation)
    assert (short, type(short.amount)) == (long, type(long.amount))


def test_columns_that_hold_no_text_and_no_date_are_a_fault_of_the_file():
    pyarrow = pytest.importorskip("pyarrow")
    offsets, text = (pyarrow.py_buffer(bytes(each)) for each in ([0, 0, 0, 0, 1, 0, 0, 0], [0xC4]))
    broken_text = pyarrow.Array.from_buffers(pyarrow.string(), 1, [None, offsets, text])
    no_date = pyarrow.array([10**8], pyarrow.int32()).cast(pyarrow.date32())
    for column, where in (broken_text, ""), (no_date, r" in the column 'name' \(of the type date32\[day\]\)"):
        sink = io.BytesIO()
        table = pyarrow.RecordBatch.from_arrays([column], ["name"])
        with pyarrow.ipc.new_file(sink, table.schema) as writer:
            writer.write_batch(table)
        with pytest.raises(CatalogError, match=rf"^file:row 1: or one of the next 1000 is damaged{where}: "):
            list(Catalog(named(sink.getvalue(), "file")))
