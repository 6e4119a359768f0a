"""One batch on its way, until the fate of each of its products is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import (
    APIError,
    AuthenticationFailed,
    ConfigurationError,
    NeuroonError,
    PermissionDenied,
    RateLimited,
    ResponseDecodeError,
    UnprocessableEntity,
    ValidationFailed,
)
from ..ledger.protocols import LedgerError
from ..report import ProductFailure
from .bisection import Bisection, halves, missing_parents, refused_items
from .outages import by_firewall
from .outgoing import decoded, encode_outgoing
from .queue import parent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..api.contract import SyncMode
    from ..api.models import Product
    from ..api.results import BatchResult
    from ..report import Stage
    from ..transport.calls import CallStats
    from .changes import ChangeDetector
    from .options import BatchLimits
    from .outages import ServiceHealth
    from .outgoing import Outgoing
    from .queue import Batch, SendQueue
    from .recorder import Recorder
    from .sender import BatchSender
    from .variants import VariantHold

__all__ = ["BatchDelivery", "Delivery", "end_of", "failures_of"]

_TOO_LARGE = 413
_MANY_REFUSALS = 8
"""Refusals in a row for missing parents after which the rest of a batch is tried in halves."""


class Delivery:
    """The state of one batch: what was taken from the queue, the pieces still open, and what it cost so far."""

    __slots__ = ("batch", "digests", "open", "recorded", "stats")

    def __init__(self, batch: Batch, digests: dict[str, bytes], stats: CallStats) -> None:
        self.batch: Batch = batch
        self.digests: dict[str, bytes] = digests
        """Of the products as they were when the request was encoded; none without a ledger."""
        self.open: Bisection = Bisection(batch.products)
        self.stats: CallStats = stats
        self.recorded: int = 0
        """Products recorded as the server's."""


