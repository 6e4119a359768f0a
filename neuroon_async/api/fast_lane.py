"""The fast lane: mappings and JSON into checked products, by msgspec alone. Pure.

Each function gives a product that keeps every documented rule, or ``None`` where only the careful lane
(`requests.as_product`) can tell. Whatever this lane takes, the careful lane takes too, and makes an equal product; a
test holds the two together. The product shares nothing with the mapping that it was made of.
"""

from __future__ import annotations

import math
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, convert

from .addresses import all_plain_addresses, plain_address
from .columns import NUMBERS, all_amounts_fit, given
from .contract import MAX_RATING
from .models import Product

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ProductDecoder", "amounts_and_addresses_fit", "from_dict", "from_dicts", "from_json"]

_INFINITY = math.inf
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError)
_TAKEN_AS_LISTS = {list, tuple, type(None)}
"""msgspec would also make a list of a set, in an order that differs from run to run."""
_LIST_FIELDS = [(itemgetter(name), name) for name in ("categories", "brands", "tags")]


def _snake_case_twin() -> type[Any]:
    """`Product` with Python's names on the wire: the same fields in the same order, so the same layout in memory."""
    fields = [
        (field.name, field.type) if field.required else (field.name, field.type, field.default)
        for field in msgspec.structs.fields(Product)
    ]
    return msgspec.defstruct("SnakeCaseProduct", fields, kw_only=True, gc=False, forbid_unknown_fields=True)


_Twin = _snake_case_twin()
_Twins: Any = list[_Twin]  # type: ignore[valid-type]
_json = msgspec.json.Decoder(Product, float_hook=Decimal)
_snake_case_json = msgspec.json.Decoder(_Twin, float_hook=Decimal)


def from_dict(item: dict[Any, Any]) -> Product | None:
    """The product that a dict describes, with all its keys in camelCase or all in snake_case."""
    try:
        product: Product = convert(item, Product) if "externalId" in item else _as_product(convert(item, _Twin))
        # Each list by itself: a loop over their names costs as much as the conversion of half the fields.
        if (
            amounts_and_addresses_fit(product)
            and (product.categories is UNSET or type(item["categories"]) in _TAKEN_AS_LISTS)
            and (product.brands is UNSET or type(item["brands"]) in _TAKEN_AS_LISTS)
            and (product.tags is UNSET or type(item["tags"]) in _TAKEN_AS_LISTS)
        ):
            return product
    except Exception:  # noqa: BLE001, S110 - a value's own methods may raise anything; the careful lane tells what
        pass
    return None


def from_dicts(items: Sequence[dict[Any, Any]]) -> list[Product | None]:
    """As `from_dict`, for many that are there at once.

    One step after the other for all of them: a processor is faster at what it has just done.
    """
    try:
        products: list[Product]
        if "externalId" in items[0]:
            products = convert(items, list[Product])
        else:
            products = [_as_product(twin) for twin in convert(items, _Twins)]
        if _hold_lists_only(items) and _all_amounts_and_addresses_fit(products):
            return [*products]
    except Exception:  # noqa: BLE001, S110 - as above
        pass
    return [from_dict(item) for item in items]


def _hold_lists_only(items: Sequence[dict[Any, Any]]) -> bool:
    """Is none of their lists a set?"""
    for list_of, name in _LIST_FIELDS:
        try:
            kinds: set[Any] = set(map(type, map(list_of, items)))
        except KeyError:  # not all of them have one
            kinds = {type(item[name]) for item in items if name in item}
        if not _TAKEN_AS_LISTS.issuperset(kinds):
            return False
    return True


def from_json(text: bytes) -> Product | None:
    """The product that a JSON object describes, with exact prices. Keys as in `from_dict`."""
    (product,) = ProductDecoder(camel_case=b'"externalId"' in text).decode([text])
    return product if product is not None and amounts_and_addresses_fit(product) else None


class ProductDecoder:
    """Decodes JSON objects, many at a time, as far as types go: `amounts_and_addresses_fit` says the rest.

    Their keys are in one spelling; an object in the other one is none.
    """

    __slots__ = ("_decode",)

    def __init__(self, *, camel_case: bool) -> None:
        self._decode: Callable[[bytes], Product] = _json.decode if camel_case else _from_snake_case

    def decode(self, texts: Sequence[bytes]) -> list[Product | None]:
        """For each object a product, with exact prices, or ``None``."""
        try:
            return list(map(self._decode, texts))
        except _UNREADABLE:
            return [self._decode_one(text) for text in texts]

    def _decode_one(self, text: bytes) -> Product | None:
        try:
            return self._decode(text)
        except _UNREADABLE:
            return None


def _from_snake_case(text: bytes) -> Product:
    return _as_product(_snake_case_json.decode(text))


def _as_product(twin: Any) -> Product:
    # Not copied: a class may be changed for one of the same layout, and this costs a tenth of a copy.
    twin.__class__ = Product
    product: Product = twin
    return product


def amounts_and_addresses_fit(product: Product) -> bool:
    """What the types do not say."""
    v: Any
    return (
        type(v := product.price) in NUMBERS
        and 0 <= v < _INFINITY
        and plain_address(product.url) is not None
        and ((v := product.image_url) is UNSET or v is None or plain_address(v) is not None)
        and ((v := product.sale_price) is UNSET or v is None or (type(v) in NUMBERS and 0 <= v < _INFINITY))
        and ((v := product.rating) is UNSET or v is None or (type(v) in NUMBERS and 0 <= v <= MAX_RATING))
    )


def _all_amounts_and_addresses_fit(products: Sequence[Product]) -> bool:
    """The same for many, field by field; ``False`` also where each has to be asked by itself."""
    return (
        all_amounts_fit([product.price for product in products])
        and all_plain_addresses([product.url for product in products])
        and all_plain_addresses(given([product.image_url for product in products]))
        and all_amounts_fit(given([product.sale_price for product in products]))
        and all_amounts_fit(given([product.rating for product in products]), at_most=MAX_RATING)
    )
