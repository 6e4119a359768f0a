"""The bulk sync: products in, batches out, every product accounted for.

    source ─► check ─► Flow (order) ─► batch of ≤ 500 and ≤ max_batch_bytes ─► request ─► accepted or narrowed down

A delivery sees one batch through to its end: it splits what is too large, narrows down what is refused as a whole, and
defers variants whose parents the server does not know. Retries and rate limits are the transport's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..api.contract import DEFAULT_MAX_BATCH_BYTES, MAX_BATCH_PRODUCTS, SYNC_PRODUCTS, SyncMode
from ..api.idempotency import idempotency_key
from ..api.models import Product
from ..api.requests import as_mode, encode_batch
from ..api.results import BatchResult
from ..errors import (
    APIError,
    AuthenticationFailed,
    ConfigurationError,
    InvalidProduct,
    NeuroonError,
    PermissionDenied,
    RateLimited,
    ResponseDecodeError,
    ServerError,
    TransportError,
    UnprocessableEntity,
    UnsafeFullSync,
    UsageError,
    ValidationFailed,
)
from ..ledger.pages import content_digests
from ..ledger.protocols import Ledger
from ..report import ProductFailure
from .bisection import MAX_REFUSALS_IN_A_ROW, halves, missing_parents, pieces, refused_items
from .changes import Delta
from .deferred import VariantStore
from .deletion import DeleteRun
from .intake import checked, converter, unfit_for_full
from .outages import Ride
from .queue import Flow, parent_of
from .run import BulkRun, check_callback, check_count

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Collection, Iterable
    from collections.abc import Set as AbstractSet

    from ..report import Stage, SyncReport
    from ..transport.calls import CallStats
    from ..transport.transport import Transport
    from .queue import Flight
    from .recorder import FailureCallback, ProgressCallback

__all__ = ["SyncOptions", "SyncRun"]

_CROWDED = 4
"""Batches' worth of waiting products at which reading stops until something in flight has landed."""
_MANY_REFUSALS = 8
"""Refusals in a row for missing parents after which the rest of a batch is tried in halves."""


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """How a bulk sync goes about it. Raises `UsageError`."""

    mode: SyncMode | str = SyncMode.INCREMENTAL
    concurrency: int = 8
    batch_size: int = MAX_BATCH_PRODUCTS
    max_batch_bytes: int = DEFAULT_MAX_BATCH_BYTES
    allow_multi_request_full: bool = False
    ledger: Ledger | None = None
    delete_missing: bool = False
    max_delete_fraction: float = 0.2
    to_product: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", as_mode(self.mode))
        check_count("concurrency", self.concurrency)
        check_count("batch_size", self.batch_size, MAX_BATCH_PRODUCTS)
        check_count("max_batch_bytes", self.max_batch_bytes)
        check_callback("to_product", self.to_product)
        if self.ledger is not None and not callable(getattr(self.ledger, "run", None)):
            kind = type(self.ledger).__name__
            raise UsageError(f"must be a Ledger, such as SQLiteLedger('catalog.ledger'), got {kind}", where="ledger")
        if self.full and self.ledger is not None:
            raise UsageError("leaves unchanged products out, which a FULL sync would erase", where="ledger")
        if self.delete_missing and self.ledger is None:
            raise UsageError("needs a ledger: only that knows what was there before", where="delete_missing")
        if not 0 <= self.max_delete_fraction <= 1:
            raise UsageError(f"must lie in 0..1, got {self.max_delete_fraction}", where="max_delete_fraction")

    @property
    def full(self) -> bool:
        return self.mode is SyncMode.FULL

    @property
    def single_request(self) -> bool:
        """Must everything fit into one request?"""
        return self.full and not self.allow_multi_request_full


