"""The catalog: syncing and deleting products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ..api.contract import DEFAULT_MAX_BATCH_BYTES, DELETE_PRODUCT, MAX_BATCH_PRODUCTS, SYNC_PRODUCTS, SyncMode
from ..api.idempotency import idempotency_key as key_for
from ..api.requests import as_mode, encode_single_request
from ..api.results import BatchResult
from ..api.values import plain_id
from ..settings import check_header_value
from ..sync.deletion import delete_products
from ..sync.options import SyncOptions
from ..sync.product_sync import sync_products

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping

    from ..api.models import Product
    from ..ledger.protocols import Ledger
    from ..report import SyncReport
    from ..sync.recorder import AcceptedCallback, FailureCallback, ProgressCallback
    from ..transport.transport import Transport

__all__ = ["ModeName", "Products"]

ModeName = Literal["INCREMENTAL", "FULL"]
"""The names of the sync modes."""


class Products:
    """``client.products``. A synced product can be searched 2 to 5 seconds after the answer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def sync_batch(
        self,
        products: Iterable[Product | Mapping[str, Any]],
        mode: ModeName | SyncMode = SyncMode.INCREMENTAL,
        idempotency_key: str | None = None,
        *,
        timeout: float | None = None,
    ) -> BatchResult:
        """Send exactly these 1 to 500 products in one request, and return the server's answer to it.

        Each is a `Product` or a mapping with camelCase or snake_case keys. Everything is checked first: a bad
        product raises `InvalidProduct`, a wrong number of them `InvalidBatch`, and nothing is sent. The idempotency
        key defaults to a hash of the shop and the body. A ``FULL`` sync removes every product it does not hold.
        ``timeout``: seconds for one attempt, instead of the client's.

        >>> result = await client.products.sync_batch([product])     # doctest: +SKIP
        """
        body = encode_single_request(as_mode(mode), products)
        shop_id = self._transport.settings.shop_id
        if idempotency_key is not None:
            check_header_value("idempotency_key", idempotency_key)
        answer = await self._transport.call(
            SYNC_PRODUCTS,
            params={"shop_id": shop_id},
            body=body,
            idempotency_key=key_for(shop_id, body) if idempotency_key is None else idempotency_key,
            timeout=timeout,
        )
        return self._transport.decode(answer, BatchResult)

    async def sync(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        mode: ModeName | SyncMode = SyncMode.INCREMENTAL,
        *,
        concurrency: int = 8,
        batch_size: int = MAX_BATCH_PRODUCTS,
        max_batch_bytes: int = DEFAULT_MAX_BATCH_BYTES,
        allow_multi_request_full: bool = False,
        ledger: Ledger | None = None,
        delete_missing: bool = False,
        max_delete_fraction: float = 0.2,
        to_product: Callable[[Any], Any] | None = None,
        flush_after: float | None = None,
        on_progress: ProgressCallback | None = None,
        on_failure: FailureCallback | None = None,
        on_accepted: AcceptedCallback | None = None,
    ) -> SyncReport:
        """Send any number of products, several requests side by side, and account for every one of them.

        The source is read only as fast as batches leave: memory depends on ``concurrency`` and ``batch_size``, not on
        its length. The last version of a product in the source is the one the server ends with, and a variant is
        never sent beside its parent. A bad product costs only itself.

        Args:
            source: An iterable or async iterable of `Product`s or mappings (camelCase or snake_case keys). A mapping
                is read, and its lists and maps are copied, before the next item is asked for: a source may fill one
                dict again and again. A `Product` is kept as it is, so do not change its lists and maps afterwards. A
                `ProductFailure` stands for a record that the source itself could not read. A source with an attribute
                ``yields_checked_products = True`` vouches for its products: they are not checked a second time.
            mode: ``"INCREMENTAL"`` (the default) creates and updates what the source holds. ``"FULL"`` also removes
                everything else; it sends nothing if any product of the source cannot be sent.
            concurrency: Requests side by side, 1 to 1,000; 8 by default. A FULL sync sends one at a time.
            batch_size: The most products of one request, 1 to 500; 500 by default.
            max_batch_bytes: The most bytes of one request's body.
            allow_multi_request_full: Lets a FULL sync take several requests, where you know how your server takes
                them. All of it is kept in a temporary file and checked before the first one leaves.
            ledger: Remembers what the server has (`SQLiteLedger`), so that only what changed is sent; none by default.
            delete_missing: After the whole source was read without an error, delete what the ledger holds and the
                source no longer has. Needs a ledger.
            max_delete_fraction: The largest part of what the ledger holds that ``delete_missing`` may delete, 0 to 1;
                0.2 by default.
            to_product: Turns each item of the source into a `Product` or a mapping. What it raises costs that item.
            flush_after: Seconds after which what was read leaves at the latest, however little it is: for a queue, a
                change feed, a stream of webhooks. By default products wait until a request is worth it. A blocking
                plain iterable is only looked at between its items.
            on_progress: Called with a `SyncProgress` at most ten times a second. Plain or async, as all callbacks.
            on_failure: Called with every `ProductFailure`; the report keeps the first 1,000.
            on_accepted: Called with every product that the source gave, in the order of its versions, once the server
                has it or a later version of it: what is acknowledged to a queue then is safe.

        Returns:
            The `SyncReport`. `SyncReport.raise_for_failures` raises where products failed.

        Raises:
            UsageError: An option cannot work. As all errors of a closed client, raised before anything is read.
            UnsafeFullSync: A FULL sync needs several requests, or holds products that cannot be sent. Nothing was sent.
            UnsafeDeletion: More than ``max_delete_fraction`` would be deleted, or the source was empty.
            LedgerError: The ledger cannot be used.
            AuthenticationFailed: The key was refused (401). It stops the run, as do the API's 403 (`PermissionDenied`)
                and ten in a row that failed for good: batches, or single products that a firewall refuses.
            ConnectionFailed: No request ever got an answer (or `RequestTimeout`). An outage is waited out for as long
                as `RetryPolicy.outage_patience` says.
            RequestTimeout: The run had not ended within `RetryPolicy.bulk_deadline`.

        Whatever ends a run early carries the report so far as its ``report`` attribute: these errors, the source's own
        exception, that of a callback, a cancellation. What was never sent is then counted as ``unsent``.

        >>> report = await client.products.sync(products, concurrency=8)     # doctest: +SKIP
        >>> report.failed                                                     # doctest: +SKIP
        0
        """
        options = SyncOptions(
            mode,
            concurrency,
            batch_size,
            max_batch_bytes,
            allow_multi_request_full,
            ledger,
            delete_missing,
            max_delete_fraction,
            to_product,
            flush_after,
        )
        run = sync_products(
            self._transport, source, options, on_progress=on_progress, on_failure=on_failure, on_accepted=on_accepted
        )
        return await self._transport.run_in_bulk("products.sync", run)

    async def delete(self, external_id: str, *, timeout: float | None = None) -> None:
        """Remove one product. Raises `NotFound` where the catalog has no such product.

        ``external_id`` is read as `delete_many` reads it: a whole number or a UUID is text.
        ``timeout``: seconds for one attempt, instead of the client's.
        """
        params = {"shop_id": self._transport.settings.shop_id, "external_id": plain_id(external_id)}
        await self._transport.call(DELETE_PRODUCT, params=params, timeout=timeout)

    async def delete_many(
        self,
        external_ids: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int = 8,
        on_progress: ProgressCallback | None = None,
        on_failure: FailureCallback | None = None,
    ) -> SyncReport:
        """Remove any number of products, one request each (the API documents no batch delete).

        The same accounting, and the same ends, as `sync`: an id that the catalog does not have is a failure with
        status 404.

        Args:
            external_ids: An iterable or async iterable of the products' ids. They are read as `sync` reads them: a
                whole number or a UUID, as databases have them, is text. Of an async one, such as a change feed, each
                deletion leaves as soon as its id is there.
            concurrency: Requests side by side, 1 to 1,000; 8 by default.
            on_progress: Called with a `SyncProgress` at most ten times a second. Plain or async.
            on_failure: Called with every `ProductFailure`; the report keeps the first 1,000.

        >>> report = await client.products.delete_many(["SKU-1", "SKU-2"])     # doctest: +SKIP
        """
        run = delete_products(
            self._transport, external_ids, concurrency=concurrency, on_progress=on_progress, on_failure=on_failure
        )
        return await self._transport.run_in_bulk("products.delete_many", run)
