"""JSON objects with the API's own keys: decoded straight into products, by the types that are the API's rules. Pure.

Products are looked at a group at a time: one glance at all their names, say, tells that nothing is unusual in any of
them. Only where it cannot tell, each name is looked at.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import chain
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import force_setattr

from ...api.fast_lane import ProductDecoder, amounts_and_addresses_fit
from ..values.currencies import is_code
from ..values.numbers import is_beyond_reason
from .glances import addresses_at_a_glance, descriptions_at_a_glance, ids_at_a_glance, names_at_a_glance
from .texts import KnownTexts, description_of, is_plain_address, is_plain_id, is_plain_image, is_plain_parent, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...api.models import Product
    from ..options import ReadingOptions

__all__ = ["ApiObjects"]

_NUMBERS = {int, Decimal}
"""What JSON's numbers become; none of them is infinite."""


class ApiObjects:
    """Makes products of objects whose keys are the API's: those of one catalog all in camelCase, or all in snake_case.

    A field that is ``null`` is sent as ``null``. What is said in any other way than the API's own (a price in a text, a
    list in one) is for the careful lane.
    """

    def __init__(self, options: ReadingOptions, *, camel_case: bool) -> None:
        self.camel_case = camel_case
        self._decode = ProductDecoder(camel_case=camel_case).decode
        self._currency = options.currency
        self._known = KnownTexts()
        self._concerns: tuple[tuple[Callable[[list[Product]], bool], Callable[[Product], bool]], ...] = (
            (_prices_are_plain, _amounts_and_addresses_fit),
            (_ids_are_plain, _settle_ids),
            (_addresses_are_plain, _settle_addresses),
            (_names_are_plain, _settle_name),
            (_descriptions_are_plain, _settle_description),
            (self._lists_are_known, self._settle_lists),
            (_nothing_is_on_sale, _settle_sale),
            (_nothing_is_rated, _settle_rating),
            (self._currencies_are_plain, self._settle_currency),
        )
        """For each concern: is it plain for all of these products; and settle it for one, or decline the product."""

    @classmethod
    def of(cls, options: ReadingOptions, sample: bytes) -> ApiObjects | None:
        """For a catalog that begins so; ``None`` where a mapping gives its keys other meanings."""
        return None if options.mapping else cls(options, camel_case=b'"external_id"' not in sample)

    def products(self, texts: Sequence[bytes]) -> list[Product | None]:
        """For each object the product that the careful lane would make of it, or ``None`` to decline it."""
        decoded = self._decode(texts)
        products = [product for product in decoded if product is not None]
        for are_plain, settle in self._concerns:
            if products and not are_plain(products):
                products = list(filter(settle, products))
        if len(products) == len(decoded):
            return decoded
        taken = set(map(id, products))
        return [product if id(product) in taken else None for product in decoded]

    def _lists_are_known(self, products: list[Product]) -> bool:
        lists: list[Any] = [p.categories for p in products if p.categories]
        lists += [p.brands for p in products if p.brands]
        lists += [p.tags for p in products if p.tags]
        attributes: list[Any] = [p.attributes for p in products if p.attributes]
        return (
            self._known.lists(map(tuple, lists))
            and self._known.texts(chain.from_iterable(attributes))
            and self._known.texts(chain.from_iterable(map(methodcaller("values"), attributes)))
        )

    def _settle_lists(self, product: Product) -> bool:
        attributes: Any = product.attributes or {}
        texts: Any
        for texts in (product.categories, product.brands, product.tags):
            if texts and not self._known.learn_list(texts):
                return False
        return self._known.learn(attributes) and self._known.learn(attributes.values())

    def _currencies_are_plain(self, products: list[Product]) -> bool:
        codes: set[Any] = {p.currency for p in products}
        return all(map(is_code, codes))

    def _settle_currency(self, product: Product) -> bool:
        currency = product.currency
        if currency is UNSET or currency is None:
            if self._currency is not None:
                force_setattr(product, "currency", self._currency)
            return True
        return is_code(currency)


def _prices_are_plain(products: list[Product]) -> bool:
    prices: list[Any] = [p.price for p in products]
    return (
        set(map(type, prices)) <= _NUMBERS
        and min(prices) >= 0
        and not is_beyond_reason(max(prices))
        and not [p for p in products if p.sale_price is not UNSET or p.rating is not UNSET]
    )


def _amounts_and_addresses_fit(product: Product) -> bool:
    amount: Any
    for amount in (product.price, product.sale_price):
        if type(amount) in _NUMBERS and is_beyond_reason(amount):
            return False
    return amounts_and_addresses_fit(product)


def _ids_are_plain(products: list[Product]) -> bool:
    parents = [p.parent_external_id for p in products if p.parent_external_id]
    skus: list[Any] = [p.sku for p in products if p.sku is not UNSET and p.sku is not None]
    return not parents and ids_at_a_glance([p.external_id for p in products]) and (not skus or ids_at_a_glance(skus))


def _settle_ids(product: Product) -> bool:
    external_id, sku, parent = product.external_id, product.sku, product.parent_external_id
    return (
        is_plain_id(external_id)
        and (sku is UNSET or sku is None or is_plain_id(sku))
        and (parent is UNSET or parent is None or (is_plain_parent(parent) and parent != external_id))
    )


def _addresses_are_plain(products: list[Product]) -> bool:
    images: list[Any] = [p.image_url for p in products if p.image_url is not UNSET and p.image_url is not None]
    return addresses_at_a_glance([p.url for p in products] + images)


def _settle_addresses(product: Product) -> bool:
    image_url = product.image_url
    return is_plain_address(product.url) and (image_url is UNSET or image_url is None or is_plain_image(image_url))


def _names_are_plain(products: list[Product]) -> bool:
    return names_at_a_glance([p.name for p in products])


def _settle_name(product: Product) -> bool:
    name = name_of(product.name)
    if name is not None:
        force_setattr(product, "name", name)
    return name is not None


def _descriptions_are_plain(products: list[Product]) -> bool:
    """Where they are but for spaces around them, the spaces go."""
    described = [p for p in products if p.description is not UNSET and p.description is not None]
    if not described:
        return True
    texts: list[Any] = [p.description for p in described]
    stripped = list(map(str.strip, texts))
    if not descriptions_at_a_glance(stripped):
        return False
    if stripped != texts:
        for product, text in zip(described, stripped, strict=True):
            force_setattr(product, "description", text)
    return True


def _settle_description(product: Product) -> bool:
    text = product.description
    if text is UNSET or text is None:
        return True
    description = description_of(text)
    if description is not None:
        force_setattr(product, "description", description)
    return description is not None


def _nothing_is_rated(products: list[Product]) -> bool:
    return not [p for p in products if p.rating is not UNSET]


def _settle_rating(product: Product) -> bool:
    """A rating that nobody has given is none."""
    if product.rating == 0 and product.review_count == 0:
        force_setattr(product, "rating", UNSET)
    return True


def _nothing_is_on_sale(products: list[Product]) -> bool:
    return not [p for p in products if p.sale_price is not UNSET]


def _settle_sale(product: Product) -> bool:
    """A sale of 0, or not below the price, is none."""
    sale_price = product.sale_price
    if sale_price is not UNSET and sale_price is not None and not 0 < sale_price < product.price:
        force_setattr(product, "sale_price", UNSET)
    return True
