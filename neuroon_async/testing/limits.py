"""The emulator's request counting: the three algorithms that the real server may be using.

The vendor publishes numbers but no algorithm. Each counter here counts one endpoint; a refused request spends
nothing. `EndpointLimits` has a counter for each endpoint that is limited. Pure: the caller says what time it is
(seconds on any clock that does not go back).
"""

from __future__ import annotations

import math
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, get_args

from ..api.arguments import check_choice, check_count, check_kind, shown
from ..api.contract import DOCUMENTED_RATE_LIMITS, RateLimit
from ..api.shapes import is_mapping
from ..errors import UsageError
from .routing import check_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Algorithm", "Alignment", "Counted", "EndpointLimits", "FixedWindow", "RollingWindow", "TokenBucket"]

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


class Counted(NamedTuple):
    """What a limit said to one request."""

    admitted: bool
    limit: RateLimit
    remaining: int


class EndpointLimits:
    """The counters of all endpoints by name. Any thread may count and change limits.

    Args:
        limits: What overrides the documented table by name; ``None`` in it lifts one limit, instead of it all.
        algorithm: How requests are counted.
        aligned: Where fixed windows begin.

    Raises `UsageError` for names, limits and algorithms that there are none of.
    """

    def __init__(
        self, limits: Mapping[str, RateLimit | None] | None, algorithm: Algorithm, *, aligned: Alignment
    ) -> None:
        check_choice("algorithm", algorithm, get_args(Algorithm))
        check_choice("aligned", aligned, get_args(Alignment))
        if limits is not None and not is_mapping(limits):
            raise UsageError(f"must map endpoint names to RateLimit, got {shown(limits)}", where="rate_limits")
        self._algorithm: Algorithm = algorithm
        self._aligned: Alignment = aligned
        self._counters: dict[str, RequestCounter] = {}
        self._lock = Lock()
        table = {} if limits is None else {**DOCUMENTED_RATE_LIMITS, **limits}
        try:
            for endpoint, limit in table.items():
                self.set(endpoint, limit)
        except UsageError as error:
            raise UsageError(f"does not fit: {error}", where="rate_limits") from None

    def set(self, endpoint: str, limit: RateLimit | None) -> None:
        """Change one limit; what was counted so far still counts. ``None`` lifts it."""
        check_endpoint(endpoint)
        if limit is not None:
            check_kind(f"the limit of {endpoint}", limit, RateLimit, "a RateLimit or None")
        with self._lock:
            if limit is None:
                self._counters.pop(endpoint, None)
            elif endpoint in self._counters:
                self._counters[endpoint].limit = limit
            elif self._algorithm != "off":
                self._counters[endpoint] = self._new_counter(limit)

    def take(self, endpoint: str, now: float) -> Counted | None:
        """Count one request to any path, or refuse it; ``None`` where nothing is counted."""
        with self._lock:
            counter = self._counters.get(endpoint)
            if counter is None:
                return None
            admitted = counter.take(now)
            return Counted(admitted, counter.limit, counter.remaining(now) if admitted else 0)

    def limit(self, endpoint: str) -> RateLimit | None:
        """The limit that is counted for an endpoint; ``None`` where there is none."""
        check_endpoint(endpoint)
        counter = self._counters.get(endpoint)
        return None if counter is None else counter.limit

    def remaining(self, endpoint: str, now: float) -> int | None:
        """How many requests an endpoint would admit at this moment; ``None`` where there is no limit."""
        check_endpoint(endpoint)
        with self._lock:
            counter = self._counters.get(endpoint)
            return None if counter is None else counter.remaining(now)

    def spend(self, endpoint: str, requests: int, now: float) -> int:
        """Count so many requests. Gives how many were admitted."""
        check_endpoint(endpoint)
        check_count("requests", requests, least=0)
        with self._lock:
            counter = self._counters.get(endpoint)
            if counter is None:
                return requests
            return sum(counter.take(now) for _ in range(min(requests, counter.limit.requests)))

    def _new_counter(self, limit: RateLimit) -> RequestCounter:
        if self._algorithm == "rolling":
            return RollingWindow(limit)
        if self._algorithm == "bucket":
            return TokenBucket(limit)
        return FixedWindow(limit, aligned=self._aligned)
