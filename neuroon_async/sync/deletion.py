"""Bulk deletion: one request a product, with the same engine, accounting and progress as the bulk sync."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..api.contract import DELETE_PRODUCT
from ..errors import (
    APIError,
    AuthenticationFailed,
    ConfigurationError,
    NeuroonError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ResponseDecodeError,
    ServerError,
    TransportError,
)
from ..report import ProductFailure
from .outages import Ride
from .run import BulkRun, check_count

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable

    from ..transport.calls import CallStats
    from ..transport.transport import Transport
    from .costs import Costs
    from .recorder import FailureCallback, ProgressCallback

__all__ = ["DeleteRun"]


class Deletion:
    """One id on its way."""

    __slots__ = ("external_id", "gone", "settled", "stats")

    def __init__(self, external_id: str, stats: CallStats) -> None:
        self.external_id = external_id
        self.stats = stats
        self.settled = False
        self.gone = False


class DeleteRun(BulkRun[Deletion]):
    """One bulk deletion. An id that comes again while it waits or is under way is superseded.

    ``on_deleted`` is awaited for each id that is gone; where it is given, an id that the catalog does not have counts
    as gone too. ``costs`` joins the costs to those of another run.
    """

    def __init__(
        self,
        transport: Transport,
        source: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int,
        on_progress: ProgressCallback | None,
        on_failure: FailureCallback | None,
        on_deleted: Callable[[str], Awaitable[None]] | None = None,
        costs: Costs | None = None,
    ) -> None:
        check_count("concurrency", concurrency)
        super().__init__(
            transport,
            source,
            convert=_as_it_is,
            concurrency=concurrency,
            on_progress=on_progress,
            on_failure=on_failure,
            costs=costs,
        )
        self.chunk_size = 4 * concurrency
        self._waiting: dict[str, None] = {}
        self._on_deleted = on_deleted

    def _take_in(self, portion: list[Any]) -> None:
        for item in portion:
            problem = _id_problem(item)
            if problem is not None:
                self._recorder.failed([ProductFailure(_readable(item), problem, "local")])
            elif item in self._waiting or any(item == deletion.external_id for deletion in self._deliveries):
                self._report.superseded += 1
            else:
                self._waiting[item] = None

    async def _dispatch(self, *, final: bool) -> None:
        while self._waiting:
            await self._free_place()
            external_id = next(iter(self._waiting))
            del self._waiting[external_id]
            deletion = Deletion(external_id, self._recorder.costs.begin())
            self._launch(deletion, partial(self._deliver, deletion))
        while final and self._deliveries:
            await self._next_landing()

    async def _deliver(self, deletion: Deletion) -> None:
        ride = Ride(self._outage)
        while not deletion.settled:
            try:
                await self._transport.call(
                    DELETE_PRODUCT,
                    params={"shop_id": self._transport.settings.shop_id, "external_id": deletion.external_id},
                    bulk=True,
                    stats=deletion.stats,
                )
            except (AuthenticationFailed, PermissionDenied, ConfigurationError):
                raise
            except (TransportError, ServerError, RateLimited, ResponseDecodeError) as error:
                if await ride.once_more(error):
                    continue
                self._settle_failed(deletion, error)
            except NotFound as error:
                self._outage.answered()
                # A repetition: an earlier request had worked, only its answer was lost.
                if ride.rounds or self._on_deleted is not None:
                    self._settle_deleted(deletion)
                else:
                    self._settle_failed(deletion, error)
            except NeuroonError as error:
                self._outage.answered()
                self._settle_failed(deletion, error)
            else:
                self._outage.answered()
                self._settle_deleted(deletion)
        self._recorder.costs.end(deletion.stats)
        if deletion.gone and self._on_deleted is not None:
            await self._on_deleted(deletion.external_id)
        await self._recorder.tell()

    def _settle_deleted(self, deletion: Deletion) -> None:
        deletion.settled = deletion.gone = True
        self._outage.accepted()
        self._report.accepted += 1
        self._report.deleted += 1

    def _settle_failed(self, deletion: Deletion, error: NeuroonError) -> None:
        """Raises the error again where so many have failed in a row that the run should stop."""
        deletion.settled = True
        api_error = error if isinstance(error, APIError) else None
        failure = ProductFailure(
            deletion.external_id,
            str(error),
            "transport" if api_error is None else "server",
            None if api_error is None else api_error.status,
        )
        self._recorder.failed([failure])
        if not isinstance(error, NotFound) and self._outage.failed_for_good():
            raise error

    def _unresolved(self, reason: str) -> Iterable[ProductFailure]:
        for deletion in self._deliveries:
            if not deletion.settled and deletion.stats.requests:
                text = f"{reason} while its deletion was under way"
                yield ProductFailure(deletion.external_id, text, "transport")
        unsent = [deletion.external_id for deletion in self._deliveries if not deletion.stats.requests]
        for external_id in (*unsent, *self._waiting):
            yield ProductFailure(external_id, f"not deleted: {reason}", "transport", unsent=True)
        self._waiting.clear()

    def _unread(self, item: Any, reason: str) -> ProductFailure:
        return ProductFailure(_readable(item), f"not deleted: {reason}", "transport", unsent=True)


def _as_it_is(item: Any) -> Any:
    return item


def _readable(item: object) -> str | None:
    return item if isinstance(item, str) and item else None


def _id_problem(item: object) -> str | None:
    if not isinstance(item, str) or not item:
        return f"externalId: must be text that is not empty, got {item!r}"
    try:
        item.encode()
    except UnicodeEncodeError:
        return "externalId: holds a lone surrogate, which UTF-8 cannot express"
    return None
