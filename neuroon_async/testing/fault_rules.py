"""When a fault strikes: by endpoint, by count, or by a condition of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.arguments import check_callback, check_count, check_kind
from .faults import Fault
from .routing import check_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from .recording import RecordedRequest

__all__ = ["FaultRule"]


class FaultRule:
    """Which requests a fault strikes.

    Args:
        fault: What happens to a request that the rule strikes.
        endpoint: The endpoint's name, or ``"health"``; ``None`` matches every request.
        times: How often the rule strikes at most; ``None`` means always.
        every: Strike only each n-th matching request. 1 by default, so each.
        when: A plain function: match only the requests for which it returns true. ``None`` matches all.

    ``seen`` counts the requests that matched, ``fired`` those that the fault struck.

    Raises `UsageError` for an unknown endpoint, and where ``every`` is below 1 or ``times`` is negative.
    """

    __slots__ = ("endpoint", "every", "fault", "fired", "seen", "times", "when")

    def __init__(
        self,
        fault: Fault,
        endpoint: str | None = None,
        *,
        times: int | None = None,
        every: int = 1,
        when: Callable[[RecordedRequest], bool] | None = None,
    ) -> None:
        check_kind("fault", fault, Fault, "a Fault, such as Fault.status(503)")
        if endpoint is not None:
            check_endpoint(endpoint, health=True)
        check_count("every", every)
        check_count("times", times, least=0, none=True)
        check_callback("when", when)
        self.fault: Fault = fault
        self.endpoint: str | None = endpoint
        self.times: int | None = times
        self.every: int = every
        self.when: Callable[[RecordedRequest], bool] | None = when
        self.seen: int = 0
        self.fired: int = 0

    def __repr__(self) -> str:
        times = "always" if self.times is None else f"times={self.times}"
        return f"<FaultRule for {self.endpoint or 'any endpoint'}, {times}, every={self.every}, fired={self.fired}>"

    def strikes(self, request: RecordedRequest) -> bool:
        """Decide on one request, and count it."""
        if self.times is not None and self.fired >= self.times:
            return False
        if self.endpoint not in {None, request.endpoint}:
            return False
        if self.when is not None and not self.when(request):
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        self.fired += 1
        return True
