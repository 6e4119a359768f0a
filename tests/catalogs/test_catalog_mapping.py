from __future__ import annotations

import hashlib

import pytest
from catalog_files import SHOP, named, one_failure, products, until_fault
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async import ConfigurationError
from neuroon_async.catalogs import Catalog
from neuroon_async.catalogs.mapping import Column, Template, compile_mapping, slug

ROW = '{"code": "A/1 b", "title": "Café au lait", "cost": 3, "img": {"src": "i:x"}, "brand": "Mine"}'
BASE = {"externalId": "code", "price": "cost", "url": "https://shop.example/{title:slug}/{code:quote}"}


def test_columns_templates_nested_values_and_recognised_names_together():
    mapping = BASE | {"imageUrl": "img.src", "attributes.maker": "{{{brand}}}", "brands": ""}
    (product,) = products(f"[{ROW}]", mapping=mapping)
    assert (product.external_id, product.name, product.price) == ("A/1 b", "Café au lait", 3)
    assert product.url == f"{SHOP}/cafe-au-lait/A%2F1%20b"
    assert product.image_url == "i:x"
    assert product.attributes == {"maker": "{Mine}"}
    assert str(product.brands) == "UNSET"


def test_a_hash_is_stable():
    mapping = {"external_id": "x-{title:hash}", "price": "cost", "url": "u:{code}"}
    (product,) = products(f"[{ROW}]", mapping=mapping)
    assert product.external_id == "x-" + hashlib.sha256("Café au lait".encode()).hexdigest()[:16]


@given(st.text(st.sampled_from("{}ab: "), max_size=12))
def test_doubled_braces_are_literal(text):
    escaped = text.replace("{", "{{").replace("}", "}}")
    if "{" not in escaped and "}" not in escaped:
        return
    (source,) = compile_mapping({"name": escaped}).values()
    assert isinstance(source, Template)
    assert source.value({}) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_slug_is_one_segment_of_an_address_and_stays_what_it_is(text):
    made = slug(text)
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-%ABCDEF")
    assert not made.startswith("-")
    assert not made.endswith("-")
    assert slug(text) == made


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"nme": "title"}, "'nme' is not a product field"),
        ({"name": "a {title"}, "has no partner"),
        ({"name": "a} b"}, "has no partner"),
        ({"name": "{title:slugg}"}, "no filter 'slugg'; there are slug, hash, quote"),
        ({"imageUrl": "a", "image_url": "b"}, "image_url is given twice"),
    ],
)
def test_mappings_that_cannot_work(mapping, message):
    with pytest.raises(ConfigurationError, match=message):
        compile_mapping(mapping)


def test_a_colon_may_belong_to_the_column():
    (source,) = compile_mapping({"name": "{Meta: _x}"}).values()
    assert source.value({"Meta: _x": "v"}) == "v"
    assert compile_mapping({"name": "title", "tags": ""}) == {"name": Column("title"), "tags": None}


def test_a_column_that_is_not_there_is_told_once_before_the_first_row():
    items, message = until_fault(Catalog(named("id,name\n1,n\n2,n\n"), mapping={"price": "cost"}))
    assert items == []
    assert "there is no column 'cost', which price is mapped to; there are id, name" in message


def test_a_record_that_lacks_a_mapped_value_says_which():
    failure = one_failure('[{"id":"1","name":"n","price":1}]', mapping={"url": "https://s/{code}"})
    assert "url: is required, and this record has no value for it in 'code'" in failure.reason


def test_exports_link_variants_by_id_so_ids_cannot_be_mapped_there():
    shopify = "Handle,Title,Variant Price,Vendor\na,A,1,v\n"
    with pytest.raises(ConfigurationError, match="external_id comes from the shopify export itself"):
        list(Catalog(named(shopify), mapping={"external_id": "Title"}))
    (product,) = products(shopify, shop_url=SHOP, mapping={"brands": "Title"})
    assert product.brands == ["A"]
