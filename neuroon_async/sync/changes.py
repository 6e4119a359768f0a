"""Between a run and its ledger: which products need no request, and which ones the source no longer has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..api.models import Product
from ..api.requests import from_mapping
from ..errors import InvalidProduct, UnsafeDeletion
from ..ledger.pages import PageChunker, PendingPages
from ..ledger.protocols import PagedLedgerRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable
    from collections.abc import Set as AbstractSet

    from ..ledger.pages import Page
    from ..ledger.protocols import LedgerRun
    from ..report import ProductFailure

__all__ = ["Delta"]

_DOUBTED_AT_ONCE = 100


class Delta:
    """One run's view of its ledger."""

    def __init__(self, ledger: LedgerRun, *, watch_missing: bool) -> None:
        self._ledger = ledger
        self._paged = ledger if isinstance(ledger, PagedLedgerRun) else None
        self._watch_missing = watch_missing
        self._nameless = 0
        self._pager = PageChunker()
        self._to_come = PendingPages()
        self._start_over()

    def _start_over(self) -> None:
        self._pages: list[Page] = []
        self._ids: set[str] = set()
        """All that are on these pages."""
        self._unreadable: list[Any] = []

    @property
    def open(self) -> list[Any]:
        """The items that wait to be compared with the ledger."""
        return [*(item for page in self._pages for item in page.sources), *self._unreadable, *self._pager.sources]

    @property
    def undecided(self) -> int:
        """How many of them are ready to be compared."""
        return sum(len(page.ids) for page in self._pages) + len(self._unreadable)

    def screen(self, items: list[Any], in_flight: AbstractSet[str]) -> set[str]:
        """The ids on pages that the server holds just so. All other items are open from now on.

        What is in flight is open always: the server is about to hold another version of it. So is what is open
        already: its version on this page, being the later one, decides about the earlier one as well.
        """
        products, sources, unreadable = _readable(items)
        self._unreadable += unreadable
        return self._judge(self._pager.add(products, sources), in_flight)

    def screen_rest(self, in_flight: AbstractSet[str]) -> set[str]:
        """Likewise for the last page, at the end of the source."""
        return self._judge(self._pager.rest(), in_flight)

    def _judge(self, pages: list[Page], in_flight: AbstractSet[str]) -> set[str]:
        held: set[str] = set()
        for page in pages:
            if held.isdisjoint(page.ids) and self._holds(page, in_flight):
                held.update(page.ids)
            else:
                self._pages.append(page)
                self._ids.update(page.ids)
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
        """Compare the open pages: the items that need a closer look, and the ids whose newest version the server holds.

        What the server holds needs none, not even a check of its values: it was checked when it was sent.
        """
        ids = [external_id for page in self._pages for external_id in page.ids]
        newest = {external_id: position for position, external_id in enumerate(ids)}
        digests: dict[str, bytes | None] = {}
        for page in self._pages:
            digests |= page.digests()
        if self._watch_missing:
            await self._ledger.seen(newest.keys())
        sure = {key: digest for key, digest in digests.items() if digest is not None and key not in in_flight}
        unchanged = set(await self._ledger.unchanged(sure)) if sure else set()
        if len(newest) == len(ids):  # a page with an older version on it is not what the server has, or will have
            await self._keep(self._whole_pages(unchanged, digests))
        held = {newest[external_id] for external_id in unchanged}
        items = [item for page in self._pages for item in page.sources]
        changed = [item for position, item in enumerate(items) if position not in held]
        changed += self._unreadable
        self._start_over()
        return changed, unchanged

    def _whole_pages(self, unchanged: set[str], digests: dict[str, bytes | None]) -> dict[bytes, list[str]]:
        """The pages of which nothing has changed, by their digests. The others are expected from now on."""
        whole: dict[bytes, list[str]] = {}
        for page in self._pages:
            if page.digest is None:
                continue
            changed = {key: digest for key in page.ids if key not in unchanged and (digest := digests[key]) is not None}
            if changed:
                self._to_come.expect(page.digest, page.ids, changed)
            else:
                whole[page.digest] = page.ids
        return whole

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
        self._to_come.invalidate(ids)
        await self._ledger.invalidate(ids)

    async def record(self, accepted: Iterable[Product], digests: Mapping[str, bytes]) -> None:
        """The server has acknowledged these products, whose digests are as they were when they were encoded."""
        acknowledged = {product.external_id: digests[product.external_id] for product in accepted}
        await self._ledger.record(acknowledged)
        # From here to the ledger's thread nothing comes between: a doubt either was told before, or will be after it.
        await self._keep(self._to_come.acknowledge(acknowledged))

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
                await self._ledger.invalidate(some)
                for doubted in some:
                    yield doubted
                some = []
        await self._ledger.invalidate(some)
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
        return from_mapping(item)
    except InvalidProduct:
        return None
