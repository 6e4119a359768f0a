"""Admission: no request leaves before the documented limit allows it, however the server counts.

The vendor documents N requests in T seconds, but not whether the server counts in fixed windows, rolling windows or a
token bucket. `RollingWindow` is right under all three: each of N slots comes back T seconds after the *answer* to its
request (by then the server has counted it), so no interval of T seconds ever holds more than N arrivals, whatever the
latency. A token bucket (aiolimiter) beside it spaces bursts out where `RateLimit.burst` asks for that.

`RollingWindow` is pure and is told the time; `EndpointLimiter` waits on the running loop's clock; `LocalLimiter` holds
one of them for every endpoint of a shop. `Limiter` and `Permit` are the protocols that a shared limiter implements.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiolimiter import AsyncLimiter

from ..api.contract import RATE_LIMIT_HEADER, RATE_REMAINING_HEADER, RETRY_AFTER_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.contract import RateLimit

__all__ = ["EndpointLimiter", "LimitState", "Limiter", "LocalLimiter", "Permit", "RollingWindow", "count_in_header"]

_log = logging.getLogger("neuroon_async.limits")

RESERVED_SHARE = 0.1
"""The part of a limit that a bulk run may take only evenly spread over the window.

So while a bulk run has everything else in use, a slot still comes back at least every
``per / (requests * RESERVED_SHARE)`` seconds, and single calls, which go first, wait no longer unless they come faster
than that: 6 s at the documented 100 requests in 60 s.
"""


@dataclass(frozen=True, slots=True)
class LimitState:
    """What is left of one endpoint's limit now. ``paused_for`` is in seconds; ``waiting`` counts held-back calls."""

    requests: int
    per: float
    available: int
    waiting: int
    paused_for: float


class Permit(Protocol):
    """The right to send one request. Exactly one of the two methods ends it."""

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        """The request came to an end: with an answer (its headers) or, perhaps processed, with none.

        ``pause``, after a 429, holds the whole endpoint back for that many seconds.
        """

    def unused(self) -> None:
        """The request surely never reached the server, so it counts against nothing."""


class Limiter(Protocol):
    """Where a client asks before every attempt. One instance may serve several clients of the same shop."""

    async def acquire(self, endpoint: str, *, bulk: bool = False) -> Permit:
        """Wait until one request to the endpoint may be sent. ``bulk`` requests let single ones go first."""

    def limits(self) -> dict[str, LimitState]:
        """What is left now, by endpoint name."""


class RollingWindow:
    """N slots, each of which comes back T seconds after its request was answered. Pure: the caller tells the time."""

    __slots__ = ("_cooling", "_in_flight", "elsewhere", "per", "requests", "returned")

    def __init__(self, requests: int, per: float) -> None:
        self.requests = requests
        self.per = per
        self.elsewhere = 0
        """How many slots are spoken for by something else."""
        self._in_flight = 0
        self._cooling: deque[float] = deque()
        """When each used slot comes back; ascending, because time is."""
        self.returned = 0
        """How many slots have ever come back."""

    def used(self, now: float) -> int:
        """How many slots are in flight or have not come back yet."""
        cooling = self._cooling
        while cooling and cooling[0] <= now:
            cooling.popleft()
            self.returned += 1
        return self._in_flight + len(cooling)

    def available(self, now: float) -> int:
        return max(0, self.requests - self.elsewhere - self.used(now))

    def take(self, now: float) -> bool:
        if self.available(now) == 0:
            return False
        self._in_flight += 1
        return True

    def answered(self, now: float) -> None:
        """A taken slot's request has ended: the slot starts to cool."""
        self._in_flight -= 1
        self._cooling.append(now + self.per)

    def unused(self) -> None:
        """A taken slot's request was never sent: the slot is free at once."""
        self._in_flight -= 1

    def next_return(self, now: float) -> float | None:
        """When a slot will be free, as far as time alone decides; ``None`` while that depends on an answer."""
        if self.available(now) > 0:
            return now
        # A lowered limit may leave more slots cooling than there are: all but the newest must come back first.
        surplus = self.used(now) + self.elsewhere - self.requests
        return self._cooling[surplus] if surplus < len(self._cooling) else None


