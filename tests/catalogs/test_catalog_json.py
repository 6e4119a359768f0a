from __future__ import annotations

import gzip
import json
from decimal import Decimal

import pytest
from catalog_files import Pipe, named, one_failure, products, read, until_fault
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async import Product
from neuroon_async.catalogs import Catalog, CatalogFormat
from neuroon_async.catalogs.readers.byte_source import ByteSource
from neuroon_async.catalogs.readers.json_records import json_array

TEA = {"externalId": "1", "name": "Tea", "price": 4.10, "url": "https://s/1"}
TEXT = json.dumps(TEA)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("content", "format_"),
    [
        (f"[{TEXT},{TEXT}]", CatalogFormat.JSON),
        (f" [\n{TEXT} ,\n {TEXT}\n]\n", CatalogFormat.JSON),
        (f'{{"products": [{TEXT},{TEXT}]}}', CatalogFormat.JSON),
        (
            f'{{"meta": {{"products": [1]}}, "x": ["products"], "products": [{TEXT},{TEXT}], "n": [2]}}',
            CatalogFormat.JSON,
        ),
        (json.dumps({"products": [TEA, TEA]}, indent=2), CatalogFormat.JSON),
        (f"{TEXT}\n\n{TEXT}", CatalogFormat.JSONL),
        (f"{TEXT}\r\n{TEXT}\r\n", CatalogFormat.JSONL),
    ],
)
def test_shapes_are_told_from_the_content(content, format_):
    catalog = Catalog(named(content, "file"))
    assert [(p.external_id, p.price) for p in catalog] == [("1", Decimal("4.1"))] * 2
    assert (catalog.format, catalog.records, catalog.products) == (format_, 2, 2)


@given(
    st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=6), st.integers(1, 40), st.booleans()
)
def test_an_array_is_cut_where_its_elements_end_whatever_the_chunks(rows, piece, wrapped):
    text = json.dumps({"a": rows[:1], "products": rows} if wrapped else rows, ensure_ascii=len(rows) % 2 == 0).encode()
    chunks = iter([text[i : i + piece] for i in range(0, len(text), piece)])
    source = ByteSource(named(b"", "x"))
    records = list(json_array(source, chunks))
    expected = [row["product"] if _is_dead_letter(row) else row for row in rows]
    assert [record.row for record in records] == expected
    assert not any(record.problem for record in records)


def _is_dead_letter(row):
    return "failure" in row and isinstance(row.get("product"), dict)


@given(st.integers(1, 200))
def test_a_cut_array_yields_what_is_whole_and_then_complains(cut):
    text = json.dumps([TEA] * 3).encode()
    cut = min(cut, len(text) - 1)
    items, message = until_fault(Catalog(Pipe(text[:cut]), format="json"))
    assert [item.external_id for item in items] == ["1"] * text[:cut].count(b"}")
    assert "ends in the middle" in message
    assert "catalog:byte" in message


def test_numbers_stay_exact():
    (product,) = products(
        '[{"id":"1","name":"n","price":0.1000000000000000055511151231257827,"url":"u:x","stock":3.0}]'
    )
    assert product.price == Decimal("0.1000000000000000055511151231257827")
    assert (product.stock_quantity, type(product.stock_quantity)) == (3, int)


@pytest.mark.parametrize("number", ["1E400", "1e999999999", "1e40", "-1E99"])
@pytest.mark.parametrize("field", ["price", "salePrice", "stockQuantity", "reviewCount", "rating"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_numbers_that_would_fill_the_memory_are_refused(field, number, end):
    """The whole number of ``1e999999999`` has a billion digits."""
    fields = {"externalId": '"A"', "name": '"N"', "price": "1", "url": '"https://s.example/a"'} | {field: number}
    text = ",".join(f'"{name}":{value}' for name, value in fields.items())
    failure = one_failure(f"{{{text}}}{end}" if end else f"[{{{text}}}]", "f.json")
    assert f"{field}: must be a number of at most 40 digits, got " in failure.reason


def test_an_explicit_null_is_kept_and_an_absent_field_is_not_set():
    (product,) = products('[{"id":7,"name":"n","price":1,"url":"u:x","description":null}]')
    assert (product.external_id, product.description) == ("7", None)
    assert product == Product(external_id="7", name="n", price=1, url="u:x", description=None)


def test_a_broken_line_is_one_failure_and_reading_goes_on():
    items = read(f'{TEXT}\n{{"id": nope}}\n[1]\n{TEXT}\n', "file.jsonl")
    assert [isinstance(item, Product) for item in items] == [True, False, False, True]
    assert items[1].reason.startswith("file.jsonl:2: is not valid JSON")
    assert items[2].reason == "file.jsonl:3: must be a JSON object, got [1]"


def test_a_broken_element_is_one_failure_and_reading_goes_on():
    items = read(f'[{TEXT}, {{"id": NaN}}, {{"id": "\\ud800"}}, 5, {TEXT}]', "f.json")
    assert [isinstance(item, Product) for item in items] == [True, False, False, False, True]
    assert items[1].reason.startswith("f.json:record 2: is not valid JSON")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"a": 1]', "closes what another bracket opened"),
        ('[{"id": "1"', "ends in the middle"),
        (f"[{TEXT}] tail", "something follows the end"),
        (f"[{TEXT}][{TEXT}]", "does not belong here"),
        ('{\n"items": [1]\n}', "holds no products"),
        ("", "is empty"),
    ],
)
def test_documents_that_cannot_be_read_on(content, message):
    _, text = until_fault(Catalog(named(content, "f.json"), format="json"))
    assert message in text
    assert text.startswith("f.json")


