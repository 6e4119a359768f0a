"""What a client tells to whoever watches it: every request with what came of it, and every wait for the rate limit.

The transport calls an `Instrumentation`; each module beside this one is one, for one backend, behind an extra. This one
imports no backend. What the SDK logs, it logs with `logging`, instrumented or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..transport import Attempt

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..contract import Endpoint

__all__ = ["Attempt", "Instrumentation"]


class Instrumentation(Protocol):
    """Where a client tells what it does; one may serve many clients. Neither method may raise, nor block the loop."""

    def waited(self, endpoint: Endpoint, seconds: float) -> None:
        """A call waited this long for the rate limit: until it was let go, or gave up."""

    def attempt(self, attempt: Attempt) -> AbstractContextManager[None]:
        """Entered right before the request leaves, left when ``attempt.outcome`` is known or an exception cut it short.

        Both happen in the task that makes the call. Exceptions are not for it to swallow.
        """
