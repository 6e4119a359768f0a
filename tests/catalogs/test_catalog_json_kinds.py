"""JSON as services, databases and programs write it: what is read of it, and what is said of the rest."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from catalog_files import SHOP, named, one_failure, products, read, until_fault

from neuroon_async import Product
from neuroon_async.catalogs import Catalog

TEA = {"name": "Tea", "price": 12.5, "url": f"{SHOP}/tea"}
OWN = {"id": "A", **TEA}


def of(document: Any, **options: Any) -> list[tuple[str, Any]]:
    items = products(json.dumps(document), "file", **options)
    return [(item.external_id, item.price) for item in items]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([{"cursor": "x", "node": OWN}], None),
        ({"data": {"products": {"edges": [{"node": OWN}], "pageInfo": {"hasNextPage": False}}}}, "data.products.edges"),
        ({"_index": "p", "_id": "A", "_score": 1, "_source": TEA}, None),
        ({"_index": "p", "_id": "x", "_source": OWN}, None),
        ({"took": 1, "hits": {"total": {"value": 1}, "hits": [{"_id": "A", "_source": TEA}]}}, "hits.hits"),
        ({"found": 1, "hits": [{"document": OWN, "highlights": []}]}, None),
        ({"data": [{"type": "products", "id": "A", "attributes": TEA, "relationships": {}}]}, None),
        ({"records": [{"id": "A", "createdTime": "2026", "fields": TEA}], "offset": "x"}, None),
        ([{"product": OWN}], None),
        ([{"objectID": "A", **TEA}], None),
        ({"hits": [{"objectID": "A", **TEA}], "nbHits": 1}, None),
    ],
)
def test_products_within_what_a_service_puts_around_them(document, path):
    assert of(document, list=path) == [("A", Decimal("12.5"))]
    if path is not None:
        _, fault = until_fault(Catalog(named(json.dumps(document), "file")))
        assert f"(list='{path}')" in fault


def test_a_product_of_its_own_is_not_taken_for_what_it_holds():
    record = OWN | {"node": {"name": "Other", "price": 1}, "attributes": {"name": "size", "price": "7"}}
    (product,) = products(json.dumps([record]), "file")
    assert (product.name, product.attributes) == ("Tea", {"name": "size", "price": "7"})


def test_mappings_see_the_whole_record():
    content = json.dumps([{"rank": 5, "node": OWN}, {"rank": 6, "node": OWN | {"id": "B"}}])
    mapping = {"price": "node.price", "attributes.rank": "rank"}
    catalog = Catalog(named(content, "file"), mapping=mapping)
    assert [(item.external_id, item.attributes) for item in catalog] == [("A", {"rank": "5"}), ("B", {"rank": "6"})]
    assert catalog.ignored_fields == {}


def test_a_dead_letter_of_such_a_record_is_read_again():
    failure = one_failure(json.dumps([{"node": OWN | {"price": "?"}}]), "file")
    raw = failure.product
    letter = {"failure": {"reason": failure.reason}, "raw": raw.record, "reading": raw.reading}
    letter["raw"]["node"]["price"] = 3
    assert [(p.external_id, p.price) for p in products(json.dumps(letter), "failed.jsonl")] == [("A", 3)]


@pytest.mark.parametrize("path", ["categories.products", "categories.0.products"])
def test_a_path_leads_through_lists(path):
    document = {
        "products": [{"id": "no", **TEA}],
        "categories": [
            {"name": "C", "tags": ["products", "x"], "products": [OWN, OWN | {"id": "B"}]},
            {"name": "D", "products": []},
            {"name": "E", "more": {"products": [{"id": "no"}]}, "products": [OWN | {"id": "C"}]},
        ],
    }
    if path == "categories.products":
        assert [external_id for external_id, _ in of(document, list=path)] == ["A", "B", "C"]
    else:
        _, fault = until_fault(Catalog(named(json.dumps(document), "file"), list=path))
        assert "holds no list at" in fault


def test_lists_of_pages_and_of_categories_are_named():
    pages = [{"page": 1, "items": [OWN]}, {"page": 2, "items": [OWN | {"id": "B"}]}]
    assert [external_id for external_id, _ in of(pages, list="items")] == ["A", "B"]
    for items in (read(json.dumps(pages), "file"), read(json.dumps([{"hits": [OWN]}]), "file")):
        assert all("are products of their own: read those, by their path (list='PATH." in i.reason for i in items)


def test_values_of_mongodb():
    lines = [
        {
            "_id": {"$oid": "65a1b2c3d4e5f60718293a4b"},
            "name": "Tea",
            "price": {"$numberDecimal": "12.50"},
            "url": "/tea",
            "stock": {"$numberInt": "5"},
            "since": {"$date": "2026-01-01T00:00:00Z"},
            "sizes": [{"n": {"$numberDouble": "0.5"}}, {"n": {"$numberDouble": "NaN"}}],
        },
        {
            "_id": {"$uuid": "0-1"},
            "name": "Tea",
            "price": {"$numberDouble": "9"},
            "url": "/tea",
            "stock": {"$numberLong": "7"},
            "since": {"$date": {"$numberLong": "1767312000000"}},
            "sizes": [{"n": {"$numberLong": "1e9"}}, {"n": {"$binary": "x"}}],
        },
    ]
    mapping = {"attributes.since": "since", "attributes.size": "sizes.0.n"}
    first, second = (
        item if isinstance(item, Product) else item.reason
        for item in read("\n".join(map(json.dumps, lines)), "file", shop_url=SHOP, mapping=mapping)
    )
    assert (first.external_id, first.price, first.stock_quantity) == ("65a1b2c3d4e5f60718293a4b", Decimal("12.50"), 5)
    assert first.attributes == {"since": "2026-01-01T00:00:00Z", "size": "0.5"}
    assert (second.external_id, second.price, second.stock_quantity) == ("0-1", 9, 7)
    assert second.attributes["since"] == "2026-01-02T00:00:00+00:00"
    # a mapping that was made for the file as it is goes on working
    mapping = {"external_id": "_id.$oid", "price": "price.$numberDecimal"}
    (product,) = products(json.dumps([lines[0]]), "file", shop_url=SHOP, mapping=mapping)
    assert (product.external_id, product.price) == ("65a1b2c3d4e5f60718293a4b", Decimal("12.50"))


@pytest.mark.parametrize("value", [{"$numberDecimal": "x"}, {"$numberDecimal": 5}, {"$oid": 5}, {"$date": True}])
def test_values_of_mongodb_that_are_none(value):
    assert "price: holds several values" in one_failure(json.dumps([OWN | {"price": value}]), "file").reason


def test_the_currency_of_a_price_within_an_object_is_that_of_the_product():
    prices = {"amount": "12.50", "currency_code": "USD"}
    options = {"mapping": {"price": "offer.amount", "sale_price": "sale.0.amount"}, "currency": "EUR"}
    record = OWN | {"offer": prices, "sale": [prices | {"amount": "9"}]}
    (product,) = products(json.dumps([record]), "file", **options)
    assert (product.price, product.sale_price, product.currency) == (Decimal("12.50"), 9, "USD")
    record["sale"][0]["currency_code"] = "EUR"
    assert "and the price in USD" in one_failure(json.dumps([record]), "file", **options).reason
    (product,) = products(json.dumps([OWN | {"offer": prices | {"amount": "1.299"}}]), "file", decimal=",", **options)
    assert (product.price, product.currency) == (1299, "USD")
    rows = [OWN | {"id": str(n), "offer": prices | {"amount": text}} for n, text in enumerate(["1.299,00", "1.299"])]
    found = products(json.dumps(rows), "file", **options)  # the clear one settles the other
    assert [(item.price, item.currency) for item in found] == [(Decimal("1299.00"), "USD"), (1299, "USD")]
    (product,) = products(json.dumps([OWN | {"offer": {"amount": 5}}]), "file", **options)
    assert product.currency == "EUR"


@pytest.mark.parametrize(
    "price",
    [
        {"unit_amount": 1999, "currency": "usd"},
        {"centAmount": 1999, "currencyCode": "EUR", "fractionDigits": 2},
        {"amount": 1999, "divisor": 100},
        {"price_in_cents": 1999},
    ],
)
def test_a_price_in_cents_is_not_proposed_as_it_is(price):
    reason = one_failure(json.dumps([OWN | {"price": price}]), "file").reason
    assert "its amounts are in cents; write them as 19.99" in reason
    assert "mapping" not in reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{'id': 'A'}", "names and texts stand in double quotes"),
        ('{id: "A"}', "names and texts stand in double quotes"),
        ('{"id": "A", /* x */ "b": 1}', "it holds a comment; take it out"),
        ('{"id": ObjectId("A")}', "is what a shell of MongoDB shows, not JSON; export with mongoexport"),
        ('{"id": "a\\ud800"}', "it holds half of a character"),
        ('{"id": "\\udc00a"}', "it holds half of a character"),
        ('{"id": "\\ud83d\\ude00", "b": }', "JSON is malformed"),
        ('{"id": "A"}{"id": "B"}', "write each object on a line of its own"),
        ('{"id": "A"},', "write each object on a line of its own"),
        ('{"a": NaN, "b": "// ObjectId(\'"}', "JSON has no NaN; write null"),
        ('{"url": "https://cut.off', "Input data was truncated"),
    ],
)
def test_what_is_no_json_is_said_as_one_mends_it(text, told):
    assert told in one_failure(text, "file.jsonl").reason


@pytest.mark.parametrize("start", ["// products\n", "# products\n\n", "/* a\nb */ ", "// a\n// b\n"])
def test_a_comment_before_the_document(start):
    for content in (f"{start}[{json.dumps(OWN)}]", f"{start}{json.dumps(OWN)}\n{json.dumps(OWN)}"):
        _, fault = until_fault(Catalog(named(content, "file")))
        assert fault == "file: begins with a comment, and JSON has none; take it out"


@pytest.mark.parametrize(
    "content",
    [
        '["id","name","price"]\n["A","Tea",12]\n',
        '[["id","name"],["A","Tea"]]',
        '{"columns":["id","name"],"index":[0],"data":[["A","Tea"]]}',
        '{"id":{"0":"A","1":"B"},"name":{"0":"Tea","1":"Tea"}}',
    ],
)
def test_tables_without_names_beside_their_values(content):
    _, fault = until_fault(Catalog(named(content, "file")))
    assert "write each product as an object" in fault
    assert 'to_json(path, orient="records")' in fault


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (')]}\',\n[{"id": 1}]', "is JSON within a script"),
        ('callback([{"id": 1}]);', "is JSON within a script"),
        ('window.products = [{"id": 1}];', "is JSON within a script"),
        ("INSERT INTO products (id, name, price) VALUES (1, 'Tea', 5);", "is a dump of a database"),
        ("-- MySQL dump 10.13\n\nDROP TABLE IF EXISTS `products`;", "is a dump of a database"),
        ('<catalog xmlns="http://www.demandware.com/xml/impex/catalog/2006-10-31">', "Salesforce Commerce Cloud"),
        ('<?xml version="1.0"?>\n<yml_catalog date="2026">', "a feed for Yandex"),
        ("<SHOP>\n<SHOPITEM>", "a feed for Heureka"),
        ("products:\n  - id: 1\n    name: Tea\n", "is YAML"),
        ("---\n- id: 1\n  name: Tea\n", "is YAML"),
    ],
)
def test_texts_of_other_kinds_are_named(content, told):
    assert told in until_fault(Catalog(named(content), shop_url=SHOP))[1]


@pytest.mark.parametrize(
    "header", ["id,name,price,url", "- id,name,price,url", "Set,name,price,url", "var=id,name,price"]
)
def test_headers_that_look_alike_are_read(header):
    assert len(read(f"{header}\n1,Tea,5,/tea\n", shop_url=SHOP)) == 1


@pytest.mark.parametrize("between", [",\n", "\n"])
def test_documents_that_follow_one_another(between):
    content = between.join([json.dumps(OWN, indent=1)] * 2)
    _, fault = until_fault(Catalog(named(content, "file")))
    assert "the document has ended; write one array, or each object on a line of its own" in fault


def test_lines_that_hold_one_object_each_are_lines():
    line = json.dumps({"Item": OWN})
    mapping = {name: f"Item.{key}" for name, key in zip(["external_id", "name", "price", "url"], OWN, strict=True)}
    assert [p.external_id for p in products(f"{line}\n{line}\n", "file", mapping=mapping)] == ["A", "A"]


def test_a_line_with_several_lists_and_nothing_of_a_product_is_a_document():
    document = {"data": [OWN], "included": [{"type": "brands", "name": "B"}]}
    _, fault = until_fault(Catalog(named(json.dumps(document), "file")))
    assert 'holds several lists of objects ("data", "included"); say which one to read (list=\'data\')' in fault
    assert of(document, list="data") == [("A", Decimal("12.5"))]


@pytest.mark.parametrize("number", ["1E+" + "7" * 30, "1E-" + "7" * 30])
@pytest.mark.parametrize("shape", ["{0}\n{0}", "[{0},{0}]", '{{"products":[{0},{0}]}}'])
def test_a_number_that_no_decimal_holds_costs_its_record_alone(number, shape):
    row = f'{{"id":"a","name":"b","price":{number},"url":"/c"}}'
    found = read(shape.format(row), "file", shop_url=SHOP, currency="EUR")
    reason = "holds a number whose exponent is too large; write the number out"
    assert [item.reason.partition(": ")[2] for item in found] == [reason] * 2
