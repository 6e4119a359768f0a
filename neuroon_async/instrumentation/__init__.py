"""What a client reports to its instrumentation: every call and bulk run, every request with its outcome, every wait.

The transport calls an `Instrumentation`; each module beside this one is one, for one backend, behind an extra. This one
imports no backend. What the SDK logs, it logs with `logging`, instrumented or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from yarl import URL

from ..api.contract import Endpoint
from ..api.responses import Response
from ..errors import NeuroonError
from ..report import SyncReport

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


__all__ = ["Attempt", "Instrumentation", "Operation", "OperationInstrumentation"]


@dataclass(slots=True)
class Attempt:
    """One request as an instrumentation sees it: about to be sent, with room for its outcome.

    The API key is in none of it.
    """

    endpoint: Endpoint
    shop_id: str
    url: URL
    number: int
    """1, and more where the call is sent again."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """For the instrumentation to fill: sent along, in printable ASCII. A header that the SDK itself sends wins."""
    outcome: Response | NeuroonError | None = None
    """Set by the end of the attempt; ``None`` where an exception, such as a cancellation, cut it short."""


@dataclass(slots=True)
class Operation:
    """A call with all its attempts, or a bulk run with all its calls, from its beginning to its end."""

    name: str
    """The endpoint of a call, such as ``shop``; ``products.sync`` or ``products.delete_many`` of a bulk run."""
    shop_id: str
    bulk_run: bool
    attempts: int = 0
    """Requests that a call sent. Of a bulk run, its report tells."""
    outcome: Response | SyncReport | NeuroonError | None = None
    """Set by the end; ``None`` where an exception of another kind, such as a cancellation, cut it short."""


class Instrumentation(Protocol):
    """Where a client tells what it does; one may serve many clients. Neither method may raise, nor block the loop."""

    def waited(self, endpoint: Endpoint, seconds: float) -> None:
        """A call waited this long for the rate limit: until it was let go, or gave up."""

    def attempt(self, attempt: Attempt) -> AbstractContextManager[None]:
        """Entered right before the request leaves, left when ``attempt.outcome`` is known or an exception cut it short.

        Both happen in the task that makes the call. Exceptions are not for it to swallow.
        """
        ...


@runtime_checkable
class OperationInstrumentation(Protocol):
    """An optional part of an `Instrumentation`, for calls and bulk runs as a whole."""

    def operation(self, operation: Operation) -> AbstractContextManager[None]:
        """Entered before anything else, left when ``operation.outcome`` is known or an exception cut it short.

        As with `Instrumentation.attempt`, both happen in the task that makes the call. The attempts happen within.
        """
        ...
