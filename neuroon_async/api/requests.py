"""From what a source yields to the body of one request. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import InvalidBatch, InvalidProduct, UsageError
from .contract import MAX_BATCH_PRODUCTS, SyncMode
from .models import Product, SyncRequest, encode
from .validation import check_product, encoding_problems, invalid_product

__all__ = ["as_mode", "as_product", "encode_batch", "encode_single_request", "from_mapping"]


def as_mode(mode: SyncMode | str) -> SyncMode:
    """The sync mode by its name. Raises `UsageError`."""
    try:
        return SyncMode(mode)
    except ValueError:
        raise UsageError(f"must be one of {', '.join(SyncMode)}, got {mode!r}", where="mode") from None


def as_product(item: object) -> Product:
    """A checked product. Raises `InvalidProduct` with every broken rule."""
    if isinstance(item, Product):
        product = item
    elif isinstance(item, Mapping):
        product = from_mapping(item)
    else:
        raise InvalidProduct(None, [("product", f"must be a Product or a mapping, got {type(item).__name__}")])
    check_product(product)
    return product


def from_mapping(item: Mapping[str, Any]) -> Product:
    """A product that nobody has checked. Raises `InvalidProduct`, also where the mapping itself cannot be read."""
    try:
        return Product.from_mapping(item)
    except InvalidProduct:
        raise
    except Exception as error:
        raise InvalidProduct(None, [("product", f"cannot be read: {error!r}")]) from error


def encode_batch(mode: SyncMode, products: list[Product]) -> bytes:
    """The body of one sync request. Raises `InvalidProduct` for the first product that cannot become JSON."""
    try:
        return encode(SyncRequest(mode, products))
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError):
        for product in products:
            problems = encoding_problems(product)
            if problems:
                raise invalid_product(product, problems) from None
        raise


def encode_single_request(mode: SyncMode, items: Iterable[Product | Mapping[str, Any]]) -> bytes:
    """The body of one request with exactly these products; nothing is left out or merged."""
    if isinstance(items, (Product, Mapping, str, bytes)) or not isinstance(items, Iterable):
        raise InvalidBatch(f"a batch is a list of Product or mappings, got {type(items).__name__}")
    products = [as_product(item) for item in items]
    if not 1 <= len(products) <= MAX_BATCH_PRODUCTS:
        raise InvalidBatch(
            f"one request carries 1 to {MAX_BATCH_PRODUCTS} products, got {len(products)}",
            advice="products.sync() takes any number",
        )
    return encode_batch(mode, products)
