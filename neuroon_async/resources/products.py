"""The catalog: syncing and deleting products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..api.contract import DEFAULT_MAX_BATCH_BYTES, DELETE_PRODUCT, MAX_BATCH_PRODUCTS, SYNC_PRODUCTS, SyncMode
from ..api.idempotency import idempotency_key as key_for
from ..api.requests import as_mode, encode_single_request
from ..api.results import BatchResult
from ..settings import check_header_value
from ..sync.deletion import DeleteRun
from ..sync.product_sync import SyncOptions, SyncRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping

    from ..api.models import Product
    from ..ledger.protocols import Ledger
    from ..report import ProductFailure, SyncReport
    from ..sync.recorder import FailureCallback, ProgressCallback
    from ..transport.transport import Transport

__all__ = ["Products"]


class Products:
    """``client.products``. A synced product can be searched 2 to 5 seconds after the answer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def sync_batch(
        self,
        products: Iterable[Product | Mapping[str, Any]],
        mode: SyncMode | str = SyncMode.INCREMENTAL,
        idempotency_key: str | None = None,
    ) -> BatchResult:
        """Send exactly these 1 to 500 products in one request, and return the server's answer to it.

        Each is a `Product` or a mapping with camelCase or snake_case keys. Everything is checked first: a bad
        product raises `InvalidProduct`, a wrong number of them `InvalidBatch`, and nothing is sent. The idempotency
        key defaults to a hash of the shop and the body. A ``FULL`` sync removes every product it does not hold.

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
        )
        return self._transport.decode(answer, BatchResult)

    async def sync(
        self,
        source: Iterable[Product | Mapping[str, Any] | ProductFailure]
        | AsyncIterable[Product | Mapping[str, Any] | ProductFailure],
        mode: SyncMode | str = SyncMode.INCREMENTAL,
        *,
        concurrency: int = 8,
        batch_size: int = MAX_BATCH_PRODUCTS,
        max_batch_bytes: int = DEFAULT_MAX_BATCH_BYTES,
        allow_multi_request_full: bool = False,
        ledger: Ledger | None = None,
        delete_missing: bool = False,
        max_delete_fraction: float = 0.2,
        to_product: Callable[[Any], Any] | None = None,
        on_progress: ProgressCallback | None = None,
        on_failure: FailureCallback | None = None,
    ) -> SyncReport:
        """Send any number of products, ``concurrency`` requests side by side, and account for every one of them.

        The source is read only as fast as batches leave; memory depends on ``concurrency`` and ``batch_size``, not on
        its length. The last version of a product in the source is the one the server ends with, and a variant is
        never sent beside its parent. Bad products cost only themselves: they are in the report's ``failures`` (the
        first 1,000) and all of them go to ``on_failure``. ``on_progress`` is called at most ten times a second.
        Both may be plain or async functions. ``max_batch_bytes`` bounds one request's body.

        With a ``ledger`` (`SQLiteLedger`) only what changed since the server last acknowledged it is sent. With
        ``delete_missing``, after the whole source was read without an error, what the ledger holds and the source no
        longer has is deleted; where that is more than ``max_delete_fraction`` of what the ledger holds, or the source
        was empty, `UnsafeDeletion` is raised and nothing is deleted. A ledger that cannot be used raises
        `LedgerError` before anything is read.

        A run rides out an outage of up to two minutes. It is stopped by 401, by 403, and by ten batches in a row
        that failed for good; the error then carries the report so far as its ``report`` attribute, and so do the
        source's own exception and a cancellation.

        Raises `UnsafeFullSync` for a ``FULL`` sync that one request cannot hold, unless
        ``allow_multi_request_full`` is set; requests then go strictly one after another.

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
        )
        run = SyncRun(self._transport, source, options, on_progress=on_progress, on_failure=on_failure)
        return await run.run()

    async def delete(self, external_id: str) -> None:
        """Remove one product. Raises `NotFound` where the catalog has no such product."""
        params = {"shop_id": self._transport.settings.shop_id, "external_id": external_id}
        await self._transport.call(DELETE_PRODUCT, params=params)

    async def delete_many(
        self,
        external_ids: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int = 8,
        on_progress: ProgressCallback | None = None,
        on_failure: FailureCallback | None = None,
    ) -> SyncReport:
        """Remove any number of products, one request each (the API documents no batch delete).

        The same accounting as `sync`: an id that the catalog does not have is a failure with status 404.
        """
        run = DeleteRun(
            self._transport, external_ids, concurrency=concurrency, on_progress=on_progress, on_failure=on_failure
        )
        return await run.run()
