"""Which list of a JSON document holds the products, where it is not plain."""

from __future__ import annotations

import json

import pytest
from catalog_files import Pipe, named, until_fault

from neuroon_async.catalogs import Catalog

ITEM = {"id": 1, "name": "A", "price": 2, "url": "https://shop.example/a"}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"data": {"items": [ITEM], "more": [{"x": 1}]}}, "data.items"),
        ({"artículos": [ITEM], "products": [{"x": 1}]}, "artículos"),
        ({"a": {"b": {"c": [ITEM]}}, "c": [{"x": 1}]}, "a.b.c"),
    ],
)
def test_a_path_names_it(document, path, indent):
    content = json.dumps(document, indent=indent, ensure_ascii=False)
    for source in (named(content, "file"), Pipe(content.encode())):
        catalog = Catalog(source, list=path)
        assert [item.external_id for item in catalog] == ["1"]
        assert catalog.format == "json"


def test_a_path_that_leads_nowhere_is_said():
    _, fault = until_fault(Catalog(named(json.dumps({"data": {"items": [ITEM]}}), "file"), list="data.products"))
    assert "holds no list at 'data.products'" in fault


def test_messages_say_how_to_name_it():
    _, fault = until_fault(Catalog(named(json.dumps({"a": [ITEM], "b": [ITEM]}, indent=1), "file")))
    assert 'holds several lists of objects ("a", "b"); say which one to read (list=\'a\')' in fault
    for indent in (None, 1):
        content = json.dumps({"meta": {"ids": [1]}, "answer": {"rows": [ITEM]}}, indent=indent)
        _, fault = until_fault(Catalog(named(content, "file")))
        assert "where you say that they are (list='answer.rows')" in fault


def test_one_product_with_nested_values_is_still_a_line():
    catalog = Catalog(named(json.dumps(ITEM | {"seo": {"links": [{"a": 1}]}}), "file"))
    assert [item.external_id for item in catalog] == ["1"]


def test_a_platforms_json_at_a_path_of_ones_own():
    product = {"handle": "a", "title": "A", "vendor": "V", "variants": [{"price": "5.00"}]}
    content = json.dumps({"old": {"rows": [product]}, "new": {"rows": [product | {"handle": "b"}]}})
    catalog = Catalog(named(content, "file"), list="new.rows", shop_url="https://shop.example")
    assert [item.external_id for item in catalog] == ["b"]
    assert catalog.format == "shopify-json"
