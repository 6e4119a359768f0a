"""Limits kept by many processes through a store that all of them reach, whatever that store is.

`SharedLimiter` holds a `SharedEndpoint` for every endpoint: two lines of callers, whose heads ask a `SlotStore` for a
slot. Ended permits are reported to it in order. While the store is away, each process keeps to a part of the limit by
itself, and hands back what it used as soon as the store answers again.

It knows callers, reports and the fallback. The arithmetic is the store's: `policy`, or a script that says the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Self

from ..api.arguments import check_choice
from ..api.responses import RateLimitHeaders
from ..errors import ConnectionFailed
from .callers import CallerLine
from .clock import LoopClock
from .local import NOTHING_TOLD, LocalEndpoint, LocalPermit
from .own_usage import OwnUsage
from .policy import EffectiveLimit, counted_by_server, would_be_late
from .protocols import LimitState
from .reports import Reports
from .store import Forgotten, SlotStore, StoreUnavailable, Taken, new_member
from .tables import check_call

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from ..api.contract import RateLimit
    from .protocols import Permit

__all__ = ["SharedEndpoint", "SharedLimiter", "SharedPermit"]

_log = logging.getLogger("neuroon_async.limits")

JITTER = 0.02
"""Seconds over which processes spread their asking for the same slot. Single calls do not wait it out."""


class SharedEndpoint:
    """Admission to one endpoint. ``share`` is in how many parts the limit falls while the store is away."""

    def __init__(self, name: str, limit: RateLimit, store: SlotStore, reports: Reports, share: int | None) -> None:
        self._name = name
        self._limit = limit
        self._store = store
        self._reports = reports
        self._effective = EffectiveLimit(limit)
        self._clock = LoopClock()
        self._share = share
        self._part = None if share is None or share > limit.requests else limit.share_of(share)
        self._fallback: LocalEndpoint | None = None
        self._own = OwnUsage(limit.per)
        """Told to the fallback when the store goes, and to the store when it is back."""
        self._doubtful: deque[str] = deque(maxlen=100)
        """Slots asked for without an answer: the store may have granted them."""
        self._absent_since: float | None = None
        """When the store was found to be away; ``None`` while it answers."""
        self._not_before = 0.0
        self._left = limit.requests
        self._contact: float | None = None
        """When the store last answered; ``_left`` is from then."""
        self._set_up_lines()

    def _set_up_lines(self) -> None:
        self._singles = CallerLine()
        self._bulk = CallerLine()
        self._handover = asyncio.Lock()

    async def acquire(self, *, bulk: bool, deadline: float | None) -> Permit:
        """As `DeadlineLimiter.acquire`."""
        if self._clock.is_elsewhere():
            self._change_loop()
        line = self._bulk if bulk else self._singles
        late = self._late(line, len(line), deadline)
        if late is not None:
            raise late
        timer = asyncio.timeout_at(deadline)
        try:
            async with timer, line.turn(deadline):
                return await self._admission(line, bulk=bulk, deadline=deadline)
        except TimeoutError:
            if not timer.expired():
                raise
        finally:
            if len(self._singles) == 0:
                self._bulk.go_on()
        wait = max(line.known, self._not_before) - self._clock.now()
        raise would_be_late(self._name, requests=self._effective.requests, wait=wait if wait > 0 else None)

    def state(self) -> LimitState:
        """What is left, as the store last said. Any thread may ask, with or without an event loop."""
        now = self._clock.now()
        return LimitState(
            requests=self._effective.requests,
            per=self._limit.per,
            available=self._known_left(now),
            waiting=len(self._singles) + len(self._bulk),
            paused_for=max(0.0, self._not_before - now),
            next_in=self._next_in(now),
        )

    def answered(self, permit: SharedPermit, headers: Mapping[str, str] | None, pause: float | None) -> None:
        """A permit's request has ended, with what its answer says; ``None``: without one."""
        now = self._clock.now()
        if headers is None:
            self._own.unanswered(permit.member, now)
        else:
            self._own.answered(permit.member, now)
        told = NOTHING_TOLD if headers is None else RateLimitHeaders.of(headers)
        if self._effective.observe(told, permit.generation):
            _log.warning("%s: %s", self._name, self._effective)
        if pause is not None:
            self._not_before = max(self._not_before, now + pause)
            self._refuse_late()
            self._reports.tell(partial(self._store.pause, pause))
        counted = counted_by_server(told, self._effective.requests)
        if permit.local is not None:
            permit.local.answered(headers, pause=pause)
            if self._fallback is not None:
                return
            counted = None  # the store is back, and took this one for ended before
        if headers is None:
            self._reports.tell(partial(self._store.cool_late, permit.member))
        else:
            self._reports.tell(partial(self._store.cool, permit.member, stamp=permit.stamp, counted=counted))

    def unused(self, permit: SharedPermit) -> None:
        """A permit's request was never sent."""
        self._own.unused(permit.member)
        if permit.local is not None:
            permit.local.unused()
        if permit.local is None or self._fallback is None:
            self._reports.tell(partial(self._store.free, permit.member))

    async def _admission(self, line: CallerLine, *, bulk: bool, deadline: float | None) -> SharedPermit:
        while True:
            if bulk and len(self._singles):  # these go first
                await line.rest(None, deadline)
                continue
            now = self._clock.now()
            if now < self._not_before:
                await self._hold(line, self._not_before - now, deadline)
                continue
            if self._part is None or self._store.look_in() == 0:
                answer = await self._from_store(bulk=bulk)
            else:
                answer = await self._from_fallback(bulk=bulk, deadline=deadline)
            if isinstance(answer, SharedPermit):
                return answer
            await self._hold(line, answer, deadline)

    async def _hold(self, line: CallerLine, wait: float, deadline: float | None) -> None:
        """Wait at the head of the line. Send away those for whom that is known to be too long, oneself first."""
        line.known = self._clock.now() + wait
        late = self._late(line, 0, deadline)
        if late is not None:
            raise late
        self._refuse_late()
        await line.rest(wait, deadline)
        line.known = 0.0

    def _refuse_late(self) -> None:
        """Something may have lengthened the wait: do not let those stand in line for whom it is now too long."""
        for line in (self._singles, self._bulk):
            line.refuse(partial(self._late, line))

    def _late(self, line: CallerLine, ahead: int, deadline: float | None) -> Exception | None:
        """The refusal of a call whose wait is known to outlast its deadline."""
        if deadline is None:
            return None
        now = self._clock.now()
        if line is self._bulk:
            ahead += len(self._singles)
        # No window lets more than the limit go, so those ahead take their time.
        windows = ahead // self._effective.requests
        known = max(line.known, self._singles.known, self._not_before, now)
        earliest = known + windows * self._limit.per
        if earliest <= deadline:
            return None
        return would_be_late(self._name, requests=self._effective.requests, wait=earliest - now)

    async def _from_store(self, *, bulk: bool) -> SharedPermit | float:
        """A permit, or the seconds after which to ask again."""
        member = new_member()
        asked = self._clock.now()
        try:
            if self._fallback is not None:
                await self._hand_back()
            answer = await self._store.take(self._effective.requests, member, bulk=bulk)
            if isinstance(answer, Forgotten):
                await self._tell_again()
                return 0.0
        except asyncio.CancelledError:
            # It may have been granted nevertheless.
            self._reports.tell(partial(self._store.withdraw, member))
            raise
        except StoreUnavailable as error:
            self._doubtful.append(member)
            self._absent_since = self._absent_since or asked
            if self._part is not None:
                return 0.0
            self._send_all_away(error)
            raise self._not_sent(error) from error
        self._contact = self._clock.now()
        self._absent_since = None
        if isinstance(answer, Taken):
            self._left = answer.left
            if self._doubtful:
                self._withdraw_doubtful()
            return self._permit(member, stamp=answer.stamp)
        self._left = 0
        return answer.wait + (random.uniform(0, JITTER) if bulk else 0.0)  # noqa: S311 - jitter, not a secret

    async def _from_fallback(self, *, bulk: bool, deadline: float | None) -> SharedPermit | float:
        """A permit of this process's own part, or 0.0 when it is time to look for the store again."""
        fallback = self._fallback or self._fall_back()
        look = self._clock.now() + self._store.look_in()
        try:
            async with asyncio.timeout_at(look):
                permit = await fallback.acquire(bulk=bulk, deadline=deadline)
        except TimeoutError:
            return 0.0
        if self._fallback is not fallback:  # the store has come back meanwhile, and was not told of this one
            permit.unused()
            return 0.0
        return self._permit(new_member(), local=permit)

    def _fall_back(self) -> LocalEndpoint:
        """Keep to a part of the limit, and for the first window to no more than a part of what the store said was left.

        Other processes may have used more than their part: where use is uneven, that is what sharing is for.
        """
        assert self._part is not None  # noqa: S101 - see `_admission`
        assert self._share is not None  # noqa: S101 - as above
        now = self._clock.now()
        own = self._own.members(now)
        rest = max(0, self._part.requests - len(own))
        fallback = LocalEndpoint(self._name, self._part)
        occupied = self._part.requests - min(rest, self._known_left(now) // self._share)
        fallback.occupy(occupied, max([self._limit.per, *own.values()]))
        self._fallback = fallback
        self._absent_since = self._absent_since or now
        return fallback

    async def _hand_back(self) -> None:
        """Tell the store what was used without it."""
        async with self._handover:
            if self._fallback is None:
                return
            now = self._clock.now()
            await self._store.hand_back(self._own.members(now), now - (self._absent_since or now))
            self._fallback = None
            self._absent_since = None

    async def _tell_again(self) -> None:
        """The store has lost what it knew. Tell it what this process has used, and what others may have.

        As without a store, it keeps to a part of what was left: what others used may be told by nobody. All who tell
        so give those slots the same names, or they would count several times.
        """
        _log.warning("%s: what was used of the shared rate limit was lost where it is kept; told again", self._name)
        now = self._clock.now()
        members = self._own.members(now)
        others = self._effective.requests - self._known_left(now) // (self._share or 1) - len(members)
        unknown = {f"others:{number}": self._limit.per for number in range(others)}
        await self._store.hand_back(unknown | members, 0.0)

    def _next_in(self, now: float) -> float:
        """Seconds until the first of those held back may leave, as far as that is known."""
        if self._fallback is not None:
            return self._fallback.state().next_in
        known = [line.known for line in (self._singles, self._bulk) if line.known > now]
        return min(known) - now if known else 0.0

    def _known_left(self, now: float) -> int:
        """How many slots were left when the store last answered; all of them if that is a window ago."""
        current = self._contact is not None and now < self._contact + self._limit.per
        return self._left if current else self._effective.requests

    def _permit(self, member: str, *, stamp: int = 0, local: LocalPermit | None = None) -> SharedPermit:
        self._own.taken(member)
        return SharedPermit(self, member, stamp=stamp, local=local, generation=self._effective.generation)

    def _withdraw_doubtful(self) -> None:
        for member in self._doubtful:
            self._reports.tell(partial(self._store.free, member))
        self._doubtful.clear()

    def _send_all_away(self, error: StoreUnavailable) -> None:
        """Without a fallback there is nothing to wait for."""
        for line in (self._singles, self._bulk):
            line.refuse(lambda _ahead, _deadline: self._not_sent(error))

    def _not_sent(self, error: StoreUnavailable) -> ConnectionFailed:
        return ConnectionFailed(f"{self._name}: not sent, for the shared rate limit {error}", maybe_processed=False)

    def _change_loop(self) -> None:
        """Go on in the running loop. In the one before, nobody is left."""
        former = self._clock.loop
        shift = self._clock.enter(waiting=len(self._singles) + len(self._bulk))
        if former is None:
            return
        self._set_up_lines()
        self._own.shift(shift)
        if former.is_closed():
            self._own.end_all(self._clock.now())
        self._not_before += shift
        if self._absent_since is not None:
            self._absent_since += shift
        if self._contact is not None:
            self._contact += shift


class SharedPermit:
    """A slot of the store or of the fallback, also counted among this process's own requests."""

    __slots__ = ("_endpoint", "generation", "local", "member", "stamp")

    def __init__(
        self, endpoint: SharedEndpoint, member: str, *, stamp: int, local: LocalPermit | None, generation: int
    ) -> None:
        self._endpoint = endpoint
        self.member: str = member
        self.stamp: int = stamp
        self.local: LocalPermit | None = local
        self.generation: int = generation

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        self._endpoint.answered(self, headers, pause)

    def unused(self) -> None:
        self._endpoint.unused(self)


class SharedLimiter:
    """What every limiter over a `SlotStore` has in common."""

    def __init__(self, endpoints: Iterable[tuple[str, RateLimit, SlotStore]], share: int | None) -> None:
        self._reports = Reports()
        self._endpoints = {
            name: SharedEndpoint(name, limit, store, self._reports, share) for name, limit, store in endpoints
        }

    async def acquire(self, endpoint: str, *, bulk: bool = False, deadline: float | None = None) -> Permit:
        """Wait until one request may be sent.

        Args:
            endpoint: The endpoint's name, a key of ``rate_limits``.
            bulk: Whether single calls go first.
            deadline: A time of the running event loop; ``None`` waits as long as it takes.

        Raises:
            RateLimited: with ``local=True``, as soon as the wait is known to outlast the deadline.
            ConnectionFailed: where the shared limit cannot be reached and there is no fallback.
            UsageError: where there is no such endpoint, for what is no flag or time, or where the limiter is in use in
                another event loop.
        """
        check_choice("endpoint", endpoint, self._endpoints)
        check_call(bulk, deadline)
        return await self._endpoints[endpoint].acquire(bulk=bulk, deadline=deadline)

    def limits(self) -> dict[str, LimitState]:
        """What is left, by endpoint name, as this process was last told."""
        return {name: endpoint.state() for name, endpoint in self._endpoints.items()}

    async def aclose(self) -> None:
        """Wait until every ended request was reported. The limiter stays usable."""
        await self._reports.told()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
