"""The JSON of Shopify: the REST products (of the admin or of a storefront), GraphQL, and its bulk operations.

Every product is laid out as the rows of the CSV export, so that the same product gets the same ids, names and prices
from either. What JSON says more is used: the address of a storefront, the currency, and whether a variant is available.

- REST: ``{"products": [...]}``, or objects alone. ``published_at`` of null is not published.
- GraphQL: ``edges`` of ``node``, or ``nodes``. Prices may be texts or ``{"amount", "currencyCode"}``.
- A bulk operation is JSON Lines: a product's variants and images follow it and name it in ``__parentId``.
- ``product.js`` of a theme gives its prices in cents, which no price tells; its products are refused.

A mapping sees the product as it stands, and the variant in question as ``variant``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ....api.shapes import is_object
from ...readers.byte_source import CatalogError
from ...records import Draft, Record
from .products import ShopifyProducts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ....api.shapes import RawValue
    from ...format import Reading, Sample

__all__ = ["FORMAT"]

_PLACES = (
    ("handle", "title", "variants.price", "vendor"),
    ("handle", "title", "variants.price", "body_html"),
    ("handle", "title", "variants.edges.node.price"),
    ("handle", "title", "variants.nodes.price"),
    ("handle", "title", "variants.edges.node.priceV2"),
    ("handle", "title", "priceRangeV2"),
    ("handle", "title", "priceRange"),
)
_PARENT = "__parentId"
_MAX_CHILDREN = 10_000
_USED = (
    "id", "title", "handle", "body_html", "bodyHtml", "descriptionHtml", "description", "vendor", "product_type",
    "productType", "tags", "status", "published_at", "publishedAt", "options", "variants", "images", "image",
    "featuredImage", "featuredMedia", "media", "onlineStoreUrl", "isGiftCard", "priceRange", "priceRangeV2", "category",
    "productCategory",
)  # fmt: skip


_OF_CHILDREN = (
    _PARENT, "sku", "barcode", "price", "compareAtPrice", "inventoryQuantity", "inventoryPolicy", "inventoryItem",
    "availableForSale", "selectedOptions", "url", "src", "alt", "preview", "position",
)  # fmt: skip
"""Keys of the lines that belong to a product of a bulk operation."""


def _nodes(connection: RawValue) -> list[dict[str, Any]]:
    """The objects of a list, or of a connection of GraphQL."""
    if isinstance(connection, dict):
        edges: RawValue = connection.get("edges")
        connection = [_dict(e).get("node") for e in edges] if isinstance(edges, list) else connection.get("nodes")
    return [node for node in connection if is_object(node)] if isinstance(connection, list) else []


def _dict(value: RawValue) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(source: Mapping[str, Any], *names: str) -> Any:
    """The first value that is there, of several names for it."""
    return next((source[name] for name in names if source.get(name) is not None), None)


def _text(value: RawValue) -> str:
    """A value as the cell of the export holds it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return "" if value is None or isinstance(value, dict) else str(value)


def _amount(value: RawValue) -> str:
    return _text(value.get("amount") if isinstance(value, dict) else value)


def _address(image: Any) -> str:
    """Of an image in any of its forms: ``src``, ``url``, or the preview of a medium."""
    image = _dict(image)
    found = _first(image, "src", "url", "originalSrc", "transformedSrc")
    return _text(found) if found else (_address(image["image"]) if "image" in image else _preview(image))


def _preview(medium: Mapping[str, Any]) -> str:
    inner = _dict(medium.get("preview")).get("image")
    return _address(inner) if inner else ""


def rows_of(product: Mapping[str, Any]) -> list[dict[str, str]]:
    """The rows that the CSV export would hold of this product, and what JSON says beyond them."""
    options = [_text(option.get("name")) for option in _nodes(product.get("options"))]
    variants = _nodes(product.get("variants")) or [_cheapest(product)]
    options = options or _selected_names(variants[0])
    images = {_text(image.get("id")): _address(image) for image in _nodes(product.get("images")) if image.get("id")}
    rows = [_variant_row(product, variant, images) for variant in variants]
    rows[0] |= _product_cells(product)
    rows[0] |= {f"Option{number} Name": name for number, name in enumerate(options[:3], 1)}
    return rows


