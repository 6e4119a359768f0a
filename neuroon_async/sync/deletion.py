"""Bulk deletion: one request a product, with the same engine, accounting and progress as the bulk sync."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..api.arguments import check_concurrency
from ..api.contract import DELETE_PRODUCT
from ..api.shapes import is_async_iterable
from ..errors import (
    APIError,
    AuthenticationFailed,
    ConfigurationError,
    NeuroonError,
    PermissionDenied,
)
from ..ledger.protocols import LedgerError
from ..report import ProductFailure
from .delivery import end_of
from .endings import attach_report
from .ids import id_of
from .in_flight import InFlight
from .item_reader import ItemReader
from .outages import OutageRetry, ServiceHealth, by_firewall
from .recorder import Recorder, check_callbacks
from .run import BulkRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable

    from ..report import SyncReport
    from ..transport.calls import CallStats
    from ..transport.transport import Transport
    from .changes import LedgerChanges
    from .missing import MissingFromSource
    from .options import SyncOptions
    from .recorder import FailureCallback, ProgressCallback

__all__ = ["delete_missing", "delete_products"]


async def delete_products(
    transport: Transport,
    source: Iterable[str] | AsyncIterable[str],
    *,
    concurrency: int,
    on_progress: ProgressCallback | None = None,
    on_failure: FailureCallback | None = None,
) -> SyncReport:
    """Delete every id that the source yields."""
    transport.ready()
    check_concurrency(concurrency)
    check_callbacks(on_progress, on_failure)
    reader: ItemReader[Any] = ItemReader(source)
    recorder = Recorder(on_progress, on_failure, total=reader.total)
    deletion = ProductDeletion(transport.for_bulk_run(), recorder, concurrency)
    try:
        return await deletion.run(reader, one_by_one=is_async_iterable(source))
    except BaseException as error:
        attach_report(error, recorder.report)
        raise


async def delete_missing(
    transport: Transport, missing: MissingFromSource, changes: LedgerChanges, recorder: Recorder, options: SyncOptions
) -> None:
    """Delete what the source no longer has. A deletion that fails counts as received and as failed in the sync."""
    count = await missing.check_deletion(recorder.report.received, options.max_delete_fraction)
    if not count:
        return

    async def ended(deletion: Deletion) -> None:
        if deletion.gone:
            recorder.deleted(accepted=False)
            await changes.forget(deletion.external_id, overtakable=deletion.stats.overtakable)
        elif not deletion.stats.overtakable:
            await changes.answered([deletion.external_id])

    def failed(failure: ProductFailure) -> None:
        recorder.received(1)
        recorder.failed([failure])

    own = Recorder(on_failure=failed, costs=recorder.costs)
    deletion = ProductDeletion(transport, own, options.concurrency, on_ended=ended, guard=changes.lost)
    recorder.health = deletion.health
    await deletion.run(ItemReader(_no_more_than(count, missing.ids())))


async def _no_more_than(count: int, ids: AsyncIterator[str]) -> AsyncIterator[str]:
    """A ledger that names more ids as missing than it counted is damaged: it must not delete for ever."""
    async for external_id in ids:
        if count == 0:
            raise LedgerError(
                "the ledger names more missing products than it counted, so it is damaged. No more were deleted",
                advice="delete its file: the next run sends everything and makes a new one",
            )
        count -= 1
        yield external_id


class Deletion:
    """One id on its way."""

    __slots__ = ("external_id", "gone", "settled", "stats")

    def __init__(self, external_id: str, stats: CallStats) -> None:
        self.external_id: str = external_id
        self.stats: CallStats = stats
        self.settled: bool = False
        self.gone: bool = False


class ProductDeletion:
    """The `Pipeline` of a deletion. An id that comes again while it waits or is under way is superseded.

    ``on_ended`` is awaited for each id once it is gone or has failed; where it is given, an id that the catalog does
    not have counts as gone too.
    """

    def __init__(
        self,
        transport: Transport,
        recorder: Recorder,
        concurrency: int,
        *,
        on_ended: Callable[[Deletion], Awaitable[None]] | None = None,
        guard: Callable[[], NeuroonError | None] | None = None,
    ) -> None:
        self._guard = guard
        self._transport = transport
        self._recorder = recorder
        self._on_ended = on_ended
        self._waiting: dict[str, None] = {}
        self._in_flight: InFlight[Deletion] = InFlight(concurrency)
        self.health: ServiceHealth = ServiceHealth(transport.retry, recorder.costs)
        recorder.health = self.health

    async def run(self, reader: ItemReader[Any], *, one_by_one: bool = False) -> SyncReport:
        """``one_by_one``: the next id may be long in coming, and no deletion gains by company. Each leaves at once."""
        size, limit = 1 if one_by_one else 4 * self._in_flight.limit, self._transport.bulk_limit
        run = BulkRun(self, reader, self._recorder, self._in_flight, self.health, chunk_size=size, limit=limit)
        return await run.run()

    def take_in(self, portion: list[Any]) -> None:
        for given in portion:
            item, problem = id_of(given)
            if problem is not None:
                self._recorder.failed([ProductFailure(_readable(item), f"externalId: {problem}", "local")])
            elif item in self._waiting or any(item == deletion.external_id for deletion in self._in_flight):
                self._recorder.superseded(1)
            else:
                self._waiting[item] = None

    async def chunk_ended(self, *, last: bool) -> None:  # noqa: ARG002 - nothing is held back here
        await self._recorder.notify()

    async def dispatch(self, *, final: bool) -> None:
        while self._waiting:
            await self._in_flight.free_place()
            external_id = next(iter(self._waiting))
            del self._waiting[external_id]
            deletion = Deletion(external_id, self._recorder.costs.begin())
            self._in_flight.start(deletion, partial(self._deliver, deletion))
        if final:
            await self._in_flight.drain()

    async def flush(self) -> None:
        await self.dispatch(final=False)

    async def finish(self) -> None:
        """Nothing is left to do: `dispatch` has seen everything through."""

    async def _deliver(self, deletion: Deletion) -> None:
        try:
            await OutageRetry(self.health, deletion.stats).run(partial(self._delete, deletion))
        except (AuthenticationFailed, ConfigurationError, LedgerError):
            raise
        except NeuroonError as error:
            if isinstance(error, PermissionDenied) and not by_firewall(error):
                raise
            if self._shows_it_gone(deletion, error):
                self._settle_deleted(deletion)
            elif self._settle_failed(deletion, error):
                raise
        else:
            self._settle_deleted(deletion)
        self._recorder.costs.end(deletion.stats)
        if self._on_ended is not None:
            await self._on_ended(deletion)
        await self._recorder.notify()

    def _shows_it_gone(self, deletion: Deletion, error: NeuroonError) -> bool:
        """Where an earlier round may have been processed, it had worked, and only its answer was lost."""
        return _is_unknown(error) and (deletion.stats.overtakable or self._on_ended is not None)

    async def _delete(self, deletion: Deletion) -> None:
        params = {"shop_id": self._transport.settings.shop_id, "external_id": deletion.external_id}
        await self._transport.call(DELETE_PRODUCT, params=params, bulk=True, stats=deletion.stats, guard=self._guard)

    def _settle_deleted(self, deletion: Deletion) -> None:
        deletion.settled = deletion.gone = True
        self.health.accepted()
        self._recorder.deleted(accepted=True)

    def _settle_failed(self, deletion: Deletion, error: NeuroonError) -> bool:
        """``True`` where so many have failed in a row that the run should stop."""
        deletion.settled = True
        stage, status = end_of(error)
        unsent = not deletion.stats.requests
        self._recorder.failed([ProductFailure(deletion.external_id, str(error), stage, status, unsent=unsent)])
        if by_firewall(error):
            return self.health.kept_out(error)
        return not _is_unknown(error) and self.health.failed_for_good()

    def unresolved(self, reason: str) -> Iterable[ProductFailure]:
        under_way = [deletion for deletion in self._in_flight if not deletion.settled]
        for deletion in under_way:
            if deletion.stats.requests:
                text = f"{reason} while its deletion was under way"
                yield ProductFailure(deletion.external_id, text, "transport")
        never_sent = [deletion.external_id for deletion in under_way if not deletion.stats.requests]
        yield from (self.unread(external_id, reason) for external_id in (*never_sent, *self._waiting))
        self._waiting.clear()

    def unread(self, item: Any, reason: str) -> ProductFailure:
        return ProductFailure(_readable(id_of(item)[0]), f"not deleted: {reason}", "transport", unsent=True)

    def close(self) -> None:
        """Nothing is held outside of memory."""


def _is_unknown(error: NeuroonError) -> bool:
    """Does the catalog not have this product?"""
    return isinstance(error, APIError) and DELETE_PRODUCT.finds_done(error)


def _readable(item: object) -> str | None:
    return item if isinstance(item, str) and item else None
