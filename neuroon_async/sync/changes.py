"""Which products need no request, and what was sent: a run's view of its ledger, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..api.shapes import implements
from ..ledger.digests import sent_digests
from ..ledger.pages import Page, PageChunker, PendingPages, fit_for_pages
from ..ledger.protocols import AnsweredLedgerRun, LeasedLedgerRun, PagedLedgerRun, RepeatingLedgerRun
from .open_pages import OpenPage
from .outgoing import all_encoded, decoded, digests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ..api.models import Product
    from ..errors import NeuroonError
    from ..ledger.protocols import LedgerRun
    from ..report import ProductFailure
    from .missing import MissingFromSource
    from .outgoing import Outgoing

    Item = Product | ProductFailure

__all__ = ["AllChanged", "ChangeDetector", "Comparison", "LedgerChanges"]


class Comparison(NamedTuple):
    """What was decided about some of the items that were read."""

    changed: list[Item]
    """May have to be sent."""
    unchanged_ids: AbstractSet[str] = frozenset()
    unchanged: Sequence[Outgoing] = ()
    """The newest versions of these: the server has them."""
    encoded: Sequence[Outgoing] = ()
    """May be sent: these have been checked. Where there are any, there are no products among the ``changed``."""


class ChangeDetector(Protocol):
    """Decides about what was read, and remembers what was sent."""

    @property
    def undecided(self) -> int:
        """How many items are ready to be compared."""
        ...

    def open_items(self) -> list[Item]:
        """The items that nothing was decided about yet."""
        ...

    def screen(self, items: list[Item], in_flight: AbstractSet[str], /) -> Comparison:
        """Take in what was read, and decide what can be decided at once."""
        ...

    def screen_rest(self, in_flight: AbstractSet[str], /) -> Comparison:
        """The same for what was left over, at the end of the source."""
        ...

    async def compare(self, in_flight: AbstractSet[str], /) -> Comparison:
        """Decide about all that is ready to be compared."""
        ...

    async def note_failures(self, failures: Iterable[ProductFailure]) -> None:
        """These were in the source and cannot be sent."""

    async def invalidate(self, ids: Collection[str]) -> None:
        """These are about to be sent: what the server holds of them is unknown until it is recorded."""

    async def record(
        self, accepted: Iterable[Outgoing], digests: Mapping[str, bytes], *, overtakable: bool = False
    ) -> None:
        """The server has acknowledged these products, whose digests are as they were when they were encoded.

        ``overtakable``: an earlier attempt with them was never answered, and may be processed after a newer request.
        """

    async def answered(self, ids: Collection[str]) -> None:
        """The server has refused these: no request with them is under way any more."""

    def lost(self) -> NeuroonError | None:
        """Why nothing more may be sent; asked right before each request leaves."""

    def digests(self, products: Sequence[Outgoing], body: bytes, /) -> dict[str, bytes]:
        """Of the contents of the products that this request carries, by id, as `record` wants them."""
        ...


class AllChanged:
    """Without a ledger everything is sent."""

    undecided = 0

    def open_items(self) -> list[Item]:
        return []

    def screen(self, items: list[Item], _in_flight: AbstractSet[str]) -> Comparison:
        return Comparison(items)

    def screen_rest(self, _in_flight: AbstractSet[str]) -> Comparison:
        return Comparison([])

    async def compare(self, _in_flight: AbstractSet[str]) -> Comparison:
        return Comparison([])

    async def note_failures(self, failures: Iterable[ProductFailure]) -> None:
        pass

    async def invalidate(self, ids: Collection[str]) -> None:
        pass

    async def record(
        self, accepted: Iterable[Outgoing], digests: Mapping[str, bytes], *, overtakable: bool = False
    ) -> None:
        pass

    async def answered(self, ids: Collection[str]) -> None:
        pass

    def lost(self) -> NeuroonError | None:
        return None

    def digests(self, _products: Sequence[Outgoing], _body: bytes) -> dict[str, bytes]:
        return {}


class LedgerChanges:
    """One run's view of its ledger: compares page by page, then product by product.

    ``missing`` is told what the source has. ``checked``: was all that has been read checked by then, so that it may be
    encoded while it is at hand?
    """

    def __init__(self, ledger: LedgerRun, missing: MissingFromSource | None, *, checked: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._checked = checked
        self._paged = ledger if implements(ledger, PagedLedgerRun) else None
        self._leased = ledger if implements(ledger, LeasedLedgerRun) else None
        self._missing = missing
        self._pager = PageChunker()
        self._to_come = PendingPages()
        self._start_over()

    def _start_over(self) -> None:
        self._pages: list[OpenPage] = []
        self._ids: set[str] = set()
        """All that are on these pages."""
        self._unreadable: list[Item] = []

    def open_items(self) -> list[Item]:
        """The items that wait to be compared with the ledger."""
        open_now = decoded(product for page in self._pages for product in page.products)
        return [*self._unreadable, *open_now, *self._pager.unfinished]

    @property
    def undecided(self) -> int:
        return sum(len(page.ids) for page in self._pages) + len(self._unreadable)

    def screen(self, items: list[Item], in_flight: AbstractSet[str]) -> Comparison:
        """The products on pages that the server holds exactly. All other items are open from now on.

        What is in flight is always open: the server is about to hold another version of it. So is what is open
        already: its version on this page, being the later one, decides about the earlier one as well. A source that
        makes pages itself (`in_pages`) has no products beside them.
        """
        if isinstance(items, Page):
            return self._judge([items], in_flight)
        products, others = fit_for_pages(items)
        self._unreadable += others
        return self._judge(self._pager.add(products), in_flight)

    def screen_rest(self, in_flight: AbstractSet[str]) -> Comparison:
        """The same for the last page, at the end of the source."""
        return self._judge(self._pager.rest(), in_flight)

    def _judge(self, pages: list[Page], in_flight: AbstractSet[str]) -> Comparison:
        held: set[str] = set()
        products: list[Outgoing] = []
        for page in pages:
            if held.isdisjoint(page.ids) and self._holds(page, in_flight):
                held.update(page.ids)
                products += page
            else:
                self._pages.append(OpenPage(page, checked=self._checked()))
                self._ids.update(page.ids)
        return Comparison([], held, products)

    def _holds(self, page: Page, in_flight: AbstractSet[str]) -> bool:
        return (
            self._paged is not None
            and page.digest is not None
            and in_flight.isdisjoint(page.ids)
            and self._ids.isdisjoint(page.ids)
            and self._paged.holds_page(page.digest)
        )

    async def compare(self, in_flight: AbstractSet[str]) -> Comparison:
        """Compare the open pages: the items that need a closer look, and those whose newest version the server holds.

        What the server holds needs none, not even a check of its values: it was checked when it was sent.
        """
        pages, unreadable = self._pages, self._unreadable
        products = [product for page in pages for product in page.products]
        ids = [external_id for page in pages for external_id in page.ids]
        newest = {external_id: position for position, external_id in enumerate(ids)}
        in_order = [digest for page in pages for digest in page.digests]
        digests = dict(zip(ids, in_order, strict=True))
        if self._missing is not None:
            await self._missing.seen(newest.keys())
            await self._missing.seen_if_readable(key for key, digest in digests.items() if digest is None)
        known = {key: digest for key, digest in digests.items() if digest is not None and key not in in_flight}
        unchanged_ids = set(await self._ledger.unchanged(known)) if known else set[str]()
        if len(newest) == len(ids):  # a page with an older version on it is not what the server has, or will have
            await self._keep(self._whole_pages(unchanged_ids, digests))
        held = {newest[external_id] for external_id in unchanged_ids}
        unchanged = [products[position] for position in held]
        changed = [product for position, product in enumerate(products) if position not in held]
        self._start_over()
        if all_encoded(changed):
            return Comparison(unreadable, unchanged_ids, unchanged, changed)
        return Comparison([*decoded(changed), *unreadable], unchanged_ids, unchanged)

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
        if self._missing is not None:
            await self._missing.seen_if_readable(failure.external_id for failure in failures)

    async def invalidate(self, ids: Collection[str]) -> None:
        self._to_come.invalidate(ids)
        await self._ledger.invalidate(ids)

    async def record(
        self, accepted: Iterable[Outgoing], digests: Mapping[str, bytes], *, overtakable: bool = False
    ) -> None:
        acknowledged = {product.external_id: digests[product.external_id] for product in accepted}
        if overtakable:
            await self._note_repeated(acknowledged)
        # No await between here and the ledger's queue, so no `invalidate` can come between the pages and the products.
        pages = self._to_come.acknowledge(acknowledged)
        if self._paged is not None:
            await self._paged.record(acknowledged, pages)
        else:
            await self._ledger.record(acknowledged)

    async def _note_repeated(self, ids: Collection[str]) -> None:
        if implements(self._ledger, RepeatingLedgerRun):
            await self._ledger.repeated(ids)

    async def answered(self, ids: Collection[str]) -> None:
        if implements(self._ledger, AnsweredLedgerRun):
            await self._ledger.answered(ids)

    def lost(self) -> NeuroonError | None:
        return None if self._leased is None else self._leased.lease_lost()

    def digests(self, products: Sequence[Outgoing], body: bytes) -> dict[str, bytes]:
        known = digests_of(products)
        return sent_digests(decoded(products), body) if known is None else known

    async def forget(self, external_id: str, *, overtakable: bool) -> None:
        """It was deleted. ``overtakable``: as in `record`."""
        if overtakable:
            await self._note_repeated([external_id])
        await self._ledger.forget([external_id])
