"""What a client tells to whoever watches it: every request with what came of it, and every wait for the rate limit.

The transport calls an `Instrumentation`; each module beside this one is one, for one backend, behind an extra. This one
imports no backend. What the SDK logs, it logs with `logging`, instrumented or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from yarl import URL

from ..api.contract import Endpoint
from ..api.responses import Response
from ..errors import NeuroonError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


__all__ = ["Attempt", "Instrumentation"]


@dataclass(slots=True)
class Attempt:
    """One request as an instrumentation is told of it: about to be sent, with room for what comes of it.

    The API key is in none of it.
    """

    endpoint: Endpoint
    shop_id: str
    url: URL
    number: int
    """1, and more where the call is sent again."""
    headers: dict[str, str] = field(default_factory=dict)
    """For the instrumentation to fill: sent along, in printable ASCII. A header that the SDK itself sends wins."""
    outcome: Response | NeuroonError | None = None
    """Set by the end of the attempt; ``None`` where an exception, such as a cancellation, cut it short."""


class Instrumentation(Protocol):
    """Where a client tells what it does; one may serve many clients. Neither method may raise, nor block the loop."""

    def waited(self, endpoint: Endpoint, seconds: float) -> None:
        """A call waited this long for the rate limit: until it was let go, or gave up."""

    def attempt(self, attempt: Attempt) -> AbstractContextManager[None]:
        """Entered right before the request leaves, left when ``attempt.outcome`` is known or an exception cut it short.

        Both happen in the task that makes the call. Exceptions are not for it to swallow.
        """
