"""May this failure be repeated, and when? The rules, and the tenacity object that carries them out.

A retry must be able to help (408, 429, 5xx, no answer) and must be safe: an endpoint that is not repeat-safe is
repeated only where the request was certainly not processed. Waiting is bounded by ``attempts``, by the call's
`TimeLimit` and by a budget of retry tokens that all calls share, so that a dying server is not hammered by every task
at once.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeGuard

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from ..api.arguments import check_callback, check_capable, check_count, check_seconds, shown
from ..api.contract import LONGEST_WINDOW
from ..api.shapes import is_number
from ..errors import (
    APIError,
    NeuroonError,
    RateLimited,
    RequestTimeout,
    ServerError,
    TransportError,
    UsageError,
)
from .calls import may_be_processed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..api.contract import Endpoint
    from ..api.responses import Response
    from .time_limit import TimeLimit

__all__ = ["RetryBudget", "RetryPolicy", "backoff_of", "checked_retry", "may_retry", "retry"]


class RetryBudget:
    """Retry tokens shared by all calls under one policy, as in botocore's standard mode.

    A retry takes ``COST`` tokens (``TIMEOUT_COST`` after a timeout); a success puts what its last retry took back, or
    one token where it needed none. An empty budget means that retries are not helping: calls then fail at once,
    until successes have refilled it. Answers of 429 cost nothing: there the server itself says when to come back.
    """

    COST = 5
    TIMEOUT_COST = 10

    __slots__ = ("capacity", "tokens")

    def __init__(self, capacity: int = 500) -> None:
        check_count("RetryBudget.capacity", capacity, least=0)
        self.capacity: int = capacity
        self.tokens: int = capacity

    def cost_of(self, error: BaseException) -> int:
        if isinstance(error, RateLimited):
            return 0
        return self.TIMEOUT_COST if isinstance(error, RequestTimeout) else self.COST

    def spend(self, cost: int) -> bool:
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True

    def refund(self, cost: int) -> None:
        self.tokens = min(self.capacity, self.tokens + max(1, cost))

    def __repr__(self) -> str:
        return f"RetryBudget({self.capacity}, tokens={self.tokens})"


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again, and when to give up. All times are in seconds. Subclass it to decide otherwise.

    - ``attempts``: how often a request is sent at most, the first time included.
    - ``initial``, ``maximum``: the wait before the first retry, which doubles each time, and its upper bound; half of
      it is random. Where the server sends ``Retry-After``, that is waited instead (300 s at most, the longest
      documented window).
    - ``deadline``: bounds a single call with all its attempts and waiting, for the rate limit too. ``None``: attempts
      and the waits between them end within 120 s (a longer ``timeout`` still gets its one attempt), and waiting for
      the rate limit is not counted.
    - ``outage_patience``: how long a bulk run goes on trying while nothing of the service answers. ``None`` stands
      for 2,700 times ``initial``, which is 45 minutes by default; for 120 times ``initial`` where waiting helps less:
      nothing has ever answered since the run began, or the service answers 500 or a success that nobody can read.
    - ``bulk_deadline``: bounds a whole bulk run, for programs in which somebody waits for it: opening its ledger, its
      source, its callbacks and all waiting. It then raises `RequestTimeout` with its report. What waits in its own
      cleanup by then (the ``finally`` of a source or a callback) gets 10 s more and is cancelled again, and so do
      callbacks for what they have not been told: half a minute in all. ``None``: no bound.
    - ``budget``: retry tokens shared by all calls under this policy; ``None``: no budget.

    Raises `UsageError` for numbers that cannot be meant.

    >>> RetryPolicy(attempts=3, initial=0.5, deadline=20.0).attempts
    3
    """

    attempts: int = 5
    initial: float = 1.0
    maximum: float = 60.0
    deadline: float | None = None
    outage_patience: float | None = None
    budget: RetryBudget | None = field(default_factory=RetryBudget, compare=False)
    bulk_deadline: float | None = None

    def __post_init__(self) -> None:
        check_count("RetryPolicy.attempts", self.attempts)
        check_seconds("RetryPolicy.initial", self.initial, zero=True)
        check_seconds("RetryPolicy.maximum", self.maximum, zero=True)
        check_seconds("RetryPolicy.deadline", self.deadline, none=True)
        check_seconds("RetryPolicy.bulk_deadline", self.bulk_deadline, none=True)
        check_seconds("RetryPolicy.outage_patience", self.outage_patience, zero=True, none=True)
        tokens = ("cost_of", "spend", "refund")
        check_capable("RetryPolicy.budget", self.budget, tokens, "a RetryBudget, or None for no bound")

    def should_retry(self, endpoint: Endpoint, error: BaseException) -> bool:
        """May this request be sent again after this failure, and could that help?"""
        if isinstance(error, RateLimited):
            return not error.local  # a throttled request was not processed
        if isinstance(error, TransportError):
            return not error.permanent and (endpoint.repeat_safe or not error.maybe_processed)
        return endpoint.repeat_safe and isinstance(error, APIError) and may_be_processed(error)

    def wait(self, attempt: int, error: BaseException) -> float:
        """Seconds to wait after failed attempt number ``attempt`` (the first is 1)."""
        retry_after = error.retry_after if isinstance(error, (RateLimited, ServerError)) else None
        if retry_after is None:
            return self.backoff(attempt)
        # Never earlier than asked, and not all tasks in the same instant.
        return min(retry_after, LONGEST_WINDOW) * (1 + 0.1 * random.random())  # noqa: S311 - jitter, not a secret

    def backoff(self, attempt: int) -> float:
        """Exponential backoff with equal jitter."""
        full = min(self.maximum, self.initial * 2.0 ** min(attempt - 1, 60))
        return full * (0.5 + 0.5 * random.random())  # noqa: S311 - jitter, not a secret


