"""One request of a bulk sync: its idempotency key, the call with all its retries, and outages waited out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from ..api.contract import SYNC_PRODUCTS
from ..api.idempotency import idempotency_key
from ..api.results import BatchResult
from .outages import OutageRetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import NeuroonError
    from ..transport.calls import CallStats
    from ..transport.transport import Transport
    from .outages import ServiceHealth

__all__ = ["BatchKeys", "BatchSender"]


class BatchKeys:
    """The idempotency keys of one run. The keys of the same source are the same after a restart; none comes twice.

    A body that comes again in a run is no repetition, but a product that changed back: it gets another key. A server
    that answered it from memory would keep the version in between.

    Once ``most`` bodies are remembered, they are forgotten, and every key from then on is another one than before: the
    source of a run may never end.
    """

    def __init__(self, shop_id: str, most: int = 10_000) -> None:
        self._shop_id = shop_id
        self._most = most
        self._forgotten = 0
        self._times_sent: dict[str, int] = {}
        """How often each body was sent, by its key."""

    def __len__(self) -> int:
        """How many bodies are remembered."""
        return len(self._times_sent)

    def next(self, body: bytes) -> str:
        """The key of the request that is now to carry this body."""
        key = idempotency_key(self._shop_id, body)
        if len(self._times_sent) >= self._most and key not in self._times_sent:
            self._times_sent.clear()
            self._forgotten += 1
        self._times_sent[key] = occurrence = self._times_sent.get(key, 0) + 1
        if self._forgotten:
            return idempotency_key(f"{self._shop_id} {self._forgotten}+{occurrence}", body)
        return key if occurrence == 1 else idempotency_key(f"{self._shop_id} {occurrence}", body)


class BatchSender:
    """Sends encoded batches of one shop. With ``unique_keys`` every request has an idempotency key of its own.

    So it is with a ledger, which remembers the versions of earlier runs: there a body may come back after days.
    """

    def __init__(
        self,
        transport: Transport,
        health: ServiceHealth,
        *,
        unique_keys: bool = False,
        guard: Callable[[], NeuroonError | None] | None = None,
    ) -> None:
        self._guard = guard
        self._transport = transport
        self._health = health
        self._shop_id = transport.settings.shop_id
        self._keys = None if unique_keys else BatchKeys(self._shop_id)

    async def send(self, body: bytes, stats: CallStats) -> BatchResult:
        """Raises what the server refused, or what kept an answer from coming."""
        key = idempotency_key(f"{self._shop_id} {uuid4()}", body) if self._keys is None else self._keys.next(body)

        async def ask() -> BatchResult:
            response = await self._transport.call(
                SYNC_PRODUCTS,
                params={"shop_id": self._shop_id},
                body=body,
                idempotency_key=key,
                bulk=True,
                stats=stats,
                guard=self._guard,
            )
            return self._transport.decode(response, BatchResult)

        return await OutageRetry(self._health, stats).run(ask)
