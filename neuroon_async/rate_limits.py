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
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiolimiter import AsyncLimiter

from .contract import RATE_LIMIT_HEADER, RATE_REMAINING_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .contract import RateLimit

__all__ = ["EndpointLimiter", "LimitState", "Limiter", "LocalLimiter", "Permit", "RollingWindow"]

_log = logging.getLogger("neuroon_async.limits")

RESERVED_SHARE = 0.1
"""The part of a limit that a bulk run may take only evenly spread over the window.

So while a bulk run has everything else in use, a slot still comes back at least every
``per / (requests * RESERVED_SHARE)`` seconds, and single calls, which go first, wait no longer: 6 s at the documented
100 requests in 60 s.
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

    __slots__ = ("_cooling", "_in_flight", "per", "requests")

    def __init__(self, requests: int, per: float) -> None:
        self.requests = requests
        self.per = per
        self._in_flight = 0
        self._cooling: deque[float] = deque()
        """When each used slot comes back; ascending, because time is."""

    def available(self, now: float) -> int:
        cooling = self._cooling
        while cooling and cooling[0] <= now:
            cooling.popleft()
        return max(0, self.requests - self._in_flight - len(cooling))

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

    def spent_elsewhere(self, count: int, now: float) -> None:
        """Something else has used this many of the slots, at some time up to now."""
        self._cooling.extend([now + self.per] * count)

    def next_return(self, now: float) -> float | None:
        """When a slot will be free, as far as time alone decides; ``None`` while that depends on an answer."""
        if self.available(now) > 0:
            return now
        # A lowered limit may leave more slots cooling than there are: all but the newest must come back first.
        surplus = self._in_flight + len(self._cooling) - self.requests
        return self._cooling[surplus] if surplus < len(self._cooling) else None


class EndpointLimiter:
    """Admission to one endpoint on the running loop: first come, first served, single calls before bulk ones."""

    def __init__(self, name: str, limit: RateLimit) -> None:
        self._name = name
        self._limit = limit
        self._requests = limit.requests
        self._open = RollingWindow(limit.requests, limit.per)
        self._reserved = RollingWindow(0, limit.per)
        self._split(limit.requests)
        self._bucket = _token_bucket(limit)
        self._singles: deque[asyncio.Future[RollingWindow]] = deque()
        self._bulk: deque[asyncio.Future[RollingWindow]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        """No admission before this time. Only ever raised, so no finishing request can lift a pause early."""
        self._next_reserved = 0.0
        self._next_spaced = 0.0

    async def acquire(self, *, bulk: bool = False) -> _LocalPermit:
        permit = _LocalPermit(self, await self._slot(bulk=bulk))
        if self._bucket is not None:
            try:
                await self._bucket.acquire()
            except asyncio.CancelledError:
                permit.unused()
                raise
        return permit

    def state(self) -> LimitState:
        now = asyncio.get_running_loop().time()
        return LimitState(
            requests=self._requests,
            per=self._limit.per,
            available=self._open.available(now) + self._reserved.available(now),
            waiting=sum(not waiter.done() for queue in (self._singles, self._bulk) for waiter in queue),
            paused_for=max(0.0, self._not_before - now),
        )

    def pause(self, seconds: float) -> None:
        """Hold every request back, then let them return one by one over the following window, not as a stampede."""
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + seconds)
        self._wake()

    def observe(self, headers: Mapping[str, str]) -> None:
        """Believe the server where it allows less than the table: others may be spending the same budget."""
        limit = _count(headers.get(RATE_LIMIT_HEADER))
        if limit is not None and limit > 0:
            self._adopt(min(limit, self._limit.requests))
        remaining = _count(headers.get(RATE_REMAINING_HEADER))
        if remaining is not None:
            self._lower_to(remaining)

    async def _slot(self, *, bulk: bool) -> RollingWindow:
        loop = asyncio.get_running_loop()
        if not self._singles and not (bulk and self._bulk):
            window = self._grant(loop.time(), bulk=bulk)
            if window is not None:
                return window
        waiter: asyncio.Future[RollingWindow] = loop.create_future()
        (self._bulk if bulk else self._singles).append(waiter)
        self._wake()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # granted in the very moment of the cancellation
                waiter.result().unused()
            self._wake()
            raise

    def _grant(self, now: float, *, bulk: bool) -> RollingWindow | None:
        if now < max(self._not_before, self._next_spaced):
            return None
        if self._open.take(now):
            granted = self._open
        elif (not bulk or now >= self._next_reserved) and self._reserved.take(now):
            granted = self._reserved
            if bulk:
                self._next_reserved = now + self._limit.per / self._reserved.requests
        else:
            return None
        if now < self._not_before + self._limit.per and self._not_before:
            self._next_spaced = now + self._limit.per / self._requests
        return granted

    def _wake(self) -> None:
        """Hand free slots to those who wait, in order, then set the timer for the next slot that time will free."""
        now = asyncio.get_running_loop().time()
        for queue, bulk in ((self._singles, False), (self._bulk, True)):
            while queue:
                if queue[0].done():  # cancelled while it waited
                    queue.popleft()
                    continue
                window = self._grant(now, bulk=bulk)
                if window is None:
                    break
                queue.popleft().set_result(window)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        moment = self._next_admission(now)
        if moment is not None:
            self._timer = asyncio.get_running_loop().call_at(moment, self._wake)

    def _next_admission(self, now: float) -> float | None:
        if not self._singles and not self._bulk:
            return None
        moments = [self._open.next_return(now)]
        reserved = self._reserved.next_return(now)
        if reserved is not None:
            moments.append(reserved if self._singles else max(reserved, self._next_reserved))
        earliest = min((moment for moment in moments if moment is not None), default=None)
        return None if earliest is None else max(earliest, self._not_before, self._next_spaced)

    def ended(self, headers: Mapping[str, str] | None, pause: float | None) -> None:
        """A permit has come back, with what its answer told."""
        if headers is not None:
            self.observe(headers)
        if pause is not None:
            self.pause(pause)
        self._wake()

    def _adopt(self, requests: int) -> None:
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
        self._split(requests)

    def _split(self, requests: int) -> None:
        """Set the reserve apart. A limit of one request has none to spare."""
        reserved = 0 if requests < 2 else max(1, round(requests * RESERVED_SHARE))
        self._open.requests = requests - reserved
        self._reserved.requests = reserved

    def _lower_to(self, remaining: int) -> None:
        now = asyncio.get_running_loop().time()
        surplus = self._open.available(now) + self._reserved.available(now) - remaining
        for window in (self._open, self._reserved):
            spent = min(max(0, surplus), window.available(now))
            window.spent_elsewhere(spent, now)
            surplus -= spent


class _LocalPermit:
    __slots__ = ("_limiter", "_window")

    def __init__(self, limiter: EndpointLimiter, window: RollingWindow) -> None:
        self._limiter = limiter
        self._window = window

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        self._window.answered(asyncio.get_running_loop().time())
        self._limiter.ended(headers, pause)

    def unused(self) -> None:
        self._window.unused()
        self._limiter.ended(None, None)


class LocalLimiter:
    """The limits of one shop within this process: one `EndpointLimiter` an endpoint."""

    def __init__(self, rate_limits: Mapping[str, RateLimit]) -> None:
        self._endpoints = {name: EndpointLimiter(name, limit) for name, limit in rate_limits.items()}

    async def acquire(self, endpoint: str, *, bulk: bool = False) -> Permit:
        return await self._endpoints[endpoint].acquire(bulk=bulk)

    def limits(self) -> dict[str, LimitState]:
        return {name: limiter.state() for name, limiter in self._endpoints.items()}


def _token_bucket(limit: RateLimit) -> AsyncLimiter | None:
    """The bucket that spaces bursts out: ``burst`` at once, then one every ``per / requests`` seconds."""
    if limit.burst is None or limit.burst >= limit.requests:
        return None
    return AsyncLimiter(limit.burst, limit.burst * limit.per / limit.requests)


def _count(text: str | None) -> int | None:
    """A header's whole number; what is unreadable says nothing."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
