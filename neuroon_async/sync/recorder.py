"""Keeps a bulk run's report, and tells the user's callbacks. The one place where products are counted."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from ..report import MAX_KEPT_FAILURES, ProductFailure, SyncProgress, SyncReport
from .costs import Costs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ..api.results import BatchResult
    from .outages import Outage

    FailureCallback = Callable[[ProductFailure], Awaitable[None] | None]
    ProgressCallback = Callable[[SyncProgress], Awaitable[None] | None]

__all__ = ["Recorder"]

PROGRESS_INTERVAL = 0.1
"""Seconds between two calls of ``on_progress``."""

T = TypeVar("T")


class Recorder:
    """The report of a run as it grows. Counting is never interrupted; only the callbacks are awaited."""

    def __init__(
        self, on_progress: ProgressCallback | None, on_failure: FailureCallback | None, total: int | None
    ) -> None:
        self.report = SyncReport()
        self.costs = Costs()
        self.outage: Outage | None = None
        self._on_progress = on_progress
        self._on_failure = on_failure
        self._total = total
        self._untold: deque[ProductFailure] = deque()
        self._started = asyncio.get_running_loop().time()

    @property
    def watched(self) -> bool:
        return self._on_progress is not None

    def accepted(self, count: int, result: BatchResult) -> None:
        report = self.report
        report.accepted += count
        report.created += result.created or 0
        report.updated += result.updated or 0
        if result.products_count is not None:
            report.products_count = result.products_count
        if result.remaining_products is not None:
            report.remaining_products = result.remaining_products

    def failed(self, failures: Iterable[ProductFailure]) -> None:
        """Count these failures; `tell` passes them on."""
        report = self.report
        for failure in failures:
            report.failed += 1
            report.unsent += failure.unsent
            if len(report.failures) < MAX_KEPT_FAILURES:
                report.failures.append(failure)
            if self._on_failure is not None:
                self._untold.append(failure)

    async def tell(self) -> None:
        """Give ``on_failure`` what it has not seen yet."""
        while self._untold and self._on_failure is not None:
            await _called(self._on_failure, self._untold.popleft())

    async def tick(self) -> None:
        """Call ``on_progress`` at regular times until cancelled."""
        while True:
            await self.show_progress()
            await asyncio.sleep(PROGRESS_INTERVAL)

    async def show_progress(self) -> None:
        if self._on_progress is not None:
            await _called(self._on_progress, self.progress())

    def progress(self) -> SyncProgress:
        report = self.finished()
        done = report.accepted + report.unchanged + report.superseded + report.failed
        rate = done / report.elapsed if report.elapsed > 0 else 0.0
        total = self._total
        now = asyncio.get_running_loop().time()
        failing_since = None if self.outage is None else self.outage.failing_since()
        gives_up_at = None if self.outage is None else self.outage.gives_up_at()
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

    def finished(self) -> SyncReport:
        """The report with the costs and the time up to now."""
        report = self.report
        total = self.costs.total()
        report.requests = total.requests
        report.retries = total.retries
        report.throttled = total.throttled
        report.waited = total.waited
        report.elapsed = asyncio.get_running_loop().time() - self._started
        return report


async def _called(callback: Callable[[T], Awaitable[None] | None], value: T) -> None:
    answer: Any = callback(value)
    if inspect.isawaitable(answer):
        await answer