class BatchDelivery:
    """Sends batches: narrows down what is refused as a whole, and lets variants wait whose parents are missing.

    With ``whole`` batches, as a FULL sync has them, nothing is taken apart and nothing waits.
    """

    def __init__(
        self,
        *,
        mode: SyncMode,
        sender: BatchSender,
        changes: ChangeDetector,
        queue: SendQueue,
        hold: VariantHold,
        limits: BatchLimits,
        health: ServiceHealth,
        recorder: Recorder,
        redact: Callable[[str], str],
        whole: bool,
    ) -> None:
        self._mode = mode
        self._sender = sender
        self._changes = changes
        self._queue = queue
        self._hold = hold
        self._limits = limits
        self._health = health
        self._recorder = recorder
        self._redact = redact
        self._whole = whole

    async def deliver(self, delivery: Delivery, body: bytes) -> None:
        """See a batch through. Between an answer and its settling nothing is awaited: no cancellation comes between.

        Raises what should stop the run. What is open then is accounted for at its end.
        """
        await self._changes.invalidate(delivery.batch.ids)
        pieces = delivery.open
        while (piece := pieces.next_piece()) is not None:
            if piece is not delivery.batch.products:
                body = encode_outgoing(self._mode, piece)
                delivery.digests = self._changes.digests(piece, body)
            try:
                result = await self._sender.send(body, delivery.stats)
            except (ConfigurationError, LedgerError):  # the client was closed, or the ledger is another run's by now
                raise
            except NeuroonError as error:
                pieces.settled()
                if self._settle_refused(delivery, piece, len(body), error):
                    raise
            else:
                pieces.settled()
                pieces.accepted(piece)
                self._health.accepted()
                accepted = self._settle_answered(pieces, piece, result)
                await self._changes.record(accepted, delivery.digests, overtakable=delivery.stats.overtakable)
                self._recorder.acknowledged(accepted)
                delivery.recorded += len(accepted)
            await self._recorder.notify()
        self._give_up(pieces)
        if not delivery.stats.overtakable and delivery.recorded < len(delivery.batch.ids):
            await self._changes.answered(delivery.batch.ids)
        self._recorder.costs.end(delivery.stats)
        await self._recorder.notify()
        self._queue.done(delivery.batch)

    def _settle_answered(self, pieces: Bisection, sent: Sequence[Outgoing], result: BatchResult) -> Sequence[Outgoing]:
        """Returns the products that were certainly accepted; empty if the server reported failures without ids."""
        named, unnamed = refused_items(sent, result)
        # The reasons are the server's words, and are shown.
        named = {external_id: self._redact(reason) for external_id, reason in named.items()}
        unnamed = [self._redact(reason) for reason in unnamed]
        self._recorder.accepted(len(sent) - len(named) - len(unnamed), result)
        if not named and not unnamed:
            return sent
        piece = decoded(sent)
        waiting: set[str] = set() if self._whole else self._await_parents(pieces, piece, named)
        self._recorder.failed(
            ProductFailure(product.external_id, named[product.external_id], "server", 200, product)
            for product in piece
            if product.external_id in named and product.external_id not in waiting
        )
        self._recorder.failed(ProductFailure(None, reason, "server", 200) for reason in unnamed)
        if unnamed:
            self._recorder.unacknowledged(piece)
            return []
        return [product for product in piece if product.external_id not in named]

    def _settle_refused(self, delivery: Delivery, sent: Sequence[Outgoing], size: int, error: NeuroonError) -> bool:
        """Decide what to do with a piece that was not accepted. ``True`` where the run should stop."""
        delivery.open.refusals += 1
        if not self._whole and self._stays_open(delivery.open, sent, size, error):
            return False
        stage, status = end_of(error)
        unsent = not delivery.stats.requests
        self._recorder.failed(failures_of(sent, str(error), stage, status, unsent=unsent))
        if isinstance(error, (ValidationFailed, UnprocessableEntity)):
            return False
        if by_firewall(error) and not self._whole:
            return self._health.kept_out(error)
        if isinstance(error, (AuthenticationFailed, PermissionDenied)):
            return True
        return self._health.too_large() if status == _TOO_LARGE else self._health.failed_for_good()

    def _stays_open(self, pieces: Bisection, sent: Sequence[Outgoing], size: int, error: NeuroonError) -> bool:
        """Whether the products of a refused piece are sent again, in smaller ones, or wait for their parents."""
        if not isinstance(error, APIError):
            return False
        if error.status == _TOO_LARGE and len(sent) > 1:
            self._limits.too_large(size)
            pieces.split(sent)
            return True
        of_products = isinstance(error, (ValidationFailed, UnprocessableEntity))
        if not of_products and not by_firewall(error):
            return False
        piece = decoded(sent)
        if of_products and self._settle_missing_parents(pieces, piece, error):
            return True
        if len(piece) > 1:
            pieces.refused(piece, error)
        return len(piece) > 1

    def _give_up(self, pieces: Bisection) -> None:
        """Fail what was postponed, and stop the run where too many batches before failed likewise."""
        given_up = pieces.give_up()
        if given_up is None:
            return
        rest, error = given_up
        reason = f"{error}; {pieces.refusals} pieces of its batch were refused in a row, so it was not tried alone"
        self._recorder.failed(failures_of(rest, reason, "server", error.status))
        if self._health.failed_for_good():
            raise error

    def _settle_missing_parents(self, pieces: Bisection, piece: list[Product], error: APIError) -> bool:
        """Set aside variants whose parents may still come. ``False`` where the refusal is about something else."""
        missing = missing_parents(error.message)
        orphans = [product for product in piece if parent_of(product) in missing]
        if not orphans:
            return False
        if not self._hold.releasing:
            self._hold.defer(piece, missing)
            return True
        rest = [product for product in piece if parent_of(product) not in missing]
        # One more refusal names one more parent. Where many are missing, halves let the others through.
        pieces.push(*(halves(rest) if pieces.refusals > _MANY_REFUSALS else [rest]))
        late = self._hold.defer_late(orphans, pieces)
        lost = [product for product in orphans if product.external_id not in late]
        self._recorder.failed(failures_of(lost, str(error), "server", error.status))
        return True

    def _await_parents(self, pieces: Bisection, piece: list[Product], named: dict[str, str]) -> set[str]:
        """The ids of those variants, refused one by one within an accepted batch, that now wait for their parents."""
        refused = [product for product in piece if product.external_id in named]
        orphans = [product for product in refused if parent_of(product) in missing_parents(named[product.external_id])]
        if not orphans:
            return set()
        if self._hold.releasing:
            return self._hold.defer_late(orphans, pieces)
        self._hold.defer(orphans, {parent_of(product) for product in orphans})
        return {product.external_id for product in orphans}


def failures_of(
    products: Iterable[Outgoing], reason: str, stage: Stage, status: int | None, *, unsent: bool = False
) -> Iterable[ProductFailure]:
    """One failure for each of these products."""
    return (
        ProductFailure(product.external_id, reason, stage, status, product, unsent) for product in decoded(products)
    )


def end_of(error: NeuroonError) -> tuple[Stage, int | None]:
    """Where this error ends a product, and the answer's status. What the client's own limit held back met no server."""
    if isinstance(error, RateLimited) and error.local:
        return "transport", None
    status = error.status if isinstance(error, (APIError, ResponseDecodeError)) else None
    return "server" if isinstance(error, APIError) else "transport", status
