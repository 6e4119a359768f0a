"""What the requests of a run cost, batch by batch and in all."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..report import MAX_KEPT_REQUEST_IDS
from ..transport.calls import CallStats

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Costs"]


class Costs:
    """What the requests of a run cost. Each batch has a `CallStats` of its own: so it is known which was ever sent."""

    def __init__(self) -> None:
        self._ended = CallStats()
        self._open: list[CallStats] = []
        self.request_ids: deque[str] = deque(maxlen=MAX_KEPT_REQUEST_IDS)
        """Those of all answers, in their order."""

    def begin(self) -> CallStats:
        stats = CallStats(request_ids=self.request_ids)
        self._open.append(stats)
        return stats

    def end(self, stats: CallStats) -> None:
        self._open = [other for other in self._open if other is not stats]
        self._ended = _sum([self._ended, stats])
        self._ended.failing_since = None  # only what is under way can still be failing

    def total(self) -> CallStats:
        return _sum([self._ended, *self._open])


def _sum(parts: Iterable[CallStats]) -> CallStats:
    total = CallStats()
    for part in parts:
        total.requests += part.requests
        total.retries += part.retries
        total.throttled += part.throttled
        total.waited += part.waited
        total.attempts_ended += part.attempts_ended
        total.answers += part.answers
        total.waiting += part.waiting
        total.unanswered += part.unanswered
        if part.failing_since is not None:
            total.failing_since = min(part.failing_since, total.failing_since or part.failing_since)
    return total
