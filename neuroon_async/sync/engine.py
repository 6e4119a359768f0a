"""The bulk sync: products in, batches out, every product accounted for.

    source ─► check ─► Flow (order) ─► batch of ≤ 500 and ≤ max_batch_bytes ─► request ─► accepted or narrowed down

A delivery sees one batch through to its end: it splits what is too large, narrows down what is refused as a whole, and
defers variants whose parents the server does not know. Retries and rate limits are the transport's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..contract import DEFAULT_MAX_BATCH_BYTES, MAX_BATCH_PRODUCTS, SYNC_PRODUCTS, SyncMode
from ..errors import (
    APIError,
    AuthenticationFailed,
    ConfigurationError,
    InvalidProduct,
    NeuroonError,
    PermissionDenied,
    RateLimited,
    ServerError,
    TransportError,
    UnprocessableEntity,
    UnsafeFullSync,
    ValidationFailed,
)
from ..idempotency import idempotency_key
from ..models import BatchResult, Product
from ..validation import plainly_valid
from .batches import as_mode, as_product, encode_batch
from .bulk import BulkRun
from .deferred import DeferredVariants
from .narrowing import MAX_REFUSALS_IN_A_ROW, halves, missing_parents, pieces
from .order import Flow, parent_of
from .outage import Outage
from .report import ProductFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from ..transport import Transport
    from .order import Flight
    from .recorder import FailureCallback, ProgressCallback
    from .report import Stage

__all__ = ["SyncOptions", "SyncRun"]

_CROWDED = 4
"""Batches' worth of waiting products at which reading stops until something in flight has landed."""


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """How a bulk sync goes about it. Raises `ConfigurationError`."""

    mode: SyncMode | str = SyncMode.INCREMENTAL
    concurrency: int = 8
    batch_size: int = MAX_BATCH_PRODUCTS
    max_batch_bytes: int = DEFAULT_MAX_BATCH_BYTES
    allow_multi_request_full: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", as_mode(self.mode))
        if self.concurrency < 1:
            raise ConfigurationError(f"concurrency must be 1 or more, got {self.concurrency}")
        if not 1 <= self.batch_size <= MAX_BATCH_PRODUCTS:
            raise ConfigurationError(f"batch_size must lie in 1..{MAX_BATCH_PRODUCTS}, got {self.batch_size}")
        if self.max_batch_bytes < 1:
            raise ConfigurationError(f"max_batch_bytes must be 1 or more, got {self.max_batch_bytes}")

    @property
    def full(self) -> bool:
        return self.mode is SyncMode.FULL

    @property
    def single_request(self) -> bool:
        """Must everything fit into one request?"""
        return self.full and not self.allow_multi_request_full


class Delivery:
    """One batch on its way: the flight, and those of its pieces whose fate is open (the next one last)."""

    __slots__ = ("flight", "open", "refusals")

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        self.open = [flight.products]
        self.refusals = 0
        """Refused pieces since the last accepted one."""


