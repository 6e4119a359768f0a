"""When delivery as a whole waits: after what looks like an outage, and while the server refuses the key."""

from __future__ import annotations

import asyncio

from ..transport.retries import RetryPolicy

__all__ = ["WHILE_REFUSED", "Pauses"]

WHILE_REFUSED = RetryPolicy(initial=1.0, maximum=5.0)
"""How often one conversion is tried while the server refuses the key or the address: delivery must be back within
seconds of the right key, and twelve refusals a minute are no burden."""


class Pauses:
    """One pause holds for all workers. What was sent before it began, and fails during it, makes it no longer.

    ``backoff``: how long it lasts after failures.
    """

    def __init__(self, backoff: RetryPolicy) -> None:
        self._backoff = backoff
        self._ends = 0.0
        self._failures_in_a_row = 0
        self._refusals_in_a_row = 0

    def left(self) -> float:
        """Seconds until delivery may go on; 0 where it does not pause."""
        return max(0.0, self._ends - asyncio.get_running_loop().time())

    @property
    def refused(self) -> bool:
        """Does the server refuse this client, as far as is known? Then one conversion at a time finds out."""
        return self._refusals_in_a_row > 0

    def after_failure(self, error: Exception) -> None:
        """Probably an outage: probe now and then, rather than try everything that waits."""
        if self.left() == 0:
            self._failures_in_a_row += 1
            self._begin(self._backoff.wait(self._failures_in_a_row, error))

    def after_refusal(self) -> bool:
        """The server refuses the key or the address, and would refuse every conversion. ``True`` where that is new."""
        if self.left() > 0:
            return False
        self._refusals_in_a_row += 1
        self._begin(WHILE_REFUSED.backoff(self._refusals_in_a_row))
        return self._refusals_in_a_row == 1

    def got_through(self) -> bool:
        """The server has judged a conversion. ``True`` where it had refused this client before."""
        was_refused = self.refused
        self._failures_in_a_row = self._refusals_in_a_row = 0
        return was_refused

    def _begin(self, seconds: float) -> None:
        self._ends = asyncio.get_running_loop().time() + seconds