def test_an_empty_array_holds_no_products():
    assert read("[]") == read('{"products": []}') == []


def test_dead_letters_are_read_back():
    letters = [
        {"failure": {"reason": "x"}, "product": TEA},
        {"failure": {"reason": "gone"}, "product": None},
    ]
    product, failure = read("\n".join(map(json.dumps, letters)), "dead.jsonl")
    assert product.external_id == "1"
    assert "dead.jsonl:2: this dead letter holds no product" in failure.reason


def test_complaints_name_record_field_and_rule():
    failure = one_failure('[{"id":"1","name":"n","price":"abc","url":"u:x","isActive":"perhaps"}]', "f.json")
    assert failure.external_id == "1"
    assert failure.reason == (
        "f.json:record 1: price: must be an amount such as 49.99 or 49.99 EUR, got 'abc'; "
        "isActive: must be true or false (or yes, no, 1, 0), got 'perhaps' "
        "(mapping={'isActive': ''} leaves the field out)"
    )
    assert failure.product == {"id": "1", "name": "n", "price": "abc", "url": "u:x", "isActive": "perhaps"}
    assert "price: must be 0 or more" in one_failure('[{"id":"1","name":"n","price":-1,"url":"u:x"}]').reason


def test_commas_in_json_texts_do_not_separate():
    (product,) = products('[{"id":"1","name":"n","price":1,"url":"u:x","category":"Hats, caps","tags":["a","b"]}]')
    assert (product.categories, product.tags) == (["Hats, caps"], ["a", "b"])


@pytest.mark.parametrize("depth", [101, 900, 100_000])
@pytest.mark.parametrize("shape", ["[{},{}]", '{{"products": [{},{}]}}', "{}\n{}\n"])
def test_an_element_nested_too_deep_is_one_failure_and_reading_goes_on(depth, shape):
    deep = '{"id": "2", "name": ' + "[" * depth + "]" * depth + "}"
    first, second = read(shape.format(deep, TEXT), "f")
    assert "nests deeper than 100 levels" in first.reason
    assert second.external_id == "1"