class Delivery:
    """One batch on its way: the flight, and those of its pieces whose fate is open (the next one last)."""

    __slots__ = ("believes", "digests", "flight", "last_refusal", "open", "refusals", "shelved", "stats", "suspects")

    def __init__(self, flight: Flight, digests: dict[str, bytes], stats: CallStats) -> None:
        self.stats = stats
        self.flight = flight
        self.digests = digests
        """Of the products as they were when the request was encoded; none without a ledger."""
        self.open = [flight.products]
        self.refusals = 0
        """Refused pieces since the last accepted one."""
        self.shelved: list[list[Product]] = []
        """Pieces refused after too many others were: taken apart only if another one is accepted."""
        self.last_refusal: APIError | None = None
        self.suspects: list[Product] | None = None
        self.believes = True
        """Until a product that the server's message pointed at turns out to be good."""

    def accepted(self, piece: list[Product]) -> None:
        self.refusals = 0
        if piece is self.suspects:
            self.believes = False
        for shelved in self.shelved:
            self.open.extend(reversed(halves(shelved)))
        self.shelved = []

    def refused(self, piece: list[Product], error: APIError) -> None:
        """Take the piece apart, or put it aside where too many were refused in a row."""
        self.last_refusal = error
        if self.refusals >= MAX_REFUSALS_IN_A_ROW:
            self.shelved.append(piece)
            return
        parts = pieces(piece, error, believe=self.believes)
        self.suspects = parts[0]
        self.open.extend(reversed(parts))


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
        super().__init__(
            transport,
            source,
            # What a ledger holds need not be checked: it was, when it was sent.
            convert=converter(options.to_product, check=options.ledger is None),
            concurrency=concurrency,
            on_progress=on_progress,
            on_failure=on_failure,
        )
        self.chunk_size = options.batch_size
        self._params = {"shop_id": transport.settings.shop_id}
        self._options = options
        self._mode = SyncMode(options.mode)
        self._max_batch_bytes = options.max_batch_bytes
        self._flow = Flow()
        self._deferred: VariantStore | None = None
        """Not ``None`` once the server has missed a parent: from then on variants wait for the end of the source.

        All products of a FULL sync in several requests do, because nothing may be sent before the last one is checked.
        """
        self._spools = options.full and options.allow_multi_request_full
        if self._spools:
            self._deferred = VariantStore()
        self._source_ended = False
        self._keys: dict[str, int] = {}
        """How often each body was sent: one entry a request."""
        self._delta: Delta | None = None

    async def run(self) -> SyncReport:
        if self._options.ledger is None:
            return await super().run()
        settings = self._transport.settings
        async with self._options.ledger.run(f"{settings.base_url} {settings.shop_id}") as ledger:
            self._delta = Delta(ledger, watch_missing=self._options.delete_missing)
            return await super().run()

    # Reading

    def _take_in(self, portion: list[Any]) -> None:
        if self._delta is None:
            self._check_in(portion)
        else:
            self._leave_out(self._delta.screen(portion, self._flow.ids_in_flight))

    async def _chunk_ended(self) -> None:
        if self._delta is not None:
            if self._source.exhausted:
                self._leave_out(self._delta.screen_rest(self._flow.ids_in_flight))
            if self._source.exhausted or self._delta.undecided >= self.chunk_size:
                items, unchanged = await self._delta.compare(self._flow.ids_in_flight.copy())
                failures = self._check_in(items)
                self._leave_out(unchanged)  # after that: older versions may have been among the items
                await self._delta.note_failures(failures)
        await super()._chunk_ended()

    def _check_in(self, items: list[Any]) -> list[ProductFailure]:
        """Queue the products that may be sent. Returns what became of the others."""
        products, failures = self._checked(items)
        self._recorder.failed(failures)
        self._enqueue(products)
        return failures

    def _leave_out(self, unchanged: AbstractSet[str]) -> None:
        """Count what the server holds already. Older versions of it that wait here are not needed any more."""
        self._report.unchanged += len(unchanged)
        self._report.superseded += len(self._flow.remove(unchanged))
        if self._deferred is not None:
            self._report.superseded += len(self._deferred.discard(unchanged))

    def _checked(self, items: list[Any]) -> tuple[list[Product], list[ProductFailure]]:
        products: list[Product] = []
        failures: list[ProductFailure] = []
        for item in items:
            product = item if self._delta is None or isinstance(item, ProductFailure) else checked(item)
            if isinstance(product, Product) and self._options.full:
                product = unfit_for_full(product, self._options.max_batch_bytes) or product
            if isinstance(product, ProductFailure):
                failures.append(product)
            else:
                products.append(product)
        return products, failures

    def _enqueue(self, products: list[Product]) -> None:
        """Queue what was read. A product waits in its newest version only: in the flow or among the deferred."""
        if self._deferred is not None and not self._source_ended:
            newest = {product.external_id: product for product in products}
            older = len(self._flow.remove(newest.keys())) + len(self._deferred.discard(newest))
            self._report.superseded += len(products) - len(newest) + older
            waiting = [product for product in newest.values() if self._spools or parent_of(product) is not None]
            self._deferred.add(waiting)
            products = [] if self._spools else [product for product in newest.values() if parent_of(product) is None]
        self._report.superseded += len(self._flow.add(products))

    # Sending

    async def _read_and_deliver(self) -> None:
        await super()._read_and_deliver()
        self._source_ended = True
        while self._deferred:
            await self._deliver_deferred(self._deferred)
        if self._delta is not None and self._options.delete_missing and self._source.error is None:
            await self._delete_missing(self._delta)

    async def _delete_missing(self, delta: Delta) -> None:
        """Delete what the source no longer has. A deletion that fails counts as received and as failed."""
        if not await delta.check_deletion(self._report.received, self._options.max_delete_fraction):
            return

        async def deleted(external_id: str) -> None:
            self._report.deleted += 1
            await delta.forget(external_id)

        def failed(failure: ProductFailure) -> None:
            self._report.received += 1
            self._recorder.failed([failure])

        await DeleteRun(
            self._transport,
            delta.missing_ids(),
            concurrency=self._concurrency,
            on_progress=None,
            on_failure=failed,
            on_deleted=deleted,
            costs=self._recorder.costs,
        ).run()

    async def _deliver_deferred(self, deferred: VariantStore) -> None:
        """Send the variants that waited. Those that the server sends back once more are left for another round."""
        settled_before = self._report.accepted + self._report.failed
        unsent = len(deferred)
        while unsent > 0 and (released := await self._release_deferred(deferred)):
            unsent -= released
        if self._spools:  # what is left names one another as parents: the server must judge
            self._enqueue(deferred.pop(len(deferred), deferred.last_position()))
        await self._dispatch(final=True)
        if self._report.accepted + self._report.failed == settled_before:
            reason = "its parent is in neither the batch nor the catalog: the variants name one another as parents"
            end = deferred.last_position()
            while chunk := deferred.pop(self._options.batch_size, end):
                self._recorder.failed(_failures(chunk, reason, "server", 422))
            await self._recorder.tell()

    async def _release_deferred(self, deferred: VariantStore) -> int:
        """One pass: queue those whose parents no longer wait here themselves. Returns how many."""
        released = 0
        end = deferred.last_position()
        while chunk := deferred.pop(self._options.batch_size, end):
            while behind_parent := {p.external_id: p for p in chunk if parent_of(p) in deferred}:
                deferred.add(list(behind_parent.values()))
                chunk = [product for product in chunk if product.external_id not in behind_parent]
            released += len(chunk)
            self._enqueue(chunk)
            await self._dispatch(final=False)
        return released

    async def _dispatch(self, *, final: bool) -> None:
        self._check_disk()
        if self._options.full and self._source.error is not None:
            raise self._source.error  # a FULL sync of a part of the catalog would erase the rest
        if self._options.full and final and self._report.failed and not self._recorder.costs.total().requests:
            raise _unsendable(self._report.failed)
        if self._options.single_request and not final:
            if len(self._flow) > MAX_BATCH_PRODUCTS:
                raise _unsafe_full_sync(f"{MAX_BATCH_PRODUCTS} products")
            return None
        size = MAX_BATCH_PRODUCTS if self._options.single_request else self._options.batch_size
        while len(self._flow) >= (1 if final else size):
            await self._free_place()
            crowded = len(self._flow) >= _CROWDED * size
            flight = self._flow.take(size, self._worth_sending(size, final=final, crowded=crowded))
            if flight is not None:
                await self._send_flight(flight)
            elif self._deliveries and (final or crowded):  # while a place was awaited, all may have been held back
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

    async def _send_flight(self, flight: Flight) -> None:
        body = self._fitting_body(flight)
        if body is None:
            self._flow.land(flight)
        else:
            delivery = Delivery(flight, self._digests(flight.products), self._recorder.costs.begin())
            self._launch(delivery, partial(self._deliver, delivery, body))
        await self._recorder.tell()

    def _fitting_body(self, flight: Flight) -> bytes | None:
        """Encode the batch. What is too much goes back to the queue; what cannot be sent at all fails."""
        while flight.products:
            try:
                body = encode_batch(self._mode, flight.products)
            except InvalidProduct as error:
                self._drop(flight, error.external_id, error.reason)
                continue
            count = len(flight.products)
            # What the server refused in company may be small enough alone, so one product is held to the option only.
            most = self._options.max_batch_bytes if count == 1 else self._max_batch_bytes
            if len(body) <= most:
                return body
            if count == 1:
                reason = f"alone makes a request of {len(body):,} bytes, and max_batch_bytes is {most:,}"
                self._drop(flight, flight.products[0].external_id, reason)
                continue
            keep = 0 if self._options.single_request else max(1, count * most * 19 // (len(body) * 20))
            self._report.superseded += len(self._flow.shorten(flight, keep))
            if self._options.single_request:
                raise _unsafe_full_sync(f"{most:,} bytes")
        return None

    def _drop(self, flight: Flight, external_id: str | None, reason: str) -> None:
        product = self._flow.drop(flight, external_id)
        self._recorder.failed([ProductFailure(external_id, reason, "local", None, product)])

    # One delivery

    async def _deliver(self, delivery: Delivery, body: bytes | None) -> None:
        """See a batch through until the fate of all its pieces is known. Settling is never interrupted half-way."""
        if self._delta is not None:
            await self._delta.doubt(delivery.flight.ids)
        while delivery.open:
            products = delivery.open[-1]
            if body is None:
                body = encode_batch(self._mode, products)
                delivery.digests = self._digests(products)
            try:
                result = await self._request(body, delivery.stats)
            except ConfigurationError:
                raise  # the client was closed: what is open is accounted for at the end
            except (AuthenticationFailed, PermissionDenied) as error:
                delivery.open.pop()
                self._recorder.failed(_failures(products, str(error), "server", error.status))
                raise
            except NeuroonError as error:
                delivery.open.pop()
                if self._settle_refused(delivery, products, body, error):
                    raise
            else:
                delivery.open.pop()
                delivery.accepted(products)
                self._outage.accepted()
                accepted = self._settle_answered(delivery, products, result)
                if self._delta is not None:
                    await self._delta.record(accepted, delivery.digests)
            body = None
            await self._recorder.tell()
        self._give_up_shelved(delivery)
        self._recorder.costs.end(delivery.stats)
        await self._recorder.tell()
        self._flow.land(delivery.flight)

    def _idempotency_key(self, body: bytes) -> str:
        """A body that comes again in a run is no repetition, but a product that changed back: it gets another key.

        A server that answered it from memory would keep the version in between. Which one it is counts, so the keys of
        the same source are the same after a restart. With a ledger, which remembers the versions of earlier runs, a
        body may come back after days: there every request has a key of its own.
        """
        shop_id = self._params["shop_id"]
        if self._delta is not None:
            return idempotency_key(f"{shop_id} {uuid4()}", body)
        key = idempotency_key(shop_id, body)
        self._keys[key] = occurrence = self._keys.get(key, 0) + 1
        return key if occurrence == 1 else idempotency_key(f"{shop_id} {occurrence}", body)

    def _digests(self, products: list[Product]) -> dict[str, bytes]:
        return {} if self._delta is None else content_digests(products)

    async def _request(self, body: bytes, stats: CallStats) -> BatchResult:
        """One request with all the transport's retries, again and again while the whole service is down."""
        ride = Ride(self._outage)
        key = self._idempotency_key(body)
        while True:
            try:
                answer = await self._transport.call(
                    SYNC_PRODUCTS,
                    params=self._params,
                    body=body,
                    idempotency_key=key,
                    bulk=True,
                    stats=stats,
                )
                result = self._transport.decode(answer, BatchResult)
            except (TransportError, ServerError, RateLimited, ResponseDecodeError) as error:
                # An unreadable success is a proxy's page, most likely; under the same key, asking again is safe.
                if not await ride.once_more(error):
                    raise
            except APIError:
                self._outage.answered()
                raise
            else:
                self._outage.answered()
                return result

    def _settle_answered(self, delivery: Delivery, products: list[Product], result: BatchResult) -> list[Product]:
        """Returns the products that were surely accepted: where some failed without a name, none is sure."""
        named, unnamed = refused_items(products, result)
        redact = self._transport.redact  # the reasons are the server's words, and shown
        named, unnamed = (
            {each: redact(reason) for each, reason in named.items()},
            [redact(reason) for reason in unnamed],
        )
        self._recorder.accepted(len(products) - len(named) - len(unnamed), result)
        if not named and not unnamed:
            return products
        waiting = set() if self._options.full else self._await_parents(delivery, products, named)
        self._recorder.failed(
            ProductFailure(product.external_id, named[product.external_id], "server", 200, product)
            for product in products
            if product.external_id in named and product.external_id not in waiting
        )
        self._recorder.failed(ProductFailure(None, reason, "server", 200) for reason in unnamed)
        return [] if unnamed else [product for product in products if product.external_id not in named]

    def _settle_refused(self, delivery: Delivery, products: list[Product], body: bytes, error: NeuroonError) -> bool:
        """Decide what becomes of a piece that was not accepted. ``True`` where the run should stop."""
        delivery.refusals += 1
        status = _status(error)
        inseparable = len(products) == 1 or self._options.full
        if status == 413 and not inseparable:
            self._max_batch_bytes = min(self._max_batch_bytes, max(1, len(body) // 2))
            delivery.open.extend(reversed(halves(products)))
        elif isinstance(error, (ValidationFailed, UnprocessableEntity)):
            if self._options.full or not self._settle_missing_parents(delivery, products, error):
                if inseparable:
                    self._recorder.failed(_failures(products, str(error), "server", status))
                else:
                    delivery.refused(products, error)
        else:
            self._recorder.failed(_failures(products, str(error), _stage(error), status))
            return self._outage.too_large() if status == 413 else self._outage.failed_for_good()
        return False

    def _give_up_shelved(self, delivery: Delivery) -> None:
        """Nothing else is left to try: fail what was put aside, and stop the run where that was the last straw."""
        error = delivery.last_refusal
        if error is None or not delivery.shelved:
            return
        rest = [product for piece in delivery.shelved for product in piece]
        delivery.shelved = []
        reason = f"{error}; {delivery.refusals} pieces of its batch were refused in a row, so it was not tried alone"
        self._recorder.failed(_failures(rest, reason, "server", error.status))
        if self._outage.failed_for_good():
            raise error

    # Variants whose parents are missing

    def _settle_missing_parents(self, delivery: Delivery, products: list[Product], error: APIError) -> bool:
        """Set aside variants whose parents may still come. ``False`` where the refusal is about something else."""
        missing = missing_parents(error.message)
        orphans = [product for product in products if parent_of(product) in missing]
        if not orphans:
            return False
        if not self._source_ended:
            self._defer(products, missing)
            return True
        rest = [product for product in products if parent_of(product) not in missing]
        # One more refusal names one more parent. Where many are missing, halves let the others through.
        some = halves(rest) if delivery.refusals > _MANY_REFUSALS else [rest]
        delivery.open.extend(reversed([piece for piece in some if piece]))
        late = self._defer_late(delivery, orphans)
        lost = [product for product in orphans if product.external_id not in late]
        self._recorder.failed(_failures(lost, str(error), "server", error.status))
        return True

    def _await_parents(self, delivery: Delivery, products: list[Product], named: dict[str, str]) -> set[str]:
        """The ids of those variants, refused one by one within an accepted batch, that now wait for their parents."""
        refused = [product for product in products if product.external_id in named]
        orphans = [product for product in refused if parent_of(product) in missing_parents(named[product.external_id])]
        if not orphans:
            return set()
        if self._source_ended:
            return self._defer_late(delivery, orphans)
        self._defer(orphans, {parent_of(product) for product in orphans})
        return {product.external_id for product in orphans}

    def _defer(self, products: list[Product], missing: Collection[str | None]) -> None:
        """Let the variants of a refused batch wait for the end of the source, and all later ones with them.

        The rest goes back to the queue, to fill up further batches.
        """
        if self._deferred is None:
            self._deferred = VariantStore()
            self._deferred.add(self._flow.remove_variants())
        newest = [
            product
            for product in products
            if product.external_id not in self._flow and product.external_id not in self._deferred
        ]
        self._report.superseded += len(products) - len(newest)
        staying = _with_parents_present(newest, missing)
        self._deferred.add([product for product in newest if product.external_id not in staying])
        self._flow.put_back(staying.values())

    def _defer_late(self, delivery: Delivery, orphans: list[Product]) -> set[str]:
        """The source has ended. Let those wait once more whose parents are still to be sent, and give their ids.

        A parent that waits neither in a queue nor in this batch's other pieces will never come.
        """
        if self._deferred is None:
            return set()
        still_open = {product.external_id for piece in delivery.open for product in piece}
        late = {
            product.external_id: product
            for product in orphans
            if (parent := parent_of(product)) in still_open or parent in self._flow or parent in self._deferred
        }
        self._deferred.add(list(late.values()))
        return set(late)

    # The end

    def _unresolved(self, reason: str) -> Iterable[ProductFailure]:
        begun = [delivery for delivery in self._deliveries if delivery.stats.requests]
        for delivery in begun:
            for piece in (*delivery.open, *delivery.shelved):
                text = f"{reason} while its batch was under way: the server may or may not have taken it"
                yield from _failures(piece, text, "transport", None)
        for delivery in self._deliveries:
            if not delivery.stats.requests:
                yield from (self._unread(product, reason) for piece in delivery.open for product in piece)
        if self._delta is not None:
            yield from (self._unread(item, reason) for item in self._delta.open)
        yield from (self._unread(product, reason) for product in self._flow.remove_all())
        for product in () if self._deferred is None else self._deferred.rest():
            yield self._unread(product, reason)

    def _check_disk(self) -> None:
        if self._deferred is not None:
            self._deferred.check()

    def _unread(self, item: Any, reason: str) -> ProductFailure:
        if isinstance(item, ProductFailure):
            return item
        return ProductFailure(_id_of(item), f"not sent: {reason}", "transport", product=item, unsent=True)

    def _release(self) -> None:
        if self._deferred is not None:
            self._deferred.close()


def _unsendable(count: int) -> UnsafeFullSync:
    products = "one product of the source" if count == 1 else f"{count:,} products of the source"
    return UnsafeFullSync(
        f"{products} cannot be sent, so a FULL sync would erase what the server has of them. Nothing was sent",
        unsendable=count,
        advice="mend what the report's failures name, or sync in INCREMENTAL mode",
    )


def _unsafe_full_sync(most: str) -> UnsafeFullSync:
    return UnsafeFullSync(
        f"a FULL sync of more than {most} needs several requests, and the API documents nowhere how several "
        "requests make one FULL sync: each may erase what the others brought. Nothing was sent. Use "
        "mode='INCREMENTAL' (with a ledger and delete_missing=True where absent products must go), or pass "
        "allow_multi_request_full=True if you know how your server takes it"
    )


def _failures(products: Iterable[Product], reason: str, stage: Stage, status: int | None) -> Iterable[ProductFailure]:
    return (ProductFailure(product.external_id, reason, stage, status, product) for product in products)


def _id_of(product: Product | None) -> str | None:
    """As far as it can be told of a product that nobody has checked."""
    return product.external_id if product is not None and isinstance(product.external_id, str) else None


def _status(error: NeuroonError) -> int | None:
    return error.status if isinstance(error, (APIError, ResponseDecodeError)) else None


def _stage(error: NeuroonError) -> Stage:
    return "server" if isinstance(error, APIError) else "transport"


def _with_parents_present(products: list[Product], missing: Collection[str | None]) -> dict[str, Product]:
    """Those, by id, that need no parent from outside of these products, nor one that the server misses."""
    present = {product.external_id: product for product in products if parent_of(product) not in missing}
    while True:
        lacking = [
            external_id
            for external_id, product in present.items()
            if (parent := parent_of(product)) is not None and parent not in present
        ]
        if not lacking:
            return present
        for external_id in lacking:
            del present[external_id]
