"""Telling an outage, which a run rides out, from a batch that the server cannot digest, which costs only itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..retries import RetryPolicy

__all__ = ["MAX_FAILED_IN_A_ROW", "Outage"]

PATIENCE = 120
"""How long an outage is ridden out, in multiples of the policy's ``initial`` backoff: two minutes by default."""
MAX_FAILED_IN_A_ROW = 10
"""After so many batches in a row that failed for good, the run stops."""


class Outage:
    """Shared by all requests of a run."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._since: float | None = None
        self._failed_in_a_row = 0
        self.answers = 0

    def answered(self) -> None:
        """The service is there."""
        self._since = None
        self.answers += 1

    def accepted(self) -> None:
        self._failed_in_a_row = 0

    async def rode_out(self, answers_before: int, rounds: int) -> bool:
        """Wait, and say whether to try once more. ``rounds`` counts how often this batch has been here.

        Where others got through meanwhile, it is not an outage: the batch itself is at fault.
        """
        now = asyncio.get_running_loop().time()
        if self.answers != answers_before:
            return False
        if self._since is None:
            self._since = now
        if now - self._since >= PATIENCE * self._policy.initial:
            return False
        await asyncio.sleep(self._policy.backoff(min(rounds + 3, 6)))
        return True

    def failed_for_good(self) -> bool:
        """Count a failed batch, and say whether the run should stop."""
        self._failed_in_a_row += 1
        return self._failed_in_a_row >= MAX_FAILED_IN_A_ROW
