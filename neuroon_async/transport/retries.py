"""May this failure be repeated, and when? The rules, and the tenacity object that carries them out.

A retry must be able to help (429, 5xx, no answer) and must be safe: an endpoint that is not repeat-safe is repeated
only where the request was surely not processed. Waiting is bounded by ``attempts``, by the ``deadline`` and by a budget
of retry tokens that all calls share, so that a dying server is not hammered by every task at once.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from ..api.contract import LONGEST_WINDOW
from ..errors import ConfigurationError, NeuroonError, RateLimited, RequestTimeout, ServerError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api.contract import Endpoint

__all__ = ["RetryBudget", "RetryPolicy", "retrying"]


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
        if capacity < 0:
            raise ConfigurationError(f"RetryBudget.capacity must be 0 or more, got {capacity}")
        self.capacity = capacity
        self.tokens = capacity

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
    """When to try again. All times are in seconds.

    ``attempts`` counts the first one. Between attempts it waits what ``Retry-After`` says (300 s at most, the longest
    documented window), else ``initial`` doubled each time up to ``maximum``, with jitter: half of it is random.
    ``deadline`` bounds a single call with all its attempts and waiting, for the rate limit too; ``None`` sets no
    bound, and bulk runs have none: their batches may rightly wait for minutes (`asyncio.timeout` bounds a run).
    ``outage_patience`` is how long a bulk run goes on trying while nothing of the service answers. ``None`` stands for
    2,700 times ``initial``, which is 45 minutes by default; for 120 times ``initial`` where waiting helps less: nothing
    has ever answered since the run began, or the service answers 500 or a success that nobody can read.
    ``budget`` is shared by all calls under this policy. Subclass it to decide otherwise.

    >>> RetryPolicy(attempts=3, initial=0.5, deadline=20.0).attempts
    3
    """

    attempts: int = 5
    initial: float = 1.0
    maximum: float = 60.0
    deadline: float | None = None
    outage_patience: float | None = None
    budget: RetryBudget = field(default_factory=RetryBudget, compare=False)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigurationError(f"RetryPolicy.attempts must be 1 or more, got {self.attempts}")
        if not (0 <= self.initial < math.inf and 0 <= self.maximum < math.inf):
            raise ConfigurationError(
                "RetryPolicy.initial and .maximum must be numbers of seconds, 0 or more, "
                f"got {self.initial} and {self.maximum}"
            )
        if self.deadline is not None and not 0 < self.deadline < math.inf:
            raise ConfigurationError(
                f"RetryPolicy.deadline must be a number of seconds above 0, or None for no bound; got {self.deadline}"
            )

        if self.outage_patience is not None and not 0 <= self.outage_patience < math.inf:
            raise ConfigurationError(
                "RetryPolicy.outage_patience must be a number of seconds, 0 or more, or None; "
                f"got {self.outage_patience}"
            )

    def should_retry(self, endpoint: Endpoint, error: BaseException) -> bool:
        """May this request be sent again after this failure, and could that help?"""
        if isinstance(error, RateLimited):
            return True  # a throttled request was not processed
        if isinstance(error, TransportError):
            return endpoint.repeat_safe or not error.maybe_processed
        return isinstance(error, ServerError) and endpoint.repeat_safe

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


def retrying(
    policy: RetryPolicy,
    endpoint: Endpoint,
    *,
    before_retry: Callable[[BaseException, float], None],
    deadline: float | None,
) -> AsyncRetrying:
    """A tenacity object for one call; sharing one between tasks would mix up their attempts.

    ``deadline`` is a time of the running loop: no wait is begun that would outlast it.
    """

    def failure(state: RetryCallState) -> BaseException:
        assert state.outcome is not None  # noqa: S101 - tenacity asks only after an attempt
        error = state.outcome.exception()
        assert error is not None  # noqa: S101 - and only after a failed one
        return error

    def may_retry(error: BaseException) -> bool:
        # No policy is asked about a cancellation, so none can swallow it.
        return isinstance(error, NeuroonError) and policy.should_retry(endpoint, error)

    def wait(state: RetryCallState) -> float:
        return policy.wait(state.attempt_number, failure(state))

    def stop(state: RetryCallState) -> bool:
        if state.attempt_number >= policy.attempts:
            return True
        if deadline is not None and asyncio.get_running_loop().time() + state.upcoming_sleep >= deadline:
            return True
        return not policy.budget.spend(policy.budget.cost_of(failure(state)))

    def before_sleep(state: RetryCallState) -> None:
        before_retry(failure(state), state.upcoming_sleep)

    return AsyncRetrying(
        stop=stop,
        wait=wait,
        retry=retry_if_exception(may_retry),
        before_sleep=before_sleep,
        sleep=asyncio.sleep,
        reraise=True,
    )
