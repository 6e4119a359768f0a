"""The limiting policy, once for every backend. Pure: whoever asks tells the time.

The vendor documents N requests in T seconds, but not whether the server counts in fixed windows, rolling windows or a
token bucket. `SlotWindow` is right under all three: each of N slots comes back T seconds after the *answer* to its
request (by then the server has counted it), so no interval of T seconds holds more than N arrivals, whatever the
latency. A request that ends without an answer may still be on its way, so its slot comes back `IN_TRANSIT` later.

Single calls go before bulk ones, and `Reserve` bounds how long a bulk run may make them wait. `ExternalUsage` holds
what the server's headers tell of other users of the same key, `EffectiveLimit` the limit that the server itself names.
`Admission` puts them together: the state of one endpoint. How callers wait is left to the backends.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import deque
from typing import TYPE_CHECKING

from ..errors import RateLimited

if TYPE_CHECKING:
    from ..api.contract import RateLimit
    from ..api.responses import RateLimitHeaders

__all__ = [
    "IN_TRANSIT",
    "RESERVED",
    "SINGLE_CALL_WAIT",
    "Admission",
    "EffectiveLimit",
    "ExternalUsage",
    "Reserve",
    "SlotWindow",
    "counted_by_server",
    "shortest_time",
    "would_be_late",
]

SINGLE_CALL_WAIT = 6.0
"""Seconds that a single call waits at most behind bulk calls, while singles come no faster than lately."""
IN_TRANSIT = 5.0
"""Seconds that a request may still be on its way when it ends without an answer: cancelled, timed out, or cut off.

The server counts it when it arrives, so its slot begins to cool only then. The operating system delivers what has left
the process, even after the connection was closed. TCP repeats a lost packet after 1 second and then after 2 more (RFC
6298), so two losses in a row cost 3 seconds; the rest is for slow links, and for proxies that take a request in before
they pass it on. Only such slots wait for it: requests that are answered lose nothing.
"""
RESERVED = 2
"""Slots that bulk calls leave even where no single call has been seen lately."""
_RESERVED_SHARE = 0.1


class Reserve:
    """What bulk calls leave to single ones: a promise, not a part of the limit set apart.

    A bulk call may take a slot if afterwards `keep` slots are free or come back within `SINGLE_CALL_WAIT`. So a bulk
    run that fits into the limit leaves almost whole at once, and a long one still lets every single call go in time.
    `keep` is 2 plus the single calls of the last two windows, and never more than comes back in that time when the
    limit is used evenly, nor than a tenth of it: it then costs no throughput.
    """

    __slots__ = ("memory", "most")

    def __init__(self, requests: int, per: float) -> None:
        share = min(_RESERVED_SHARE, SINGLE_CALL_WAIT / per)
        self.most: int = math.floor(requests * share + 1e-9)  # a product may fall short of its whole number
        self.memory: float = 2 * per
        """For how many seconds a single call counts."""

    def keep(self, singles: int) -> int:
        """How many slots to keep, given the single calls within `memory`."""
        return min(self.most, RESERVED + singles)


class SlotWindow:
    """N slots, each of which comes back T seconds after its request was answered, or can no longer arrive."""

    __slots__ = ("cooling", "in_flight", "per", "requests", "returned")

    def __init__(self, requests: int, per: float) -> None:
        self.requests: int = requests
        self.per: float = per
        self.in_flight: int = 0
        self.cooling: deque[float] = deque()
        """When each slot of an ended request comes back; ascending."""
        self.returned: int = 0
        """How many slots have ever come back."""

    def used(self, now: float) -> int:
        """How many slots are in flight or have not come back yet."""
        cooling = self.cooling
        while cooling and cooling[0] <= now:
            cooling.popleft()
            self.returned += 1
        return self.in_flight + len(cooling)

    def peek_used(self, now: float) -> int:
        """As `used`, but changes nothing: any thread may ask."""
        cooling = tuple(self.cooling)
        return self.in_flight + len(cooling) - bisect_right(cooling, now)

    def available(self, now: float) -> int:
        return max(0, self.requests - self.used(now))

    def take(self, now: float) -> bool:
        if self.available(now) == 0:
            return False
        self.in_flight += 1
        return True

    def answered(self, now: float) -> None:
        """A taken slot's request was answered: the slot starts to cool."""
        self.cool(now + self.per)

    def unanswered(self, now: float) -> None:
        """A taken slot's request ended without an answer: the slot starts to cool when it can no longer arrive."""
        self.cool(now + IN_TRANSIT + self.per)

    def unused(self) -> None:
        """A taken slot's request was never sent: the slot is free at once."""
        self.in_flight -= 1

    def cool(self, until: float) -> None:
        """A taken slot comes back then."""
        self.in_flight -= 1
        insort(self.cooling, until)  # at the end, but for those that were not answered


