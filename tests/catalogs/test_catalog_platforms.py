"""Exports that are not read yet are named, with a mapping of the columns that they have."""

from __future__ import annotations

import json

import pytest
from catalog_files import SHOP, named, products, until_fault

from neuroon_async.catalogs import Catalog

HEADERS = {
    "a BigCommerce export": "Item Type,Product ID,Product Name,Product Code/SKU,Price",
    "an Etsy export": "TITLE,DESCRIPTION,PRICE,CURRENCY_CODE,QUANTITY,SKU",
    "an Akeneo export": "sku,categories,enabled,family,name-es_ES",
    "a Medusa export": "Product Id,Product Handle,Product Title,Variant Id,Price EUR",
    "a Saleor export": "id,name,product type,variant sku",
    "the product grid of Magento": "ID,Thumbnail,Name,Type,Attribute Set,SKU,Price",
    "a Magento 1 export": "sku,_store,_attribute_set,_type,name,price",
    "Shopify's file of inventories": "Handle,Title,Option1 Name,Option1 Value,SKU,HS Code,COO,Location,On hand",
    "PrestaShop's file of combinations": "Product ID*,Attribute (Name:Type:Position)*,Impact on price",
}
ECWID = "type,product_internal_id,product_sku,product_name,product_price"
OBJECTS = {
    "JSON of BigCommerce": {"id": 1, "name": "A", "calculated_price": 1, "custom_url": {"url": "/a"}},
    "JSON of Ecwid": {"id": 1, "name": "A", "defaultDisplayedPrice": 1},
    "JSON of Medusa": {"id": 1, "handle": "a", "title": "A", "variants": [{"prices": [{"amount": 100}]}]},
    "JSON of Saleor": {"id": 1, "name": "A", "pricing": {"priceRange": {"start": {"gross": {"amount": 1}}}}},
    "JSON of Akeneo": {"identifier": "a", "family": "b", "values": {}},
    "JSON of Magento": {"sku": "a", "type_id": "simple", "attribute_set_id": 4, "custom_attributes": []},
    "JSON of Etsy": {"listing_id": 1, "title": "A", "price": {"amount": 100, "divisor": 100}},
}


@pytest.mark.parametrize(("what", "header"), HEADERS.items())
def test_exports_are_named(what, header):
    items, fault = until_fault(Catalog(named(header + "\n" + "1," * header.count(",") + "1\n", "file"), shop_url=SHOP))
    assert items == []
    assert fault.startswith(f"file: this looks like {what}, which is not read yet; ")
    assert f"there are {', '.join(header.split(','))}" in fault
    assert "mapping={'price': " in fault


@pytest.mark.parametrize(("what", "item"), OBJECTS.items())
def test_json_is_named(what, item):
    for content in (json.dumps([item]), json.dumps({"items": [item]}), json.dumps(item) + "\n"):
        items, fault = until_fault(Catalog(named(content, "file"), shop_url=SHOP))
        assert items == []
        assert fault.startswith(f"file: this looks like {what}, which is not read yet; ")


def test_the_columns_of_this_file_are_proposed():
    _, fault = until_fault(Catalog(named(HEADERS["an Etsy export"] + "\n", "file")))
    assert "mapping={'externalId': 'SKU'} mapping={'name': 'TITLE'}" in fault
    assert "mapping={'url': 'COLUMN'}" in fault


def test_a_mapping_says_that_it_is_known():
    mapping = {
        "external_id": "product_internal_id",
        "name": "product_name",
        "price": "product_price",
        "url": "/p/{type}",
    }
    (item,) = products(ECWID + "\nproduct,7,S,Mesa,9.90\n", shop_url=SHOP, mapping=mapping)
    assert (item.external_id, item.name) == ("7", "Mesa")
    catalog = Catalog(named(ECWID + "\nproduct,7,S,Mesa,9.90\n"), format="csv")
    assert catalog.format == "csv"


@pytest.mark.parametrize(
    "header", ["id,name,price,url", "sku,family,name,price", "ID,Name,SKU,Price", "title,price,quantity"]
)
def test_neighbours_stay_plain_csv(header):
    catalog = Catalog(named(header + "\n1,2,3,4\n"), shop_url=SHOP)
    list(catalog)
    assert catalog.format == "csv"


def test_nested_values_are_mapped_by_their_paths():
    item = OBJECTS["JSON of Medusa"] | {
        "images": [{"src": "/1.jpg"}, {"src": "/2.jpg"}],
        "groups": [{"name": "A", "parents": [{"name": "B"}]}, {"name": ""}, {"name": "C", "parents": []}],
    }
    (found,) = products(
        json.dumps([item]),
        shop_url=SHOP,
        mapping={
            "external_id": "id",
            "name": "title",
            "price": "variants.0.prices.0.amount",
            "url": "/p/{handle}",
            "image_url": "images.1.src",
            "categories": "groups.*.name",
            "tags": "groups.*.parents.*.name",
            "brands": "groups.9.name",
            "sku": "title.0",
            "attributes.all": "{images.*.src}",
        },
    )
    assert (found.external_id, found.price, found.image_url) == ("1", 100, f"{SHOP}/2.jpg")
    assert (found.categories, found.tags) == (["A", "C"], ["B"])
    assert found.attributes == {"all": "/1.jpg, /2.jpg"}
    assert (found.brands, found.sku) == (None, None)  # as for any key that is not there
