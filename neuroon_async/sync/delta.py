"""Between a run and its ledger: which products need no request, and which ones the source no longer has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidProduct, UnsafeDeletion
from ..models import Product
from .ledger import PagedLedgerRun
from .pages import Page, page_ends

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable
    from collections.abc import Set as AbstractSet

    from .ledger import LedgerRun
    from .pages import Contents
    from .report import ProductFailure

__all__ = ["Delta"]

_DOUBTED_AT_ONCE = 100


class Delta:
    """One run's view of its ledger."""

    def __init__(self, ledger: LedgerRun, *, watch_missing: bool) -> None:
        self._ledger = ledger
        self._paged = ledger if isinstance(ledger, PagedLedgerRun) else None
        self._watch_missing = watch_missing
        self._nameless = 0
        self._products: list[Product] = []
        """On the page that has not ended yet."""
        self._sources: list[Any] = []
        """The items that they came from."""
        self._start_over()

    def _start_over(self) -> None:
        self._pages: list[Page] = []
        self._items: list[Any] = []
        """Where the products on these pages came from, in the same order."""
        self._ids: set[str] = set()
        self._unreadable: list[Any] = []

    @property
    def open(self) -> list[Any]:
        """The items that wait to be compared with the ledger, or for the end of their page."""
        return [*self._items, *self._unreadable, *self._sources]

    def screen(self, items: list[Any], in_flight: AbstractSet[str]) -> set[str]:
        """The ids on pages that the server holds just so. All other items are open from now on.

        What is in flight is open always: the server is about to hold another version of it. So is what is open
        already: its version on this page, being the later one, decides about the earlier one as well.
        """
        products, sources, unreadable = _readable(items)
        ends = page_ends(products, len(self._products))
        self._products += products
        self._sources += sources
        self._unreadable += unreadable
        return self._judge(ends, in_flight)

    def end_page(self, in_flight: AbstractSet[str]) -> set[str]:
        """Likewise for the products at the end, after which a page may end or not."""
        return self._judge([len(self._products)] if self._products else [], in_flight)

    def _judge(self, ends: list[int], in_flight: AbstractSet[str]) -> set[str]:
        held: set[str] = set()
        start = 0
        for end in ends:
            page = Page(self._products[start:end])
            if self._holds(page, in_flight):
                held.update(page.ids)
            else:
                self._pages.append(page)
                self._items += self._sources[start:end]
                self._ids.update(page.ids)
            start = end
        del self._products[:start], self._sources[:start]
        return held

    def _holds(self, page: Page, in_flight: AbstractSet[str]) -> bool:
        return (
            self._paged is not None
            and page.digest is not None
            and in_flight.isdisjoint(page.ids)
            and self._ids.isdisjoint(page.ids)
            and self._paged.holds_page(page.digest)
        )

    async def compare(self, in_flight: AbstractSet[str]) -> tuple[list[Any], set[str]]:
        """Of all that is open: the items that need a closer look, and the ids whose newest version the server holds.

        What the server holds needs no look, not even a check of its values: it was checked when it was sent.
        """
        ids = [external_id for page in self._pages for external_id in page.ids]
        newest = {external_id: position for position, external_id in enumerate(ids)}
        if self._watch_missing:
            await self._ledger.seen(newest.keys())
        unchanged = await self._unchanged(in_flight)
        if len(newest) == len(ids):
            pages = [page for page in self._pages if unchanged.issuperset(page.ids)]
            await self._keep({page.digest: page.ids for page in pages if page.digest is not None})
        held = {newest[external_id] for external_id in unchanged}
        changed = [item for position, item in enumerate(self._items) if position not in held]
        items = changed + self._unreadable
        self._start_over()
        return items, unchanged

    async def _unchanged(self, in_flight: AbstractSet[str]) -> set[str]:
        digests: dict[str, bytes | None] = {}
        for page in self._pages:
            digests |= page.digests()
        sure = {key: digest for key, digest in digests.items() if digest is not None and key not in in_flight}
        return set(await self._ledger.unchanged(sure)) if sure else set()

    async def _keep(self, pages: dict[bytes, list[str]]) -> None:
        if pages and self._paged is not None:
            await self._paged.keep_pages(pages)

    async def note_failures(self, failures: Iterable[ProductFailure]) -> None:
        """Records that could not be read or sent are in the source all the same: they must not be deleted."""
        if not self._watch_missing:
            return
        ids = [failure.external_id for failure in failures]
        named = [external_id for external_id in ids if external_id]
        self._nameless += len(ids) - len(named)
        await self._ledger.seen(named)

    async def doubt(self, ids: Collection[str]) -> None:
        await self._ledger.doubt(ids)

    async def record(self, accepted: Iterable[Product], contents: Contents) -> None:
        """The server has acknowledged these products of a batch that held this."""
        digests = {product.external_id: contents.digests[product.external_id] for product in accepted}
        await self._ledger.record(digests)
        await self._keep({digest: ids for digest, ids in contents.pages.items() if digests.keys() >= set(ids)})

    async def forget(self, external_id: str) -> None:
        await self._ledger.forget([external_id])

    async def check_deletion(self, received: int, max_fraction: float) -> int:
        """How many products to delete. Raises `UnsafeDeletion` where that looks like a mistake in the source."""
        missing, held = await self._ledger.missing()
        if missing == 0:
            return 0
        numbers = f"{missing:,} of the {held:,} products that the ledger holds are missing from the source"
        if received == 0:
            raise UnsafeDeletion(f"the source was empty; {numbers}. Nothing was deleted", missing, held)
        if self._nameless:
            raise UnsafeDeletion(
                f"{self._nameless:,} records of the source had no readable id, so what is missing cannot be told; "
                f"{numbers}. Nothing was deleted: mend those records first",
                missing,
                held,
            )
        if missing > max_fraction * held:
            raise UnsafeDeletion(
                f"{numbers}, which is more than max_delete_fraction={max_fraction:g} allows. Nothing was deleted: "
                "check that the source is complete, and raise max_delete_fraction if it is",
                missing,
                held,
            )
        return missing

    async def missing_ids(self) -> AsyncIterator[str]:
        """The ids to delete, each taken into doubt first: the deletion may work and its answer be lost."""
        some: list[str] = []
        async for external_id in self._ledger.missing_ids():
            some.append(external_id)
            if len(some) == _DOUBTED_AT_ONCE:
                await self._ledger.doubt(some)
                for doubted in some:
                    yield doubted
                some = []
        await self._ledger.doubt(some)
        for doubted in some:
            yield doubted


def _readable(items: list[Any]) -> tuple[list[Product], list[Any], list[Any]]:
    """The products among the items, the items that they came from, and the others: what ails those is told later."""
    if all(type(item) is Product and type(item.external_id) is str for item in items):
        return items, items, []
    products = []
    sources = []
    unreadable = []
    for item in items:
        product = _product(item)
        if product is None or not isinstance(product.external_id, str):
            unreadable.append(item)
        else:
            products.append(product)
            sources.append(item)
    return products, sources, unreadable


def _product(item: object) -> Product | None:
    if isinstance(item, Product):
        return item
    if not isinstance(item, Mapping):
        return None
    try:
        return Product.from_mapping(item)
    except InvalidProduct:
        return None
