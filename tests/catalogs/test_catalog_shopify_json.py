"""Shopify's own JSON: REST, GraphQL, bulk operations. Each gives the products that the CSV export gives."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from catalog_files import SHOP, Pipe, named, one_failure, products, read, until_fault
from msgspec import UNSET

from neuroon_async import Product
from neuroon_async.catalogs import Catalog

CASE = (Path(__file__).parent / "cases" / "11-shopify-products.json").read_bytes()
OPTIONS = {"shop_url": SHOP, "currency": "EUR"}


def rest(**changes) -> dict:
    variant = {"id": 41, "option1": "Negro", "sku": "BC-N", "price": "89.00", "compare_at_price": "120.00"}
    return {
        "id": 9,
        "title": "Bolso",
        "handle": "bolso",
        "body_html": "<p>Piel</p>",
        "vendor": "Cala",
        "product_type": "Bolsos",
        "tags": "piel, verano",
        "status": "active",
        "published_at": "2026-01-01T10:00:00+01:00",
        "options": [{"name": "Color", "values": ["Negro", "Camel"]}],
        "variants": [variant, variant | {"id": 42, "option1": "Camel", "sku": "BC-C", "compare_at_price": None}],
        "images": [{"id": 1, "src": "https://cdn.example/1.jpg"}, {"id": 2, "src": "https://cdn.example/2.jpg"}],
    } | changes


def of(product: dict, **options) -> list[Product]:
    return products(json.dumps({"products": [product]}), "file.json", **OPTIONS | options)


def test_a_storefronts_products():
    catalog = Catalog(named(CASE, "file"), **OPTIONS)
    parent, black, camel = catalog
    assert catalog.format == "shopify-json"
    assert [p.external_id for p in (parent, black, camel)] == ["bolso-cala", "bolso-cala/Negro", "bolso-cala/Camel"]
    assert (black.price, black.sale_price) == (Decimal("120.00"), Decimal("89.00"))
    assert (camel.price, camel.sale_price) == (Decimal("89.00"), UNSET)
    assert (black.in_stock, camel.in_stock, parent.in_stock) == (True, False, True)
    assert {p.parent_external_id for p in (black, camel)} == {"bolso-cala"}
    assert (black.name, black.attributes) == ("Bolso Cala - Negro", {"Color": "Negro"})
    for product in (parent, black, camel):
        assert (product.brands, product.categories, product.tags) == (["Cala"], ["Bolsos"], ["piel", "verano"])
        assert product.image_url == "https://cdn.example/bolso.jpg"
        assert (product.url, product.is_active) == (f"{SHOP}/products/bolso-cala", True)


def test_the_products_are_those_of_the_csv_export():
    csv = (
        "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Status,Option1 Name,Option1 Value,Variant SKU,"
        "Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price,"
        "Variant Compare At Price,Image Src,Variant Image\n"
        'bolso,Bolso,<p>Piel</p>,Cala,Bolsos,"piel, verano",true,active,Color,Negro,BC-N,shopify,3,deny,89.00,120.00,'
        "https://cdn.example/1.jpg,https://cdn.example/2.jpg\n"
        "bolso,,,,,,,,,Camel,BC-C,shopify,0,deny,89.00,,,\n"
    )
    product = rest()
    stock = {"inventory_management": "shopify", "inventory_policy": "deny"}
    product["variants"][0] |= stock | {"inventory_quantity": 3, "image_id": 2}
    product["variants"][1] |= stock | {"inventory_quantity": 0}
    assert of(product) == products(csv, **OPTIONS)


@pytest.mark.parametrize(
    ("changes", "active"),
    [({}, True), ({"published_at": None}, False), ({"status": "draft"}, False), ({"status": "ARCHIVED"}, False)],
)
def test_drafts_are_not_active(changes, active):
    assert {product.is_active for product in of(rest(**changes))} == {active}


@pytest.mark.parametrize(
    ("stock", "expected"),
    [
        ({"inventory_quantity": 0, "inventory_management": "shopify"}, (False, 0)),
        ({"inventory_quantity": 0, "inventory_management": None}, (True, UNSET)),
        ({"inventory_quantity": -2, "inventory_management": "shopify", "inventory_policy": "continue"}, (True, -2)),
        ({"inventory_quantity": 4}, (True, 4)),
        ({}, (UNSET, UNSET)),
    ],
)
def test_stock(stock, expected):
    variant = {"id": 1, "title": "Default Title", "option1": "Default Title", "price": "5"}
    items = read(json.dumps({"products": [rest(variants=[variant | stock])]}), "f", **OPTIONS)
    if expected[1] == -2:
        (single,) = items
        assert not isinstance(single, Product) or single.in_stock is True
        return
    (single,) = items
    assert (single.external_id, single.in_stock, single.stock_quantity) == ("bolso", *expected)


def graphql(**changes) -> dict:
    def variant(color: str, **more) -> dict:
        option = [{"name": "Color", "value": color}]
        return {"id": f"gid://shopify/ProductVariant/{color}", "selectedOptions": option, "price": "89.00"} | more

    return {
        "id": "gid://shopify/Product/9",
        "title": "Bolso",
        "handle": "bolso",
        "descriptionHtml": "<p>Piel</p>",
        "vendor": "Cala",
        "productType": "Bolsos",
        "tags": ["piel", "verano"],
        "status": "ACTIVE",
        "publishedAt": "2026-01-01T09:00:00Z",
        "onlineStoreUrl": "https://www.shop.example/products/bolso",
        "featuredMedia": {"preview": {"image": {"url": "https://cdn.example/1.jpg"}}},
        "variants": {
            "pageInfo": {"hasNextPage": False},
            "edges": [
                {"node": variant("Negro", sku="BC-N", compareAtPrice="120.00", inventoryQuantity=3)},
                {"node": variant("Camel", sku="BC-C", inventoryQuantity=0, inventoryItem={"tracked": True})},
            ],
        },
    } | changes


def expect_bag(found: list[Product]) -> None:
    parent, black, camel = found
    assert [p.external_id for p in found] == ["bolso", "bolso/Negro", "bolso/Camel"]
    assert (black.price, black.sale_price, black.sku) == (Decimal("120.00"), Decimal("89.00"), "BC-N")
    assert (camel.price, camel.sale_price, camel.in_stock) == (Decimal("89.00"), UNSET, False)
    assert (parent.stock_quantity, parent.description, parent.tags) == (3, "Piel", ["piel", "verano"])
    assert {p.url for p in found} == {"https://www.shop.example/products/bolso"}
    assert {p.image_url for p in found} == {"https://cdn.example/1.jpg"}
    assert all(p.is_active for p in found)


@pytest.mark.parametrize("wrap", ["edges", "nodes", "bare", "list"])
@pytest.mark.parametrize("indent", [None, 1])
def test_graphql(wrap, indent):
    node = graphql()
    answer = {
        "edges": {"data": {"products": {"pageInfo": {}, "edges": [{"cursor": "x", "node": node}]}}},
        "nodes": {"data": {"products": {"nodes": [node]}}},
        "bare": {"products": {"edges": [{"node": node}]}},
        "list": [node],
    }[wrap]
    if wrap == "edges":
        node["variants"] = {"nodes": [edge["node"] for edge in node["variants"]["edges"]]}
    catalog = Catalog(named(json.dumps(answer, indent=indent), "f"), currency="EUR")
    expect_bag(list(catalog))
    assert catalog.format == "shopify-json"
    assert catalog.notes == []


def test_a_storefronts_prices_carry_their_currency():
    node = graphql()
    for edge in node["variants"]["edges"]:
        edge["node"] |= {"price": {"amount": "89.0", "currencyCode": "CHF"}, "availableForSale": False}
        edge["node"] |= {"compareAtPrice": {"amount": "99.9", "currencyCode": "CHF"}}
    for product in products(json.dumps({"data": {"products": {"edges": [{"node": node}]}}}), "f"):
        assert (product.price, product.sale_price, product.currency) == (Decimal("99.9"), Decimal("89.0"), "CHF")
        assert product.in_stock is False


def test_variants_that_were_not_fetched_are_spoken_of():
    node = graphql()
    node["variants"]["pageInfo"]["hasNextPage"] = True
    catalog = Catalog(named(json.dumps({"data": {"products": {"edges": [{"node": node}]}}}), "f"), **OPTIONS)
    assert len(list(catalog)) == 3
    assert "only the first variants" in catalog.notes[0]


def bulk(*lines: dict) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def bulk_lines() -> list[dict]:
    node = graphql()
    variants = [edge["node"] for edge in node.pop("variants")["edges"]]
    node.pop("featuredMedia")
    image = {"id": "gid://shopify/MediaImage/1", "image": {"url": "https://cdn.example/1.jpg"}}
    metafield = {"id": "gid://shopify/Metafield/1", "value": "x", "__parentId": variants[0]["id"]}
    children = [child | {"__parentId": node["id"]} for child in (*variants, image)]
    return [node, children[0], metafield, *children[1:]]


@pytest.mark.parametrize("name", ["bulk.jsonl", "file"])
def test_a_bulk_operation(name):
    other = graphql(id="gid://shopify/Product/10", handle="otro", variants=[])
    content = bulk(*bulk_lines(), other | {"priceRangeV2": {"minVariantPrice": {"amount": "7.0"}}})
    catalog = Catalog(named(content, name), currency="EUR")
    *bag, last = catalog
    expect_bag(bag)
    assert (catalog.format, catalog.records, last.external_id, last.price) == ("shopify-json", 6, "otro", 7)
    assert len(list(Catalog(Pipe(content.encode(), 700), currency="EUR"))) == 4


def test_lines_of_a_bulk_operation_that_are_not_grouped_are_refused():
    product, black, metafield, camel, image = bulk_lines()
    items = read(bulk(product, black, {**product, "id": "gid://shopify/Product/10"}, camel), "f", currency="EUR")
    refused = [item for item in items if not isinstance(item, Product)]
    assert "run the bulk operation again with groupObjects: true" in refused[0].reason
    assert metafield is not image


def test_prices_in_cents_are_refused():
    product = rest(price_min=8900, price_varies=False)
    assert "prices in cents" in one_failure(json.dumps({"products": [product]}), "f", **OPTIONS).reason


def test_a_mapping_sees_the_product_and_the_variant():
    found = of(rest(), mapping={"attributes.peso": "variant.sku", "attributes.id": "id"})
    assert [p.attributes["peso"] for p in found] == ["BC-N", "BC-N", "BC-C"]
    assert found[0].attributes["id"] == "9"


@pytest.mark.parametrize(
    "changes",
    [
        {"variants": None},
        {"variants": [1, None]},
        {"variants": [{"price": {"a": 1}}]},
        {"options": 5, "images": "x", "tags": {"a": 1}, "published_at": {}},
        {"handle": ["a"], "image": [1]},
        {"id": {}, "__parentId": []},
    ],
)
def test_values_of_wrong_types_break_nothing(changes):
    for content in (json.dumps({"products": [rest(), rest(**changes)]}), bulk(rest(), rest(**changes))):
        assert read(content, "f", **OPTIONS)


def test_a_document_that_is_cut_off():
    content = json.dumps({"products": [rest(), rest(handle="b")]})
    items, fault = until_fault(Catalog(named(content[:-40], "f"), **OPTIONS))
    assert [item.external_id for item in items] == ["bolso", "bolso/Negro", "bolso/Camel"]
    assert "ends in the middle" in fault


@pytest.mark.parametrize(
    "neighbour",
    [
        [{"handle": "a", "title": "A", "price": 1, "url": "https://a.example"}],
        [{"handle": "a", "title": "A", "variants": [{"prices": [{"amount": 1}]}]}],
        [{"id": 1, "handle": "a", "name": "A", "vendor": "x", "variants": [{"price": 1}]}],
    ],
)
def test_neighbours_stay_plain_json(neighbour):
    catalog = Catalog(named(json.dumps(neighbour), "f"), **OPTIONS)
    list(catalog)
    assert catalog.format == "json"


@pytest.mark.parametrize("indent", [None, 1])
def test_the_answer_for_one_product(indent):
    product = {
        "id": 1, "title": "A", "handle": "a", "vendor": "v", "body_html": "x", "published_at": "2026-01-01",
        "variants": [{"id": 2, "option1": "Default Title", "price": "10.00", "inventory_management": None}],
    }  # fmt: skip
    (found,) = products(json.dumps({"product": product}, indent=indent), "f.json", shop_url=SHOP)
    assert (found.external_id, found.price, found.in_stock) == ("a", 10, True)


def test_keys_that_are_read_are_not_called_ignored():
    node = {"title": "A", "handle": "a", "variants": {"edges": [{"node": {"price": "1", "sku": "s"}}]}}
    catalog = Catalog(named(json.dumps({"data": {"products": {"edges": [{"node": node}]}}}), "f"), shop_url=SHOP)
    assert [item.external_id for item in catalog] == ["a"]
    assert catalog.ignored_fields == {}
    lines = [
        {"id": "gid://shopify/Product/1", "title": "A", "handle": "a"},
        {"id": "gid://shopify/ProductVariant/2", "price": "1", "sku": "x", "__parentId": "gid://shopify/Product/1"},
    ]
    catalog = Catalog(named("\n".join(map(json.dumps, lines)), "f.jsonl"), shop_url=SHOP)
    assert [item.sku for item in catalog] == ["x"]
    assert catalog.ignored_fields == {}
