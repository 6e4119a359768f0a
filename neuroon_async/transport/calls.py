"""One call: what stays the same over its attempts, and what they cost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from yarl import URL

from ..api.contract import Endpoint
from ..api.responses import Response
from ..errors import APIError, ClientClosed, NeuroonError, ResponseDecodeError, ServerError, TransportError
from .time_limit import TimeLimit

__all__ = ["Call", "CallStats", "may_be_processed"]

_REQUEST_TIMEOUT = 408


def may_be_processed(outcome: object) -> bool:
    """May the server act on an attempt that ended so, now or later?

    A 5xx, a 408 or a page may be the word of a proxy that has lost patience, while the server behind it still works.
    """
    if isinstance(outcome, (TransportError, ClientClosed)):
        return outcome.maybe_processed
    if isinstance(outcome, APIError):
        return isinstance(outcome, ServerError) or outcome.status == _REQUEST_TIMEOUT
    return isinstance(outcome, ResponseDecodeError)


@dataclass(slots=True)
class CallStats:
    """What calls cost, summed up for whoever passes one in. ``waited`` is in seconds."""

    requests: int = 0
    retries: int = 0
    throttled: int = 0
    waited: float = 0.0
    attempts_ended: int = 0
    """Attempts that have ended."""
    answers: int = 0
    """HTTP responses of any status."""
    unanswered: int = 0
    """Attempts that the server may have processed, or may yet, and did not answer itself."""
    failing_since: float | None = None
    """The loop's time of the first attempt that got no answer or a 5xx; ``None`` once another answer has come."""
    waiting: int = 0
    """How many calls are held back by the rate limit right now."""
    request_ids: deque[str] = field(default_factory=deque[str])
    """Those of the answers, the latest last."""

    @property
    def overtakable(self) -> bool:
        """May one of them still be processed, after whatever is sent from now on?"""
        return self.unanswered > 0

    def ended(self, outcome: object) -> None:
        """Count how an attempt ended."""
        self.attempts_ended += 1
        self.answers += not isinstance(outcome, TransportError)
        self.unanswered += may_be_processed(outcome)
        if isinstance(outcome, (Response, APIError, ResponseDecodeError)) and outcome.request_id is not None:
            self.request_ids.append(outcome.request_id)
        if not isinstance(outcome, (TransportError, ServerError)):
            self.failing_since = None
        elif self.failing_since is None:
            self.failing_since = asyncio.get_running_loop().time()


@dataclass(slots=True)
class Call:
    """What stays the same over the attempts of one call, and what they add up to."""

    endpoint: Endpoint
    url: URL
    body: bytes | None = field(repr=False)
    idempotency_key: str | None
    bulk: bool
    timeout: float
    """Seconds for one attempt, from the moment that its connection is there."""
    limit: TimeLimit
    stats: CallStats
    guard: Callable[[], NeuroonError | None] | None = field(default=None, repr=False)
    """Asked right before each attempt leaves: what it returns ends the call, and nothing is sent."""
    attempts: int = 0
    sent: bool = False
    """Has the current attempt got as far as a connection? From then on the server may act on it."""
    maybe_processed: bool = False
    last_failure: NeuroonError | None = None
