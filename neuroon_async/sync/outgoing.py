"""Products on their way to the server, as the JSON that is sent.

What was read together is encoded together, at once, and the products are let go. A product that waits would hold lists
and maps; where thousands of these outlive one another, Python's garbage collector goes through all that the process
holds, again and again, which costs more than to check, encode and send. Where one of the products is wanted after all,
because it was refused or has to wait on disk, it is made again out of the JSON.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import repeat
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ..api.models import PRODUCT_FIELDS, Product, encode
from ..api.requests import UNENCODABLE, encode_batch, encode_product, join_batch, start_of_products
from ..ledger.pages import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..api.contract import SyncMode

__all__ = [
    "EncodedPortion",
    "EncodedProduct",
    "Outgoing",
    "all_encoded",
    "decoded",
    "digests_of",
    "encode_outgoing",
    "encoded",
    "encoded_page",
]


_fields_of = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_each_of = msgspec.json.Decoder(list[Raw]).decode


class EncodedPortion:
    """The JSON of products that were encoded together. ``array``: that JSON, where it has been made before."""

    __slots__ = ("_lines", "_prices", "_ratings", "_sale_prices", "json", "places")

    def __init__(self, products: Sequence[Product], array: bytes | None = None) -> None:
        self.json: memoryview = memoryview(encode(products) if array is None else array)[1:-1]
        """All products, with commas between them."""
        self._lines: list[Raw] | None = None
        # As they were given: JSON does not tell a `Decimal` from a ``float``.
        self._prices = [product.price for product in products]
        self._sale_prices = _if_given([product.sale_price for product in products])
        self._ratings = _if_given([product.rating for product in products])
        self.places: list[int] = list(range(len(products)))

    def is_whole(self, products: Sequence[Outgoing]) -> bool:
        """Are these all of its products, in their order?"""
        return [
            product.place for product in products if type(product) is EncodedProduct and product.portion is self
        ] == self.places

    def lies_in(self, body: bytes, begin: int) -> None:
        """Its JSON stands in this body, too, from ``begin`` on: kept once, it takes half of the memory."""
        self.json = memoryview(body)[begin : begin + len(self.json)]

    def one(self, place: int) -> bytes:
        """A single product."""
        if self._lines is None:
            self._lines = _each_of(b"".join((b"[", self.json, b"]")))
        return self._lines[place]

    def product(self, place: int) -> Product:
        """The product that was encoded, or rather one that equals it."""
        fields = {PRODUCT_FIELDS[name]: value for name, value in _fields_of(self.one(place)).items()}
        fields["price"] = self._prices[place]
        if self._sale_prices is not None:
            fields["sale_price"] = self._sale_prices[place]
        if self._ratings is not None:
            fields["rating"] = self._ratings[place]
        return Product(**fields)


def _if_given(numbers: list[Any]) -> list[Any] | None:
    return numbers if numbers.count(UNSET) < len(numbers) else None


class EncodedProduct(msgspec.Struct, frozen=True, gc=False):
    """One product of an encoded portion, with what decides about its turn."""

    external_id: str
    parent_external_id: str | UnsetType | None
    portion: EncodedPortion
    place: int
    digest: bytes | None
    """Of what it says; ``None`` in a run without a ledger."""

    @property
    def product(self) -> Product:
        return self.portion.product(self.place)


Outgoing = Product | EncodedProduct


def encoded(products: list[Product]) -> Sequence[Outgoing]:
    """The same products, encoded; or themselves, where one of them cannot become JSON."""
    try:
        return _parts_of(EncodedPortion(products), products, repeat(None))
    except UNENCODABLE:
        return products


def encoded_page(page: Page) -> list[EncodedProduct] | None:
    """The same with digests. ``None`` where one cannot become JSON, or is not any more what the page says it is.

    What a page has encoded already is not encoded again.
    """
    try:
        written = page.written()
        if written is None:
            now = Page(page)  # made with what is sent, so that they agree even where somebody changes a product later
            return _parts_of(EncodedPortion(page), page, now.digests()) if now.digest == page.digest else None
        lines, digests = written
        return _parts_of(EncodedPortion(page, b"[%b]" % b",".join(lines)), page, digests)
    except UNENCODABLE:
        return None


def _parts_of(
    portion: EncodedPortion, products: Sequence[Product], digests: Iterable[bytes | None]
) -> list[EncodedProduct]:
    ids = [product.external_id for product in products]
    parents = [product.parent_external_id for product in products]
    return list(map(EncodedProduct, ids, parents, repeat(portion), portion.places, digests))


def digests_of(products: Sequence[Outgoing]) -> dict[str, bytes] | None:
    """The digests that these carry, by id; ``None`` where one of them has none."""
    if not all_encoded(products):
        return None
    digests = {product.external_id: product.digest for product in cast("Sequence[EncodedProduct]", products)}
    return None if None in digests.values() else cast("dict[str, bytes]", digests)


def decoded(products: Iterable[Outgoing]) -> list[Product]:
    """The products themselves."""
    given = list(products)
    if not _any_encoded(given):
        return cast("list[Product]", given)
    return [product.product if isinstance(product, EncodedProduct) else product for product in given]


def all_encoded(products: Iterable[Outgoing]) -> bool:
    """Are there any, and is each encoded?"""
    return set(map(type, products)) == {EncodedProduct}


def _any_encoded(products: Iterable[Outgoing]) -> bool:
    # To ask each by `isinstance` costs five times as much, because structs have a metaclass.
    return EncodedProduct in set(map(type, products))


def encode_outgoing(mode: SyncMode, products: Sequence[Outgoing]) -> bytes:
    """The body of one sync request. Raises `InvalidProduct` for the first product that cannot become JSON."""
    if not _any_encoded(products):
        return encode_batch(mode, decoded(products))
    parts = list(_parts(products))
    pieces = [part.json if isinstance(part, EncodedPortion) else part for part in parts]
    body = join_batch(mode, pieces)
    begin = start_of_products(mode)
    for part, piece in zip(parts, pieces, strict=True):
        if isinstance(part, EncodedPortion):
            part.lies_in(body, begin)
        begin += len(piece) + len(b",")
    return body


def _parts(products: Sequence[Outgoing]) -> Iterator[EncodedPortion | bytes]:
    """What these products are made of, in their order: portions that go out whole, and the JSON of single products."""
    place = 0
    while place < len(products):
        first = products[place]
        place += 1
        if not isinstance(first, EncodedProduct):
            yield encode_product(first)
            continue
        portion = first.portion
        others = len(portion.places) - 1
        if first.place == 0 and portion.is_whole([first, *products[place : place + others]]):
            yield portion
            place += others
        else:
            yield portion.one(first.place)
