"""The options of a bulk run, checked, and how much one request may carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..api.arguments import (
    check_callback,
    check_capable,
    check_concurrency,
    check_count,
    check_flag,
    check_fraction,
    check_seconds,
)
from ..api.contract import DEFAULT_MAX_BATCH_BYTES, MAX_BATCH_PRODUCTS, SyncMode
from ..api.requests import as_mode
from ..errors import UsageError
from ..ledger.protocols import Ledger

__all__ = ["BatchLimits", "SyncOptions"]


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """How a bulk sync goes about it: the options of ``products.sync`` but its callbacks. Raises `UsageError`."""

    mode: SyncMode | str = SyncMode.INCREMENTAL
    concurrency: int = 8
    batch_size: int = MAX_BATCH_PRODUCTS
    max_batch_bytes: int = DEFAULT_MAX_BATCH_BYTES
    allow_multi_request_full: bool = False
    ledger: Ledger | None = None
    delete_missing: bool = False
    max_delete_fraction: float = 0.2
    to_product: Callable[[Any], Any] | None = None
    flush_after: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", as_mode(self.mode))
        check_concurrency(self.concurrency)
        check_count("batch_size", self.batch_size, MAX_BATCH_PRODUCTS)
        check_count("max_batch_bytes", self.max_batch_bytes)
        check_flag("allow_multi_request_full", self.allow_multi_request_full)
        check_flag("delete_missing", self.delete_missing)
        check_callback("to_product", self.to_product)
        self._check_ledger()
        self._check_flush()

    def _check_ledger(self) -> None:
        check_capable("ledger", self.ledger, ("run",), "a Ledger, such as SQLiteLedger('catalog.ledger')")
        if self.full and self.ledger is not None:
            raise UsageError("leaves unchanged products out, which a FULL sync would erase", where="ledger")
        if self.delete_missing and self.ledger is None:
            raise UsageError("needs a ledger: only that knows what was there before", where="delete_missing")
        check_fraction("max_delete_fraction", self.max_delete_fraction)

    def _check_flush(self) -> None:
        check_seconds("flush_after", self.flush_after, none=True)
        if self.flush_after is not None and self.full:
            raise UsageError("sends parts of the source, and a FULL sync needs all of it", where="flush_after")

    @property
    def full(self) -> bool:
        return self.mode is SyncMode.FULL

    @property
    def single_request(self) -> bool:
        """Must everything fit into one request?"""
        return self.full and not self.allow_multi_request_full

    @property
    def at_once(self) -> int:
        """Requests side by side. Those of a FULL sync must not overtake one another."""
        return 1 if self.full else self.concurrency

    @property
    def request_size(self) -> int:
        """The most products of one request."""
        return MAX_BATCH_PRODUCTS if self.single_request else self.batch_size


class BatchLimits:
    """How much one request carries. Shared by a run: bytes are lowered by a 413, never raised."""

    def __init__(self, products: int, most_bytes: int) -> None:
        self.products = products
        self._allowed = most_bytes
        self._learned = most_bytes

    def most_bytes(self, count: int) -> int:
        """For so many products. One alone is held to the option only: it was refused in company, if at all."""
        return self._allowed if count == 1 else self._learned

    def fitting(self, count: int, size: int) -> int:
        """How many of ``count`` products, ``size`` bytes in all, to try instead: with a twentieth to spare."""
        return max(1, count * self.most_bytes(count) * 19 // (size * 20))

    def too_large(self, size: int) -> None:
        """The server refused a body of so many bytes."""
        self._learned = min(self._learned, max(1, size // 2))
