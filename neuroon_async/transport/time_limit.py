"""How long a call may take, stated once.

- A single call ends within `SINGLE_CALL_SECONDS`: its attempts, the backoff between them and what ``Retry-After`` asks
  for, together. A longer ``timeout`` still gets its one attempt. Waiting for the client's own rate limit, or for a
  free connection, is not counted: five hundred deletions at once may rightly take minutes.
- ``RetryPolicy.deadline``, where set, replaces that bound, and counts everything.
- A bulk run has patience of its own (``RetryPolicy.outage_patience``), so its requests have no bound, unless
  ``RetryPolicy.bulk_deadline`` bounds the whole run; that counts everything too.

No wait and no attempt goes on past the bound; a wait that would is not begun.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

__all__ = ["SINGLE_CALL_SECONDS", "TimeLimit"]

SINGLE_CALL_SECONDS = 120.0
"""What a single call may take under a policy without a deadline of its own."""


@dataclass(slots=True)
class TimeLimit:
    """When a call must have ended, in the running loop's time."""

    ends: float = math.inf
    seconds: float = math.inf
    """What it was allowed in all, to be named in errors."""
    counts_waiting: bool = True
    """Does waiting for the rate limit, or for a free connection, use up the time?"""

    @classmethod
    def of_single_call(cls, deadline: float | None, timeout: float) -> TimeLimit:
        """The bound of a call that begins now."""
        seconds = max(SINGLE_CALL_SECONDS, timeout) if deadline is None else deadline
        return cls(asyncio.get_running_loop().time() + seconds, seconds, counts_waiting=deadline is not None)

    @property
    def deadline(self) -> float | None:
        """The moment that everything must end at; ``None`` where waiting is not counted, or nothing is."""
        return self.ends if self.counts_waiting and self.ends < math.inf else None

    def waited(self, seconds: float) -> None:
        """The call was held back for this long by what is not the server's doing."""
        if not self.counts_waiting:
            self.ends += seconds
