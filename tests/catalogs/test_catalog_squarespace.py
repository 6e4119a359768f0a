"""The product export of Squarespace: the row of a product is that of its first variant, too."""

from __future__ import annotations

from decimal import Decimal

from catalog_files import SHOP, named, one_failure, products, until_fault
from msgspec import UNSET

from neuroon_async.catalogs import Catalog

OPTIONS = {"currency": "EUR", "mapping": {"url": f"{SHOP}/{{Product Page}}/p/{{Product URL}}"}}
HEADER = (
    "Product ID [Non Editable],Variant ID [Non Editable],Product Type [Non Editable],Product Page,Product URL,Title,"
    "Description,SKU,Option Name 1,Option Value 1,Option Name 2,Option Value 2,Price,Sale Price,On Sale,Stock,"
    "Categories,Tags,Weight,Length,Width,Height,Visible,Hosted Image URLs\n"
)
TEE = (
    "p1,v1,PHYSICAL,tienda,camiseta,Camiseta Sol,<p>Algodón</p>,C-S,Talla,S,Color,Azul,20.00,15.00,Yes,3,"
    '"/ropa/camisas, /ofertas","sol, mar",0.2,1,1,1,Yes,https://images.example/1.jpg https://images.example/2.jpg\n'
    ",v2,,,,,,C-M,,M,,Azul,22.00,10.00,No,Unlimited,,,0.2,1,1,1,,\n"
    "p2,v3,PHYSICAL,tienda,taza,Taza,,T-1,,,,,9.50,0,No,0,,,,,,,No,\n"
)


def test_a_parent_its_variants_and_a_single_product():
    catalog = Catalog(named(HEADER + TEE, "file"), **OPTIONS)
    parent, small, medium, mug = catalog
    assert catalog.format == "squarespace"
    assert [item.external_id for item in (parent, small, medium, mug)] == ["p1", "p1/S/Azul", "p1/M/Azul", "p2"]
    assert [item.parent_external_id for item in (parent, small, medium, mug)] == [UNSET, "p1", "p1", UNSET]
    assert [(item.price, item.sale_price) for item in (parent, small, medium, mug)] == [
        (Decimal("20.00"), Decimal("15.00")), (Decimal("20.00"), Decimal("15.00")), (Decimal("22.00"), UNSET),
        (Decimal("9.50"), UNSET),
    ]  # fmt: skip
    assert [(item.stock_quantity, item.in_stock) for item in (parent, small, medium, mug)] == [
        (UNSET, True), (3, True), (UNSET, True), (0, False),
    ]  # fmt: skip
    for item in (parent, small, medium):
        assert (item.url, item.is_active) == (f"{SHOP}/tienda/p/camiseta", True)
        assert (item.categories, item.tags) == (["ropa", "camisas", "ofertas"], ["sol", "mar"])
        assert (item.description, item.image_url) == ("Algodón", "https://images.example/1.jpg")
    assert (medium.name, medium.sku, medium.attributes) == (
        "Camiseta Sol - M / Azul", "C-M", {"Talla": "M", "Color": "Azul"},
    )  # fmt: skip
    assert (mug.name, mug.url, mug.is_active, mug.sku) == ("Taza", f"{SHOP}/tienda/p/taza", False, "T-1")
    assert set(catalog.ignored_fields) == {"Weight", "Length", "Width", "Height"}


def test_products_may_bear_their_id_in_every_row():
    repeated = TEE.replace(",v2,,,,,", "p1,v2,PHYSICAL,tienda,camiseta,Camiseta Sol,")
    assert [item.external_id for item in products(HEADER + repeated, **OPTIONS)] == [
        "p1",
        "p1/S/Azul",
        "p1/M/Azul",
        "p2",
    ]


def test_addresses_must_be_told():
    _, fault = until_fault(Catalog(named(HEADER + TEE, "file"), shop_url=SHOP))
    assert "this looks like a Squarespace export, which holds no whole addresses" in fault
    assert f"mapping={{'url': '{SHOP}/{{Product Page}}/p/{{Product URL}}'}}" in fault


def test_a_variant_before_any_product_is_refused():
    reason = one_failure(f"{HEADER},v2,,,,,,C-M,,M{',' * 14}\n", **OPTIONS).reason
    assert "is required in the first row of a product" in reason
