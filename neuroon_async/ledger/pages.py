"""What a ledger remembers of products: a digest of each one's content, and one of each page. Pure.

A page is a stretch of products that follow one another in the source. Where the server holds all of a page just so,
one look spares a look at each of its products. Where a page ends is a matter of the ids in it, not of their number:
a product more or less in the catalog changes its own page, and leaves the others as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

from ..api.models import Product
from ..api.shapes import is_text
from .digests import are_sent_so, canonical_lines, canonical_text, digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["Page", "PageChunker", "PendingPages", "fit_for_pages", "in_pages"]

_PRODUCTS = 32
"""How many products a page has on average. Of larger ones fewer survive: where one percent of a catalog changes, a page
of 32 products stays as it was in three cases of four, one of 500 hardly ever."""
_LONGEST = 16 * _PRODUCTS
"""At so many products a page ends all the same: ids may be such that none ever ends one."""
_MOST_TO_COME = 1_000 * _PRODUCTS
"""Products on pages that are to come; what is longest to come is given up first."""


class Page(list[Product]):
    """Neighbours in the source, and their digests."""

    __slots__ = ("_text", "digest", "ids")

    def __init__(self, products: Iterable[Product]) -> None:
        super().__init__(products)
        self.ids: list[str] = [product.external_id for product in self]
        self._text = canonical_text(self)
        self.digest: bytes | None = None if self._text is None else digest_of(self._text)
        """Over all of them, in their order. ``None`` where one of them cannot become JSON, and so cannot be sent."""

    def digests(self) -> list[bytes | None]:
        """Of each of them; ``None`` where it cannot become JSON. A digest covers the id, too."""
        return [None if line is None else digest_of(line) for line in canonical_lines(self, self._text)]

    def written(self) -> tuple[list[bytes], list[bytes]] | None:
        """The JSON of each, as a request carries it, and its digest; ``None`` where that must be made anew."""
        lines = [line for line in canonical_lines(self, self._text) if line is not None]
        if len(lines) < len(self) or not are_sent_so(self):
            return None
        return lines, [digest_of(line) for line in lines]


class PageChunker:
    """Cuts the products of a source into pages as they come."""

    def __init__(self) -> None:
        self.unfinished: list[Product] = []
        """The products on the page that has not ended yet."""

    def add(self, products: Sequence[Product]) -> list[Page]:
        """The pages that end with or among these products."""
        ends = [
            place
            for place, product in enumerate(products, len(self.unfinished) + 1)
            if crc32(product.external_id.encode("utf-8", "surrogatepass")) % _PRODUCTS == 0
        ]
        self.unfinished += products
        if len(self.unfinished) - (ends[-1] if ends else 0) >= _LONGEST:
            ends.append(len(self.unfinished))
        return self._cut(ends)

    def rest(self) -> list[Page]:
        """The unfinished page, if there is one: nothing more will come."""
        return self._cut([len(self.unfinished)] if self.unfinished else [])

    def _cut(self, ends: list[int]) -> list[Page]:
        pages: list[Page] = []
        start = 0
        for end in ends:
            pages.append(Page(self.unfinished[start:end]))
            start = end
        del self.unfinished[:start]
        return pages


def fit_for_pages(items: Sequence[Any]) -> tuple[Sequence[Product], list[Any]]:
    """Those of these items that a page may hold, and the others: what is no product, or has no text as its id."""
    products = [item for item in items if type(item) is Product and type(item.external_id) is str]
    if len(products) == len(items):
        return products, []
    # Constructors do not check: an id may be anything.
    products = [item for item in items if isinstance(item, Product) and is_text(item.external_id)]
    fit = set(map(id, products))
    return products, [item for item in items if id(item) not in fit]


def in_pages(lists: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """The items of these lists: products as `Page`s, which are complete when they come, and the others in lists.

    A page is made where its products are, in their thread: while the processor's cache holds them, that takes half as
    long. Raises what ``lists`` raises, after all that came before it.
    """
    chunker = PageChunker()
    fault: Exception | None = None
    try:
        for items in lists:
            products, others = fit_for_pages(items)
            if others:
                yield others
            yield from chunker.add(products)
    except Exception as error:  # noqa: BLE001 - raised below
        fault = error
    yield from chunker.rest()
    if fault is not None:
        raise fault


class _PageToCome:
    __slots__ = ("changed", "digest", "ids")

    def __init__(self, digest: bytes, ids: list[str], changed: dict[str, bytes]) -> None:
        self.digest = digest
        self.ids = ids
        self.changed = changed


class PendingPages:
    """Pages that the server will hold once it has acknowledged the products on them that changed."""

    def __init__(self) -> None:
        self._by_id: dict[str, _PageToCome] = {}

    def expect(self, digest: bytes, ids: list[str], changed: dict[str, bytes]) -> None:
        """``changed`` of these are about to be sent, with these digests; the others are held as they are."""
        for external_id in ids:
            self._give_up(external_id)
        self._by_id |= dict.fromkeys(ids, _PageToCome(digest, ids, changed))
        while len(self._by_id) > _MOST_TO_COME:
            self._give_up(next(iter(self._by_id)))

    def invalidate(self, ids: Collection[str]) -> None:
        """These are about to be sent. Where that was not expected, their pages will not come."""
        for external_id in ids:
            page = self._by_id.get(external_id)
            if page is not None and external_id not in page.changed:
                self._give_up(external_id)

    def acknowledge(self, digests: Mapping[str, bytes]) -> dict[bytes, list[str]]:
        """The server holds these now. Returns the pages that have come by that: their ids by their digests."""
        come: dict[bytes, list[str]] = {}
        for external_id, digest in digests.items():
            page = self._by_id.get(external_id)
            if page is None:
                continue
            as_expected = page.changed.pop(external_id, None) == digest
            if as_expected and not page.changed:
                come[page.digest] = page.ids
            if not as_expected or not page.changed:
                self._give_up(external_id)
        return come

    def _give_up(self, external_id: str) -> None:
        page = self._by_id.get(external_id)
        if page is not None:
            for each in page.ids:
                self._by_id.pop(each, None)
