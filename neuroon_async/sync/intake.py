"""From what a source yields to a product that may be sent, or the reason why it may not. Pure.

`read_item` runs for each item as it is read, before the source is asked for the next one: a source may fill one
mapping again and again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..api.models import Product, encode
from ..api.requests import from_mapping
from ..api.validation import check_product, encoding_problems, plainly_valid
from ..errors import InvalidProduct
from ..report import ProductFailure

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["checked", "converter", "read_item", "unfit_for_full"]


def converter(to_product: Callable[[Any], Any] | None, *, check: bool) -> Callable[[Any], Product | ProductFailure]:
    """What turns an item of the source into a product (checked, where ``check``), or the failure that it is."""

    def read(item: Any) -> Product | ProductFailure:
        return read_item(item)

    def read_and_check(item: Any) -> Product | ProductFailure:
        if type(item) is Product and plainly_valid(item):
            return item
        product = read_item(item)
        return checked(product) if isinstance(product, Product) else product

    conversion = read_and_check if check else read
    if to_product is None:
        return conversion

    def convert(item: Any) -> Product | ProductFailure:
        if isinstance(item, ProductFailure):
            return item
        try:
            converted = to_product(item)
        except InvalidProduct as error:
            return ProductFailure(error.external_id, error.reason, "local", product=item)
        except Exception as error:  # noqa: BLE001 - whatever the user's function raises costs this item only
            return ProductFailure(None, f"product: to_product raised {error!r}", "local", product=item)
        return conversion(converted)

    return convert


def read_item(item: object) -> Product | ProductFailure:
    """The item as a product of its own, with its values unchecked. A reader's `ProductFailure` stays what it is."""
    if isinstance(item, (Product, ProductFailure)):
        return item
    if not isinstance(item, Mapping):
        reason = f"product: must be a Product or a mapping, got {type(item).__name__}"
        return ProductFailure(None, reason, "local", product=item)
    try:
        return from_mapping(item)
    except InvalidProduct as error:
        return ProductFailure(error.external_id, error.reason, "local", product=_as_it_is_now(item))


def checked(product: Product) -> Product | ProductFailure:
    """The product, if it keeps every documented rule."""
    try:
        check_product(product)
    except InvalidProduct as error:
        return ProductFailure(error.external_id, error.reason, "local", product=product)
    return product


def unfit_for_full(product: Product, most_bytes: int) -> ProductFailure | None:
    """Why a checked product cannot be sent after all, as a FULL sync must know before it sends anything."""
    problems = encoding_problems(product)
    if problems:
        reason = "; ".join(f"{field}: {problem}" for field, problem in problems)
        return ProductFailure(product.external_id, reason, "local", product=product)
    size = len(encode(product)) + _FRAME_BYTES
    if size > most_bytes:
        reason = f"alone makes a request of {size:,} bytes, and max_batch_bytes is {most_bytes:,}"
        return ProductFailure(product.external_id, reason, "local", product=product)
    return None


_FRAME_BYTES = len(b'{"syncType":"FULL","products":[]}')


def _as_it_is_now(item: Mapping[Any, Any]) -> object:
    """A copy of a mapping that the source may change after this; the mapping itself where it cannot be copied."""
    try:
        return {
            key: value.copy() if isinstance(value, (list, dict, set)) else value for key, value in dict(item).items()
        }
    except Exception:  # noqa: BLE001 - whatever a mapping of the user's raises; that is told as the failure's reason
        return item