def test_nesting_up_to_the_bound_is_read():
    deep = (
        json.dumps(TEA)[:-1] + ', "extra": ' + "[" * 99 + "]" * 99 + ', "more": ' + "[[]," * 50 + "1" + "]" * 50 + "}"
    )
    assert [product.external_id for product in products(f"[{deep}]")] == ["1"]


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize(
    "document",
    [
        {"items": [TEA, TEA]},
        {"data": [TEA, TEA], "total": 2},
        {
            "name": "shop",
            "url": "https://s",
            "sort": "price",
            "tags": ["a"],
            "meta": {"x": [{}]},
            "résults": [TEA, TEA],
        },
        {"related": [{"id": "9"}], "products": [TEA, TEA]},
        {"ids": [1, {}], "none": [], "items": [TEA | {"variants": [{"products": [1]}]}, TEA]},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_the_only_list_of_objects_in_an_object_is_read(document, indent, pipe):
    content = json.dumps(document, indent=indent).encode()
    catalog = Catalog(Pipe(content) if pipe else named(content, "file"))
    assert [p.external_id for p in catalog] == ["1", "1"]
    assert (catalog.format, catalog.records) == (CatalogFormat.JSON, 2)


@pytest.mark.parametrize(
    ("before", "key"),
    [
        ({}, "items"),
        pytest.param({}, "products", marks=pytest.mark.slow),
        pytest.param({"note": "x" * 400_000}, "items", marks=pytest.mark.slow),
        ({"note": "x" * 400_000}, "products"),
        ({"related": [{"id": "9"}], "note": "x" * 400_000}, "products"),
    ],
)
def test_a_list_that_begins_or_ends_beyond_the_first_bytes(before, key):
    rows = [TEA | {"externalId": str(number)} for number in range(500 if "note" in before else 1_500)]
    content = json.dumps(before | {key: rows, "count": len(rows)}).encode()
    for file in (named(content, "file"), Pipe(content, 5_000)):
        catalog = Catalog(file, format="auto" if not before else "json")
        assert [p.external_id for p in catalog] == [row["externalId"] for row in rows]
        assert catalog.format is CatalogFormat.JSON


def test_several_lists_of_objects_are_refused_and_named():
    content = json.dumps({"items": [TEA], "related": [TEA]}, indent=1)
    items, message = until_fault(Catalog(named(content, "f.json")))
    assert items == []
    assert message == (
        'f.json: holds several lists of objects ("items", "related"); say which one to read (list=\'items\'), or name '
        'it "products"'
    )


def test_the_variants_of_one_product_are_no_list_of_products():
    product = TEA | {"variants": [{"id": "2", "name": "n", "price": 1, "url": "u:x"}]}
    assert [p.external_id for p in products(json.dumps(product), "file")] == ["1"]  # one line, one object
    _, message = until_fault(Catalog(named(json.dumps(product, indent=1), "file")))
    assert "holds no products" in message


def test_lines_that_hold_lists_stay_lines():
    line = json.dumps({"code": "1", "images": [{"src": "i:1"}]})
    catalog = Catalog(
        named(f"{line}\n{line}\n", "file"),
        mapping={"external_id": "code", "name": "code", "price": "code", "url": "code"},
    )
    assert [p.external_id for p in catalog] == ["1", "1"]
    assert catalog.format is CatalogFormat.JSONL


def test_a_cut_object_yields_what_is_whole_and_then_complains():
    content = json.dumps({"items": [TEA] * 3}, indent=1)[:-120].encode()
    for file in (named(content, "f.json"), Pipe(content)):
        items, message = until_fault(Catalog(file))
        assert [item.external_id for item in items] == ["1"] * content.count(b"}") == ["1"]
        assert "ends in the middle" in message


def test_a_cut_archive_yields_what_is_whole_and_then_complains():
    rows = [TEA | {"name": f"{number:x}" * 50} for number in range(3_000)]
    content = gzip.compress(json.dumps({"items": rows}).encode())
    for file in (named(content[:-2_000], "f.json.gz"), Pipe(content[:-2_000], 5_000)):
        items, message = until_fault(Catalog(file, format="json"))
        assert len(items) > 1_000
        assert "cut off" in message


@pytest.mark.parametrize("indent", [None, 1])
def test_products_by_their_keys_are_named(indent):
    content = json.dumps({"41": {"name": "A", "price": 1}, "42": {"name": "B", "price": 2}}, indent=indent)
    _, message = until_fault(Catalog(named(content, "f.json")))
    assert message == "f.json: gives its products by keys; write them as a list: [{...}, {...}]"


@pytest.mark.parametrize("word", ["NaN", "-Infinity", "None", "undefined"])
def test_words_that_programs_write_into_json_are_named(word):
    failure = one_failure(f'[{{"id": "1", "name": "NaN \\" NaN", "stock": {word}}}]', "f.json")
    assert failure.reason == f"f.json:record 1: is not valid JSON: JSON has no {word}; write null"


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("price", {"amount": "19.90", "currency": "EUR"}, "price.amount"),
        ("name", [{"id": "1", "value": "Mesa"}], "name.0.value"),
        ("stock", {"total": 3}, "stock.total"),
        ("active", {}, "active.KEY"),
    ],
)
def test_an_object_where_one_value_is_wanted_comes_with_the_path_into_it(field, value, path):
    record = {"id": "1", "name": "n", "price": 1, "url": "u:x"} | {field: value}
    failure = one_failure(json.dumps([record]), "f.json")
    target = {"stock": "stockQuantity", "active": "isActive"}.get(field, field)
    assert "holds several values" in failure.reason
    assert failure.reason.endswith(f"name one of them (mapping={{'{target}': '{path}'}})")


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"priceInfo": {"currencyCode": "USD", "price": 18}}, "mapping={'price': 'priceInfo.price'}"),
        ({"offers": [{"@type": "Offer", "price": 18}]}, "mapping={'price': 'offers.0.price'}"),
        ({"offers": {"url": "https://shop.example/hat"}}, "mapping={'url': 'offers.url'}"),
        ({"shipping": {"price": 3}, "seller": {"url": "https://x.example"}}, "mapping={'price': 'COLUMN'}"),
        ({"image": {"url": "https://x.example"}}, "mapping={'url': 'https://shop.example/p/{id}'}"),
        ({"@context": "https://schema.org/"}, "mapping={'url': 'https://shop.example/p/{id}'}"),
    ],
)
def test_a_price_or_an_address_within_an_object_is_proposed(record, told):
    reason = one_failure(json.dumps([{"id": "7", "name": "Hat"} | record]), "file.json").reason
    assert told in reason


def test_a_template_is_proposed_with_a_column_that_is_there():
    assert "mapping={'url': 'https://shop.example/p/{COLUMN}'}" in one_failure("name,price\nHat,9.50\n").reason


def test_a_description_is_proposed_as_the_name_where_there_is_no_other_text():
    reason = one_failure("id,descripcion,precio,url\n7,Sombrero,9.50,https://shop.example/7\n").reason
    assert "mapping={'name': 'descripcion'}" in reason
