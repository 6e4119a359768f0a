"""Where an outbox keeps its conversions: the protocol, its records and its errors.

`sqlite_store` keeps them in a file, `neuroon_async.integrations.sqlalchemy` in the shop's own database. A store knows
nothing of the API: when a conversion is sent, and what an answer means, is the business of `delivery`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..api.models import Conversion
from ..errors import NeuroonError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BulkOutboxStore",
    "DeadLetter",
    "DuplicateOrder",
    "LeasedConversion",
    "OutboxStats",
    "OutboxStore",
    "OutboxUnavailable",
]


class DuplicateOrder(NeuroonError, ValueError):
    """The order was enqueued before, with other content. The stored content stays; nothing new was stored."""

    def __init__(self, order_id: str) -> None:
        self.order_id = order_id
        super().__init__(order_id)

    def __str__(self) -> str:
        return (
            f"order {self.order_id!r} was enqueued before with other content, and the API counts an order only once; "
            "if that one ended as a dead letter, purge it first"
        )


class OutboxUnavailable(NeuroonError):
    """The outbox could not be read or written (disk full, locked, damaged, deleted). Nothing new was stored."""


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """Conversions by state. ``oldest_age`` is that of the oldest pending one, in seconds; ``None`` without any."""

    pending: int
    delivered: int
    dead: int
    oldest_age: float | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A conversion that the server refused, and why. ``attempts`` counts the refused one too.

    Of one that is damaged, ``conversion`` is ``None`` and a time the year 1, as far as they cannot be read.
    """

    order_id: str
    reason: str
    attempts: int
    enqueued_at: datetime
    refused_at: datetime
    conversion: Conversion | None


@dataclass(frozen=True, slots=True)
class LeasedConversion:
    """A conversion that one worker may send. ``attempts`` counts those that failed before."""

    order_id: str
    body: bytes
    attempts: int


@runtime_checkable
class OutboxStore(Protocol):
    """Keeps conversions until they are delivered. Every method raises `OutboxUnavailable` where the store fails.

    A conversion is ``pending``, ``delivered`` or ``dead``. A pending one is due at a time of its own; while a worker
    has it leased, it is due when the lease ends. ``worker`` names who holds a lease: what another one has taken over
    since is left alone. Times are seconds.
    """

    async def open(self, shop_id: str | None) -> None:
        """Make the store ready. Raises `ConfigurationError` for one that cannot be used, or of another shop."""

    async def close(self) -> None: ...

    async def belong_to(self, shop_id: str) -> None:
        """Note the shop's id in a new store. Raises `ConfigurationError` where another one's is there."""

    async def add(self, order_id: str, body: bytes) -> None:
        """Store durably. The same order with the same content changes nothing, with other content is an error.

        Raises `DuplicateOrder`.
        """

    async def lease(self, worker: str, seconds: float, furthest: float, count: int) -> list[LeasedConversion]:
        """Up to ``count`` conversions, those that are due first, now leased to ``worker``; empty where none is due.

        One that claims to be due more than ``furthest`` seconds from now is due too: a clock was set back.
        """
        ...

    async def next_due(self) -> float:
        """Seconds until the next conversion that nobody has leased is due; infinite without any."""
        ...

    async def delivered(self, order_id: str) -> None: ...

    async def reschedule(self, order_id: str, worker: str, wait: float) -> None:
        """The attempt failed: it is due again in ``wait`` seconds."""

    async def mark_dead(self, order_id: str, reason: str) -> None: ...

    async def release(self, worker: str, order_id: str | None = None) -> None:
        """Give back what ``worker`` has leased and not settled: one order, or all. It is due at once."""

    async def stats(self) -> OutboxStats: ...

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """The oldest refusal first."""
        ...

    async def retry_dead(self, order_ids: Sequence[str] | None) -> int:
        """Make these dead letters pending again, or all. Returns how many there were."""
        ...

    async def purge_dead(self, order_ids: Sequence[str] | None) -> int:
        """Delete these dead letters, or all. Returns how many there were."""
        ...


@runtime_checkable
class BulkOutboxStore(OutboxStore, Protocol):
    """A store that settles hundreds of conversions as cheaply as one: delivery then leases and settles so many."""

    async def delivered_all(self, order_ids: Sequence[str]) -> None: ...

    async def release_all(self, worker: str, order_ids: Sequence[str]) -> None:
        """As `release`, of these orders."""
