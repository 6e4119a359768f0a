"""Telling an outage, which a run waits out, from a batch that the server cannot digest, which costs only itself.

And a firewall, which refuses what a product's text says, from one that refuses whatever comes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from ..errors import APIError, NeuroonError, RateLimited, ResponseDecodeError, ServerError, TransportError
from ..transport.retries import backoff_of
from .lone_failures import LoneFailures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..transport.calls import CallStats
    from ..transport.retries import RetryPolicy
    from .costs import Costs

__all__ = ["MAX_FAILED_IN_A_ROW", "OutageRetry", "ServiceHealth", "by_firewall"]

T = TypeVar("T")
_log = logging.getLogger("neuroon_async")

_PATIENCE = 2_700
"""How long an outage is waited out unless the policy says so, in multiples of its ``initial`` backoff: 45 minutes by
default. The longest one on record in Production took 26."""
_BRIEF_PATIENCE = 120
"""The same where waiting helps less: not one HTTP response has come since the run began (a wrong address is no outage),
or the service is there and fails by itself (500, or a success that nobody can read)."""
MAX_FAILED_IN_A_ROW = 10
"""After so many batches in a row that failed for good, the run stops."""
MAX_TOO_LARGE_IN_A_ROW = 64
"""After so many single products refused as too large, none accepted in between, size is not what is wrong."""
_REFUSALS_OF_FIREWALLS = {403, 406}


def by_firewall(error: NeuroonError) -> TypeGuard[APIError]:
    """Is this a refusal that may be a firewall's, of what a product says? The API's own 403 is about the key."""
    return isinstance(error, APIError) and error.status in _REFUSALS_OF_FIREWALLS and not error.documented


class ServiceHealth:
    """What a run knows of the service: does it answer, since when not, and how long the run goes on. Shared by all."""

    def __init__(self, policy: RetryPolicy, costs: Costs) -> None:
        self._policy = policy
        self._costs = costs
        self._since: float | None = None
        """The loop's time at which the outage began that is being waited out."""
        self._answered_at: float | None = None
        self.last_error: NeuroonError | None = None
        """What the service's last failure was, since it last answered."""
        self._failed_in_a_row = 0
        self._too_large_in_a_row = 0
        self._heard = False
        """Has the API itself ever answered?"""
        self._kept_out: list[APIError] = []
        """How a firewall refused products that were sent alone, until the API was heard."""
        self._under_way: list[LoneFailures] = []

    def watch(self, request: LoneFailures) -> None:
        """Tell a request from now on when others are answered."""
        self._under_way.append(request)

    def unwatch(self, request: LoneFailures) -> None:
        self._under_way.remove(request)

    def failing_since(self) -> float | None:
        """The loop's time since which no answer has come but 5xx, as far as is known."""
        if self._since is not None:
            return self._since
        since = self._costs.total().failing_since
        return since if since is None or self._answered_at is None else max(since, self._answered_at)

    def gives_up_at(self) -> float | None:
        """The loop's time up to which the run goes on without an answer."""
        since = self.failing_since()
        return None if since is None else since + self._patience(self.last_error)

    def never_answered(self) -> NeuroonError | None:
        """The error of a run in which no request ever got an answer, or none but a firewall's for several products."""
        if len(self._kept_out) > 1 and not self._heard:
            return self._kept_out[-1]
        total = self._costs.total()
        unheard = total.requests and not total.answers and isinstance(self.last_error, TransportError)
        return self.last_error if unheard else None

    def answered(self, error: APIError | None = None) -> None:
        """The service is there: with a success, or with this error."""
        self._heard = self._heard or error is None or error.documented
        now = asyncio.get_running_loop().time()
        if self._since is not None:
            _log.info("the service answers again after %.0f s", now - self._since)
        self._since = self.last_error = None
        self._answered_at = now
        for request in self._under_way:
            request.other_answered()

    def gave_up(self, error: NeuroonError) -> None:
        """Waiting cannot help with this failure."""
        self.last_error = error

    def accepted(self) -> None:
        """A batch was accepted."""
        self._failed_in_a_row = 0
        self._too_large_in_a_row = 0

    def failed_for_good(self) -> bool:
        """Count a failed batch, and say whether the run should stop."""
        self._failed_in_a_row += 1
        return self._failed_in_a_row >= MAX_FAILED_IN_A_ROW

    def too_large(self) -> bool:
        """Count a product that alone was refused as too large (413), and say whether the run should stop."""
        self._too_large_in_a_row += 1
        return self._too_large_in_a_row >= MAX_TOO_LARGE_IN_A_ROW

    def kept_out(self, error: APIError) -> bool:
        """Count a product that a firewall refused although it was sent alone, and say whether the run should stop."""
        if not self._heard:
            self._kept_out.append(error)
        return self.failed_for_good()

    async def wait_out(self, rounds: int, error: NeuroonError) -> bool:
        """Wait, and say whether to try once more. ``False`` where the service has been down for too long."""
        now = asyncio.get_running_loop().time()
        self.last_error = error
        begins = self._since is None
        if self._since is None:
            self._since = self.failing_since() or now
        left = self._since + self._patience(error) - now
        if left <= 0:
            return False
        if begins:
            _log.warning("no usable answer for %.0f s, going on for another %.0f s: %s", now - self._since, left, error)
        # Longer than within a round, and never so long that its return is noticed late.
        await asyncio.sleep(backoff_of(self._policy, min(rounds + 3, 6)))
        return True

    def _patience(self, error: NeuroonError | None) -> float:
        """Seconds to go on for, given the last failure."""
        if self._policy.outage_patience is not None:
            return self._policy.outage_patience
        its_own = isinstance(error, ResponseDecodeError) or (isinstance(error, ServerError) and error.status == 500)
        brief = its_own or not self._costs.total().answers
        return (_BRIEF_PATIENCE if brief else _PATIENCE) * self._policy.initial


class OutageRetry:
    """The one loop that outlasts an outage, for one request. A round is all the attempts that the policy allows."""

    def __init__(self, health: ServiceHealth, stats: CallStats) -> None:
        self._health = health
        self._stats = stats
        self._lone_failures = LoneFailures(stats)
        self._failed_rounds = 0

    async def run(self, send: Callable[[], Awaitable[T]]) -> T:
        """What ``send`` returns, tried again while the whole service is down. Raises its last error."""
        self._health.watch(self._lone_failures)
        try:
            return await self._rounds(send)
        finally:
            self._health.unwatch(self._lone_failures)

    async def _rounds(self, send: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                answer = await self._round(send)
            except (TransportError, ServerError, RateLimited, ResponseDecodeError) as error:
                # An unreadable success is a proxy's page, most likely; under the same key, asking again is safe.
                if not await self._another_round(error):
                    raise
            except APIError as error:
                self._health.answered(error)
                raise
            else:
                self._health.answered()
                return answer

    async def _round(self, send: Callable[[], Awaitable[T]]) -> T:
        """All attempts of a round after the first one are retries, its first one too."""
        self._lone_failures.round_begins()
        attempts_before = self._stats.requests
        try:
            return await send()
        finally:
            self._stats.retries += self._failed_rounds > 0 and self._stats.requests > attempts_before

    async def _another_round(self, error: NeuroonError) -> bool:
        """Wait, and say whether to try again."""
        self._failed_rounds += 1
        if isinstance(error, TransportError) and error.permanent:  # no patience mends a certificate
            self._health.gave_up(error)
            return False
        if self._lone_failures.round_failed():
            return False
        return await self._health.wait_out(self._failed_rounds, error)
