"""The exports that shops really have: what their products must look like, worked out by reading the files."""

from __future__ import annotations

from decimal import Decimal

import pytest
from catalog_files import SHOP, real_catalog
from msgspec import UNSET

from neuroon_async import Product
from neuroon_async.catalogs import Catalog, CatalogFormat

_BESTBUY = {"external_id": "{image:hash}", "url": f"{SHOP}/p/{{name:slug}}-{{image:hash}}"}


def by_id(catalog: Catalog) -> dict[str, Product]:
    found = {}
    for item in catalog:
        assert isinstance(item, Product), str(item)
        assert item.external_id not in found
        found[item.external_id] = item
    return found


def test_bestbuy_is_read_whole_with_ids_and_addresses_from_templates():
    catalog = Catalog(real_catalog("bestbuy.json"), mapping=_BESTBUY, currency="USD")
    found = by_id(catalog)
    assert (catalog.format, catalog.records, catalog.products, catalog.failed) == (CatalogFormat.JSON, 3291, 3291, 0)
    assert len({product.url for product in found.values()}) == 3291
    assert catalog.ignored_fields == {"popularity": 3291}
    assert catalog.bytes_read == catalog.total_bytes == 2_173_195
    first = next(iter(found.values()))
    assert first.external_id == "f8c3638ceb54a26c"  # the same in every run, or each sync would create products again
    assert first == Product(
        external_id="f8c3638ceb54a26c",
        name="AT&T GoPhone - Samsung Galaxy Express 3 4G LTE with 8GB Memory Prepaid Cell Phone",
        price=Decimal("49.99"),
        url=f"{SHOP}/p/at-t-gophone-samsung-galaxy-express-3-4g-lte-with-8gb-memory-prepaid-cell-phone-f8c3638ceb54a26c",
        description=first.description,
        currency="USD",
        image_url="https://cdn-demo.algolia.com/bestbuy-0118/4984700_sb.jpg",
        categories=["Cell Phones", "Prepaid Phones", "All Prepaid Phones"],
        brands=["AT&T GoPhone"],
    )
    assert isinstance(first.description, str)
    assert first.description.startswith("Grab your data and your minutes as you go with this Samsung Galaxy 3 Express")
    assert {type(product.price) for product in found.values()} == {Decimal, int}


def test_shopify_apparel():
    catalog = Catalog(real_catalog("shopify-apparel.csv"), shop_url=SHOP)
    found = by_id(catalog)
    assert (catalog.format, catalog.records, len(found)) == (CatalogFormat.SHOPIFY, 22, 23)
    shirt = found["ocean-blue-shirt"]
    assert (shirt.name, shirt.price, shirt.sale_price) == ("Ocean Blue Shirt", 50, UNSET)
    assert (shirt.brands, shirt.tags, shirt.categories) == (["partners-demo"], ["men"], UNSET)
    assert (shirt.parent_external_id, shirt.attributes) == (UNSET, UNSET)
    assert (shirt.is_active, shirt.in_stock, shirt.stock_quantity) == (True, True, 1)
    assert shirt.url == f"{SHOP}/products/ocean-blue-shirt"
    assert shirt.image_url == "https://burst.shopifycdn.com/photos/young-man-in-bright-fashion_925x.jpg"
    top = found["classic-varsity-top"]
    assert (top.name, top.price, top.parent_external_id, top.stock_quantity) == ("Classic Varsity Top", 60, UNSET, 3)
    for size in ("Small", "Medium", "Large"):
        variant = found[f"classic-varsity-top/{size}"]
        assert variant.name == f"Classic Varsity Top - {size}"
        assert variant.parent_external_id == "classic-varsity-top"
        assert variant.attributes == {"Size": size}
        assert (variant.price, variant.description, variant.url) == (60, top.description, top.url)
    assert sum(product.parent_external_id is not UNSET for product in found.values()) == 3


def test_shopify_home_and_garden():
    found = by_id(Catalog(real_catalog("shopify-home-and-garden.csv"), shop_url=SHOP))
    assert len(found) == 22
    pot = found["clay-plant-pot"]
    assert (pot.price, pot.stock_quantity, pot.categories) == (Decimal("9.99"), 4, ["Outdoor"])
    assert (pot.description, pot.tags) == ("Classic blown clay pot for plants", ["Pot", "Plants"])
    assert found["clay-plant-pot/Regular"].price == Decimal("9.99")
    large = found["clay-plant-pot/Large"]
    assert (large.price, large.stock_quantity, large.attributes) == (Decimal("15.99"), 3, {"Size": "Large"})
    light = found["copper-light"]
    assert (light.price, light.sale_price, light.brands) == (75, Decimal("59.99"), ["Company 123"])
    assert (found["cream-sofa"].price, found["cream-sofa"].sale_price) == (750, 500)
    armchair = found["pink-armchair"]  # 0 pieces, but a stock that Shopify does not track
    assert (armchair.in_stock, armchair.stock_quantity) == (True, UNSET)
    pots = found["biodegradable-cardboard-pots"]  # tracked by Shopify
    assert (pots.in_stock, pots.stock_quantity) == (True, 8)


@pytest.fixture(scope="module")
def woocommerce() -> dict[str, Product]:
    return by_id(Catalog(real_catalog("woocommerce.csv"), shop_url=SHOP, currency="EUR"))


def test_woocommerce_kinds_and_parents(woocommerce):
    assert len(woocommerce) == 24
    variations = {i: p.parent_external_id for i, p in woocommerce.items() if p.parent_external_id is not UNSET}
    hoodies = dict.fromkeys(["758", "759", "760", "894", "895", "897"], "742")
    assert variations == hoodies | dict.fromkeys(["883", "884", "885"], "741")


def test_woocommerce_prices_of_parents_are_those_of_the_cheapest_child(woocommerce):
    def prices(external_id: str) -> tuple[object, object]:
        return woocommerce[external_id].price, woocommerce[external_id].sale_price

    assert prices("742") == (45, 42)  # a variable product; its red hoodie is on sale
    assert prices("741") == (25, UNSET)
    assert prices("871") == (18, UNSET)  # a grouped product: of 45, 20 and 18
    assert prices("758") == (45, 42)
    assert prices("745") == (20, 18)
    assert prices("754") == (3, 2)
    assert prices("872") == (30, UNSET)


def test_woocommerce_texts_categories_images_and_attributes(woocommerce):
    tee = woocommerce["741"]
    assert (tee.name, tee.sku, tee.categories) == ("T-Shirt", "cc-tee", ["Clothing", "Tshirts"])
    assert tee.attributes == {"Color": "Blue, Green, Red", "Size": "Large, Medium, Small"}
    assert isinstance(tee.image_url, str)
    assert tee.image_url.endswith("/t-shirt-green.png")
    blue = woocommerce["883"]
    assert (blue.name, blue.attributes, blue.categories) == (
        "T-Shirt - Blue",
        {"Color": "Blue"},
        ["Clothing", "Tshirts"],
    )
    assert (tee.url, blue.url) == (f"{SHOP}/?post_type=product&p=741",) * 2
    assert isinstance(blue.description, str)
    assert blue.description.startswith("Lorem ipsum dolor sit amet")
    assert woocommerce["872"].url == "https://www.classicpress.net/donate/"
    assert woocommerce["872"].categories == ["Donation"]
    assert woocommerce["753"].categories == ["Music"]


def test_woocommerce_hidden_from_search_is_not_active(woocommerce):
    assert [i for i, product in woocommerce.items() if product.is_active is not True] == ["749"]
    assert all(product.in_stock is True for product in woocommerce.values())
