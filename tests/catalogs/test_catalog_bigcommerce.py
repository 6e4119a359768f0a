"""The newer product export of BigCommerce: products, variants, images and videos, in rows below each other."""

from __future__ import annotations

import re
from decimal import Decimal

from catalog_files import SHOP, named, one_failure, products, read, until_fault
from msgspec import UNSET

from neuroon_async import Product
from neuroon_async.catalogs import Catalog

OPTIONS = {"shop_url": SHOP, "currency": "EUR"}
COLUMNS = (
    "Item,ID,Name,Type,SKU,Options,Inventory Tracking,Current Stock,Low Stock,Price,Cost Price,Retail Price,Sale Price,"
    "Brand ID,Channels,Categories,Description,Custom Fields,Page Title,Product URL,Meta Description,Search Keywords,"
    "Meta Keywords,Bin Picking Number,UPC/EAN,Global Trade Number,Manufacturer Part Number,Free Shipping,"
    "Fixed Shipping Cost,Weight,Width,Height,Depth,Is Visible,Is Featured,Warranty,Tax Class,Product Condition,"
    "Show Product Condition,Sort Order,Variant Image URL,Internal Image URL (Export),Image URL (Import),"
    "Image Description,Image is Thumbnail,Image Sort Order,YouTube ID,Video Title,Video Description,Video Sort Order"
)
NAMES = {re.sub(r"\W+", "_", name).strip("_").lower(): name for name in COLUMNS.split(",")}


def row(item: str, **cells: str) -> str:
    filled = {NAMES[key]: text for key, text in cells.items()} | {"Item": item}
    return ",".join('"{}"'.format(filled.get(name, "").replace('"', '""')) for name in NAMES.values()) + "\n"


def export(*rows: str) -> bytes:
    return b"\xef\xbb\xbf" + (COLUMNS + "\n" + "".join(rows)).encode()


BLACK = "Type=Swatch|Name=Color|Value=Negro[#000000]Type=Rectangle|Name=Talla|Value=M"
WHITE = "Type=Swatch|Name=Color|Value=Blanco[#FFFFFF]Type=Rectangle|Name=Talla|Value=L/XL"
TEE = (
    row("Product", id="77", name="Camiseta &amp; Sol", type="physical", sku="CS", inventory_tracking="variant",
        current_stock="0", price="19.99", sale_price="15.00", retail_price="25", brand_id="35", categories="23;24",
        description="<p>Algodón</p>", product_url="/camiseta-sol/", is_visible="TRUE",
        global_trade_number="8400000000017",
        custom_fields='[{"name":"Tejido","value":"Algodón"}]'),
    row("Variant", id="501", sku="CS-N-M", options=BLACK,
        current_stock="4", variant_image_url="https://cdn11.example/negro.jpg"),
    row("Variant", id="502", sku="CS-B-L", options=WHITE,
        current_stock="0", price="21.50", sale_price="30"),
    row("Image", id="900", internal_image_url_export="https://cdn11.example/2.jpg", image_is_thumbnail="FALSE"),
    row("Image", id="901", internal_image_url_export="https://cdn11.example/1.jpg", image_is_thumbnail="TRUE"),
    row("Video", id="1", youtube_id="x"),
)  # fmt: skip


