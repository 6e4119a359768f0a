"""Exports that are not read yet are named, with a mapping of the columns that they have."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from catalog_files import SHOP, named, one_failure, products, until_fault

from neuroon_async.catalogs import Catalog

HEADERS = {
    "a BigCommerce export": "Item Type,Product ID,Product Name,Product Code/SKU,Price",
    "an Etsy export": "TITLE,DESCRIPTION,PRICE,CURRENCY_CODE,QUANTITY,SKU",
    "an Akeneo export": "sku,categories,enabled,family,name-es_ES",
    "a Medusa export": "Product Id,Product Handle,Product Title,Variant Id,Price EUR",
    "a Saleor export": "id,name,product type,variant sku",
    "the product grid of Magento": "ID,Thumbnail,Name,Type,Attribute Set,SKU,Price",
    "a Magento 1 export": "sku,_store,_attribute_set,_type,name,price",
    "an export of a Magento 1 profile": "store,websites,attribute_set,type,category_ids,sku,name,price,url_path",
    "Shopify's file of inventories": "Handle,Title,Option1 Name,Option1 Value,SKU,HS Code,COO,Location,On hand",
    "a Shopware export": "id;parent_id;product_number;active;stock;name;price_net;price_gross;tax_rate",
    "an export of Shopware 5": "ordernumber;mainnumber;name;additionalText;supplier;tax;price_EK;pseudoprice_EK",
    "an OpenCart export": "product_id,name(es-es),sku,quantity,model,image_name,price,tax_class_id,stock_status_id",
    "a nopCommerce export": "ProductId,ProductType,ParentGroupedProductId,VisibleIndividually,Name,SeName,Price",
    "VTEX's file of products and SKUs": "_IDSKU,_NomeSku,_SkuAtivo,_IDProduto,_NomeProduto,_TextoLink",
    "a Jumpseller export": "Permalink,Name,Status,SKU,Compare At Price,Stock,Stock Unlimited,Price",
    "a Lightspeed eCom export": "Internal_ID;Internal_Variant_ID;Visible;ES_Title_Short;Price;Price_Old;Article_Code",
    "a Lightspeed Retail export": "id,handle,sku,composite_sku,name,variant_option_one_name,supply_price,retail_price",
    "an Odoo export": "External ID,Internal Reference,Name,Sales Price,Cost,Website URL",
    "Amazon's report of listings": "item-name\titem-description\tlisting-id\tseller-sku\tprice\tquantity\topen-date",
    "PrestaShop's file of combinations": "Product ID*,Attribute (Name:Type:Position)*,Impact on price",
}
ECWID = "type,product_internal_id,product_sku,product_name,product_price"
OBJECTS = {
    "JSON of VTEX": {
        "productId": "1",
        "productName": "A",
        "items": [{"itemId": "2", "sellers": [{"commertialOffer": {"Price": 1}}]}],
    },
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
    columns = ", ".join(re.split("[,;\t]", header))
    assert f"there are {columns}" in fault
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


@pytest.mark.parametrize(
    ("what", "row", "told", "found"),
    [
        ("a Shopware export", "1;;P;1;5;Mesa;84.03;100;19", "price: price_gross", ("1", "Mesa", 100)),
        ("an export of Shopware 5", 'P;P;Mesa;;M;19;"99,95";0', "price: price_EK", ("P", "Mesa", Decimal("99.95"))),
        ("an OpenCart export", "4,Mesa,S,9,M,a.jpg,101.00,9,5", "name: name(es-es)", ("4", "Mesa", 101)),
        ("a nopCommerce export", "1,Simple Product,0,TRUE,Mesa,mesa,100", "url: SeName", ("1", "Mesa", 100)),
        ("a Jumpseller export", "mesa,Mesa,available,S,120,5,NO,100", "url: Permalink", ("S", "Mesa", 100)),
        ("a Lightspeed eCom export", "1;11;Y;Mesa;100;120;A", "name: ES_Title_Short", ("11", "Mesa", 100)),
        ("a Lightspeed Retail export", "1,mesa,S,,Mesa,Color,50,100", "price: retail_price", ("1", "Mesa", 100)),
        ("an Odoo export", "x,D,Mesa,100.0,60.0,/shop/mesa", "url: Website URL", ("D", "Mesa", 100)),
        ("Amazon's report of listings", "Mesa\tx\t0\tS\t9.90\t5\t", "name: item-name", ("S", "Mesa", Decimal("9.9"))),
    ],
)
def test_what_is_proposed_reads_the_file(what, row, told, found):
    content = f"{HEADERS[what]}\n{row}\n"
    _, fault = until_fault(Catalog(named(content), shop_url=SHOP))
    proposed = dict(re.findall(r"mapping={'(\w+)': '([^']+)'}", fault))
    field, column = told.split(": ")
    assert proposed[field] == column
    if proposed["url"] == "COLUMN":
        proposed["url"] = f"/p/{{{proposed['externalId']}}}"
    (item,) = products(content, shop_url=SHOP, mapping=proposed)
    assert (item.external_id, item.name, item.price) == found


def test_costs_and_prices_without_tax_are_not_proposed():
    for column in ("coste", "Purchase price", "supply_price", "price_net", "Precio sin IVA", "Prix HT"):
        failure = one_failure(f"id,name,{column},url\n1,A,9.90,/a\n", shop_url=SHOP)
        assert "price: is required" in failure.reason
        assert column not in failure.reason


def test_a_template_of_amazon_is_named():
    content = "TemplateType=fptcustom\tVersion=2021\t\nSeller SKU\tProduct Name\tPrice\nitem_sku\titem_name\tprice\n"
    assert "is Amazon's template for uploads" in until_fault(Catalog(named(content)))[1]


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
            "sku": "title.1",
            "attributes.all": "{images.*.src}",
        },
    )
    assert (found.external_id, found.price, found.image_url) == ("1", 100, f"{SHOP}/2.jpg")
    assert (found.categories, found.tags) == (["A", "C"], ["B"])
    assert found.attributes == {"all": "/1.jpg, /2.jpg"}
    assert (found.brands, found.sku) == (None, None)  # as for any key that is not there


def test_files_that_hold_no_products_and_platforms_of_other_places_are_named():
    files = {
        "Name,Email,Financial Status,Lineitem name,Lineitem price,Id\n#1,a@b.c,paid,Mesa,9,5\n": "file of orders",
        "First Name,Last Name,Email,Total Spent,Tags\nA,B,a@b.c,9,x\n": "file of customers",
        "Identificador de URL;Nombre;Precio;SKU\nmesa;Mesa;9;M\n": "a Tiendanube export",
        json.dumps({"products": [{"id": 1, "price": "9", "link_rewrite": "a", "id_default_image": "2"}]}): (
            "prices are without tax"
        ),
    }
    for content, told in files.items():
        assert told in until_fault(Catalog(named(content, "file"), shop_url=SHOP))[1]


def test_a_list_deep_within_an_answer_is_named():
    answer = {"data": {"products": {"page": {"items": [{"sku": "A", "name": "N", "x": {"y": [{"z": 1}]}}]}}}}
    fault = until_fault(Catalog(named(json.dumps(answer), "file"), shop_url=SHOP))[1]
    assert "list='data.products.page.items'" in fault


def test_what_newer_woocommerce_calls_its_variations_is_told():
    variation = {
        "id": 11, "type": "variation", "name": "Red, Large", "permalink": f"{SHOP}/p", "parent_id": 10,
        "regular_price": "10", "stock_status": "instock",
        "attributes": [{"name": "Color", "option": "Red"}, {"name": "Size", "option": "Large"}],
    }  # fmt: skip
    catalog = Catalog(named(json.dumps([variation, variation | {"parent_name": "Hoodie"}]), "f.json"))
    assert [item.name for item in catalog] == ["Red, Large"] * 2
    (note,) = [note for note in catalog.notes if "named by their options alone, such as 'Red, Large'" in note]
    assert "mapping={'name': '{parent_name} - {name}'}" in note
    mapping = {"name": "{parent_name} - {name}"}
    items = list(Catalog(named(json.dumps([variation | {"parent_name": "Hoodie"}]), "f.json"), mapping=mapping))
    assert [item.name for item in items] == ["Hoodie - Red, Large"]


def test_brands_of_woocommerce_have_levels():
    header = "ID,Type,SKU,Name,Published,Regular price,Brands\n"
    (item,) = list(Catalog(named(f'{header}1,simple,A,A,1,9,"Norte > Sub, Sur"\n'), shop_url=SHOP))
    assert item.brands == ["Norte", "Sub", "Sur"]
