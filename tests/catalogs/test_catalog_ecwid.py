"""The product export of Ecwid: products, and the rows of their options and variations."""

from __future__ import annotations

from decimal import Decimal

from catalog_files import SHOP, named, products, read, until_fault
from msgspec import UNSET

from neuroon_async.catalogs import Catalog

OPTIONS = {
    "shop_url": SHOP,
    "currency": "EUR",
    "mapping": {"url": f"{SHOP}/p/{{product_internal_id}}"},
}
HEADER = (
    "type,product_internal_id,product_sku,product_name,product_price,product_compare_to_price,"
    "product_is_inventory_tracked,product_quantity,product_is_available,product_media_main_image_url,"
    "product_description,product_category_1,product_category_2,product_brand,product_upc,product_option_name,"
    "product_option_value,product_option_markup,product_variation_sku,product_variation_option_Talla,"
    "product_variation_option_Color\n"
)
SHIRT = (
    "product,900,CM,Camisa Mar,30.00,40.00,true,0,true,https://cdn.example/1.jpg,<p>Lino</p>,Ropa / Camisas,Ofertas,"
    "Marea,,,,,,,\n"
    "product_option,900,CM,,,,,,,,,,,,,Talla,S,2.00,,,\n"
    "product_variation,900,CM,,,,true,3,,https://cdn.example/s.jpg,,,,,8400000000017,,,,CM-S,S,Azul\n"
    "product_variation,900,CM,,35.00,,false,0,,,,,,,,,,,CM-M,M,Azul\n"
)


def test_a_parent_and_its_variations():
    catalog = Catalog(named(HEADER + SHIRT, "file"), **OPTIONS)
    parent, small, medium = catalog
    assert catalog.format == "ecwid"
    assert [item.external_id for item in (parent, small, medium)] == ["900", "900/S/Azul", "900/M/Azul"]
    assert [item.parent_external_id for item in (parent, small, medium)] == [UNSET, "900", "900"]
    assert [(item.price, item.sale_price) for item in (parent, small, medium)] == [
        (Decimal("40.00"), Decimal("30.00")), (Decimal("40.00"), Decimal("30.00")), (Decimal("35.00"), UNSET),
    ]  # fmt: skip
    assert [(item.stock_quantity, item.in_stock) for item in (parent, small, medium)] == [
        (UNSET, True), (3, True), (UNSET, True),
    ]  # fmt: skip
    assert [item.sku for item in (parent, small, medium)] == ["CM", "CM-S", "CM-M"]
    assert [item.image_url[-5:] for item in (parent, small, medium)] == ["1.jpg", "s.jpg", "1.jpg"]
    assert small.name == "Camisa Mar - S / Azul"
    assert small.attributes == {"upc": "8400000000017", "Talla": "S", "Color": "Azul"}
    for item in (parent, small, medium):
        assert (item.url, item.is_active, item.brands) == (f"{SHOP}/p/900", True, ["Marea"])
        assert (item.categories, item.description) == (["Ropa", "Camisas", "Ofertas"], "Lino")
    assert set(catalog.ignored_fields) == {"product_option_name", "product_option_value", "product_option_markup"}


def test_drafts_stock_and_sales_of_simple_products():
    rows = (
        "category" + "," * 20 + "\n"
        "product,1,A,Vela,9.90,0,true,0,false,,,,,,,,,,,,\n"
        "product,2,B,Jabón,9.90,9.90,false,,true,,,,,,,,,,,,\n"
    )
    candle, soap = products(HEADER + rows, **OPTIONS)
    assert (candle.is_active, candle.stock_quantity, candle.in_stock, candle.sale_price) == (False, 0, False, UNSET)
    assert (soap.is_active, soap.stock_quantity, soap.in_stock, soap.sale_price) == (True, UNSET, True, UNSET)


def test_addresses_must_be_told():
    items, fault = until_fault(Catalog(named(HEADER + SHIRT, "file"), shop_url=SHOP))
    assert items == []
    assert "this looks like an Ecwid export, which holds no addresses of its products" in fault
    assert f"mapping={{'url': '{SHOP}/p/{{product_internal_id}}'}}" in fault


def test_rows_without_their_product_are_refused():
    nameless, orphan = read(f"{HEADER}product_variation,7,X{',' * 18}\nproduct,,X,Vela,9{',' * 16}\n", **OPTIONS)
    assert "the row of the product does not stand before this one" in orphan.reason
    assert "product_internal_id: is required" in nameless.reason
