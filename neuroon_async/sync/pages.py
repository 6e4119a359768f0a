"""What a ledger remembers of products: a digest of each one's content, and one of each page. Pure.

A page is a stretch of products that follow one another in the source. Where the server holds all of a page just so,
one look spares a look at each of its products. Where a page ends is a matter of the ids in it, not of their number:
a product more or less in the catalog changes its own page, and leaves the others as they were.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from zlib import crc32

import msgspec

from ..models import as_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..models import Product

__all__ = ["Contents", "Page", "contents_of", "cut_into_pages", "page_ends"]

T = TypeVar("T")

_PRODUCTS = 32
"""How many products a page has on average. Of larger ones fewer survive: where one percent of a catalog changes, a page
of 32 products stays as it was in three cases of four, one of 500 hardly ever."""
_DIGEST = 16
"""Bytes of a digest: two different contents never share one by chance."""
_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic", enc_hook=as_plain)
"""As products are sent, except that the order of the attributes makes no difference."""
_UNENCODABLE = (ValueError, OverflowError, TypeError, RecursionError, msgspec.MsgspecError)


class Page:
    """Neighbours in the source, and their digests."""

    __slots__ = ("_lines", "_products", "digest", "ids")

    def __init__(self, products: Sequence[Product]) -> None:
        self.ids = [product.external_id for product in products]
        self._products = products
        self._lines = _encoded(_encoder.encode_lines, products)
        self.digest = None if self._lines is None else _digest(self._lines)
        """Over all of them, in their order. ``None`` where one of them cannot become JSON, and so cannot be sent."""

    def digests(self) -> dict[str, bytes | None]:
        """By id, of the last version each; ``None`` where that cannot become JSON. A digest covers the id, too."""
        lines: list[bytes | None] = (
            [_encoded(_encoder.encode, product) for product in self._products]
            if self._lines is None
            else [*self._lines.splitlines()]  # JSON holds no bare line ends
        )
        newest = dict(zip(self.ids, lines, strict=True))
        return {external_id: None if line is None else _digest(line) for external_id, line in newest.items()}


class Contents(NamedTuple):
    """What a batch holds, taken when it is encoded: lists within a product may change later."""

    digests: dict[str, bytes]
    """By product id."""
    pages: dict[bytes, list[str]]
    """The ids of each page, by its digest."""


def page_ends(products: Sequence[Product], offset: int = 0) -> list[int]:
    """The places after those products that end a page, counted from ``offset``."""
    return [
        place
        for place, product in enumerate(products, offset + 1)
        if crc32(product.external_id.encode("utf-8", "surrogatepass")) % _PRODUCTS == 0
    ]


def cut_into_pages(products: Sequence[Product]) -> list[Page]:
    """These products, page by page. What comes after the last end of a page is one, too."""
    cuts = dict.fromkeys((0, *page_ends(products), len(products)))
    return [Page(products[start:end]) for start, end in pairwise(cuts)]


def contents_of(products: Sequence[Product]) -> Contents:
    """What these products, which have become JSON, hold."""
    contents = Contents({}, {})
    for page in cut_into_pages(products):
        contents.digests.update((key, digest) for key, digest in page.digests().items() if digest is not None)
        if page.digest is not None:
            contents.pages[page.digest] = page.ids
    return contents


def _encoded(encode: Callable[[T], bytes], value: T) -> bytes | None:
    try:
        return encode(value)
    except _UNENCODABLE:
        return None


def _digest(text: bytes) -> bytes:
    return sha256(text).digest()[:_DIGEST]
