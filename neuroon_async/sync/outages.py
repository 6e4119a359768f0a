"""Telling an outage, which a run rides out, from a batch that the server cannot digest, which costs only itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..transport.retries import RetryPolicy

__all__ = ["MAX_FAILED_IN_A_ROW", "Outage", "Ride"]

_PATIENCE = 120
"""How long an outage is ridden out unless the policy says so, in multiples of its ``initial`` backoff."""
MAX_FAILED_IN_A_ROW = 10
"""After so many batches in a row that failed for good, the run stops."""
MAX_ROUNDS_BESIDE_ANSWERS = 2
"""One round of attempts that failed while others were answered may have begun before an outage or ended after it."""


class Outage:
    """Shared by all requests of a run."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._patience = _PATIENCE * policy.initial if policy.outage_patience is None else policy.outage_patience
        self._since: float | None = None
        self._failed_in_a_row = 0
        self.answers = 0

    def answered(self) -> None:
        """The service is there."""
        self._since = None
        self.answers += 1

    def accepted(self) -> None:
        self._failed_in_a_row = 0

    async def rode_out(self, rounds: int) -> bool:
        """Wait, and say whether to try once more. ``False`` where the service has been down for too long."""
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        if now - self._since >= self._patience:
            return False
        await asyncio.sleep(self._policy.backoff(min(rounds + 3, 6)))
        return True

    def failed_for_good(self) -> bool:
        """Count a failed batch, and say whether the run should stop."""
        self._failed_in_a_row += 1
        return self._failed_in_a_row >= MAX_FAILED_IN_A_ROW


class Ride:
    """One request's way through an outage, in rounds: each is all the attempts that the retry policy allows."""

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._answers = outage.answers
        self._beside_answers = 0
        self.rounds = 0

    async def once_more(self) -> bool:
        """After a failed round: wait, and say whether to try another.

        Where others are answered round after round, it is not an outage: the request itself is at fault.
        """
        self.rounds += 1
        self._beside_answers = self._beside_answers + 1 if self._outage.answers != self._answers else 0
        if self._beside_answers >= MAX_ROUNDS_BESIDE_ANSWERS:
            return False
        rode_out = await self._outage.rode_out(self.rounds)
        self._answers = self._outage.answers
        return rode_out