def checked_retry(policy: object) -> RetryPolicy:
    """The option ``retry``. Raises `UsageError` unless it is a policy; what decides otherwise is a subclass."""
    if not isinstance(policy, RetryPolicy):
        raise UsageError(f"must be a RetryPolicy, such as RetryPolicy(attempts=3), got {shown(policy)}", where="retry")
    for method in ("should_retry", "wait", "backoff"):
        check_callback(f"retry.{method}", getattr(policy, method), none=False)
    return policy


def backoff_of(policy: RetryPolicy, attempt: int) -> float:
    """The backoff after failed attempt number ``attempt``. Raises `UsageError` where a subclass gives no seconds."""
    return _seconds("backoff", policy.backoff(attempt))


def _seconds(method: str, given: object) -> float:
    if not is_number(given):
        raise UsageError(f"must give a number of seconds; it gave {shown(given)}", where=f"retry.{method}")
    return given


def may_retry(outcome: Response | NeuroonError, policy: RetryPolicy, endpoint: Endpoint) -> TypeGuard[NeuroonError]:
    """Is this a failure that may be repeated? No policy is asked about a success."""
    return isinstance(outcome, NeuroonError) and policy.should_retry(endpoint, outcome)


async def retry(
    policy: RetryPolicy,
    endpoint: Endpoint,
    failure: NeuroonError,
    attempt: Callable[[], Awaitable[Response | NeuroonError]],
    *,
    before_retry: Callable[[NeuroonError, float], None],
    limit: TimeLimit,
) -> Response | NeuroonError:
    """Go on after a first attempt that ended in ``failure``, which may be retried. Returns the last outcome.

    Failures are returned by the attempts, not raised: nothing of an earlier one hangs on the last. A tenacity object
    serves one call; sharing one between tasks would mix up their attempts.
    """

    def failed(state: RetryCallState) -> NeuroonError:
        assert state.outcome is not None  # noqa: S101 - tenacity asks only after an attempt
        error = state.outcome.result()
        assert isinstance(error, NeuroonError)  # noqa: S101 - and only after a failed one
        return error

    def wait(state: RetryCallState) -> float:
        return _seconds("wait", policy.wait(state.attempt_number, failed(state)))

    def stop(state: RetryCallState) -> bool:
        if state.attempt_number >= policy.attempts:
            return True
        if asyncio.get_running_loop().time() + state.upcoming_sleep >= limit.ends:
            return True
        return policy.budget is not None and not policy.budget.spend(policy.budget.cost_of(failed(state)))

    def before_sleep(state: RetryCallState) -> None:
        before_retry(failed(state), state.upcoming_sleep)

    pending: NeuroonError | None = failure

    async def next_outcome() -> Response | NeuroonError:
        """The first attempt was made before tenacity came into play."""
        nonlocal pending
        if pending is not None:
            first, pending = pending, None
            return first
        return await attempt()

    retrying = AsyncRetrying(
        stop=stop,
        wait=wait,
        retry=retry_if_result(lambda outcome: may_retry(outcome, policy, endpoint)),
        before_sleep=before_sleep,
        retry_error_callback=failed,
        sleep=asyncio.sleep,
    )
    return await retrying(next_outcome)
