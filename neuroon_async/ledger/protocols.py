"""The protocols of a ledger: what a delta sync remembers of the server, whatever it is kept in.

A ledger maps each product id of a shop to a digest of the content that the server last acknowledged. A run skips what
is unchanged, and invalidates a product's digest *before* it sends another version: so whenever the process dies, the
ledger knows too little rather than too much, and the next run sends again what was not acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..errors import NeuroonError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping
    from contextlib import AbstractAsyncContextManager

__all__ = [
    "AnsweredLedgerRun",
    "LeasedLedgerRun",
    "Ledger",
    "LedgerError",
    "LedgerRun",
    "PagedLedgerRun",
    "RepeatingLedgerRun",
]


class LedgerError(NeuroonError):
    """The ledger cannot be used: in use by another run, damaged, or not a ledger. Nothing was overwritten."""


class LedgerRun(Protocol):
    """A shop's ledger while one run has it to itself. Each method raises `LedgerError` where the ledger fails."""

    async def unchanged(self, digests: Mapping[str, bytes]) -> Collection[str]:
        """The ids of which the server holds exactly this content."""
        ...

    async def invalidate(self, ids: Collection[str]) -> None:
        """Note that these are about to be sent or deleted.

        What the server holds of them is unknown until it is recorded. From now on they count as held: a product that
        may have reached the server can then be deleted by a later run.
        """

    async def record(self, digests: Mapping[str, bytes]) -> None:
        """The server has acknowledged this content."""

    async def forget(self, ids: Collection[str]) -> None:
        """The server no longer has these."""

    async def seen(self, ids: Collection[str]) -> None:
        """The source still has these. Called for every product where missing ones are to be deleted."""

    async def missing(self) -> tuple[int, int]:
        """How many of the products held when the run began were not seen, and how many were held."""
        ...

    def missing_ids(self) -> AsyncIterator[str]:
        """The ids of the products that were not seen."""
        ...


@runtime_checkable
class PagedLedgerRun(LedgerRun, Protocol):
    """A ledger that also compares whole pages of products (see `pages`) at once."""

    def holds_page(self, digest: bytes) -> bool:
        """Does the server hold exactly this page? If it does, its products count as seen.

        Answered from memory: it must neither block nor raise.
        """
        ...

    async def record(self, digests: Mapping[str, bytes], pages: Mapping[bytes, Collection[str]] = ...) -> None:
        """The server has acknowledged this content, and with it all products of these pages (see `keep_pages`)."""

    async def keep_pages(self, pages: Mapping[bytes, Collection[str]]) -> None:
        """The server has acknowledged all products of these pages. Maps the digest of each page to its ids."""


@runtime_checkable
class AnsweredLedgerRun(LedgerRun, Protocol):
    """A ledger that tells a request that was refused from one whose answer never came.

    The latter may still be processed after a newer one. So a product that is invalidated while it is in doubt for such
    a request, younger than a request can live, is *recorded* as being in doubt again: the next run sends it once more.
    """

    async def answered(self, ids: Collection[str]) -> None:
        """The server has refused these, so no request of this run can change them any more. They stay in doubt."""


@runtime_checkable
class RepeatingLedgerRun(LedgerRun, Protocol):
    """A ledger that remembers attempts that were never answered, although a repetition of theirs was.

    Such an attempt holds what the repetition held, so it harms nothing now. But it may be processed after a newer
    version was sent. What is recorded stands; whatever is recorded *after* it, while the attempt can live, is in doubt
    as with `AnsweredLedgerRun`.
    """

    async def repeated(self, ids: Collection[str]) -> None:
        """An attempt with these was never answered, a repetition was. Called right before `record` or `forget`."""


@runtime_checkable
class LeasedLedgerRun(LedgerRun, Protocol):
    """A ledger whose lock ends by itself while its run goes on, where the process stood still for too long."""

    def lease_lost(self) -> LedgerError | None:
        """Why nothing more may be sent: the shop may be another run's by now. ``None`` as long as it is this one's.

        Asked right before each request leaves, and answered from memory: it must neither block nor raise.
        """


class Ledger(Protocol):
    """Where a delta sync remembers. One run at a time may use a shop's part of it."""

    def run(self, shop: str) -> AbstractAsyncContextManager[LedgerRun]:
        """Open the ledger of one shop for one run. Raises `LedgerError`."""
        ...
