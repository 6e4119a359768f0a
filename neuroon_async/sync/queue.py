"""Which products may be sent now. Pure.

With batches in flight side by side, two versions of one product, or a variant and its parent, could arrive in the
wrong order. So a product waits while its own id or its parent's is in flight, and a parent waits while one of its
variants is. Only the ids in flight and waiting are known here, not all ids ever seen.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from .outgoing import Outgoing

__all__ = ["Batch", "SendQueue", "parent_of"]


def parent_of(product: Outgoing) -> str | None:
    """The id of the product's parent, where it is a variant."""
    parent = product.parent_external_id
    return None if parent is UNSET else parent


class Batch:
    """Products on their way to the server together, and the ids that block others meanwhile."""

    __slots__ = ("ids", "parents", "products")

    def __init__(self, products: dict[str, Outgoing]) -> None:
        self.load(products)

    def load(self, by_id: dict[str, Outgoing]) -> None:
        self.products: list[Outgoing] = (products := list(by_id.values()))
        self.ids: set[str] = set(by_id)
        self.parents: set[str | UnsetType | None] = {product.parent_external_id for product in products} - {UNSET, None}


class SendQueue:
    """Products that wait, in the order of the source, and the batches in flight."""

    def __init__(self) -> None:
        self._waiting: dict[str, Outgoing] = {}
        self._batches: list[Batch] = []
        self._ids_in_flight: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def ids_in_flight(self) -> set[str]:
        return self._ids_in_flight

    def __contains__(self, external_id: object) -> bool:
        return external_id in self._waiting

    def add(self, products: Sequence[Outgoing]) -> int:
        """Queue newly read products. Returns how many older versions they supersede."""
        versions = len(self._waiting) + len(products)
        self._waiting |= {product.external_id: product for product in products}
        return versions - len(self._waiting)

    def requeue(self, products: Iterable[Outgoing]) -> list[Outgoing]:
        """Queue products again that were taken before, ahead of all others. Returns those superseded meanwhile."""
        front: dict[str, Outgoing] = {}
        superseded: list[Outgoing] = []
        for product in products:
            if product.external_id in self._waiting:
                superseded.append(product)
            else:
                front[product.external_id] = product
        self._waiting = {**front, **self._waiting}
        return superseded

    def take(self, count: int, at_least: int = 1) -> Batch | None:
        """Up to ``count`` products that may be sent together now; they are in flight until `done`.

        ``None``, and nothing is taken, where fewer than ``at_least`` may be sent.
        """
        chosen = self._sendable(count)
        if len(chosen) < at_least:
            return None
        if len(chosen) == len(self._waiting):
            self._waiting = {}
        else:
            for external_id in chosen:
                del self._waiting[external_id]
        batch = Batch(chosen)
        self._batches.append(batch)
        self._ids_in_flight |= batch.ids
        return batch

    def done(self, batch: Batch) -> None:
        """The batch is no longer in flight, whatever became of it."""
        self._batches.remove(batch)
        self._ids_in_flight -= batch.ids

    def trim(self, batch: Batch, count: int) -> list[Outgoing]:
        """Keep only the first ``count`` products of the batch. Returns those of the others superseded meanwhile."""
        products = batch.products
        self._reload(batch, products[:count])
        return self.requeue(products[count:])

    def drop(self, batch: Batch, external_id: str | None) -> Outgoing:
        """Take one product out of the batch for good."""
        dropped = next(product for product in batch.products if product.external_id == external_id)
        self._reload(batch, [product for product in batch.products if product is not dropped])
        return dropped

    def _reload(self, batch: Batch, products: list[Outgoing]) -> None:
        self._ids_in_flight -= batch.ids
        batch.load({product.external_id: product for product in products})
        self._ids_in_flight |= batch.ids

    def remove(self, ids: AbstractSet[str]) -> list[Outgoing]:
        """Take those of these ids that wait out of the queue."""
        return [self._waiting.pop(external_id) for external_id in self._waiting.keys() & ids]

    def remove_variants(self) -> list[Outgoing]:
        """Take all waiting variants out of the queue."""
        variants = [product for product in self._waiting.values() if parent_of(product) is not None]
        for product in variants:
            del self._waiting[product.external_id]
        return variants

    def remove_all(self) -> list[Outgoing]:
        """Take everything out of the queue."""
        products = list(self._waiting.values())
        self._waiting = {}
        return products

    def _sendable(self, count: int) -> dict[str, Outgoing]:
        """The first ``count`` products that may be sent. Fast path: usually nothing is blocked."""
        waiting = self._waiting
        ids = waiting.keys()
        parents = {product.parent_external_id for product in waiting.values()} - {UNSET, None}
        if (
            not parents
            and ids.isdisjoint(self._ids_in_flight)
            and all(ids.isdisjoint(batch.parents) for batch in self._batches)
        ):
            return dict(islice(waiting.items(), count))
        chosen = dict(islice(self._unblocked(), count))
        if not chosen and not self._batches:  # only variants that name each other as parents: the server must judge
            return dict(islice(waiting.items(), count))
        return chosen

    def _unblocked(self) -> Iterator[tuple[str, Outgoing]]:
        """Each that may be sent after those before it. A variant stays while its parent does."""
        blocked = self._ids_in_flight.union(*(batch.parents for batch in self._batches))
        chosen: set[str] = set()
        behind_parent: defaultdict[str, list[Outgoing]] = defaultdict(list)
        for candidate in self._waiting.values():
            ready = [candidate]
            while ready:
                product = ready.pop()
                external_id, parent = product.external_id, parent_of(product)
                if parent is not None and parent in self._waiting and parent not in chosen:
                    behind_parent[parent].append(product)
                elif external_id not in blocked and parent not in self._ids_in_flight:
                    chosen.add(external_id)
                    yield external_id, product
                    ready.extend(behind_parent.pop(external_id, ()))
