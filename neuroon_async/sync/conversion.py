"""From what a source yields to a product that may be sent, or to the reason why it may not.

An item is converted as it is read, before the source is asked for the next one: a source may fill one mapping again
and again. What comes of it shares nothing with the item, unless that is a `Product`.
"""

from __future__ import annotations

import logging
from copy import copy
from typing import TYPE_CHECKING, Any, cast

from ..api.addresses import relative_addresses
from ..api.columns import all_plainly_valid
from ..api.fast_lane import from_dict, from_dicts
from ..api.items import ignored_fields
from ..api.models import Product, encode
from ..api.requests import as_product
from ..api.shapes import class_of, is_container, is_mapping
from ..api.sources import vouches_for_products
from ..api.validation import encoding_problems, plainly_valid
from ..errors import InvalidProduct
from ..report import ProductFailure
from .outgoing import Outgoing, encoded
from .sources import ALL_THERE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .options import SyncOptions

    Item = Product | ProductFailure
    Checked = tuple[Sequence[Outgoing], list[ProductFailure]]

__all__ = ["Conversion", "Remarks"]

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


class Conversion:
    """Turns what a source yields into products that may be sent, or into the failures that they are, in two steps.

    ``one`` is for an item as it is read. Mappings become products of their own at once, because the source may fill
    the same one again. ``many`` is the same for items that are all there, as in a list: it is faster. Both are ``None``
    where there is nothing to do: a source may say that it yields checked products (and failures) only, by an attribute
    ``yields_checked_products``.

    ``check`` is for a portion of what came of either: a `Product` is kept as it is, so it can be checked later, in
    company. With a ledger that is after the comparison: what the ledger holds was checked when it was sent. Products
    that nobody holds any more are encoded then, unless the run ``keeps_products``; with a ledger, those that need no
    check are encoded before the comparison.
    """

    def __init__(self, source: object, options: SyncOptions, remarks: Remarks, *, keeps_products: bool) -> None:
        self._remarks = remarks
        self._most_bytes = options.max_batch_bytes
        self._keeps_products = keeps_products
        self._encodes = not keeps_products and options.ledger is None
        self._held_by_source = class_of(source) in ALL_THERE
        self._any_unchecked = False
        to_product = options.to_product
        self.one: Callable[[Any], Item] | None = None
        self.many: Callable[[list[Any]], list[Item]] | None = None
        if options.full:
            self.one = self._read_for_full
        elif to_product is not None or not vouches_for_products(source):
            self.one, self.many = self._read, self._read_many
        if to_product is not None and self.one is not None:
            self.one, self.many = _converting(to_product, self.one), None

    def leaves_none_unchecked(self) -> bool:
        """Has all that was read been checked, and does nobody want the products themselves?"""
        return not self._keeps_products and not self._any_unchecked

    def _read(self, item: Product | dict[str, Any]) -> Item:
        if type(item) is dict:
            product = from_dict(item)
            if product is not None:
                return product
        elif isinstance(item, Product):
            self._any_unchecked = True
            return item
        return self._carefully(item)

    def _read_many(self, items: list[Any]) -> list[Item]:
        kinds = set(map(type, items))
        if kinds == {Product}:
            self._any_unchecked = True
            return items
        if kinds != {dict}:
            return [self._read(item) for item in items]
        products = from_dicts(items)
        return [
            self._carefully(item) if product is None else product for product, item in zip(products, items, strict=True)
        ]

    def check(self, items: list[Item]) -> Checked:
        """What may be sent of these items, and what fails."""
        products, failures = _told_apart(items)
        if self._any_unchecked and products and not all_plainly_valid(products):
            return self._checked_one_by_one(items)
        encodes = self._encodes and not (self._any_unchecked and self._held_by_source)
        return (encoded(products) if encodes else products), failures

    def _checked_one_by_one(self, items: list[Item]) -> Checked:
        return _told_apart(
            [item if type(item) is Product and plainly_valid(item) else self._carefully(item) for item in items]
        )

    def _read_for_full(self, item: Any) -> Item:
        product = self._carefully(item)
        return product if isinstance(product, ProductFailure) else _fit_for_full(product, self._most_bytes)

    def _carefully(self, item: Any) -> Item:
        if isinstance(item, ProductFailure):  # a reader's complaint about a record
            return item
        try:
            product = as_product(item)
        except InvalidProduct as error:
            return ProductFailure(error.external_id, error.reason, "local", product=_as_it_is_now(item))
        self._remarks.look_at(item, product)
        return product


def _told_apart(items: list[Item]) -> tuple[list[Product], list[ProductFailure]]:
    if set(map(type, items)) == {Product}:
        return cast("list[Product]", items), []
    products = [item for item in items if isinstance(item, Product)]
    return products, [item for item in items if isinstance(item, ProductFailure)]


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
