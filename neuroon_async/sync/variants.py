"""Variants whose parents the server does not know yet: who waits for the end of the source, and who goes next.

Until the server has missed a parent nothing waits here. From then on every variant does, in a temporary file, and
`next_round` releases them once the source has ended. A FULL sync in several requests holds back everything: nothing
of it may be sent before the last product was read and checked.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .deferred import VariantStore
from .outgoing import decoded
from .queue import parent_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from ..api.models import Product
    from .outgoing import Outgoing
    from .queue import SendQueue
    from .recorder import Recorder

__all__ = ["VariantHold"]

_CHUNK = 500


class VariantHold:
    """Holds variants back. What is queued goes to the `SendQueue`; older versions are counted as superseded."""

    def __init__(self, queue: SendQueue, recorder: Recorder, *, holds_all: bool) -> None:
        self._queue = queue
        self._recorder = recorder
        self._holds_all = holds_all
        self._store = VariantStore() if holds_all else None
        self.releasing: bool = False
        """Has the source ended? Then nothing that is queued waits here again, unless its parent does."""

    @property
    def active(self) -> bool:
        """Do variants wait for the end of the source?"""
        return self._store is not None

    def __len__(self) -> int:
        return 0 if self._store is None else len(self._store)

    def check(self) -> None:
        """Raises `SpillFailed` where the temporary file has failed."""
        if self._store is not None:
            self._store.check()

    def admit(self, products: Sequence[Outgoing]) -> None:
        """Queue what was read, or hold it back. A product waits in its newest version only, here or in the queue."""
        if self._store is not None and not self.releasing:
            products = self._hold_back(self._store, products)
        self._recorder.superseded(self._queue.add(products))

    def _hold_back(self, store: VariantStore, products: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Keep what must wait. Returns what may be queued."""
        newest = {product.external_id: product for product in products}
        older = len(self._queue.remove(newest.keys())) + len(store.discard(newest))
        self._recorder.superseded(len(products) - len(newest) + older)
        store.add(decoded(product for product in newest.values() if self._must_wait(product)))
        return [product for product in newest.values() if not self._must_wait(product)]

    def _must_wait(self, product: Outgoing) -> bool:
        return self._holds_all or parent_of(product) is not None

    def discard(self, ids: AbstractSet[str]) -> None:
        """The server holds these products as they are: older versions of them that wait are not needed any more."""
        older = len(self._queue.remove(ids)) + (0 if self._store is None else len(self._store.discard(ids)))
        self._recorder.superseded(older)

    def defer(self, products: list[Product], missing: Collection[str | None]) -> None:
        """Let the variants of a refused batch wait for the end of the source, and all later ones with them.

        The rest goes back to the queue, to fill up further batches.
        """
        if self._store is None:
            self._store = VariantStore()
            self._store.add(decoded(self._queue.remove_variants()))
        newest = [product for product in products if not self._waits(product.external_id)]
        self._recorder.superseded(len(products) - len(newest))
        staying = _with_parents_present(newest, missing)
        self._store.add([product for product in newest if product.external_id not in staying])
        self._queue.requeue(staying.values())

    def defer_late(self, orphans: list[Product], still_open: Iterable[Outgoing]) -> set[str]:
        """The source has ended. Let those wait once more whose parents are still to be sent, and give their ids.

        A parent that waits neither in the queue, nor here, nor in its batch's other pieces will never come.
        """
        if self._store is None:
            return set()
        open_ids = {product.external_id for product in still_open}
        late = {
            product.external_id: product
            for product in orphans
            if (parent := parent_of(product)) in open_ids or self._waits(parent)
        }
        self._store.add(list(late.values()))
        return set(late)

    def _waits(self, external_id: str | None) -> bool:
        """Does any version of this product wait, in the queue or here?"""
        return external_id in self._queue or (self._store is not None and external_id in self._store)

    def next_round(self) -> Iterator[None]:
        """Queue those whose parents do not wait here themselves, chunk by chunk: the caller sends between them.

        What comes back meanwhile is left for another round. Raises `SpillFailed`.
        """
        store = self._store
        unsent = len(self)
        while store is not None and unsent > 0:
            before = unsent
            end = store.last_position()
            while chunk := store.pop(_CHUNK, end):
                ready = _without_waiting_parents(store, chunk)
                unsent -= len(ready)
                self.admit(ready)
                store.check()  # or parents of these may wait there, unseen
                yield
            if unsent == before:
                break
        if store is not None and self._holds_all:  # what is left names one another as parents: the server must judge
            self.admit(store.pop(len(store), store.last_position()))

    def give_up(self) -> Iterator[list[Product]]:
        """Everything that still waits, chunk by chunk: no round can move it."""
        store = self._store
        if store is not None:
            end = store.last_position()
            while chunk := store.pop(_CHUNK, end):
                yield chunk

    def reset(self) -> None:
        """The rounds are over and the source goes on: variants are sent at once again, until a parent is missing."""
        self.releasing = False
        if self._store is not None and not len(self._store):
            self._store.close()
            self._store = None

    def unresolved(self) -> Iterator[Product | None]:
        """Everything that waits here; ``None`` for each product that the temporary file does not give back."""
        return iter(()) if self._store is None else self._store.rest()

    def close(self) -> None:
        if self._store is not None:
            self._store.close()


def _without_waiting_parents(store: VariantStore, chunk: list[Product]) -> list[Product]:
    """Those of the chunk whose parents do not wait in the store. The others are put back there."""
    behind = _with_variants((product for product in chunk if parent_of(product) in store), chunk)
    store.add([product for product in chunk if product.external_id in behind])
    return [product for product in chunk if product.external_id not in behind]


def _with_parents_present(products: list[Product], missing: Collection[str | None]) -> dict[str, Product]:
    """Those, by id, that need no parent from outside of these products, nor one that the server misses."""
    present = {product.external_id: product for product in products}
    inside = present.keys() | {None}
    lacking = _with_variants(
        (p for p in products if (parent := parent_of(p)) in missing or parent not in inside), products
    )
    return {external_id: product for external_id, product in present.items() if external_id not in lacking}


def _with_variants(some: Iterable[Product], products: Iterable[Product]) -> set[str]:
    """The ids of some of the products, and of all others whose parent, or a parent's parent, is among these."""
    variants: defaultdict[str | None, list[Product]] = defaultdict(list)
    for product in products:
        variants[parent_of(product)].append(product)
    found: set[str] = set()
    reached = list(some)
    while reached:
        external_id = reached.pop().external_id
        if external_id not in found:
            found.add(external_id)
            reached += variants.get(external_id, ())
    return found
