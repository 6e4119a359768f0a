"""From the queue to requests: is a batch worth one now, does it fit, and start its delivery."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..api.contract import MAX_BATCH_PRODUCTS
from ..errors import InvalidProduct, UnsafeFullSync
from ..report import ProductFailure
from .delivery import Delivery
from .outgoing import decoded, encode_outgoing

if TYPE_CHECKING:
    from ..api.contract import SyncMode
    from .changes import ChangeDetector
    from .delivery import BatchDelivery
    from .in_flight import InFlight
    from .options import BatchLimits
    from .queue import Batch, SendQueue
    from .recorder import Recorder
    from .variants import VariantHold

__all__ = ["Dispatcher"]

_CROWDED = 4
"""Batches' worth of waiting products at which reading stops until something in flight is done."""


class Dispatcher:
    """Starts deliveries. ``single_request``: everything must go in one, or nothing does."""

    def __init__(
        self,
        *,
        mode: SyncMode,
        queue: SendQueue,
        hold: VariantHold,
        limits: BatchLimits,
        in_flight: InFlight[Delivery],
        deliveries: BatchDelivery,
        changes: ChangeDetector,
        recorder: Recorder,
        single_request: bool,
    ) -> None:
        self._mode = mode
        self._queue = queue
        self._hold = hold
        self._limits = limits
        self._in_flight = in_flight
        self._deliveries = deliveries
        self._changes = changes
        self._recorder = recorder
        self._single_request = single_request

    async def dispatch(self, *, final: bool, urgent: bool = False) -> None:
        """Send what is worth a request. ``urgent``: send all that waits. ``final``: wait for it to be settled, too."""
        if self._single_request and not final:
            if len(self._queue) > MAX_BATCH_PRODUCTS:
                raise _unsafe_full_sync(f"{MAX_BATCH_PRODUCTS} products")
            return
        await self._send_what_waits(final=final, urgent=urgent or final)
        while final and self._in_flight:
            await self._in_flight.next_done()
            await self._send_what_waits(final=True, urgent=True)

    async def _send_what_waits(self, *, final: bool, urgent: bool) -> None:
        size = self._limits.products
        while len(self._queue) >= (1 if urgent else size):
            await self._in_flight.free_place()
            crowded = len(self._queue) >= _CROWDED * size
            batch = self._queue.take(size, self._worth_sending(size, final=final, at_once=urgent or crowded))
            if batch is not None:
                await self._send(batch)
            elif self._in_flight and (urgent or crowded):  # while a place was awaited, all may have been held back
                await self._in_flight.next_done()
            else:
                return

    def _worth_sending(self, size: int, *, final: bool, at_once: bool) -> int:
        """How many products make a request worthwhile now: requests are what the rate limit counts."""
        if self._hold.active and final and self._in_flight:
            return size  # what is in flight may come back and fill the batch
        return 1 if at_once else (size + 1) // 2

    async def _send(self, batch: Batch) -> None:
        body = self._fitting_body(batch)
        if body is None:
            self._queue.done(batch)
        else:
            delivery = Delivery(batch, self._changes.digests(batch.products, body), self._recorder.costs.begin())
            self._in_flight.start(delivery, partial(self._deliveries.deliver, delivery, body))
        await self._recorder.notify()

    def _fitting_body(self, batch: Batch) -> bytes | None:
        """Encode the batch. What is too much goes back to the queue; what cannot be sent at all fails."""
        while batch.products:
            try:
                body = encode_outgoing(self._mode, batch.products)
            except InvalidProduct as error:
                self._drop(batch, error.external_id, error.reason)
                continue
            count = len(batch.products)
            most = self._limits.most_bytes(count)
            if len(body) <= most:
                return body
            if count == 1:
                reason = f"alone makes a request of {len(body):,} bytes, and max_batch_bytes is {most:,}"
                self._drop(batch, batch.products[0].external_id, reason)
                continue
            keep = 0 if self._single_request else self._limits.fitting(count, len(body))
            self._recorder.superseded(len(self._queue.trim(batch, keep)))
            if self._single_request:
                raise _unsafe_full_sync(f"{most:,} bytes")
        return None

    def _drop(self, batch: Batch, external_id: str | None, reason: str) -> None:
        [product] = decoded([self._queue.drop(batch, external_id)])
        self._recorder.failed([ProductFailure(external_id, reason, "local", None, product)])


def _unsafe_full_sync(most: str) -> UnsafeFullSync:
    return UnsafeFullSync(
        f"a FULL sync of more than {most} needs several requests, and the API documents nowhere how several "
        "requests make one FULL sync: each may erase what the others brought. Nothing was sent. Use "
        "mode='INCREMENTAL' (with a ledger and delete_missing=True where absent products must go), or pass "
        "allow_multi_request_full=True if you know how your server takes it"
    )
