"""Parquet and Arrow: what programs write of a value comes out as that value."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from catalog_files import SHOP, named, until_fault
from msgspec import UNSET

from neuroon_async import Product, ProductFailure
from neuroon_async.catalogs import Catalog, CatalogError

pyarrow = pytest.importorskip("pyarrow")
DAY = dt.date(2026, 6, 15)


def stream(columns: dict[str, Any]) -> io.BytesIO:
    """An Arrow file as one writes it to a pipe."""
    table = pyarrow.table(columns)
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return named(sink.getvalue(), "file")


def items(count: int, options: dict[str, Any] | None = None, **columns: Any) -> list[Product | ProductFailure]:
    ids = [str(n) for n in range(count)]
    given = {"id": ids, "name": ["Té"] * count, "price": [9.5] * count, "url": ["/t"] * count}
    catalog = Catalog(stream(given | columns), shop_url=SHOP, today=DAY, **options or {})
    found = list(catalog)
    assert catalog.format == "arrow"
    return found


def test_numbers_in_single_precision_have_the_digits_they_were_written_with():
    single = pyarrow.float32()
    nested = pyarrow.array([[{"weight": 0.1}], None], pyarrow.list_(pyarrow.struct([("weight", single)])))
    first, second = items(
        2,
        {"mapping": {"attributes.weight": "parts.0.weight"}},
        price=pyarrow.array([19.99, 1299.9], single),
        sale_price=pyarrow.array([1.1, None], single).dictionary_encode(),
        rating=pyarrow.array([4.3, 5], single),
        parts=nested,
    )
    assert (first.price, first.sale_price, first.rating, first.attributes) == (19.99, 1.1, 4.3, {"weight": "0.1"})
    assert (second.price, second.sale_price, second.rating) == (1299.9, UNSET, 5)


def test_what_is_no_number_is_no_value():
    nan = float("nan")
    whole, refused = items(2, price=[1.0, nan], description=[nan, nan], sku=[123.0, nan], brand=[nan, nan])
    assert (whole.sku, whole.description, whole.brands) == ("123", UNSET, UNSET)
    assert "price: is required" in refused.reason


def test_times_finer_than_microseconds_and_dates():
    """Where pandas is not installed, pyarrow gives none of these to Python."""
    day = pyarrow.timestamp("ns", tz="Europe/Madrid")
    holds, over = items(
        2,
        {"mapping": {"attributes.since": "since", "attributes.at": "at"}},
        sale_price=[5.0, 5.0],
        sale_ends=pyarrow.array([1781474400000000001, 1781474399000000001], day),  # 0:00 there, and a second before
        since=pyarrow.array([dt.date(2024, 1, 31)] * 2),
        at=pyarrow.array([1, 2], pyarrow.time64("ns")),
    )
    assert (holds.sale_price, over.sale_price) == (5.0, UNSET)
    assert holds.attributes == {"since": "2024-01-31", "at": "00:00:00"}


def _uuids() -> list[tuple[Any, str]]:
    if not hasattr(pyarrow, "uuid"):
        return []
    uuid = UUID(int=5)
    storage = pyarrow.array([uuid.bytes], pyarrow.binary(16))
    return [(pyarrow.ExtensionArray.from_storage(pyarrow.uuid(), storage), str(uuid))]


def test_ids_of_every_kind():
    for column, external_id in (
        *_uuids(),
        (pyarrow.array([b"SKU-\xc3\xb1"], pyarrow.binary()), "SKU-ñ"),
        (pyarrow.array([Decimal(10) ** 17], pyarrow.decimal128(38, 0)), "1" + "0" * 17),
        ([12.0], "12"),
    ):
        (product,) = items(1, {"mapping": {"url": f"{SHOP}/{{id}}"}}, id=column)
        assert (product.external_id, product.url) == (external_id, f"{SHOP}/{external_id}")
    for column in (pyarrow.array([b"\xff\x00"], pyarrow.binary()), [1.5], [1e15]):
        (failure,) = items(1, id=column)
        assert "externalId: must be text" in failure.reason


def test_a_name_within_an_object_is_no_list():
    (product,) = items(1, brand=[{"id": 1, "name": "Bang; Olufsen"}])
    assert product.brands == ["Bang; Olufsen"]


def test_two_columns_of_one_name_are_refused():
    batch = pyarrow.RecordBatch.from_arrays([pyarrow.array(["1"])] * 2, ["id", "id"])
    sink = io.BytesIO()
    with pyarrow.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    _, message = until_fault(Catalog(named(sink.getvalue(), "file")))
    assert "two columns are named 'id'" in message


def runs(values: Any) -> Any:
    """A column that says how often each value follows itself."""
    return pyarrow.RunEndEncodedArray.from_arrays(list(range(1, len(values) + 1)), values)


def extension(values: Any) -> Any:
    if not hasattr(pyarrow, "opaque"):
        pytest.skip("this pyarrow has no such type")
    return pyarrow.ExtensionArray.from_storage(pyarrow.opaque(values.type, "kind", "vendor"), values)


@pytest.mark.parametrize("wrapped", [runs, extension], ids=["runs", "extension"])
def test_numbers_in_single_precision_within_other_types(wrapped):
    (product,) = items(1, price=wrapped(pyarrow.array([19.99], pyarrow.float32())))
    assert product.price == 19.99


def test_lists_by_dictionary_keep_their_digits():
    weights = pyarrow.array([[0.1], [0.2]], pyarrow.list_(pyarrow.float32()))
    first, second = items(
        2,
        {"mapping": {"attributes.weight": "weights"}},
        weights=pyarrow.DictionaryArray.from_arrays(pyarrow.array([1, 0]), weights),
    )
    assert (first.attributes, second.attributes) == ({"weight": "0.2"}, {"weight": "0.1"})


def _unreadable() -> list[Any]:
    numpy = pytest.importorskip("numpy")
    single, both = pyarrow.float32(), pyarrow.array([0, 0], pyarrow.int8())
    half = pyarrow.array(numpy.array([19.99, 4.5], dtype=numpy.float16))
    found = [
        half,
        pyarrow.DictionaryArray.from_arrays(pyarrow.array([0, 1]), half),
        pyarrow.array([(1, 2, 3)] * 2, pyarrow.month_day_nano_interval()),
    ]
    found.append(pyarrow.StructArray.from_arrays([half], ["amount"]))
    found.append(pyarrow.UnionArray.from_sparse(both, [pyarrow.array([19.99, 1], single), pyarrow.array(["a", "b"])]))
    if hasattr(pyarrow, "list_view"):
        found.append(pyarrow.array([[19.99], [1.1]], pyarrow.list_view(single)))
        found.append(pyarrow.array([[1], [2]], pyarrow.list_view(pyarrow.timestamp("ns"))))
    return found


def test_columns_that_keep_other_values_than_were_written_are_refused_where_they_are_used():
    for column in _unreadable():
        for options, name in (({}, "price"), ({"mapping": {"attributes.x": "x.amount"}}, "x")):
            with pytest.raises(CatalogError) as caught:
                items(2, options, **{name: column})
            assert f"file: column {name!r} is of the type {column.type}: " in str(caught.value)
            assert "; write " in str(caught.value)
        catalog = Catalog(
            stream({"id": ["1", "2"], "name": ["a", "b"], "price": [1, 2], "url": ["/a"] * 2, "x": column}),
            shop_url=SHOP,
        )
        assert len(list(catalog)) == 2
        assert catalog.notes[-1].startswith(f"column 'x' was not read: it is of the type {column.type}: ")


def test_lists_and_texts_of_newer_kinds():
    if not hasattr(pyarrow, "list_view"):
        pytest.skip("this pyarrow has no such types")
    found = items(
        3,
        name=pyarrow.array(["a", "b", "c"], pyarrow.string_view()),
        tags=pyarrow.array([["x"], None, ["y", "z"]], pyarrow.list_view(pyarrow.string())),
        categories=runs(pyarrow.array(["A", "B", "C"])),
    )
    assert [(p.name, p.tags, p.categories) for p in found] == [
        ("a", ["x"], ["A"]), ("b", UNSET, ["B"]), ("c", ["y", "z"], ["C"]),
    ]  # fmt: skip


def test_a_time_zone_that_this_machine_does_not_know():
    begins = pyarrow.array([dt.datetime(2026, 6, 15, 9, tzinfo=dt.UTC), None], pyarrow.timestamp("us", "Mars/Olympus"))
    holds, always = items(2, {"mapping": {"attributes.at": "begins"}}, sale_price=[5, 5], begins=begins)
    assert (holds.attributes, always.attributes) == ({"at": "2026-06-15T09:00:00+00:00"}, UNSET)


def test_spans_of_time_are_texts_and_no_prices():
    (product,) = items(1, {"mapping": {"attributes.d": "d"}}, d=pyarrow.array([5_400], pyarrow.duration("s")))
    assert product.attributes == {"d": "1:30:00"}
    (failure,) = items(1, price=pyarrow.array([19], pyarrow.duration("ns")))
    assert "price: must be an amount" in failure.reason


def test_bytes_that_are_no_text_are_counted_in_the_complaint():
    (failure,) = items(1, id=pyarrow.array([bytes(16)], pyarrow.binary(16)))
    assert "externalId: must be text, got 16 bytes that are no text" in failure.reason
