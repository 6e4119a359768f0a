"""One request of a bulk sync: its idempotency key, the call with all its retries, and outages waited out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from ..api.contract import SYNC_PRODUCTS
from ..api.idempotency import idempotency_key
from ..api.results import BatchResult
from ..errors import APIError, ResponseDecodeError
from .outages import OutageRetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import NeuroonError
    from ..transport.calls import CallStats
    from ..transport.transport import Transport
    from .outages import ServiceHealth
    from .recorder import Recorder

__all__ = ["BatchSender"]


class BatchSender:
    """Sends encoded batches of one shop."""

    def __init__(
        self,
        transport: Transport,
        health: ServiceHealth,
        recorder: Recorder,
        *,
        unique_keys: bool = False,
        guard: Callable[[], NeuroonError | None] | None = None,
    ) -> None:
        self._guard = guard
        self._transport = transport
        self._health = health
        self._recorder = recorder
        self._unique_keys = unique_keys
        self._shop_id = transport.settings.shop_id
        self._times_sent: dict[str, int] = {}
        """How often each body was sent, by its key: one entry a request."""

    async def send(self, body: bytes, stats: CallStats) -> BatchResult:
        """Raises what the server refused, or what kept an answer from coming."""
        key = self._idempotency_key(body)

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
            self._recorder.answered(response.request_id)
            try:
                return self._transport.decode(response, BatchResult)
            except ResponseDecodeError:
                stats.unanswered += 1
                raise

        try:
            return await OutageRetry(self._health, stats).run(ask)
        except (APIError, ResponseDecodeError) as error:
            self._recorder.answered(error.request_id)
            raise

    def _idempotency_key(self, body: bytes) -> str:
        """A body that comes again in a run is no repetition, but a product that changed back: it gets another key.

        A server that answered it from memory would keep the version in between. Which one it is counts, so the keys of
        the same source are the same after a restart. With a ledger, which remembers the versions of earlier runs, a
        body may come back after days: there every request has a key of its own.
        """
        if self._unique_keys:
            return idempotency_key(f"{self._shop_id} {uuid4()}", body)
        key = idempotency_key(self._shop_id, body)
        self._times_sent[key] = occurrence = self._times_sent.get(key, 0) + 1
        return key if occurrence == 1 else idempotency_key(f"{self._shop_id} {occurrence}", body)