class ExternalUsage:
    """How much of the limit something else spends: the most that was seen within one window."""

    __slots__ = ("per", "seen")

    def __init__(self, per: float) -> None:
        self.per: float = per
        self.seen: deque[tuple[float, int]] = deque()
        """Until when how many are taken to be spent: the latest last, and the most first."""

    def note(self, count: int, now: float) -> None:
        """Others have at least ``count`` requests in the server's window."""
        if count <= 0:
            return
        while self.seen and self.seen[-1][1] <= count:
            self.seen.pop()
        self.seen.append((now + self.per, count))

    def at(self, now: float) -> int:
        while self.seen and self.seen[0][0] <= now:
            self.seen.popleft()
        return self.seen[0][1] if self.seen else 0

    def peek(self, now: float) -> int:
        """As `at`, but changes nothing: any thread may ask."""
        return next((count for until, count in tuple(self.seen) if until > now), 0)

    def returns(self) -> list[float]:
        """When each of them is taken to come back, in no order."""
        moments: list[float] = []
        later = 0
        for until, count in reversed(self.seen):
            moments += [until] * (count - later)
            later = count
        return moments


def counted_by_server(told: RateLimitHeaders, requests: int) -> int | None:
    """How many requests the server had counted in its window, under a limit of ``requests``; ``None``: not said.

    Where it says itself when to come back, that decides.
    """
    if told.remaining is None or told.retry_after is not None:
        return None
    return max(0, requests - told.remaining)


class EffectiveLimit:
    """The limit in force: the configured one, or the server's own where that is lower."""

    __slots__ = ("configured", "generation", "requests")

    def __init__(self, configured: RateLimit) -> None:
        self.configured: RateLimit = configured
        self.requests: int = configured.requests
        self.generation: int = 0
        """How often the server has changed the limit. Answers to requests of an older one tell an older limit."""

    def observe(self, headers: RateLimitHeaders, granted: int) -> bool:
        """Follow what an answer says; ``granted`` is the `generation` when its request left. True for a change."""
        if not headers.limit or granted != self.generation:
            return False
        requests = min(headers.limit, self.configured.requests)
        if requests == self.requests:
            return False
        self.requests = requests
        self.generation += 1
        return True

    def __str__(self) -> str:
        """For the log."""
        return (
            f"the server's limit is now {self.requests} requests in {self.configured.per:g} s (the table says "
            f"{self.configured.requests}); keeping to it"
        )


