"""What the source of a sync no longer has: which products, and whether that looks like a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..advice import Advice
from ..errors import UnsafeDeletion
from .ids import id_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable

    from ..ledger.protocols import LedgerRun

__all__ = ["MissingFromSource"]

_INVALIDATED_AT_ONCE = 100
"""Ids of one write to the ledger."""


class MissingFromSource:
    """What the ledger holds and the source has not named. It must be told everything that the source has."""

    def __init__(self, ledger: LedgerRun) -> None:
        self._ledger = ledger
        self._nameless = 0
        """Records of the source of which it is not known what products they are."""

    async def seen(self, ids: Collection[str]) -> None:
        """The source has these."""
        if ids:  # often there are none, and each question is a way to the ledger and back
            await self._ledger.seen(ids)

    async def seen_if_readable(self, ids: Iterable[object]) -> None:
        """Records that cannot be sent are in the source all the same: they must not be deleted.

        An id that cannot be sent either, such as one with damaged letters, may be that of any product.
        """
        given = [id_of(external_id) for external_id in ids]
        named = [external_id for external_id, problem in given if problem is None]
        self._nameless += len(given) - len(named)
        await self.seen(named)

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
                f"{numbers}, which is more than the allowed part. Nothing was deleted",
                missing,
                held,
                max_fraction=max_fraction,
                advice=Advice(
                    "{max_delete_fraction} forbids it: check that the source is complete, and raise it if it is",
                    {"max_delete_fraction": max_fraction},
                ),
            )
        return missing

    async def ids(self) -> AsyncIterator[str]:
        """The ids to delete, each invalidated first: the deletion may work and its answer be lost."""
        some: list[str] = []
        async for external_id in self._ledger.missing_ids():
            some.append(external_id)
            if len(some) == _INVALIDATED_AT_ONCE:
                await self._ledger.invalidate(some)
                for invalidated in some:
                    yield invalidated
                some = []
        await self._ledger.invalidate(some)
        for invalidated in some:
            yield invalidated
