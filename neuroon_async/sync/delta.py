"""Between a run and its ledger: which products need no request, and which ones the source no longer has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UnsafeDeletion
from .ledger import content_digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable

    from ..models import Product
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

    async def unchanged(self, products: dict[str, Product], in_flight: Collection[str]) -> set[str]:
        """The ids of these products that the server holds just so.

        What is in flight is left out: the server is about to hold another version of it.
        """
        digests = {
            external_id: digest
            for external_id, product in products.items()
            if external_id not in in_flight and (digest := content_digest(product)) is not None
        }
        if self._watch_missing:
            await self._ledger.seen(products.keys())
        return set(await self._ledger.unchanged(digests)) if digests else set()

    async def note_failures(self, failures: Iterable[ProductFailure]) -> None:
        """Records that could not be read or sent are in the source all the same: they must not be deleted."""
        if not self._watch_missing:
            return
        ids = [failure.external_id for failure in failures]
        self._nameless += ids.count(None)
        await self._ledger.seen([external_id for external_id in ids if external_id is not None])

    async def doubt(self, ids: Collection[str]) -> None:
        await self._ledger.doubt(ids)

    async def record(self, products: Iterable[Product]) -> None:
        digests = ((product.external_id, content_digest(product)) for product in products)
        await self._ledger.record({external_id: digest for external_id, digest in digests if digest is not None})

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