class EndpointLimiter:
    """Admission to one endpoint on the running loop: first come, first served, single calls before bulk ones."""

    def __init__(self, name: str, limit: RateLimit) -> None:
        self._name = name
        self._limit = limit
        self._requests = limit.requests
        self._adopted = 0.0
        """When the server last changed the limit. Answers to older requests tell an older limit."""
        self._open = RollingWindow(limit.requests, limit.per)
        self._reserved = RollingWindow(0, limit.per)
        self._elsewhere: deque[tuple[float, int]] = deque()
        """Until when others are taken to have spent how much: the latest last, and the most first."""
        self._split()
        self._bucket = _token_bucket(limit)
        self._in_bucket: _LocalPermit | None = None
        """The one granted permit that has yet to pass the token bucket; until it has, no other is granted."""
        self._singles: deque[asyncio.Future[_LocalPermit]] = deque()
        self._bulk: deque[asyncio.Future[_LocalPermit]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        """No admission before this time. Only ever raised, so no finishing request can lift a pause early."""
        self._next_reserved = 0.0
        """When bulk may take from the reserve next. Every use of it, a single call's too, moves this on by a turn."""
        self._next_spaced = 0.0

    async def acquire(self, *, bulk: bool = False) -> _LocalPermit:
        permit = await self._granted(bulk=bulk)
        if self._bucket is not None:
            await self._pass(self._bucket, permit)
        return permit

    def state(self) -> LimitState:
        now = asyncio.get_running_loop().time()
        self._charge_elsewhere(now)
        waiting = sum(not waiter.done() for queue in (self._singles, self._bulk) for waiter in queue)
        return LimitState(
            requests=self._requests,
            per=self._limit.per,
            available=self._open.available(now) + self._reserved.available(now),
            waiting=waiting + (self._in_bucket is not None),
            paused_for=max(0.0, self._not_before - now),
        )

    def pause(self, seconds: float) -> None:
        """Hold every request back, then let them return one by one over the following window, not as a stampede."""
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + seconds)
        self._wake()

    def answered(self, permit: _LocalPermit, headers: Mapping[str, str] | None, pause: float | None) -> None:
        """A permit's request has ended, with what its answer told."""
        now = asyncio.get_running_loop().time()
        permit.window.answered(now)
        if headers is not None:
            self._believe(permit, headers, now)
        if pause is not None:
            self.pause(pause)
        self._wake()

    def unused(self, permit: _LocalPermit) -> None:
        """A permit comes back as if it had never been granted: the next in line may have its turn now."""
        now = asyncio.get_running_loop().time()
        permit.window.unused()
        self._next_spaced = min(self._next_spaced, now)
        if permit.window is self._reserved:
            self._next_reserved -= self._turn
        if self._in_bucket is permit:
            self._in_bucket = None
        self._wake()

    async def _granted(self, *, bulk: bool) -> _LocalPermit:
        loop = asyncio.get_running_loop()
        if not self._singles and not (bulk and self._bulk):
            permit = self._grant(loop.time(), bulk=bulk)
            if permit is not None:
                return permit
        waiter: asyncio.Future[_LocalPermit] = loop.create_future()
        (self._bulk if bulk else self._singles).append(waiter)
        self._wake()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # granted in the very moment of the cancellation
                waiter.result().unused()
            raise

    async def _pass(self, bucket: AsyncLimiter, permit: _LocalPermit) -> None:
        """Wait for the token bucket. One at a time, so that the others keep their order, and single calls go first."""
        loop = asyncio.get_running_loop()
        try:
            await bucket.acquire()
            # A pause that has begun meanwhile, and may be prolonged.
            while (rest := self._not_before - loop.time()) > 0:  # noqa: ASYNC110 - a sleep that knows when it ends
                await asyncio.sleep(rest)
        except BaseException:
            permit.unused()
            raise
        self._in_bucket = None
        self._space_out(loop.time())
        self._wake()

    def _grant(self, now: float, *, bulk: bool) -> _LocalPermit | None:
        self._charge_elsewhere(now)
        if self._in_bucket is not None or now < max(self._not_before, self._next_spaced):
            return None
        window = self._take(now, bulk=bulk)
        if window is None:
            return None
        self._space_out(now)
        permit = _LocalPermit(self, window, granted=now, returned=self._returned(now))
        if self._bucket is not None:
            self._in_bucket = permit
        return permit

    def _take(self, now: float, *, bulk: bool) -> RollingWindow | None:
        windows: tuple[RollingWindow, ...] = (self._open, self._reserved)
        if bulk and now < self._next_reserved:
            windows = (self._open,)
        elif bulk:  # its turn at the reserve first: saved up, there would be more turns left than time to take them
            windows = (self._reserved, self._open)
        window = next((window for window in windows if window.take(now)), None)
        if window is self._reserved:
            self._next_reserved = max(now, self._next_reserved) + self._turn
        return window

    def _space_out(self, now: float) -> None:
        """After a pause: the next request only when its share of the window has passed."""
        if self._not_before and now < self._not_before + self._limit.per:
            self._next_spaced = now + self._limit.per / self._requests

    def _wake(self) -> None:
        """Hand free slots to those who wait, in order, then set the timer for the next slot that time will free."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for queue, bulk in ((self._singles, False), (self._bulk, True)):
            while queue:
                if queue[0].done():  # cancelled while it waited
                    queue.popleft()
                    continue
                permit = self._grant(now, bulk=bulk)
                if permit is None:
                    break
                queue.popleft().set_result(permit)
        moment = self._next_admission(now)
        if self._timer is not None:
            if self._timer.when() == moment:
                return
            self._timer.cancel()
        self._timer = None if moment is None else loop.call_at(moment, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._wake()

    def _next_admission(self, now: float) -> float | None:
        if self._in_bucket is not None or not (self._singles or self._bulk):
            return None
        moments = [self._open.next_return(now)]
        reserved = self._reserved.next_return(now)
        if reserved is not None:
            moments.append(reserved if self._singles else max(reserved, self._next_reserved))
        if self._elsewhere:
            moments.append(self._elsewhere[0][0])
        earliest = min((moment for moment in moments if moment is not None), default=None)
        return None if earliest is None else max(earliest, self._not_before, self._next_spaced)

    def _believe(self, permit: _LocalPermit, headers: Mapping[str, str], now: float) -> None:
        """Follow the server where it allows less than the table: others may be spending the same budget."""
        limit = count_in_header(headers.get(RATE_LIMIT_HEADER))
        if limit is not None and limit > 0 and permit.granted >= self._adopted:
            self._adopt(min(limit, self._limit.requests), now)
        remaining = count_in_header(headers.get(RATE_REMAINING_HEADER))
        if remaining is not None and RETRY_AFTER_HEADER not in headers:  # else the server says itself when to return
            own = self._open.used(now) + self._reserved.used(now) + self._returned(now) - permit.returned
            self._note_elsewhere(self._requests - remaining - own, now)

    def _adopt(self, requests: int, now: float) -> None:
        if requests == self._requests:
            return
        _log.warning(
            "%s: the server's limit is now %d requests in %g s (the table says %d); keeping to it",
            self._name,
            requests,
            self._limit.per,
            self._limit.requests,
        )
        self._requests = requests
        self._adopted = now
        self._split()

    def _split(self) -> None:
        """Set the reserve apart. A limit of one request has none to spare."""
        requests = self._requests
        # Rounded up, or the reserve would return too slowly for what RESERVED_SHARE promises.
        reserved = 0 if requests < 2 else math.ceil(round(requests * RESERVED_SHARE, 9))
        self._open.requests = requests - reserved
        self._reserved.requests = reserved
        self._turn = self._limit.per / max(1, reserved)

    def _note_elsewhere(self, count: int, now: float) -> None:
        """Others have at least ``count`` requests in the server's window: the most of what was seen within it holds."""
        if count <= 0:
            return
        while self._elsewhere and self._elsewhere[-1][1] <= count:
            self._elsewhere.pop()
        self._elsewhere.append((now + self._limit.per, count))

    def _charge_elsewhere(self, now: float) -> None:
        """Take what others spend from the free slots, from those of the reserve last."""
        while self._elsewhere and self._elsewhere[0][0] <= now:
            self._elsewhere.popleft()
        rest = self._elsewhere[0][1] if self._elsewhere else 0
        for window in (self._open, self._reserved):
            window.elsewhere = min(rest, max(0, window.requests - window.used(now)))
            rest -= window.elsewhere

    def _returned(self, now: float) -> int:
        """How many slots have come back up to now, in all.

        The server counted when a request arrived. What has come back here since that request was granted may still
        have been in the server's count, so by that much ``X-RateLimit-Remaining`` is out of date.
        """
        self._open.used(now)
        self._reserved.used(now)
        return self._open.returned + self._reserved.returned


