"""Between a run and its ledger: which products need no request, and which ones the source no longer has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidProduct, UnsafeDeletion
from ..models import Product
from .ledger import PagedLedgerRun
from .pages import cut_into_pages, known

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable
    from collections.abc import Set as AbstractSet

    from .ledger import LedgerRun
    from .pages import Contents, Page
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

    async def split(self, items: list[Any], in_flight: AbstractSet[str]) -> tuple[list[Any], set[str]]:
        """The items of a chunk that need a closer look, and the ids whose newest version the server holds already.

        What is in flight needs a look always: the server is about to hold another version of it. What the server
        holds needs none, not even a check of its values: it was checked when it was sent.
        """
        products, positions = _readable(items)
        newest = {product.external_id: position for product, position in zip(products, positions, strict=True)}
        # Where an id comes twice, only its last version counts, and a page would vouch for the other one, too.
        paged = self._paged if len(newest) == len(products) else None
        pages = cut_into_pages(products)
        if paged is not None:
            pages = [page for page in pages if not _holds(paged, page, in_flight)]
        if not pages and len(newest) == len(items):
            return [], set(newest)
        unchanged = newest.keys() - {external_id for page in pages for external_id in page.ids}
        if pages:
            unchanged |= await self._unchanged_among(pages, in_flight)
        if paged is not None:
            whole = {page.digest: page.ids for page in pages if page.digest and unchanged.issuperset(page.ids)}
            if whole:
                await paged.keep_pages(whole)
        held = {newest[external_id] for external_id in unchanged}
        return [item for position, item in enumerate(items) if position not in held], unchanged

    async def _unchanged_among(self, pages: list[Page], in_flight: AbstractSet[str]) -> set[str]:
        """Those of the products in these pages that the server holds, looked up one by one."""
        newest: dict[str, bytes | None] = {}
        for page in pages:
            newest |= page.digests()
        if self._watch_missing:
            await self._ledger.seen(newest.keys())
        for external_id in newest.keys() & in_flight:
            del newest[external_id]
        digests = known(newest)
        return set(await self._ledger.unchanged(digests)) if digests else set()

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
        if self._paged is not None:
            pages = {digest: ids for digest, ids in contents.pages.items() if digests.keys() >= set(ids)}
            if pages:
                await self._paged.keep_pages(pages)

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


def _readable(items: list[Any]) -> tuple[list[Product], list[int]]:
    """The products among the items, and their positions there. What is wrong with the others is told later."""
    if all(type(item) is Product and type(item.external_id) is str for item in items):
        return items, list(range(len(items)))
    products = []
    positions = []
    for position, item in enumerate(items):
        product = _product(item)
        if product is not None and isinstance(product.external_id, str):
            products.append(product)
            positions.append(position)
    return products, positions


def _product(item: object) -> Product | None:
    if isinstance(item, Product):
        return item
    if not isinstance(item, Mapping):
        return None
    try:
        return Product.from_mapping(item)
    except InvalidProduct:
        return None


def _holds(ledger: PagedLedgerRun, page: Page, in_flight: AbstractSet[str]) -> bool:
    return page.digest is not None and in_flight.isdisjoint(page.ids) and ledger.holds_page(page.digest)