class SyncRun(BulkRun[Delivery]):
    """One bulk sync of one source."""

    def __init__(
        self,
        transport: Transport,
        source: Iterable[Any] | AsyncIterable[Any],
        options: SyncOptions,
        *,
        on_progress: ProgressCallback | None,
        on_failure: FailureCallback | None,
    ) -> None:
        # Requests of a FULL sync must not overtake one another.
        concurrency = 1 if options.full else options.concurrency
        super().__init__(source, concurrency=concurrency, on_progress=on_progress, on_failure=on_failure)
        self.chunk_size = options.batch_size
        self._transport = transport
        self._params = {"shop_id": transport.settings.shop_id}
        self._options = options
        self._mode = SyncMode(options.mode)
        self._max_batch_bytes = options.max_batch_bytes
        self._flow = Flow()
        self._outage = Outage(transport.retry)
        self._deferred: DeferredVariants | None = None
        """Not ``None`` once the server has missed a parent: from then on variants wait for the end of the source."""
        self._source_ended = False

    # Reading

    async def _admit(self, chunk: list[Any]) -> None:
        products = []
        failures = []
        for item in chunk:
            if type(item) is Product and plainly_valid(item):
                products.append(item)
                continue
            if isinstance(item, ProductFailure):  # a reader's complaint about a record
                failures.append(item)
                continue
            try:
                products.append(as_product(item))
            except InvalidProduct as error:
                failures.append(ProductFailure(error.external_id, error.reason, "local", None, item))
        if failures:
            self._recorder.failed(failures)
            await self._recorder.tell()
        self._enqueue(products)

    def _enqueue(self, products: list[Product]) -> None:
        if self._deferred is not None and not self._source_ended:
            variants = [product for product in products if parent_of(product) is not None]
            products = [product for product in products if parent_of(product) is None]
            self._report.superseded += len(self._deferred.discard(product.external_id for product in products))
            self._report.superseded += len(self._deferred.add_newer(variants))
        self._report.superseded += len(self._flow.add(products))

    # Sending

    async def _read_and_deliver(self) -> None:
        await super()._read_and_deliver()
        self._source_ended = True
        while self._deferred:
            await self._deliver_deferred(self._deferred)

    async def _deliver_deferred(self, deferred: DeferredVariants) -> None:
        """One pass over the variants that waited. Those whose parent is itself a variant may need another one."""
        settled_before = self._report.accepted + self._report.failed
        end = deferred.last_position()
        while chunk := deferred.pop(self._options.batch_size, end):
            self._enqueue(chunk)
            await self._dispatch(final=False)
        await self._dispatch(final=True)
        if self._report.accepted + self._report.failed == settled_before:
            reason = "its parent is in neither the batch nor the catalog: the variants name one another as parents"
            end = deferred.last_position()
            while chunk := deferred.pop(self._options.batch_size, end):
                self._recorder.failed(_failures(chunk, reason, "server", 422))
            await self._recorder.tell()

    async def _dispatch(self, *, final: bool) -> None:
        if self._options.single_request and not final:
            self._refuse_several_requests(len(self._flow), f"{MAX_BATCH_PRODUCTS} products", MAX_BATCH_PRODUCTS)
            return None
        size = MAX_BATCH_PRODUCTS if self._options.single_request else self._options.batch_size
        while len(self._flow) >= (1 if final else size):
            await self._free_place()
            crowded = len(self._flow) >= _CROWDED * size
            flight = self._flow.take(size, self._worth_sending(size, final=final, crowded=crowded))
            if flight is not None:
                await self._send_flight(flight)
            elif final or crowded:
                await self._next_landing()
            else:
                return None
        while final and self._deliveries:
            await self._next_landing()
            if len(self._flow):
                return await self._dispatch(final=True)
        return None

    def _worth_sending(self, size: int, *, final: bool, crowded: bool) -> int:
        """How many products make a request worthwhile now: requests are what the rate limit counts."""
        if self._deferred is not None and final and self._deliveries:
            return size  # what is in flight may come back and fill the batch
        return 1 if final or crowded else (size + 1) // 2

    def _refuse_several_requests(self, amount: int, most: str, limit: int) -> None:
        if amount > limit:
            raise UnsafeFullSync(
                f"a FULL sync of more than {most} needs several requests, and the API documents nowhere how several "
                "requests make one FULL sync: each may erase what the others brought. Nothing was sent. Use "
                "mode='INCREMENTAL' (with a ledger and delete_missing=True where absent products must go), or pass "
                "allow_multi_request_full=True if you know how your server takes it"
            )

    async def _send_flight(self, flight: Flight) -> None:
        body = await self._fitting_body(flight)
        if body is None:
            self._flow.land(flight)
        else:
            delivery = Delivery(flight)
            self._launch(delivery, self._deliver(delivery, body))

    async def _fitting_body(self, flight: Flight) -> bytes | None:
        """Encode the batch. What is too much goes back to the queue; what cannot be sent at all fails."""
        most = self._max_batch_bytes
        while flight.products:
            try:
                body = encode_batch(self._mode, flight.products)
            except InvalidProduct as error:
                await self._drop(flight, error.external_id, error.reason)
                continue
            count = len(flight.products)
            if len(body) <= most:
                return body
            if count == 1:
                reason = f"alone makes a request of {len(body):,} bytes, and max_batch_bytes is {most:,}"
                await self._drop(flight, flight.products[0].external_id, reason)
                continue
            if self._options.single_request:
                self._refuse_several_requests(len(body), f"{most:,} bytes", most)
            self._report.superseded += len(self._flow.shorten(flight, max(1, count * most * 19 // (len(body) * 20))))
        return None

    async def _drop(self, flight: Flight, external_id: str | None, reason: str) -> None:
        product = self._flow.drop(flight, external_id)
        self._recorder.failed([ProductFailure(external_id, reason, "local", None, product)])
        await self._recorder.tell()

    # One delivery

    async def _deliver(self, delivery: Delivery, body: bytes | None) -> None:
        """See a batch through until the fate of all its pieces is known. Settling is never interrupted half-way."""
        while delivery.open:
            products = delivery.open[-1]
            body = body or encode_batch(self._mode, products)
            try:
                result = await self._request(body)
            except (AuthenticationFailed, PermissionDenied):
                raise
            except NeuroonError as error:
                delivery.open.pop()
                hopeless = self._settle_refused(delivery, products, body, error)
                if hopeless and self._outage.failed_for_good():
                    raise
            else:
                delivery.open.pop()
                delivery.refusals = 0
                self._outage.accepted()
                self._settle_answered(products, result)
            body = None
            await self._recorder.tell()
        self._flow.land(delivery.flight)

    async def _request(self, body: bytes) -> BatchResult:
        """One request with all the transport's retries, again and again while the whole service is down."""
        rounds = 0
        answers = self._outage.answers
        while True:
            try:
                answer = await self._transport.call(
                    SYNC_PRODUCTS,
                    params=self._params,
                    body=body,
                    idempotency_key=idempotency_key(self._params["shop_id"], body),
                    bulk=True,
                    stats=self._recorder.stats,
                )
            except (TransportError, ServerError, RateLimited):
                rounds += 1
                if not await self._outage.rode_out(answers, rounds):
                    raise
            except APIError:
                self._outage.answered()
                raise
            else:
                self._outage.answered()
                return self._transport.decode(answer, BatchResult)

    def _settle_answered(self, products: list[Product], result: BatchResult) -> None:
        if not result.errors and not result.failed:
            self._recorder.accepted(len(products), result)
            return
        reasons = {error.external_id: error.error or "refused without a reason" for error in result.errors or ()}
        refused = [product for product in products if product.external_id in reasons]
        reported = max(result.failed or 0, len(result.errors or ()))
        unnamed = min(max(0, reported - len(refused)), len(products) - len(refused))
        self._recorder.accepted(len(products) - len(refused) - unnamed, result)
        self._recorder.failed(
            ProductFailure(product.external_id, reasons[product.external_id], "server", 200, product)
            for product in refused
        )
        reason = f"the server reported {reported} failed products of a batch of {len(products)} without naming this one"
        self._recorder.failed(ProductFailure(None, reason, "server", 200) for _ in range(unnamed))

    def _settle_refused(self, delivery: Delivery, products: list[Product], body: bytes, error: NeuroonError) -> bool:
        """Decide what becomes of a piece that was not accepted. ``True`` where that bodes ill for the next ones too."""
        delivery.refusals += 1
        status = error.status if isinstance(error, APIError) else None
        splittable = len(products) > 1 and not self._options.full
        if status == 413 and splittable:
            self._max_batch_bytes = min(self._max_batch_bytes, max(1, len(body) // 2))
            delivery.open.extend(reversed(halves(products)))
            return False
        if isinstance(error, (ValidationFailed, UnprocessableEntity)):
            if delivery.refusals >= MAX_REFUSALS_IN_A_ROW:
                self._give_up(delivery, products, error)
                return True
            if not self._options.full and self._settle_missing_parents(delivery, products, error):
                return False
            if splittable:
                delivery.open.extend(reversed(pieces(products, error)))
                return False
            self._recorder.failed(_failures(products, str(error), "server", status))
            return False
        self._recorder.failed(_failures(products, str(error), _stage(error), status))
        return True

    def _give_up(self, delivery: Delivery, products: list[Product], error: APIError) -> None:
        rest = [product for piece in (products, *reversed(delivery.open)) for product in piece]
        delivery.open.clear()
        reason = f"{error}; {delivery.refusals} pieces of its batch were refused in a row, so it was not tried alone"
        self._recorder.failed(_failures(rest, reason, "server", error.status))

    # Variants whose parents are missing

    def _settle_missing_parents(self, delivery: Delivery, products: list[Product], error: APIError) -> bool:
        """Set aside variants whose parents may still come. ``False`` where the refusal is about something else."""
        missing = missing_parents(error)
        orphans = [product for product in products if parent_of(product) in missing]
        if not orphans:
            return False
        if self._deferred is None or not self._source_ended:
            self._defer(products)
            return True
        # The source has ended: a parent that does not wait here itself will never come.
        late = [product for product in orphans if (parent_of(product) or "") in self._deferred]
        self._report.superseded += len(self._deferred.add_older(late))
        late_ids = {product.external_id for product in late}
        lost = [product for product in orphans if product.external_id not in late_ids]
        self._recorder.failed(_failures(lost, str(error), "server", error.status))
        orphan_ids = {product.external_id for product in orphans}
        rest = [product for product in products if product.external_id not in orphan_ids]
        if rest:
            delivery.open.append(rest)
        return True

    def _defer(self, products: list[Product]) -> None:
        """Let the variants of a refused batch wait for the end of the source, and all later ones with them.

        The rest goes back to the queue, to fill up further batches.
        """
        if self._deferred is None:
            self._deferred = DeferredVariants()
        staying = _with_parents_present(products)
        staying_ids = {product.external_id for product in staying}
        variants = [product for product in products if product.external_id not in staying_ids]
        newest = [product for product in variants if product.external_id not in self._flow]
        self._report.superseded += len(variants) - len(newest)
        self._report.superseded += len(self._deferred.add_older(newest))
        self._report.superseded += len(self._deferred.add_newer(self._flow.remove_variants()))
        self._report.superseded += len(self._flow.put_back(staying))

    # The end

    def _unresolved(self, reason: str) -> Iterable[ProductFailure]:
        for delivery in self._deliveries:
            for piece in delivery.open:
                text = f"{reason} while its batch was under way: the server may or may not have taken it"
                yield from _failures(piece, text, "transport", None)
        text = f"not sent: {reason}"
        yield from _failures(self._flow.remove_all(), text, "transport", None)
        while self._deferred:
            yield from _failures(
                self._deferred.pop(self._options.batch_size, self._deferred.last_position()), text, "transport", None
            )

    def _unread(self, item: Any, reason: str) -> ProductFailure:
        if isinstance(item, ProductFailure):
            return item
        external_id = item.external_id if isinstance(item, Product) else None
        return ProductFailure(external_id, f"not sent: {reason}", "transport", None, item)

    def _release(self) -> None:
        if self._deferred is not None:
            self._deferred.close()


def _failures(products: Iterable[Product], reason: str, stage: Stage, status: int | None) -> Iterable[ProductFailure]:
    return (ProductFailure(product.external_id, reason, stage, status, product) for product in products)


def _stage(error: NeuroonError) -> Stage:
    return "server" if isinstance(error, APIError) else "transport"


def _with_parents_present(products: list[Product]) -> list[Product]:
    """Those that need no parent from outside of this batch."""
    present = {product.external_id: product for product in products}
    while True:
        lacking = [
            product
            for product in present.values()
            if (parent := parent_of(product)) is not None and parent not in present
        ]
        if not lacking:
            return list(present.values())
        for product in lacking:
            del present[product.external_id]