class Admission:
    """One endpoint: who may leave now, and when the next one may."""

    __slots__ = ("_limit", "_reserve", "external", "next_spaced", "not_before", "singles", "window")

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self.window: SlotWindow = SlotWindow(limit.requests, limit.per)
        self._reserve = Reserve(limit.requests, limit.per)
        self.external: ExternalUsage = ExternalUsage(limit.per)
        self.singles: deque[float] = deque(maxlen=self._reserve.most)
        """When single calls left, the latest last: as many as can matter."""
        self.not_before: float = 0.0
        """No admission before this time. Only ever raised, so no finishing request can lift a pause early."""
        self.next_spaced: float = 0.0
        """When the next one may leave after a pause: they return one by one."""

    @property
    def requests(self) -> int:
        return self.window.requests

    def set_requests(self, requests: int) -> None:
        """Keep to another limit from now on."""
        self.window.requests = requests
        self._reserve = Reserve(requests, self._limit.per)

    def available(self, now: float) -> int:
        """How many slots are free. Changes nothing: any thread may ask."""
        return max(0, self.requests - self.window.peek_used(now) - self.external.peek(now))

    def take(self, now: float, *, bulk: bool) -> int | None:
        """Take a slot; the answer is the stamp to give back to `answered`. ``None``: not now."""
        free = self._free(now)
        if free < 1 or now < self.not_before or now < self.next_spaced:
            return None
        if bulk:
            promised = self._bulk_at(now, free)
            if promised is None or promised > now:
                return None
        else:
            self.singles.append(now)
        self.window.in_flight += 1
        if self.not_before:
            self.space_out(now)
        return self.window.returned

    def answered(self, now: float, *, stamp: int, counted: int | None = None) -> None:
        """A taken slot's request was answered. ``counted`` is how many requests the server said it had counted.

        The server counted when a request arrived. What has come back here since that request left may still have been
        in the server's count, so by that much its answer is out of date.
        """
        self.window.answered(now)
        if counted is not None:
            own = self.window.used(now) + self.window.returned - stamp
            self.external.note(counted - own, now)

    def unanswered(self, now: float) -> None:
        """A taken slot's request ended without an answer."""
        self.window.unanswered(now)

    def unused(self, now: float) -> None:
        """A slot comes back as if it had never been taken: the next in line may have its turn now."""
        self.window.unused()
        self.next_spaced = min(self.next_spaced, now)

    def pause(self, until: float) -> None:
        """Hold all back until then, and let them return one by one over the following window, not as a stampede."""
        self.not_before = max(self.not_before, until)

    def space_out(self, now: float) -> None:
        """After a pause: the next request only when its share of the window has passed."""
        if self.not_before and now < self.not_before + self._limit.per:
            self.next_spaced = now + self._limit.per / self.requests

    def next_admission(self, now: float, *, bulk: bool) -> float | None:
        """When the next one may leave, as far as time alone decides; ``None`` while that depends on an answer."""
        free = self._free(now)
        moment = self._free_at(1, now, free)
        if moment is None:
            return None
        if bulk:
            promised = self._bulk_at(now, free)
            if promised is None:
                return None
            moment = max(moment, promised)
        return max(moment, self.not_before, self.next_spaced)

    def earliest(self, now: float, *, ahead: int, bulk: bool) -> float:
        """When a call may leave at the earliest that waits behind ``ahead`` others.

        Requests in flight are taken to be answered now, so this is never later than it turns out to be.
        """
        used = self.window.used(now)
        external = self.external.at(now)
        returns = self._returns() + [now + self._limit.per] * self.window.in_flight
        surplus = used + external - self.requests
        returns.sort()  # a slot that cools without an answer may come back after one in flight
        turns = [now] * -surplus + returns[max(surplus, 0) :]  # nothing times less than nothing is nothing

        def turn(number: int) -> float:
            windows, place = divmod(number, len(turns))
            return turns[place] + windows * self._limit.per

        moment = turn(ahead)
        if bulk:
            moment = max(moment, turn(ahead + self._keep(now)) - SINGLE_CALL_WAIT)
        if self.not_before:
            spaced = self.not_before + ahead / self.requests * self._limit.per  # one by one, and then as slots return
            moment = max(moment, self.next_spaced, spaced)
        return moment

    def shift(self, seconds: float) -> None:
        """Move every time that is kept, for a clock that was set to another one."""
        self.window.cooling = deque(moment + seconds for moment in self.window.cooling)
        self.external.seen = deque((until + seconds, count) for until, count in self.external.seen)
        self.singles = deque((moment + seconds for moment in self.singles), self.singles.maxlen)
        self.not_before += seconds if self.not_before else 0.0
        self.next_spaced += seconds if self.next_spaced else 0.0

    def _free(self, now: float) -> int:
        spent = self.external.at(now) if self.external.seen else 0
        return self.window.requests - self.window.used(now) - spent

    def _keep(self, now: float) -> int:
        while self.singles and self.singles[0] <= now - self._reserve.memory:
            self.singles.popleft()
        return self._reserve.keep(len(self.singles))

    def _bulk_at(self, now: float, free: int) -> float | None:
        """When a bulk call may take a slot and leave enough behind, as far as time alone decides."""
        enough = self._free_at(1 + self._keep(now), now, free)
        return None if enough is None else max(now, enough - SINGLE_CALL_WAIT)

    def _free_at(self, count: int, now: float, free: int) -> float | None:
        """When so many slots are free at once, were none taken; ``None`` while an answer decides that."""
        missing = count - free
        if missing <= 0:
            return now
        returns = self._returns() if self.external.seen else self.window.cooling
        return returns[missing - 1] if missing <= len(returns) else None

    def _returns(self) -> list[float]:
        return sorted([*self.window.cooling, *self.external.returns()])


def shortest_time(requests: int, limit: RateLimit) -> float:
    """Seconds before the last of so many bulk requests may leave, were every answer immediate.

    >>> from neuroon_async import RateLimit
    >>> shortest_time(98, RateLimit(100, per=60.0)), shortest_time(100, RateLimit(100, per=60.0))
    (0.0, 54.0)
    """
    # The policy itself, until its pattern repeats: from then on each window lets the whole limit go.
    settled = limit.requests * (2 + math.ceil(limit.per / SINGLE_CALL_WAIT))
    windows = max(0, requests - settled) // limit.requests
    admission = Admission(limit)
    now = 0.0
    for _ in range(requests - windows * limit.requests):
        moment = admission.next_admission(now, bulk=True)
        assert moment is not None  # noqa: S101 - with every request answered, time alone decides
        now = moment
        stamp = admission.take(now, bulk=True)
        assert stamp is not None  # noqa: S101 - as above
        admission.answered(now, stamp=stamp)
    return now + windows * limit.per


def would_be_late(endpoint: str, *, requests: int, wait: float | None) -> RateLimited:
    """What a call is refused with whose wait is known to outlast its deadline; ``None``: not known how long it is."""
    return RateLimited(
        retry_after=wait,
        limit=requests,
        remaining=0,
        local=True,
        message=f"{endpoint}: not sent, for the wait for the rate limit would outlast the call's deadline",
    )