def test_a_parent_and_its_variants():
    catalog = Catalog(named(export(*TEE), "file"), **OPTIONS)
    parent, black, white = catalog
    assert catalog.format == "bigcommerce"
    assert [item.external_id for item in (parent, black, white)] == ["77", "77/Negro/M", "77/Blanco/L%2FXL"]
    assert [item.parent_external_id for item in (parent, black, white)] == [UNSET, "77", "77"]
    assert [item.name for item in (parent, black, white)] == [
        "Camiseta & Sol", "Camiseta & Sol - Negro / M", "Camiseta & Sol - Blanco / L/XL",
    ]  # fmt: skip
    assert [(item.price, item.sale_price) for item in (parent, black, white)] == [
        (Decimal("19.99"), Decimal("15.00")), (Decimal("19.99"), Decimal("15.00")), (Decimal("21.50"), UNSET),
    ]  # fmt: skip
    assert [(item.stock_quantity, item.in_stock) for item in (parent, black, white)] == [
        (4, True),
        (4, True),
        (0, False),
    ]
    assert [item.sku for item in (parent, black, white)] == ["CS", "CS-N-M", "CS-B-L"]
    assert [item.image_url[-9:] for item in (parent, black, white)] == ["ple/1.jpg", "negro.jpg", "ple/1.jpg"]
    for item in (parent, black, white):
        assert (item.url, item.currency, item.is_active) == (f"{SHOP}/camiseta-sol/", "EUR", True)
        assert (item.description, item.categories, item.brands) == ("Algodón", UNSET, UNSET)
    assert parent.attributes == {"Tejido": "Algodón", "gtin": "8400000000017"}
    assert black.attributes == {"Tejido": "Algodón", "Color": "Negro", "Talla": "M"}
    assert len(catalog.notes) == 2
    assert all("by ids only" in note for note in catalog.notes)
    assert "Image is Thumbnail" not in catalog.ignored_fields


def test_stock_drafts_and_sales_of_products_without_variants():
    cells = {"price": "9.00", "product_url": "/a/"}
    counted, free, hidden, sale, preorder = products(
        export(
            row("Product", id="1", name="A", inventory_tracking="product", current_stock="3", **cells),
            row("Product", id="2", name="B", inventory_tracking="none", current_stock="0", **cells),
            row(
                "Product",
                id="3",
                name="C",
                is_visible="FALSE",
                sale_price="0",
                categories="Ropa/Camisas;Ofertas",
                **cells,
            ),
            row("Product", sku="D-1", name="D", sale_price="7.50", **cells),
            row("Product", id="5", name="E", inventory_tracking="product", current_stock="0", **cells),
        ),
        **OPTIONS,
    )
    assert (counted.stock_quantity, counted.in_stock) == (3, True)
    assert (free.stock_quantity, free.in_stock) == (UNSET, True)
    assert (hidden.is_active, hidden.sale_price, hidden.categories) == (False, UNSET, ["Ropa", "Camisas", "Ofertas"])
    assert (sale.external_id, sale.sale_price) == ("D-1", Decimal("7.50"))
    assert (preorder.stock_quantity, preorder.in_stock) == (0, False)


def test_the_stock_of_a_product_tells_of_its_variants_only_whether_there_is_any():
    parent, variant = products(
        export(
            row(
                "Product",
                id="1",
                name="A",
                price="9",
                product_url="/a/",
                inventory_tracking="product",
                current_stock="7",
            ),
            row("Variant", sku="A-S", options="Type=Rectangle|Name=Size|Value=S"),
        ),
        **OPTIONS,
    )
    assert (parent.stock_quantity, parent.in_stock) == (7, True)
    assert (variant.stock_quantity, variant.in_stock) == (UNSET, True)


def test_what_cannot_be_read_is_refused_row_by_row():
    orphan, product, bare, rule = read(
        export(
            row("Variant", sku="X"),
            row("Product", id="1", name="A", price="9", product_url="/a/"),
            row("Variant", sku="A-S"),
            row("Rule", sku="A-S"),
        ),
        **OPTIONS,
    )
    assert "'variant' stands before any product" in orphan.reason
    assert isinstance(product, Product)
    assert "Options: has no values" in bare.reason
    assert "'rule' is no row that is known" in rule.reason
    relative = one_failure(export(row("Product", id="1", name="A", price="9", product_url="/a/")), currency="EUR")
    assert "url: '/a/' is relative; give the shop's address (shop_url)" in relative.reason


def test_the_older_export_is_named():
    older = "Item Type,Product ID,Product Name,Product Code/SKU,Price\nProduct,1,A,S,9\n"
    _, fault = until_fault(Catalog(named(older, "file"), **OPTIONS))
    assert (
        "a BigCommerce export, which is not read yet; the newer export (with the columns Item, ID, Options) is read"
        in fault
    )
