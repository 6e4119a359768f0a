"""From what a source yields to a product that may be sent, or to the reason why it may not.

The function that `converter` makes runs for each item as it is read, before the source is asked for the next one: a
source may fill one mapping again and again. What it makes shares nothing with the item, unless that is a `Product`.
"""

from __future__ import annotations

import logging
from copy import copy
from typing import TYPE_CHECKING, Any

from ..api.addresses import relative_addresses
from ..api.fast_lane import from_dict
from ..api.items import ignored_fields
from ..api.models import Product, encode
from ..api.requests import as_product
from ..api.shapes import is_container, is_mapping
from ..api.sources import vouches_for_products
from ..api.validation import encoding_problems, plainly_valid
from ..errors import InvalidProduct
from ..report import ProductFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from .options import SyncOptions

__all__ = ["Remarks", "converter", "product_check"]

_log = logging.getLogger("neuroon_async")


class Remarks:
    """What a run says about its items in the log, once: which fields it ignores, and that addresses are relative."""

    def __init__(self, shop_id: str) -> None:
        self._shop_id = shop_id
        self._known_kinds: set[type[Any]] = {Product, dict}
        self._said_relative = False

    def look_at(self, item: Any, product: Product) -> None:
        """An item that was not plain, and the product that was made of it."""
        kind: type[Any] = item.__class__
        if kind not in self._known_kinds:
            self._known_kinds.add(kind)
            if ignored := ignored_fields(item):
                _log.warning("%s: %s objects: not used: %s", self._shop_id, kind.__name__, ", ".join(ignored))
        if not self._said_relative and (fields := relative_addresses(product)):
            self._said_relative = True
            _log.warning(
                "%s: product %r: %s is a relative address, which only makes sense where the server knows the shop's "
                "(said once a run)",
                self._shop_id,
                product.external_id,
                " and ".join(fields),
            )


def converter(
    source: object, options: SyncOptions, remarks: Remarks
) -> Callable[[Any], Product | ProductFailure] | None:
    """What turns an item, as it is read, into a product or into the failure that it is.

    ``None`` where there is nothing to do: a source may say that it yields checked products (and failures) only, by an
    attribute ``yields_checked_products``. With a ledger, a `Product` is checked later: what the ledger holds was
    checked before.
    """

    def read_and_check(item: Product | dict[str, Any]) -> Product | ProductFailure:
        if type(item) is Product and plainly_valid(item):
            return item
        product = from_dict(item) if type(item) is dict else None
        return product if product is not None else _carefully(item, remarks)

    def read(item: Any) -> Product | ProductFailure:
        return item if isinstance(item, Product) else read_and_check(item)

    def read_for_full(item: Any) -> Product | ProductFailure:
        product = read_and_check(item)
        return product if isinstance(product, ProductFailure) else _fit_for_full(product, options.max_batch_bytes)

    to_product = options.to_product
    if options.full:
        conversion = read_for_full
    elif to_product is None and vouches_for_products(source):
        return None
    else:
        conversion = read_and_check if options.ledger is None else read
    return conversion if to_product is None else _converting(to_product, conversion)


def product_check(
    source: object, options: SyncOptions, remarks: Remarks
) -> Callable[[Product], Product | ProductFailure] | None:
    """What checks the products that a ledger has not seen; ``None`` where all were checked as they were read."""
    if options.ledger is None or (options.to_product is None and vouches_for_products(source)):
        return None
    return lambda product: product if plainly_valid(product) else _carefully(product, remarks)


def _converting(
    to_product: Callable[[Any], Any], conversion: Callable[[Any], Product | ProductFailure]
) -> Callable[[Any], Product | ProductFailure]:
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


def _carefully(item: Any, remarks: Remarks) -> Product | ProductFailure:
    if isinstance(item, ProductFailure):  # a reader's complaint about a record
        return item
    try:
        product = as_product(item)
    except InvalidProduct as error:
        return ProductFailure(error.external_id, error.reason, "local", product=_as_it_is_now(item))
    remarks.look_at(item, product)
    return product


_FRAME_BYTES = len(b'{"syncType":"FULL","products":[]}')


def _fit_for_full(product: Product, most_bytes: int) -> Product | ProductFailure:
    """The product, if a request can carry it: a FULL sync must know before it sends anything."""
    problems = encoding_problems(product)
    if problems:
        reason = "; ".join(f"{field}: {problem}" for field, problem in problems)
        return ProductFailure(product.external_id, reason, "local", product=product)
    size = len(encode(product)) + _FRAME_BYTES
    if size > most_bytes:
        reason = f"alone makes a request of {size:,} bytes, and max_batch_bytes is {most_bytes:,}"
        return ProductFailure(product.external_id, reason, "local", product=product)
    return product


def _as_it_is_now(item: Any) -> Any:
    """A copy of a mapping that the source may change after this; any other item, and what cannot be copied, itself."""
    if not is_mapping(item):
        return item
    try:
        return {key: _copied(value) for key, value in item.items()}
    except Exception:  # noqa: BLE001 - whatever a mapping of the user's raises; that is told as the failure's reason
        return item


def _copied(value: object) -> object:
    return copy(value) if is_container(value) else value
