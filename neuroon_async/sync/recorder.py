"""Keeps a bulk run's report, and tells the user's callbacks. The one place where products are counted."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..api.arguments import check_callback
from ..api.models import Product
from ..report import MAX_KEPT_FAILURES, ProductFailure, SyncProgress, SyncReport
from .costs import Costs
from .outgoing import decoded
from .receipts import Receipts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..api.results import BatchResult
    from .outages import ServiceHealth
    from .outgoing import Outgoing

__all__ = ["AcceptedCallback", "FailureCallback", "ProgressCallback", "Recorder", "check_callbacks"]

FailureCallback = Callable[[ProductFailure], Awaitable[None] | None]
"""What ``on_failure`` takes: a plain or async function of one failure."""
ProgressCallback = Callable[[SyncProgress], Awaitable[None] | None]
"""What ``on_progress`` takes: a plain or async function of a moment of the run."""
AcceptedCallback = Callable[[Product], Awaitable[None] | None]
"""What ``on_accepted`` takes: a plain or async function of one product that the server has."""

PROGRESS_INTERVAL = 0.1
"""Seconds between two calls of ``on_progress``."""

T = TypeVar("T")


class Recorder:
    """The report of a run as it grows. Counting is never interrupted; only the callbacks are awaited, in `notify`."""

    def __init__(
        self,
        on_progress: ProgressCallback | None = None,
        on_failure: FailureCallback | None = None,
        on_accepted: AcceptedCallback | None = None,
        *,
        total: int | None = None,
        costs: Costs | None = None,
    ) -> None:
        self.report: SyncReport = SyncReport()
        self.costs: Costs = Costs() if costs is None else costs
        self.health: ServiceHealth | None = None
        """Where progress learns how long the service has been silent."""
        self._on_progress = on_progress
        self._on_failure = on_failure
        self._on_accepted = on_accepted
        self._receipts = None if on_accepted is None else Receipts()
        self._total = total
        self._untold: deque[Callable[[], Awaitable[None] | None]] = deque()
        self._started = asyncio.get_running_loop().time()

    @property
    def watched(self) -> bool:
        return self._on_progress is not None

    @property
    def settled(self) -> int:
        """How many products the server has decided about."""
        return self.report.accepted + self.report.failed

    def received(self, count: int) -> None:
        """So many items were read."""
        self.report.received += count

    def entered(self, products: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """These were read, and may be sent: as what is returned."""
        return products if self._receipts is None else self._receipts.entered(decoded(products))

    def accepted(self, count: int, result: BatchResult) -> None:
        """The server has taken ``count`` products of a batch."""
        report = self.report
        report.accepted += count
        report.created += result.created or 0
        report.updated += result.updated or 0
        if result.products_count is not None:
            report.products_count = result.products_count
        if result.remaining_products is not None:
            report.remaining_products = result.remaining_products

    def acknowledged(self, products: Iterable[Outgoing]) -> None:
        """These are certainly on the server: for ``on_accepted``."""
        if self._receipts is None or self._on_accepted is None:
            return
        for product in decoded(products):
            for version in self._receipts.settled(product):
                self._untold.append(partial(self._on_accepted, version))

    def unacknowledged(self, products: Iterable[Product]) -> None:
        """Some of these failed, and nobody knows which."""
        if self._receipts is not None:
            for product in products:
                self._receipts.settled(product)

    def unchanged(self, count: int) -> None:
        """The server holds these already, as the ledger says."""
        self.report.unchanged += count

    def superseded(self, count: int) -> None:
        """A later version takes the place of so many that were never sent."""
        self.report.superseded += count

    def deleted(self, *, accepted: bool) -> None:
        """One product is gone. ``accepted``: it was what the run was asked for, and not what a sync found missing."""
        self.report.deleted += 1
        self.report.accepted += accepted

    def failed(self, failures: Iterable[ProductFailure]) -> None:
        """Count these failures; `notify` passes them on."""
        report = self.report
        for failure in failures:
            report.failed += 1
            report.unsent += failure.unsent
            if len(report.failures) < MAX_KEPT_FAILURES:
                report.failures.append(failure)
            if self._receipts is not None and isinstance(failure.product, Product):
                self._receipts.settled(failure.product)
            if self._on_failure is not None:
                self._untold.append(partial(self._on_failure, failure))

    async def notify(self) -> None:
        """Tell ``on_failure`` and ``on_accepted`` what they have not been told yet."""
        while self._untold:
            await _finished(self._untold.popleft()())

    async def tick(self) -> None:
        """Call ``on_progress`` at regular times until cancelled."""
        while True:
            await self.show_progress()
            await asyncio.sleep(PROGRESS_INTERVAL)

    async def show_progress(self) -> None:
        if self._on_progress is not None:
            await _finished(self._on_progress(self.progress()))

    def progress(self) -> SyncProgress:
        report = self.update_report()
        done = report.accepted + report.unchanged + report.superseded + report.failed
        rate = done / report.elapsed if report.elapsed > 0 else 0.0
        total = self._total
        now = asyncio.get_running_loop().time()
        failing_since = None if self.health is None else self.health.failing_since()
        gives_up_at = None if self.health is None else self.health.gives_up_at()
        return SyncProgress(
            received=report.received,
            done=done,
            accepted=report.accepted,
            unchanged=report.unchanged,
            superseded=report.superseded,
            failed=report.failed,
            deleted=report.deleted,
            requests=report.requests,
            total=total,
            elapsed=report.elapsed,
            rate=rate,
            remaining_seconds=max(0, total - done) / rate if total is not None and rate > 0 else None,
            waited=report.waited,
            waiting_for_limit=self.costs.total().waiting > 0,
            failing_for=None if failing_since is None else now - failing_since,
            gives_up_in=None if gives_up_at is None else max(0.0, gives_up_at - now),
        )

    def update_report(self) -> SyncReport:
        """The report, with the costs and the time up to now."""
        report = self.report
        total = self.costs.total()
        report.requests = total.requests
        report.retries = total.retries
        report.throttled = total.throttled
        report.waited = total.waited
        report.request_ids = list(self.costs.request_ids)
        report.elapsed = asyncio.get_running_loop().time() - self._started
        return report


def check_callbacks(on_progress: object, on_failure: object, on_accepted: object = None) -> None:
    """Raises `UsageError` for what cannot be called."""
    check_callback("on_progress", on_progress, awaited=True)
    check_callback("on_failure", on_failure, "; DeadLetterFile('failed.jsonl') writes failures to a file", awaited=True)
    check_callback("on_accepted", on_accepted, awaited=True)


async def _finished(answer: Any) -> None:
    if inspect.isawaitable(answer):
        await answer
