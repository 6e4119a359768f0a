"""Digests of what products say: made of the JSON that a request carries, wherever that is the same. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import UnsetType

from ..api.requests import UNENCODABLE
from ..api.values import as_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..api.models import Product

__all__ = ["are_sent_so", "canonical_lines", "canonical_text", "content_digests", "digest_of", "sent_digests"]

T = TypeVar("T")
_DIGEST = 16
"""Bytes of a digest: two different contents never share one by chance."""
_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic", enc_hook=as_plain)
"""As products are sent, except that the order of the attributes makes no difference."""
_BEGINNING = b'{"externalId":'
"""Of each product in the body of a request."""
_LISTS: set[type[Any]] = {list, tuple, UnsetType, type(None)}
"""Whatever encodes these keeps their order."""
_DICTS: set[type[Any]] = {dict, UnsetType, type(None)}


def digest_of(text: bytes) -> bytes:
    """Of a canonical text."""
    return sha256(text).digest()[:_DIGEST]


def canonical_text(products: Sequence[Product]) -> bytes | None:
    """The JSON that digests are made of, a line each; ``None`` where one of them cannot become JSON."""
    return _encoded(_encoder.encode_lines, products)


def canonical_lines(products: Sequence[Product], text: bytes | None) -> Sequence[bytes | None]:
    """The same for each product. ``text``: what `canonical_text` said of them all."""
    if text is not None:
        lines = text.split(b"\n")
        if len(lines) == len(products) + 1:
            return lines[:-1]
    # One cannot become JSON; or a value that holds JSON of its own holds line ends, too.
    return [_encoded(_encoder.encode, product) for product in products]


def are_sent_so(products: Sequence[Product]) -> bool:
    """Is what `canonical_text` says of these what a request says, too? Not where attributes have another order."""
    attributes = [product.attributes for product in products]
    if not (_keep_order(products) and _DICTS.issuperset(map(type, attributes))):
        return False
    orders = {tuple(names) for names in attributes if names}  # few: most products of a shop have the same attributes
    return all([*names] == sorted(names) for names in orders)


def content_digests(products: Sequence[Product]) -> dict[str, bytes]:
    """By id, of all that can become JSON."""
    lines = canonical_lines(products, canonical_text(products))
    newest = {product.external_id: line for product, line in zip(products, lines, strict=True)}
    return {external_id: digest_of(line) for external_id, line in newest.items() if line is not None}


def sent_digests(products: Sequence[Product], body: bytes) -> dict[str, bytes]:
    """The same, of the request that carries these products: most need not be encoded once more.

    What stands in the body is what a digest is made of, unless a product has attributes in another order than the
    digest's, or a set. A product's beginning cannot stand within another one: quotes in a text have a backslash.
    """
    texts = body[body.find(_BEGINNING) + len(_BEGINNING) : -len(b"}]}")].split(b"}," + _BEGINNING)
    if len(texts) != len(products):
        return content_digests(products)
    digests = {
        product.external_id: digest_of(_BEGINNING + text + b"}") for product, text in zip(products, texts, strict=True)
    }
    others = [] if are_sent_so(products) else [product for product in products if not are_sent_so([product])]
    for product in others:
        digests.pop(product.external_id, None)
    return digests | content_digests(others)


def _keep_order(products: Iterable[Product]) -> bool:
    return _LISTS.issuperset(
        type(value) for product in products for value in (product.categories, product.brands, product.tags)
    )


def _encoded(encode_it: Callable[[T], bytes], value: T) -> bytes | None:
    try:
        return encode_it(value)
    except UNENCODABLE:
        return None
