"""Limits kept within one process.

`LocalLimiter` holds a `LocalEndpoint` for every endpoint of a shop. That one lets callers wait on the running loop's
clock; who may leave, and when, is decided by the `Admission` of `policy`. A token bucket (aiolimiter) behind it spaces
requests out where `RateLimit.burst` asks for that.

A limiter may outlive its event loop and go on in the next one, as in task queues that call `asyncio.run` for each job.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

from aiolimiter import AsyncLimiter

from ..api.arguments import check_text
from ..api.responses import RateLimitHeaders
from .clock import LoopClock
from .policy import Admission, EffectiveLimit, counted_by_server, would_be_late
from .protocols import LimitState
from .tables import check_call, check_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.contract import RateLimit
    from .protocols import Permit

    Queue = OrderedDict["asyncio.Future[LocalPermit]", float | None]
    """Callers in their order, each with its deadline."""

__all__ = ["LocalEndpoint", "LocalLimiter", "LocalPermit"]

_log = logging.getLogger("neuroon_async.limits")

NOTHING_TOLD = RateLimitHeaders()


class LocalEndpoint:
    """Admission to one endpoint: first come, first served, single calls before bulk ones."""

    def __init__(self, name: str, limit: RateLimit) -> None:
        self._name = name
        self._limit = limit
        self._effective = EffectiveLimit(limit)
        self._admission = Admission(limit)
        self._clock = LoopClock()
        self._epoch = object()
        """Another one for each loop that ended under this limiter. What was in flight in them has ended, too."""
        self._bucket = _token_bucket(limit)
        self._in_bucket: LocalPermit | None = None
        """The one granted permit that has yet to pass the token bucket; until it has, no other is granted."""
        self._singles: Queue = OrderedDict()
        self._bulk: Queue = OrderedDict()
        self._with_deadline = 0
        """How many of those who wait have a deadline."""
        self._timer: tuple[float, asyncio.Handle] | None = None
        """When it goes off, and its handle. The handle itself may not know: uvloop's does not where that is at once."""

    async def acquire(self, *, bulk: bool = False, deadline: float | None = None) -> LocalPermit:
        """As `DeadlineLimiter.acquire`."""
        if self._clock.is_elsewhere():
            self._change_loop()
        permit = await self._granted(bulk=bulk, deadline=deadline)
        if self._bucket is not None:
            await self._pass(self._bucket, permit, deadline)
        return permit

    def state(self) -> LimitState:
        """What is left. Any thread may ask, with or without an event loop."""
        now = self._clock.now()
        timer = self._timer
        return LimitState(
            requests=self._effective.requests,
            per=self._limit.per,
            available=self._admission.available(now),
            waiting=len(self._singles) + len(self._bulk) + (self._in_bucket is not None),
            paused_for=max(0.0, self._admission.not_before - now),
            next_in=0.0 if timer is None else max(0.0, timer[0] - now),
        )

    def pause(self, seconds: float) -> None:
        """Hold every request back, then let them return one by one over the following window, not as a stampede."""
        now = self._clock.now()
        self._admission.pause(now + seconds)
        self._refuse_late(now)
        self._wake()

    def occupy(self, count: int, seconds: float) -> None:
        """Take so many slots for so long, for requests that were sent elsewhere."""
        if self._clock.is_elsewhere():
            self._change_loop()
        now = self._clock.now()
        for _ in range(count):
            self._admission.window.take(now)
            self._admission.window.cool(now + seconds)

    def answered(self, permit: LocalPermit, headers: Mapping[str, str] | None, pause: float | None) -> None:
        """A permit's request has ended, with what its answer says; ``None``: without one."""
        if permit.epoch is not self._epoch:
            return
        now = self._clock.now()
        told = NOTHING_TOLD if headers is None else RateLimitHeaders.of(headers)
        if self._effective.observe(told, permit.generation):
            self._admission.set_requests(self._effective.requests)
            _log.warning("%s: %s", self._name, self._effective)
        if headers is None:
            self._admission.unanswered(now)
        else:
            self._admission.answered(now, stamp=permit.stamp, counted=counted_by_server(told, self._effective.requests))
        if pause is not None:
            self._admission.pause(now + pause)
        self._refuse_late(now)
        self._wake()

    def unused(self, permit: LocalPermit) -> None:
        """A permit comes back as if it had never been granted: the next in line may have its turn now."""
        if permit.epoch is not self._epoch:
            return
        self._admission.unused(self._clock.now())
        if self._in_bucket is permit:
            self._in_bucket = None
        self._wake()

    async def _granted(self, *, bulk: bool, deadline: float | None) -> LocalPermit:
        now = self._clock.now()
        ahead = len(self._singles) + (len(self._bulk) if bulk else 0)
        if ahead == 0:
            permit = self._grant(now, bulk=bulk)
            if permit is not None:
                return permit
        if deadline is not None:
            late = self._late(now, deadline, ahead=ahead, bulk=bulk)
            if late is not None:
                raise late
        return await self._turn(bulk=bulk, deadline=deadline)

    async def _turn(self, *, bulk: bool, deadline: float | None) -> LocalPermit:
        """Wait in line."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[LocalPermit] = loop.create_future()
        queue = self._bulk if bulk else self._singles
        queue[waiter] = deadline
        expiry = None if deadline is None else loop.call_at(deadline, self._expire, waiter, bulk)
        self._with_deadline += expiry is not None
        self._wake()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().unused()  # granted in the very moment of the cancellation
            raise
        finally:
            if expiry is not None:
                expiry.cancel()
                self._with_deadline -= 1
            queue.pop(waiter, None)
            if not (self._singles or self._bulk):
                self._set_timer(None)

    async def _pass(self, bucket: AsyncLimiter, permit: LocalPermit, deadline: float | None) -> None:
        """Wait for the token bucket. One at a time, so that the others keep their order, and single calls go first."""
        timer = asyncio.timeout_at(deadline)
        try:
            async with timer:
                await bucket.acquire()
                # A pause that has begun meanwhile, and may be prolonged.
                while (rest := self._admission.not_before - self._clock.now()) > 0:  # noqa: ASYNC110 - it knows when
                    await asyncio.sleep(rest)
        except BaseException as error:
            permit.unused()
            if isinstance(error, TimeoutError) and timer.expired():
                now = self._clock.now()
                slot = self._admission.earliest(now, ahead=0, bulk=False) - now
                token = self._limit.per / self._limit.requests  # the bucket gains one in that time
                raise would_be_late(self._name, requests=self._effective.requests, wait=max(slot, token)) from None
            raise
        self._in_bucket = None
        self._admission.space_out(self._clock.now())
        self._wake()

    def _grant(self, now: float, *, bulk: bool) -> LocalPermit | None:
        stamp = None if self._in_bucket is not None else self._admission.take(now, bulk=bulk)
        if stamp is None:
            return None
        permit = LocalPermit(self, stamp=stamp, generation=self._effective.generation, epoch=self._epoch)
        if self._bucket is not None:
            self._in_bucket = permit
        return permit

    def _late(self, now: float, deadline: float, *, ahead: int, bulk: bool) -> Exception | None:
        """The refusal of a call whose wait is known to outlast its deadline."""
        earliest = self._admission.earliest(now, ahead=ahead, bulk=bulk)
        if self._limit.burst is not None:  # one of the whole limit or more adds nothing to the above
            spaced = (ahead + (self._in_bucket is not None) - self._limit.burst) * self._limit.per
            earliest = max(earliest, now + spaced / self._limit.requests)
        if earliest <= deadline:
            return None
        return would_be_late(self._name, requests=self._effective.requests, wait=earliest - now)

    def _refuse_late(self, now: float) -> None:
        """Something may have lengthened the wait: do not let those stand in line for whom it is now too long."""
        if not self._with_deadline:
            return
        ahead = 0
        for queue, bulk in ((self._singles, False), (self._bulk, True)):
            for waiter, deadline in tuple(queue.items()):
                if waiter.done():  # cancelled just now
                    continue
                late = None if deadline is None else self._late(now, deadline, ahead=ahead, bulk=bulk)
                if late is None:
                    ahead += 1
                else:
                    del queue[waiter]
                    waiter.set_exception(late)

    def _expire(self, waiter: asyncio.Future[LocalPermit], bulk: bool) -> None:
        if waiter.done():
            return
        del (self._bulk if bulk else self._singles)[waiter]
        now = self._clock.now()
        wait = self._admission.earliest(now, ahead=0, bulk=bulk) - now
        waiter.set_exception(would_be_late(self._name, requests=self._effective.requests, wait=wait))

    def _wake(self) -> None:
        """Hand free slots to those who wait, in order, then set the timer for the next slot that time will free."""
        if not (self._singles or self._bulk or self._timer):
            return
        now = self._clock.now()
        for queue, bulk in ((self._singles, False), (self._bulk, True)):
            while queue:
                waiter = next(iter(queue))
                if not waiter.done():  # else it was cancelled just now
                    permit = self._grant(now, bulk=bulk)
                    if permit is None:
                        break
                    waiter.set_result(permit)
                del queue[waiter]
        self._set_timer(self._next_admission(now))

    def _next_admission(self, now: float) -> float | None:
        if self._in_bucket is not None or not (self._singles or self._bulk):
            return None
        return self._admission.next_admission(now, bulk=not self._singles)

    def _set_timer(self, moment: float | None) -> None:
        if self._timer is not None:
            ends, handle = self._timer
            if ends == moment:
                return
            handle.cancel()
        loop = self._clock.loop
        self._timer = None
        if moment is not None and loop is not None and not loop.is_closed():
            self._timer = moment, loop.call_at(moment, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._wake()

    def _change_loop(self) -> None:
        """Go on in the running loop. In the one before, nobody is left."""
        former = self._clock.loop
        shift = self._clock.enter(waiting=len(self._singles) + len(self._bulk))
        if former is None:
            return
        if shift:
            self._admission.shift(shift)
        if former.is_closed():
            self._epoch = object()
            for _ in range(self._admission.window.in_flight):
                self._admission.window.unanswered(self._clock.now())
        self._singles.clear()
        self._bulk.clear()
        self._timer = None
        self._in_bucket = None
        self._bucket = _token_bucket(self._limit)


class LocalPermit:
    """The right to send one request; see `Permit`."""

    __slots__ = ("_endpoint", "epoch", "generation", "stamp")

    def __init__(self, endpoint: LocalEndpoint, *, stamp: int, generation: int, epoch: object) -> None:
        self._endpoint = endpoint
        self.stamp: int = stamp
        self.generation: int = generation
        self.epoch: object = epoch

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        self._endpoint.answered(self, headers, pause)

    def unused(self) -> None:
        self._endpoint.unused(self)


class _FreePermit:
    """For an endpoint whose limit is switched off."""

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        pass

    def unused(self) -> None:
        pass


class LocalLimiter:
    """The limits of one shop within this process: one instance for all clients of that shop.

    It works in one event loop at a time, and goes on in the next one when that has ended. ``limits()`` may be asked
    from any thread.

    Args:
        rate_limits: The limit of each endpoint by its name. ``None`` switches one off, and so does a missing name.

    Raises:
        UsageError: for what is no such table.

    >>> from neuroon_async import DOCUMENTED_RATE_LIMITS
    >>> limiter = LocalLimiter(DOCUMENTED_RATE_LIMITS)
    >>> limiter.limits()["sync_products"].available
    100
    """

    def __init__(self, rate_limits: Mapping[str, RateLimit | None]) -> None:
        check_limits(rate_limits)
        self._endpoints = {name: LocalEndpoint(name, limit) for name, limit in rate_limits.items() if limit}

    def __reduce__(self) -> str:
        raise TypeError(
            "a LocalLimiter is neither pickled nor copied, for each copy would spend the whole limit: share a "
            "MachineLimiter or a RedisLimiter between processes"
        )

    async def acquire(self, endpoint: str, *, bulk: bool = False, deadline: float | None = None) -> Permit:
        """Wait until one request may be sent.

        Args:
            endpoint: The endpoint's name, a key of ``rate_limits``.
            bulk: Whether single calls go first.
            deadline: A time of the running event loop; ``None`` waits as long as it takes.

        Raises:
            RateLimited: with ``local=True``, as soon as the wait is known to outlast the deadline.
            UsageError: where the limiter is in use in another event loop, and for what is no name, flag or time.
        """
        check_text("endpoint", endpoint)
        check_call(bulk, deadline)
        limited = self._endpoints.get(endpoint)
        return _FreePermit() if limited is None else await limited.acquire(bulk=bulk, deadline=deadline)

    def limits(self) -> dict[str, LimitState]:
        """What is left now, by endpoint name."""
        return {name: endpoint.state() for name, endpoint in self._endpoints.items()}


def _token_bucket(limit: RateLimit) -> AsyncLimiter | None:
    """The bucket that spaces bursts out: ``burst`` at once, then one every ``per / requests`` seconds."""
    if limit.burst is None or limit.burst >= limit.requests:
        return None
    return AsyncLimiter(limit.burst, limit.burst * limit.per / limit.requests)
