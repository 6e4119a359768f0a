"""The emulator's request counting: the three algorithms that the real server may be using.

The vendor publishes numbers but no algorithm. Each class here counts one endpoint; a refused request
spends nothing. Pure: the caller says what time it is (seconds on any clock that does not go back).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ..api.contract import RateLimit

__all__ = ["Algorithm", "Alignment", "FixedWindow", "RequestCounter", "RollingWindow", "TokenBucket", "request_counter"]

Algorithm = Literal["fixed", "rolling", "bucket", "off"]
Alignment = Literal["first", "clock"]

_ROUNDING = 1e-9
"""A bucket refilled in many small steps may miss a whole token by this little."""


class RequestCounter(Protocol):
    """Counts the requests to one endpoint. ``limit`` may be replaced while counting."""

    limit: RateLimit

    def take(self, now: float) -> bool:
        """Count one request, or refuse it."""
        ...

    def remaining(self, now: float) -> int:
        """How many requests would be admitted at this moment."""
        ...


class FixedWindow:
    """``requests`` per window; the next window starts afresh, whatever happened just before.

    Windows start with the first request that falls outside the last one, or at multiples of their length.
    """

    __slots__ = ("_aligned", "_start", "_taken", "limit")

    def __init__(self, limit: RateLimit, *, aligned: Alignment = "first") -> None:
        self.limit: RateLimit = limit
        self._aligned = aligned
        self._start = -math.inf
        self._taken = 0

    def take(self, now: float) -> bool:
        if self._expired(now):
            self._start = math.floor(now / self.limit.per) * self.limit.per if self._aligned == "clock" else now
            self._taken = 0
        if self._taken >= self.limit.requests:
            return False
        self._taken += 1
        return True

    def remaining(self, now: float) -> int:
        return self.limit.requests if self._expired(now) else max(0, self.limit.requests - self._taken)

    def _expired(self, now: float) -> bool:
        return now >= self._start + self.limit.per


class RollingWindow:
    """``requests`` in any interval of the window's length: a log of the admitted moments."""

    __slots__ = ("_admitted", "limit")

    def __init__(self, limit: RateLimit) -> None:
        self.limit: RateLimit = limit
        self._admitted: deque[float] = deque()

    def take(self, now: float) -> bool:
        if self.remaining(now) == 0:
            return False
        self._admitted.append(now)
        return True

    def remaining(self, now: float) -> int:
        admitted = self._admitted
        while admitted and admitted[0] + self.limit.per <= now:
            admitted.popleft()
        return max(0, self.limit.requests - len(admitted))


class TokenBucket:
    """Holds up to ``requests`` tokens and refills evenly over the window."""

    __slots__ = ("_at", "_tokens", "limit")

    def __init__(self, limit: RateLimit) -> None:
        self.limit: RateLimit = limit
        self._tokens = float(limit.requests)
        self._at = -math.inf

    def take(self, now: float) -> bool:
        self._refill(now)
        if self._tokens < 1 - _ROUNDING:
            return False
        self._tokens = max(0.0, self._tokens - 1)
        return True

    def remaining(self, now: float) -> int:
        self._refill(now)
        return math.floor(self._tokens + _ROUNDING)

    def _refill(self, now: float) -> None:
        refilled = (now - self._at) * self.limit.requests / self.limit.per
        self._tokens = min(float(self.limit.requests), self._tokens + refilled)
        self._at = now


def request_counter(limit: RateLimit, algorithm: Algorithm, *, aligned: Alignment = "first") -> RequestCounter | None:
    """A fresh counter; ``None`` where nothing is to be counted. Raises `ValueError` on an unknown algorithm."""
    if algorithm == "fixed":
        return FixedWindow(limit, aligned=aligned)
    if algorithm == "rolling":
        return RollingWindow(limit)
    if algorithm == "bucket":
        return TokenBucket(limit)
    if algorithm == "off":
        return None
    raise ValueError(f"algorithm must be 'fixed', 'rolling', 'bucket' or 'off', got {algorithm!r}")