class _LocalPermit:
    __slots__ = ("_limiter", "granted", "returned", "window")

    def __init__(self, limiter: EndpointLimiter, window: RollingWindow, *, granted: float, returned: int) -> None:
        self._limiter = limiter
        self.window = window
        self.granted = granted
        self.returned = returned

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        self._limiter.answered(self, headers, pause)

    def unused(self) -> None:
        self._limiter.unused(self)


class _FreePermit:
    """For an endpoint whose limit is switched off."""

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        pass

    def unused(self) -> None:
        pass


class LocalLimiter:
    """The limits of one shop within this process: one `EndpointLimiter` an endpoint; ``None`` switches one off."""

    def __init__(self, rate_limits: Mapping[str, RateLimit | None]) -> None:
        self._endpoints = {name: EndpointLimiter(name, limit) for name, limit in rate_limits.items() if limit}

    async def acquire(self, endpoint: str, *, bulk: bool = False) -> Permit:
        limiter = self._endpoints.get(endpoint)
        return _FreePermit() if limiter is None else await limiter.acquire(bulk=bulk)

    def limits(self) -> dict[str, LimitState]:
        return {name: limiter.state() for name, limiter in self._endpoints.items()}


def _token_bucket(limit: RateLimit) -> AsyncLimiter | None:
    """The bucket that spaces bursts out: ``burst`` at once, then one every ``per / requests`` seconds."""
    if limit.burst is None or limit.burst >= limit.requests:
        return None
    return AsyncLimiter(limit.burst, limit.burst * limit.per / limit.requests)


def count_in_header(text: str | None) -> int | None:
    """A header's whole number; what is unreadable says nothing."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
