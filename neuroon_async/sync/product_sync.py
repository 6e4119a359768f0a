"""The bulk sync: products in, batches out, every product accounted for. This module connects the stations.

    ItemReader ─► Intake ─► VariantHold ─► SendQueue ─► Dispatcher ─► BatchDelivery ─► BatchSender ─► Transport

`BulkRun` reads and ends the run; the `Recorder` counts. No station knows `ProductSync`.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ..api.contract import SyncMode
from ..api.frames import rows_of
from ..api.models import Product
from ..errors import UnsafeFullSync
from ..ledger.pages import in_pages
from ..ledger.protocols import LedgerError
from ..report import ProductFailure
from ..transport.time_limit import TimeLimit
from .changes import AllChanged, LedgerChanges
from .conversion import Conversion, Remarks
from .deletion import delete_missing
from .delivery import BatchDelivery, failures_of
from .dispatch import Dispatcher
from .endings import attach_report, out_of_time
from .in_flight import InFlight
from .intake import Intake
from .item_reader import ItemReader
from .missing import MissingFromSource
from .options import BatchLimits
from .outages import ServiceHealth
from .outgoing import decoded
from .queue import SendQueue
from .recorder import Recorder, check_callbacks
from .run import BulkRun
from .sender import BatchSender
from .variants import VariantHold

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable
    from contextlib import AbstractAsyncContextManager

    from ..ledger.protocols import Ledger, LedgerRun
    from ..report import SyncReport
    from ..transport.transport import Transport
    from .delivery import Delivery
    from .options import SyncOptions
    from .recorder import AcceptedCallback, FailureCallback, ProgressCallback

__all__ = ["sync_products"]

_CYCLE = "its parent is in neither the batch nor the catalog: the variants name one another as parents"


async def sync_products(
    transport: Transport,
    source: Iterable[Any] | AsyncIterable[Any],
    options: SyncOptions,
    *,
    on_progress: ProgressCallback | None = None,
    on_failure: FailureCallback | None = None,
    on_accepted: AcceptedCallback | None = None,
) -> SyncReport:
    """One bulk sync of one source: opens the ledger, if there is one, builds the stations and runs them."""
    transport.ready()
    check_callbacks(on_progress, on_failure, on_accepted)
    keeps_products = options.full or on_accepted is not None
    conversion = Conversion(source, options, Remarks(transport.settings.shop_id), keeps_products=keeps_products)
    rows = rows_of(source)
    items = source if rows is None else rows
    regroup = None if options.ledger is None else in_pages
    reader = ItemReader(items, conversion.one, conversion.many, flush_after=options.flush_after, regroup=regroup)
    recorder = Recorder(on_progress, on_failure, on_accepted, total=reader.total)

    bulk = transport.for_bulk_run()
    limit = bulk.bulk_limit or TimeLimit()
    opening = asyncio.timeout_at(limit.deadline)
    try:
        async with opening, _ledger_run(options.ledger, transport) as ledger:
            if not opening.expired():
                opening.reschedule(None)  # the run looks at the time by itself, and closing is never cut off
            return await ProductSync(bulk, reader, options, conversion, recorder=recorder, ledger=ledger).run()
    except BaseException as error:
        if isinstance(error, TimeoutError) and opening.expired():
            late = out_of_time(limit, "; its ledger was not open by then")
            attach_report(late, recorder.update_report())
            raise late from None
        if recorder.report.received or not isinstance(error, LedgerError):  # without a ledger no run has begun
            attach_report(error, recorder.report)
        raise


def _ledger_run(ledger: Ledger | None, transport: Transport) -> AbstractAsyncContextManager[LedgerRun | None]:
    settings = transport.settings
    return nullcontext() if ledger is None else ledger.run(f"{settings.base_url} {settings.shop_id}")


class ProductSync:
    """The `Pipeline` of a sync. It passes on what comes, and says when each station has its turn."""

    def __init__(
        self,
        transport: Transport,
        reader: ItemReader[Product | ProductFailure],
        options: SyncOptions,
        conversion: Conversion,
        *,
        recorder: Recorder,
        ledger: LedgerRun | None,
    ) -> None:
        mode = SyncMode(options.mode)
        self._transport = transport
        self._options = options
        self._reader = reader
        self._recorder = recorder
        self._missing = MissingFromSource(ledger) if ledger is not None and options.delete_missing else None
        self._ledger = (
            None if ledger is None else LedgerChanges(ledger, self._missing, checked=conversion.leaves_none_unchecked)
        )
        self._changes = self._ledger or AllChanged()
        self._health = recorder.health = ServiceHealth(transport.retry, recorder.costs)
        self._in_flight: InFlight[Delivery] = InFlight(options.at_once)
        self._queue = SendQueue()
        self._hold = VariantHold(self._queue, recorder, holds_all=options.full and not options.single_request)
        limits = BatchLimits(options.request_size, options.max_batch_bytes)
        sender = BatchSender(transport, self._health, unique_keys=ledger is not None, guard=self._changes.lost)
        deliveries = BatchDelivery(
            mode=mode,
            sender=sender,
            changes=self._changes,
            queue=self._queue,
            hold=self._hold,
            limits=limits,
            health=self._health,
            recorder=recorder,
            redact=transport.redact,
            whole=options.full,
        )
        self._dispatcher = Dispatcher(
            mode=mode,
            queue=self._queue,
            hold=self._hold,
            limits=limits,
            in_flight=self._in_flight,
            deliveries=deliveries,
            changes=self._changes,
            recorder=recorder,
            single_request=options.single_request,
        )
        self._intake = Intake(self._changes, self._queue, self._hold, recorder, conversion.check)

    async def run(self) -> SyncReport:
        size, limit = self._options.batch_size, self._transport.bulk_limit
        run = BulkRun(self, self._reader, self._recorder, self._in_flight, self._health, chunk_size=size, limit=limit)
        return await run.run()

    def take_in(self, portion: list[Product | ProductFailure]) -> None:
        self._intake.take_in(portion)

    async def chunk_ended(self, *, last: bool) -> None:
        await self._intake.chunk_ended(self._options.batch_size, last=last)

    async def dispatch(self, *, final: bool) -> None:
        self._hold.check()
        if self._options.full:
            self._check_full(final=final)
        await self._dispatcher.dispatch(final=final)

    async def flush(self) -> None:
        await self._dispatcher.dispatch(final=False, urgent=True)
        if self._hold.active:
            await self._dispatcher.dispatch(final=True)
            await self._release_variants()
            self._hold.reset()

    async def finish(self) -> None:
        await self._release_variants()
        if self._ledger is not None and self._missing is not None and self._reader.error is None:
            await delete_missing(self._transport, self._missing, self._ledger, self._recorder, self._options)

    def _check_full(self, *, final: bool) -> None:
        """A FULL sync of a part of the catalog would erase the rest."""
        if self._reader.error is not None:
            raise self._reader.error
        failed = self._recorder.report.failed
        if final and failed and not self._recorder.costs.total().requests:
            products = "one product of the source" if failed == 1 else f"{failed:,} products of the source"
            raise UnsafeFullSync(
                f"{products} cannot be sent, so a FULL sync would erase what the server has of them. Nothing was sent",
                unsendable=failed,
                advice="mend what the report's failures name, or sync in INCREMENTAL mode",
            )

    async def _release_variants(self) -> None:
        """Send the variants that waited, round after round, until none can move."""
        self._hold.releasing = True
        while self._hold:
            settled_before = self._recorder.settled
            for _ in self._hold.next_round():
                await self._dispatcher.dispatch(final=False)
            await self._dispatcher.dispatch(final=True)
            self._hold.check()
            if self._recorder.settled == settled_before:
                for chunk in self._hold.give_up():
                    self._recorder.failed(failures_of(chunk, _CYCLE, "server", 422))
                await self._recorder.notify()

    def unresolved(self, reason: str) -> Iterable[ProductFailure]:
        yield from (item for item in self._changes.open_items() if isinstance(item, ProductFailure))
        text = f"{reason} while its batch was under way: the server may or may not have taken it"
        for delivery in self._in_flight:
            if delivery.stats.requests:
                yield from failures_of(delivery.open, text, "transport", None)
        for delivery in self._in_flight:
            if not delivery.stats.requests:
                yield from (self.unread(product, reason) for product in decoded(delivery.open))
        yield from (self.unread(item, reason) for item in self._changes.open_items() if isinstance(item, Product))
        yield from (self.unread(product, reason) for product in decoded(self._queue.remove_all()))
        yield from (self.unread(product, reason) for product in self._hold.unresolved())

    def unread(self, item: Product | ProductFailure | None, reason: str) -> ProductFailure:
        if isinstance(item, ProductFailure):
            return item
        external_id: object = None if item is None else item.external_id  # which nobody may have checked
        usable = external_id if isinstance(external_id, str) else None
        return ProductFailure(usable, f"not sent: {reason}", "transport", product=item, unsent=True)

    def close(self) -> None:
        self._hold.close()
