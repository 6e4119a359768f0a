"""Telling an outage, which a run waits out, from a batch that the server cannot digest, which costs only itself.

And a firewall, which refuses what a product's text says, from one that refuses whatever comes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from ..errors import APIError, NeuroonError, RateLimited, ResponseDecodeError, ServerError, TransportError
from ..transport.retries import backoff_of

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
MAX_ROUNDS_BESIDE_ANSWERS = 2
"""One round in which it failed while others were answered may have begun before an outage, or ended after it."""
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
        self._under_way: list[OutageRetry] = []

    def watch(self, request: OutageRetry) -> None:
        """Tell a request from now on when others are answered."""
        self._under_way.append(request)

    def unwatch(self, request: OutageRetry) -> None:
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
        self._beside: set[tuple[int, int]] = set()
        """Others were answered when so many attempts of this request had begun, and so many of them had ended."""
        self._beside_answers = 0
        self._first = 0
        """How many attempts had begun when the round did."""
        self.rounds: int = 0
        """Failed rounds."""

    async def run(self, send: Callable[[], Awaitable[T]]) -> T:
        """What ``send`` returns, tried again while the whole service is down. Raises its last error."""
        self._health.watch(self)
        try:
            return await self._rounds(send)
        finally:
            self._health.unwatch(self)

    def other_answered(self) -> None:
        """While an attempt of this request was under way, or the next one was waited for."""
        self._beside.add((self._stats.requests, self._stats.attempts_ended))

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
        self._first = self._stats.requests
        try:
            return await send()
        finally:
            self._stats.retries += self.rounds > 0 and self._stats.requests > self._first

    async def _another_round(self, error: NeuroonError) -> bool:
        """Wait, and say whether to try again.

        Where it fails alone round after round, it is not an outage: the request itself is at fault.
        """
        self.rounds += 1
        if isinstance(error, TransportError) and error.permanent:  # no patience mends a certificate
            self._health.gave_up(error)
            return False
        if all(begun < self._first for begun, _ in self._beside):
            self._beside_answers = 0
        elif self._failed_alone():
            self._beside_answers += 1
        if self._beside_answers >= MAX_ROUNDS_BESIDE_ANSWERS:
            return False
        self._keep_for_next_round()
        return await self._health.wait_out(self.rounds, error)

    def _failed_alone(self) -> bool:
        """Whether an attempt of the round failed while the service was there for others: before it and right after it,
        or just now. Answers at one moment alone may be the last ones before an outage, or a short return of the
        service, into which the next attempt may have begun.
        """
        return self._failed_just_now() or any((begun + 1, begun + 1) in self._beside for begun, _ in self._beside)

    def _failed_just_now(self) -> bool:
        """Whether others were answered during the last attempt, or since the one before it.

        A round of one attempt has none before it: the service may have come back and gone again before it began.
        """
        last = self._stats.requests
        return any(begun > self._first and begun >= last - 1 for begun, _ in self._beside)

    def _keep_for_next_round(self) -> None:
        """Answers before a round's only attempt count against it where others come while the next round is waited for.

        Of two attempts or more the last one has had its verdict.
        """
        alone = self._stats.requests == self._first + 1 and not self._failed_just_now()
        self._beside = {(begun, ended) for begun, ended in self._beside if alone and begun == self._first}
