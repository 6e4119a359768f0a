"""From what a source yields to the body of one request. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import InvalidBatch, InvalidProduct, UsageError
from .arguments import shown
from .contract import MAX_BATCH_PRODUCTS, SyncMode
from .fast_lane import from_dict
from .frames import rows_of
from .items import fields_of
from .models import PRODUCT_FIELDS, Product, SyncRequest, encode, named_fields
from .shapes import class_of, is_list, is_list_like, is_plain_dict, is_text
from .validation import check_product, encoding_problems, invalid_product, plainly_valid, value_problems
from .values import plain_count, plain_id, plain_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "UNENCODABLE",
    "as_mode",
    "as_product",
    "encode_batch",
    "encode_product",
    "encode_single_request",
    "from_mapping",
    "join_batch",
    "start_of_products",
]


_READINGS: dict[str | None, Callable[[Any], Any]] = {
    "external_id": plain_id,
    "parent_external_id": plain_id,
    "stock_quantity": plain_count,
    "review_count": plain_count,
}
"""Whole numbers stay whole, and are text as ids: most shops' ids are numbers in their databases."""

UNENCODABLE = (OverflowError, TypeError, ValueError, RecursionError, msgspec.MsgspecError)
"""What encoding raises for values that cannot become JSON."""


def as_mode(mode: SyncMode | str) -> SyncMode:
    """The sync mode by its name. Raises `UsageError`."""
    try:
        return SyncMode(mode)
    except ValueError:
        raise UsageError(f"must be one of {', '.join(SyncMode)}, got {shown(mode)}", where="mode") from None


def as_product(item: object) -> Product:
    """A checked product of its own: it shares no list or map with the item. A `Product` is checked and stays itself.

    Takes a `Product`, a mapping, and whatever carries a product's fields (see `items`). Raises `InvalidProduct` with
    every broken rule.
    """
    if isinstance(item, Product):
        check_product(item)
        return item
    fields = item if is_plain_dict(item) else fields_of(item)
    product = from_dict(fields)
    return _carefully(fields) if product is None else product


def _carefully(fields: dict[Any, Any]) -> Product:
    """The careful lane: foreign values become plain ones, and every broken rule is listed."""
    try:
        values, violations = named_fields({key: _plain_field(key, value) for key, value in fields.items()})
        violations += value_problems(values)
    except Exception as error:
        raise InvalidProduct(None, [("product", f"cannot be read: {error!r}")]) from error
    if not violations:
        product = Product(**values)
        if plainly_valid(product):
            return product
        violations = encoding_problems(product)
        if not violations:
            return product
    external_id = values.get("external_id")
    raise InvalidProduct(external_id if is_text(external_id) and external_id else None, violations)


def _plain_field(key: object, value: Any) -> Any:
    return _READINGS.get(PRODUCT_FIELDS.get(key), plain_value)(value)  # type: ignore[call-overload]


def from_mapping(item: Mapping[str, Any]) -> Product:
    """A product that nobody has checked. Raises `InvalidProduct`, also where the mapping itself cannot be read."""
    try:
        return Product.from_mapping(item)
    except InvalidProduct:
        raise
    except Exception as error:
        raise InvalidProduct(None, [("product", f"cannot be read: {error!r}")]) from error


def encode_batch(mode: SyncMode, products: Sequence[Product]) -> bytes:
    """The body of one sync request. Raises `InvalidProduct` for the first product that cannot become JSON."""
    try:
        return encode(SyncRequest(mode, products))
    except UNENCODABLE:
        for product in products:
            encode_product(product)
        raise


def encode_product(product: Product) -> bytes:
    """The JSON of one product. Raises `InvalidProduct` where it cannot become JSON."""
    try:
        return encode(product)
    except UNENCODABLE:
        problems = encoding_problems(product)
        if problems:
            raise invalid_product(product, problems) from None
        raise


def join_batch(mode: SyncMode, parts: Iterable[bytes | memoryview]) -> bytes:
    """The same of one or more products in JSON: in each part one of them, or several with commas between."""
    begin, end = _frame(mode)
    pieces: list[bytes | memoryview] = [begin]
    for part in parts:
        pieces += part, b","
    pieces[-1] = end
    return b"".join(pieces)  # in one step: each copy of a body costs a tenth of all that is done for it


def start_of_products(mode: SyncMode) -> int:
    """Where the first product begins in a body of `join_batch`."""
    return len(_frame(mode)[0])


@cache
def _frame(mode: SyncMode) -> tuple[bytes, bytes]:
    """What stands around the products of a body."""
    empty = encode_batch(mode, [])
    return empty[:-2], empty[-2:]


def encode_single_request(mode: SyncMode, items: Any) -> bytes:
    """The body of one request with exactly these products; nothing is left out or merged."""
    rows: Any = items if is_list(items) else _rows_of_batch(items)
    products = [as_product(item) for item in rows]
    if not 1 <= len(products) <= MAX_BATCH_PRODUCTS:
        raise InvalidBatch(
            f"one request carries 1 to {MAX_BATCH_PRODUCTS} products, got {len(products)}",
            advice="products.sync() takes any number",
        )
    return encode_batch(mode, products)


def _rows_of_batch(items: Any) -> Any:
    """What is iterated, where that is no list: a data frame's rows, or the items themselves if they are a batch."""
    rows = rows_of(items)
    if rows is not None:
        return rows
    if isinstance(items, Product) or not is_list_like(items):
        raise InvalidBatch(f"a batch is a list of products, got {class_of(items).__name__}")
    return items
