"""Between a run and its ledger: which products need no request, and which ones the source no longer has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidProduct, UnsafeDeletion
from ..models import Product
from .ledger import content_digests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable

    from .ledger import LedgerRun
    from .report import ProductFailure

__all__ = ["Delta"]

_DOUBTED_AT_ONCE = 100


class Delta:
    """One run's view of its ledger."""

    def __init__(self, ledger: LedgerRun, *, watch_missing: bool) -> None:
        self._ledger = ledger
        self._watch_missing = watch_missing
        self._nameless = 0

    async def split(self, items: list[Any], in_flight: Collection[str]) -> tuple[list[Any], set[str]]:
        """The items of a chunk that need a closer look, and the ids whose newest version the server holds already.

        What is in flight needs a look always: the server is about to hold another version of it. What the server
        holds needs none, not even a check of its values: it was checked when it was sent.
        """
        products, positions = _readable(items)
        newest = {product.external_id: position for product, position in zip(products, positions, strict=True)}
        digests = self.digests(products)
        if self._watch_missing:
            await self._ledger.seen(digests.keys())
        for external_id in digests.keys() & in_flight:
            del digests[external_id]
        unchanged = set(await self._ledger.unchanged(digests)) if digests else set()
        held = {newest[external_id] for external_id in unchanged}
        return [item for position, item in enumerate(items) if position not in held], unchanged

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

    def digests(self, products: list[Product]) -> dict[str, bytes]:
        """By id, of the last version each, without those that cannot become JSON.

        What is to be recorded is taken when its request is encoded: lists within a product may change later.
        """
        ids = [product.external_id for product in products]
        digests = dict(zip(ids, content_digests(products), strict=True))
        return {external_id: digest for external_id, digest in digests.items() if digest is not None}

    async def record(self, digests: Mapping[str, bytes]) -> None:
        await self._ledger.record(digests)

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
