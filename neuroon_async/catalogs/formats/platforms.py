"""Exports of platforms that are recognised and not read: each is named, with a mapping that fits its columns.

Their rows link variants to products in ways of their own, so a plain reading of columns that happen to be named alike
would send half of what they say. A mapping tells that the user has looked at them; then they are read as plain CSV or
JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...api.models import REQUIRED_FIELDS, WIRE_NAMES

if TYPE_CHECKING:
    from ..format import Sample
    from ..options import ReadingOptions

__all__ = ["unread_platform"]

_MAX_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class _Platform:
    """``columns`` are those of its CSV, ``keys`` those of its JSON; all must be there.

    ``mapping`` names the columns or keys for the required fields, best first; those that the file has are proposed, and
    templates of columns that all such files have.
    """

    what: str
    columns: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    mapping: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    advice: str = ""


def _csv(what: str, *columns: str, advice: str = "", **mapping: tuple[str, ...]) -> _Platform:
    return _Platform(what, frozenset(columns), (), mapping, advice)


def _json(what: str, *keys: str, advice: str = "", **mapping: tuple[str, ...]) -> _Platform:
    return _Platform(what, frozenset(), keys, mapping, advice)


_OPENCART_LANGUAGES = (
    "en-gb", "en", "es-es", "es", "fr-fr", "fr", "de-de", "de", "it-it", "it", "pt-pt", "pt-br", "pt", "ca-es", "ca",
)  # fmt: skip
_PLATFORMS = (
    _csv(
        "a BigCommerce export", "Product ID", "Item Type", "Product Name",
        external_id=("Product ID", "Product Code/SKU"), name=("Product Name",), price=("Price",),
        url=("Product URL",),
        advice="the newer export (with the columns Item, ID, Options) is read; export that one, or",
    ),
    _csv(
        "an Etsy export", "TITLE", "PRICE", "CURRENCY_CODE", "QUANTITY",
        external_id=("SKU",), name=("TITLE",), price=("PRICE",),
    ),
    _csv("an Akeneo export", "sku", "family", "categories", "enabled", external_id=("sku",)),
    _csv("an Akeneo export", "identifier", "family", "categories", "enabled", external_id=("identifier",)),
    _csv("an Akeneo export", "uuid", "family", "categories", "enabled", external_id=("uuid",)),
    _csv(
        "a Medusa export", "Product Id", "Product Handle", "Product Title", "Variant Id",
        external_id=("Variant Id",), name=("Product Title",),
        price=("Variant Price EUR", "Variant Price USD", "Price EUR", "Price USD"),
    ),
    _csv(
        "a Medusa export", "Product Handle", "Product Title", "Variant Title", "Variant SKU",
        external_id=("Variant SKU",), name=("Product Title",), price=("Variant Price EUR", "Variant Price USD"),
    ),
    _csv("a Saleor export", "id", "name", "product type", "variant sku", external_id=("id",), name=("name",)),
    _csv("a Saleor export", "id", "name", "product type", "charge taxes", external_id=("id",), name=("name",)),
    _csv(
        "the product grid of Magento", "ID", "Thumbnail", "Name", "Type", "Attribute Set", "SKU", "Price",
        external_id=("SKU",), name=("Name",), price=("Price",),
        advice="export the products by System > Data Transfer > Export, which is read, or",
    ),
    _csv(
        "a Magento 1 export", "sku", "_store", "_attribute_set", "_type",
        external_id=("sku",), name=("name",), price=("price",), url=("url_path", "url_key"),
    ),
    _csv(
        "an export of a Magento 1 profile", "store", "websites", "attribute_set", "type", "sku",
        external_id=("sku",), name=("name",), price=("price",), url=("url_path", "url_key"),
    ),
    _csv(
        "Shopify's file of inventories", "Handle", "Title", "Option1 Name", "SKU", "COO",
        advice="it holds no prices; export the products, whose file is read, or",
        external_id=("Handle",), name=("Title",),
    ),
    _csv(
        "Shopify's file of orders", "Name", "Email", "Financial Status", "Lineitem name",
        advice="it holds what was sold; export the products, whose file is read, or",
        external_id=("Lineitem sku",), name=("Lineitem name",), price=("Lineitem price",),
    ),
    _csv(
        "Shopify's file of customers", "First Name", "Last Name", "Email", "Total Spent",
        advice="it holds no products; export those, whose file is read, or",
    ),
    _csv(
        "a Tiendanube export", "Identificador de URL", "Nombre", "Precio",
        external_id=("SKU", "Identificador de URL"), name=("Nombre",), price=("Precio",),
        url=("/productos/{Identificador de URL}",),
    ),
    _csv(
        "a Nuvemshop export", "Identificador URL", "Nome", "Preço",
        external_id=("SKU", "Identificador URL"), name=("Nome",), price=("Preço",),
        url=("/produtos/{Identificador URL}",),
    ),
    _csv(
        "PrestaShop's file of combinations", "Product ID*", "Attribute (Name:Type:Position)*",
        advice="it holds neither names nor prices of its own; read the file of products, or",
        external_id=("Reference",),
    ),
    _csv(
        "a Shopware export", "product_number", "parent_id", "price_net", "price_gross",
        external_id=("id", "product_number"), name=("name",), price=("price_gross",),
        advice="its variants have the name and price of their product; write these into their rows, and",
    ),
    _csv(
        "an export of Shopware 5", "ordernumber", "mainnumber", "supplier", "price_EK",
        external_id=("ordernumber",), name=("name",), price=("price_EK",),
    ),
    _csv(
        "an OpenCart export", "product_id", "model", "image_name", "tax_class_id", "stock_status_id",
        external_id=("product_id",), name=tuple(f"name({code})" for code in _OPENCART_LANGUAGES), price=("price",),
        advice="its prices are without tax; where the shop adds one, write out what shoppers pay, and",
    ),
    _csv(
        "a nopCommerce export", "ProductType", "ParentGroupedProductId", "VisibleIndividually", "SeName",
        external_id=("ProductId", "SKU"), name=("Name",), price=("Price",), url=("SeName",),
    ),
    _csv(
        "VTEX's file of products and SKUs", "_IDSKU", "_NomeSku", "_IDProduto", "_NomeProduto",
        external_id=("_IDSKU",), name=("_NomeProduto",), url=("/{_TextoLink}/p",),
        advice="it holds no prices; export a feed for Google Merchant, or add them and",
    ),
    _csv(
        "a Jumpseller export", "Permalink", "Name", "Stock Unlimited", "Compare At Price", "Price",
        external_id=("SKU", "Permalink"), name=("Name",), price=("Price",), url=("Permalink",),
    ),
    _csv(
        "a Lightspeed eCom export", "Internal_ID", "Internal_Variant_ID", "Article_Code", "Price",
        external_id=("Internal_Variant_ID",), price=("Price",),
        name=tuple(f"{code}_Title_Short" for code in ("ES", "EN", "US", "UK", "DE", "FR", "IT", "PT", "NL", "BE")),
    ),
    _csv(
        "a Lightspeed Retail export", "handle", "sku", "composite_sku", "variant_option_one_name", "retail_price",
        external_id=("id", "sku"), name=("name",), price=("retail_price",),
    ),
    _csv(
        "an Odoo export", "Internal Reference", "Name", "Sales Price",
        external_id=("Internal Reference", "External ID"), name=("Name",), price=("Sales Price",), url=("Website URL",),
    ),
    _csv(
        "Amazon's report of listings", "item-name", "seller-sku", "price", "open-date",
        external_id=("seller-sku",), name=("item-name",), price=("price",),
    ),
    _json(
        "JSON of VTEX", "productId", "productName", "items.sellers.commertialOffer.Price",
        external_id=("productId",), name=("productName",), url=("link",),
        price=("items.0.sellers.0.commertialOffer.Price",),
    ),
    _json(
        "JSON of PrestaShop", "id", "price", "link_rewrite", "id_default_image",
        external_id=("id",), name=("name.0.value", "name"), price=("price",),
        advice="its prices are without tax; export the products in the back office, whose file is read, or",
    ),
    _json(
        "JSON of BigCommerce", "id", "name", "calculated_price", "custom_url",
        external_id=("id",), name=("name",), price=("price",), url=("custom_url.url",),
    ),
    _json(
        "JSON of Ecwid", "id", "name", "defaultDisplayedPrice",
        external_id=("id",), name=("name",), price=("defaultDisplayedPrice",), url=("url",),
    ),
    _json(
        "JSON of Medusa", "id", "handle", "title", "variants.prices.amount",
        external_id=("id",), name=("title",), price=("variants.0.prices.0.amount",),
    ),
    _json(
        "JSON of Medusa", "id", "handle", "title", "variants.calculated_price.calculated_amount",
        external_id=("id",), name=("title",), price=("variants.0.calculated_price.calculated_amount",),
    ),
    _json(
        "JSON of Saleor", "id", "name", "pricing.priceRange.start.gross.amount",
        external_id=("id",), name=("name",), price=("pricing.priceRange.start.gross.amount",),
    ),
    _json("JSON of Akeneo", "identifier", "family", "values", external_id=("identifier",)),
    _json("JSON of Akeneo", "uuid", "family", "values", external_id=("uuid",)),
    _json(
        "JSON of Magento", "sku", "type_id", "attribute_set_id", "custom_attributes",
        external_id=("sku",), name=("name",), price=("price",),
    ),
    _json(
        "JSON of Etsy", "listing_id", "title", "price.divisor",
        external_id=("listing_id",), name=("title",), url=("url",),
        advice="its prices are fractions (amount and divisor) that no mapping can reckon; write them out, and",
    ),
)  # fmt: skip


def unread_platform(sample: Sample, options: ReadingOptions) -> str | None:
    """What to say of a file that is of one of these platforms; ``None`` where it is not, or where it is mapped."""
    if any(field in options.mapping for field in REQUIRED_FIELDS):
        return None
    columns: set[str] = set() if sample.is_json or sample.is_xml else set(sample.header)
    for platform in _PLATFORMS:
        if (platform.columns and platform.columns <= columns) or (platform.keys and sample.has_keys(*platform.keys)):
            return _refusal(platform, sample, options)
    return None


def _refusal(platform: _Platform, sample: Sample, options: ReadingOptions) -> str:
    header = [] if platform.keys else sample.header
    proposed: list[str] = []
    for target in REQUIRED_FIELDS:
        names = platform.mapping.get(target, ())
        column = next((name for name in names if platform.keys or name in header or "{" in name), None)
        proposed.append(options.names.map(WIRE_NAMES[target], column or ("KEY" if platform.keys else "COLUMN")))
    advice = f"{platform.advice} map" if platform.advice else "map"
    what = "keys" if platform.keys else "columns"
    refusal = f"this looks like {platform.what}, which is not read yet; {advice} its {what}: {' '.join(proposed)}"
    if not header:
        return refusal
    more = " and more" if len(header) > _MAX_COLUMNS else ""
    return f"{refusal}; there are {', '.join(header[:_MAX_COLUMNS])}{more}"