def _cheapest(product: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the variants where none was fetched."""
    prices = _dict(_first(product, "priceRangeV2", "priceRange"))
    return {"price": prices.get("minVariantPrice")}


def _selected_names(variant: Mapping[str, Any]) -> list[str]:
    return [_text(option.get("name")) for option in _nodes(variant.get("selectedOptions"))]


def _product_cells(product: Mapping[str, Any]) -> dict[str, str]:
    published = {_text(product[name] is not None) for name in ("published_at", "publishedAt") if name in product}
    kind = _text(_first(product, "product_type", "productType"))
    category = _text(_dict(_first(product, "category", "productCategory")).get("fullName"))
    return {
        "Title": _text(product.get("title")),
        "Body (HTML)": _text(_first(product, "body_html", "descriptionHtml", "bodyHtml", "description")),
        "Vendor": _text(product.get("vendor")),
        "Type": kind,
        "Product Category": category,
        "Tags": _text(product.get("tags")),
        "Published": next(iter(published), ""),
        "Status": _text(product.get("status")),
        "Gift Card": _text(product.get("isGiftCard")),
        "URL": _text(product.get("onlineStoreUrl")),
        "Image Src": _main_image(product),
        "Image Position": "1",
    }


def _main_image(product: Mapping[str, Any]) -> str:
    single = (product.get("image"), product.get("featuredImage"), product.get("featuredMedia"))
    images = [*single, *_nodes(product.get("images")), *_nodes(product.get("media"))]
    return next((address for image in images if (address := _address(image))), "")


def _variant_row(product: Mapping[str, Any], variant: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, str]:
    selected = [_text(option.get("value")) for option in _nodes(variant.get("selectedOptions"))]
    values = selected or [_text(variant.get(f"option{number}")) for number in (1, 2, 3)]
    price = _first(variant, "price", "priceV2")
    image = _address(_first(variant, "image", "featured_image")) or images.get(_text(variant.get("image_id")), "")
    quantity = _first(variant, "inventory_quantity", "inventoryQuantity", "quantityAvailable")
    row = {
        "Handle": _text(product.get("handle")),
        "Variant SKU": _text(variant.get("sku")),
        "Variant Barcode": _text(variant.get("barcode")),
        "Variant Price": _amount(price),
        "Variant Compare At Price": _amount(_first(variant, "compare_at_price", "compareAtPrice", "compareAtPriceV2")),
        "Currency": _text(_dict(price).get("currencyCode")),
        "Variant Available": _text(_first(variant, "available", "availableForSale")),
        "Variant Inventory Qty": _text(quantity),
        "Variant Inventory Policy": _text(_first(variant, "inventory_policy", "inventoryPolicy")),
        "Variant Image": image,
    }
    row |= {f"Option{number} Value": value for number, value in enumerate(values[:3], 1)}
    return row | _tracker(variant, row)


def _tracker(variant: Mapping[str, Any], row: Mapping[str, str]) -> dict[str, str]:
    """Does Shopify count the stock? Where it is not said, a count that is there says so."""
    if "inventory_management" in variant:
        return {"Variant Inventory Tracker": _text(variant["inventory_management"])}
    tracked = _dict(_first(variant, "inventoryItem", "inventory_item")).get("tracked")
    if tracked is not None:
        return {"Variant Inventory Tracker": "shopify" if tracked is True else ""}
    return {"Variant Inventory Tracker": "shopify"} if row["Variant Inventory Qty"] else {}


class _Builder:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._products = ShopifyProducts(reading.source, reading.options.shop_url, lambda _: None)
        self._cut_short = 0
        reading.use(_USED)

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for record in records:
            yield from self._drafts(record)
        if self._cut_short:
            self._reading.notice(
                f"of {self._cut_short:,} products the file holds only the first variants: the query asked for no more "
                "(hasNextPage); fetch all of them"
            )

    def _drafts(self, record: Record) -> Iterator[Draft]:
        product = record.row
        if record.problem or not _text(product.get("handle")):
            yield Draft.unusable(record, record.problem or "handle: is required; it is the product's id")
        elif "price_min" in product or "price_varies" in product:
            yield Draft.unusable(
                record,
                "is of a theme's product.js, which gives prices in cents and does not say of which currency; fetch "
                "/products.json instead",
            )
        else:
            self._cut_short += bool(_dict(_dict(product.get("variants")).get("pageInfo")).get("hasNextPage"))
            variants = _nodes(product.get("variants")) or [{}]
            rows = [
                Record(record.where, row, as_read={**product, "variant": variant})
                for row, variant in zip(rows_of(product), variants, strict=True)
            ]
            yield from self._products.product(rows)


def _without_edges(records: Iterable[Record]) -> Iterator[Record]:
    """The nodes of edges."""
    for record in records:
        node: RawValue = record.row.get("node")
        yield Record(record.where, node) if isinstance(node, dict) and not record.problem else record


def _whole_products(records: Iterable[Record]) -> Iterator[Record]:
    """Of a bulk operation, whose lines hold products and, after each, what belongs to it."""
    product: Record | None = None
    children: list[Record] = []
    ids: set[str] = set()
    try:
        for record in records:
            if record.problem:
                yield record
            elif _PARENT not in record.row:
                if product is not None:
                    yield _whole(product, children)
                product, children, ids = record, [], {_text(record.row.get("id"))}
            elif (problem := _misplaced(record, ids, children)) is not None:
                yield Record(record.where, record.row, problem)
            else:
                children.append(record)
                ids.add(_text(record.row.get("id")))
    except CatalogError:
        if product is not None:
            yield _whole(product, children)  # what was read before the fault counts
        raise
    if product is not None:
        yield _whole(product, children)


def _misplaced(record: Record, ids: set[str], children: list[Record]) -> str | None:
    """Why this line does not belong to the product before it."""
    parent = _text(record.row[_PARENT])
    if parent not in ids:
        again = "run the bulk operation again with groupObjects: true"
        return f"{_PARENT}: {parent!r} is not the product before this line; {again}"
    if len(children) == _MAX_CHILDREN:
        return f"{_PARENT}: {parent!r} has more than {_MAX_CHILDREN:,} lines"
    return None


def _whole(product: Record, children: list[Record]) -> Record:
    own = [child.row for child in children if _text(child.row[_PARENT]) == _text(product.row.get("id"))]
    variants = [row for row in own if _is_variant(row)]
    images = [row for row in own if not _is_variant(row) and _address(row)]
    row = {**product.row}
    if variants:
        row["variants"] = variants
    if images:
        row["images"] = [*_nodes(row.get("images")), *images]
    return Record(product.where, row)


def _is_variant(row: Mapping[str, Any]) -> bool:
    return "/ProductVariant/" in _text(row.get("id")) or bool({"price", "selectedOptions", "sku"} & set(row))


class _ShopifyJson:
    name = "shopify-json"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        return sample.is_json and (_is_bulk(sample) or any(sample.has_keys(*keys) for keys in _PLACES))

    def read(self, reading: Reading) -> Iterable[Draft]:
        build = _Builder(reading)
        sample = reading.sample
        place = next((places[0] for keys in _PLACES if (places := sample.places_of(*keys))), "")
        if _is_bulk(sample):
            reading.use(_OF_CHILDREN)
        if _is_bulk(sample) or (not place and sample.is_json_lines):
            return build(_whole_products(reading.json_records(lines=True)))
        if place.split(".")[-1] == "node":
            reading.use(["node"])
            return build(
                _without_edges(reading.json_records(place.removesuffix("node").rstrip(".") or None, lines=False))
            )
        return build(reading.json_records(place, lines=False))


def _is_bulk(sample: Sample) -> bool:
    """Are these the lines of a bulk operation on products?"""
    return sample.is_json and bool({""} & set(sample.places_of("handle", "title", _PARENT)))


FORMAT = _ShopifyJson()
