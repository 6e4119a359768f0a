"""One budget for many processes: a limiter whose slots live in Redis (extra ``redis``).

The vendor counts per shop and endpoint, over all processes that use the key. `RedisLimiter` keeps the rule of
`neuroon_async.limits` over all of them: each of N slots comes back T seconds after the *answer* to its request.
A slot is an entry of a sorted set, scored with the moment it comes back; three small scripts take, cool and pause, each
atomic and each by the Redis server's own clock, so the hosts' clocks may differ. (The moving window of the package
`limits` counts from admission, by each host's clock, in whole seconds: no promise about arrivals rests on that.) What
the server says is left tells how much something that knows nothing of this Redis spends, and lowers what all may take.

It knows slots, pauses and what to do while Redis is away. How a limit is kept within one process it leaves to
`LocalEndpoint`, and the connection, its timeouts and its end to whoever made it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import uuid
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from redis.exceptions import RedisError

from ...api.contract import DOCUMENTED_RATE_LIMITS, ENDPOINTS
from ...api.responses import RateLimitHeaders
from ...errors import ConfigurationError, ConnectionFailed
from ...limits.local import LocalEndpoint
from ...limits.policy import SlotWindow, counted_by_server
from ...limits.protocols import LimitState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from redis.asyncio import Redis

    from ...api.contract import RateLimit
    from ...limits.protocols import Permit

__all__ = ["RedisLimiter"]

T = TypeVar("T")
_log = logging.getLogger("neuroon_async.limits")

PATIENCE = 1.0
"""Seconds that Redis gets to answer one command; then it counts as away."""
SLICES = 50
"""In how many slices that time is counted. However late the event loop is, each lasts for two of its turns or more, and
an answer is read: opening a connection and the first script take some 40 turns."""
RESERVED_SHARE = 0.1
PROBE = 1.0
"""Seconds between two looks at a Redis that is away."""
JITTER = 0.02
"""Seconds over which processes spread their asking for the same slot. Single calls do not wait it out."""

_AWAY = (RedisError, OSError)  # the built-in TimeoutError is an OSError

# Times are whole microseconds: a double holds them exactly until the year 2255, but Lua's tostring does not.
_CLOCK = """
local function clock()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end
local function whole(number) return string.format('%.0f', number) end
local function ms(us) return whole(math.max(1, math.ceil(us / 1000))) end
"""

_TAKE = (
    _CLOCK
    + """
-- KEYS: open slots, reserved slots, elsewhere, gate, turn.
-- ARGV: how many open, how many reserved, per, latency, bulk, member.
-- Gives {1 or 2 for open or reserved, slots left, now} or {0, microseconds to wait, now}.
local now, per, latency = clock(), tonumber(ARGV[3]), tonumber(ARGV[4])
local open, reserved, bulk = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[5] == '1'

local gate = tonumber(redis.call('GET', KEYS[4]) or 0)
if gate > now then return {0, gate - now, now} end

-- What others spend takes free slots, those of the reserve last.
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', whole(now))
local rest = tonumber(redis.call('ZRANGE', KEYS[3], 0, 0)[1] or 0)
local function room(key, size)
    -- Slots stay for `latency` after their return: an answer to a request that is older may have counted them.
    redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now - latency))
    local free = size - redis.call('ZCOUNT', key, '(' .. whole(now), '+inf')
    local spent = math.min(rest, math.max(0, free))
    rest = rest - spent
    return free - spent
end
-- With no room: when all but `size - 1` are back. A request in flight may be answered now, so at the latest in `per`.
-- What is spent elsewhere holds until the slot comes back whose answer told of it.
local function next_return(key, room)
    local first = whole(0 - room)
    local slot = redis.call('ZRANGEBYSCORE', key, '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', first, 1)
    return slot[2] and math.min(tonumber(slot[2]) - now, per) or per
end

local open_room = room(KEYS[1], open)
local reserved_room = room(KEYS[2], reserved)
local turn = bulk and redis.call('PTTL', KEYS[5]) * 1000 or 0
local which
if open_room > 0 then
    which = 1
elseif reserved_room > 0 and turn <= 0 then
    which = 2
    if bulk then redis.call('SET', KEYS[5], 1, 'PX', ms(per / reserved)) end
else
    local reserved_return = reserved_room > 0 and 0 or next_return(KEYS[2], reserved_room)
    return {0, math.min(next_return(KEYS[1], open_room), math.max(reserved_return, turn)), now}
end

redis.call('ZADD', KEYS[which], whole(now + per + latency), ARGV[6])
redis.call('PEXPIRE', KEYS[which], ms(per + latency))
if gate > 0 then  -- a pause is over: return one by one, not as a stampede
    redis.call('SET', KEYS[4], whole(now + per / (open + reserved)), 'PX', ms(redis.call('PTTL', KEYS[4]) * 1000))
end
return {which, math.max(0, open_room) + math.max(0, reserved_room) - 1, now}
"""
)

_COOL = (
    _CLOCK
    + """
-- KEYS: a set of slots, open slots, reserved slots, elsewhere.  ARGV: per, latency, counted, granted, members.
-- Their requests have ended: they come back in `per`.
local per = tonumber(ARGV[1])
local back = whole(clock() + per)
for i = 5, #ARGV do redis.call('ZADD', KEYS[1], back, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ms(per + tonumber(ARGV[2])))

-- One that was granted at `granted` was told that the server had `counted` so many when it arrived. Slots in flight may
-- be among them, and those that came back since. The others are spent elsewhere; the most seen within `per` holds.
local function own(key) return redis.call('ZCOUNT', key, '(' .. ARGV[4], '+inf') end
local count = tonumber(ARGV[3]) - own(KEYS[2]) - own(KEYS[3])
if count > 0 then
    for _, seen in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
        if tonumber(seen) < count then redis.call('ZREM', KEYS[4], seen) end
    end
    redis.call('ZADD', KEYS[4], back, count)
    redis.call('PEXPIRE', KEYS[4], ms(per))
end
"""
)

_PAUSE = (
    _CLOCK
    + """
-- KEYS: gate.  ARGV: pause, per.  Only ever raised; outlives the pause by one window, over which calls return.
local gate = clock() + tonumber(ARGV[1])
if gate > tonumber(redis.call('GET', KEYS[1]) or 0) then
    redis.call('SET', KEYS[1], whole(gate), 'PX', ms(tonumber(ARGV[1]) + tonumber(ARGV[2])))
end
"""
)


class RedisLimiter:
    """The rate limits of one shop, shared by every process that names the same Redis, ``prefix`` and ``shop_id``.

    ``redis`` is your own ``redis.asyncio.Redis`` (Redis 5 or later), used and never closed. Give the limiter to
    `NeuroonClient`; all processes must be given the same ``rate_limits``, which override the documented table by
    endpoint name.

    ``latency`` (seconds) must be at least the clients' ``timeout``: for so long a request may still arrive whose
    answer nobody reports, because its process died. Its slot comes back that much later than others; requests that
    are answered pay nothing for it.

    ``share`` is in how many equal parts the budget falls while Redis does not answer (within 1 s): each process then
    keeps to one of them, less what it has used in the last window, and looks for Redis every second. When Redis is back
    it is told what was used meanwhile. Nothing is exceeded if there are at most ``share`` processes and none had
    used more than its part. ``share=None`` raises `ConnectionFailed` instead, as do endpoints with fewer
    requests than parts. Both changes are logged, once each. The 1 s is counted only while the event loop is there to
    read, so a loop that is late is not taken for a Redis that is away.

    Where the server says that less is left (``X-RateLimit-Remaining``) than Redis knows of, something else spends the
    same limit: for one window after that answer, all processes leave it as much. Requests in flight may be among those
    the server has counted, so the more there are, the later it shows. So does what a Redis has forgotten that restarts
    without its data, unnoticed; of a server without that header, the pause after the first 429 holds all back.

    Within a process, calls are first come, first served, single calls before bulk ones; one of each kind asks Redis at
    a time. Across processes, bulk calls leave a tenth of each limit to single ones, as `LocalEndpoint` does.

    `aclose` (or ``async with``) waits until Redis has been told of every ended request; skipping it merely
    leaves the last slots occupied for ``latency`` seconds longer.

    Raises `ConfigurationError` for settings that cannot work.

    >>> async def main():                                                           # doctest: +SKIP
    ...     async with RedisLimiter(Redis(), shop_id="shop_1", share=4) as limiter:
    ...         async with NeuroonClient(shop_id="shop_1", api_key="sk_…", limiter=limiter) as client:
    ...             await client.products.sync(catalog)
    """

    def __init__(
        self,
        redis: Redis,
        *,
        shop_id: str,
        rate_limits: Mapping[str, RateLimit] = DOCUMENTED_RATE_LIMITS,
        latency: float = 60.0,
        share: int | None = 4,
        prefix: str = "neuroon",
    ) -> None:
        _check(rate_limits, latency, share)
        self._slots = _Slots(redis, latency)
        # The braces keep one shop's keys on one node of a cluster, as scripts require.
        self._endpoints = {
            name: _SharedEndpoint(name, limit, f"{prefix}:{{{shop_id}}}:{name}", self._slots, share)
            for name, limit in {**DOCUMENTED_RATE_LIMITS, **rate_limits}.items()
        }

    async def acquire(self, endpoint: str, *, bulk: bool = False) -> Permit:
        """Wait until one request may be sent. Raises `ConnectionFailed` without Redis where there is no fallback."""
        return await self._endpoints[endpoint].acquire(bulk=bulk)

    def limits(self) -> dict[str, LimitState]:
        """What is left, by endpoint name, as Redis last told this process."""
        return {name: endpoint.state() for name, endpoint in self._endpoints.items()}

    async def aclose(self) -> None:
        """Wait until Redis has been told of every ended request. The limiter stays usable."""
        await self._slots.told()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class _Slots:
    """The scripts, whether Redis answers, and the task that tells it what permits reported."""

    def __init__(self, redis: Redis, latency: float) -> None:
        self._redis = redis
        self._latency = latency
        self._take = redis.register_script(_TAKE)
        self._cool = redis.register_script(_COOL)
        self._pause = redis.register_script(_PAUSE)
        self._asking: set[asyncio.Future[Any]] = set()
        self._away = False
        self._next_look = 0.0
        self._untold: deque[Callable[[], Awaitable[object]]] = deque()
        self._telling: asyncio.Task[None] | None = None

    # Asking. All of these raise one of `_AWAY`.

    async def take(self, keys: _Keys, sizes: _Sizes, member: str, *, bulk: bool) -> tuple[int, int, int]:
        arguments = (sizes.open, sizes.reserved, _us(sizes.per), _us(self._latency), int(bulk), member)
        which, number, now = await self._ask(
            lambda: self._take([keys.open, keys.reserved, keys.elsewhere, keys.gate, keys.turn], arguments)
        )
        return int(which), int(number), int(now)

    async def cool(
        self, keys: _Keys, key: str, per: float, members: list[str], *, counted: int = 0, granted: int = 0
    ) -> None:
        sets = [key, keys.open, keys.reserved, keys.elsewhere]
        await self._ask(lambda: self._cool(sets, [_us(per), _us(self._latency), counted, granted, *members]))

    async def free(self, key: str, member: str) -> None:
        await self._ask(lambda: self._redis.zrem(key, member))

    async def withdraw(self, keys: _Keys, member: str) -> None:
        """Free what a cancelled caller may have been granted, once the commands under way have ended."""
        await _patiently(self._asking)
        await self.free(keys.open, member)
        await self.free(keys.reserved, member)

    async def pause(self, gate: str, seconds: float, per: float) -> None:
        await self._ask(lambda: self._pause([gate], [_us(seconds), _us(per)]))

    async def _ask(self, command: Callable[[], Awaitable[T]]) -> T:
        # In a task of its own, for redis-py (8.1) can swallow the cancellation of whoever awaits it. A caller that is
        # cancelled leaves the command to end by itself, which also spares the connection.
        asking = asyncio.ensure_future(command())
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        try:
            await _patiently([asking])
            if not asking.done():
                asking.cancel()
                raise TimeoutError(f"no answer within {PATIENCE:g} s")
            answer = asking.result()
        except _AWAY as error:
            self._next_look = asyncio.get_running_loop().time() + PROBE
            if not self._away:
                self._away = True
                _log.warning("the shared rate limits cannot be reached in Redis: %s: %s", type(error).__name__, error)
            raise
        if self._away:
            self._away = False
            _log.warning("the shared rate limits in Redis can be reached again")
        return answer

    def _asked(self, asking: asyncio.Future[Any]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()  # whoever still waits has been told; for the others it has no meaning

    def next_look(self) -> float:
        """Seconds until Redis should be asked; 0 while it answers."""
        return max(0.0, self._next_look - asyncio.get_running_loop().time()) if self._away else 0.0

    # Telling: permits end in plain functions, so a task tells Redis, in order, and ends when all is told.

    def tell(self, message: Callable[[], Awaitable[object]]) -> None:
        self._untold.append(message)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_all())

    async def told(self) -> None:
        while self._telling is not None:
            await asyncio.shield(self._telling)

    async def _tell_all(self) -> None:
        try:
            while self._untold:
                try:
                    await self._untold.popleft()()
                except _AWAY:
                    # Logged in `_ask`. The slots come back by their lease, later than they might. The other
                    # messages would each wait in vain, and what they say is told again once Redis is back.
                    self._untold.clear()
        finally:
            self._telling = None


class _Keys:
    """The five Redis keys of one endpoint."""

    __slots__ = ("elsewhere", "gate", "open", "reserved", "turn")

    def __init__(self, base: str) -> None:
        self.open = f"{base}:open"
        self.reserved = f"{base}:reserved"
        self.elsewhere = f"{base}:elsewhere"
        """How much others were seen to spend, scored with until when that holds: the latest last, the most first."""
        self.gate = f"{base}:gate"
        """No admission before the time it holds; after a pause it moves on with each admission."""
        self.turn = f"{base}:turn"
        """Lives for as long as bulk calls must leave the reserved slots alone."""


class _Sizes:
    """A limit, divided into open and reserved slots. A limit of one request has none to reserve."""

    __slots__ = ("open", "per", "requests", "reserved")

    def __init__(self, requests: int, per: float) -> None:
        self.requests = requests
        self.per = per
        self.reserved = 0 if requests < 2 else math.ceil(round(requests * RESERVED_SHARE, 9))
        self.open = requests - self.reserved


class _SharedEndpoint:
    """Admission to one endpoint: two lines of callers, whose heads ask Redis or, while it is away, the stand-in."""

    def __init__(self, name: str, limit: RateLimit, base: str, slots: _Slots, share: int | None) -> None:
        self._name = name
        self._limit = limit
        self._sizes = _Sizes(limit.requests, limit.per)
        self._adopted = 0.0
        """When the server last changed the limit. Answers to older requests tell an older limit."""
        self._keys = _Keys(base)
        self._slots = slots
        self._part = None if share is None or share > limit.requests else limit.share_of(share)
        self._stand_in: LocalEndpoint | None = None
        self._handover = asyncio.Lock()
        self._own = SlotWindow(limit.requests, limit.per)
        """What this process has used: told to the stand-in when Redis goes, and to Redis when it is back."""
        self._single_line = asyncio.Lock()
        self._bulk_line = asyncio.Lock()
        self._singles = 0
        self._bulk = 0
        self._no_singles = asyncio.Event()
        self._no_singles.set()
        self._not_before = 0.0
        self._available = limit.requests
        self._told_at: float | None = None

    async def acquire(self, *, bulk: bool) -> Permit:
        if bulk:
            self._bulk += 1
            try:
                async with self._bulk_line:
                    return await self._admission(bulk=True)
            finally:
                self._bulk -= 1
        self._singles += 1
        self._no_singles.clear()
        try:
            async with self._single_line:
                return await self._admission(bulk=False)
        finally:
            self._singles -= 1
            if self._singles == 0:
                self._no_singles.set()

    def state(self) -> LimitState:
        now = asyncio.get_running_loop().time()
        current = self._told_at is not None and now < self._told_at + self._limit.per
        return LimitState(
            requests=self._sizes.requests,
            per=self._limit.per,
            available=self._available if current else self._sizes.requests,
            waiting=self._singles + self._bulk,
            paused_for=max(0.0, self._not_before - now),
        )

    def ended(self, headers: Mapping[str, str] | None, pause: float | None, *, granted: float) -> None:
        """A request let go at ``granted``, on the loop's clock, has come to its end, with what its answer told."""
        if headers is not None and granted >= self._adopted:
            self._adopt(RateLimitHeaders.of(headers).limit)
        if pause is not None:
            self._not_before = max(self._not_before, asyncio.get_running_loop().time() + pause)
            self._slots.tell(partial(self._slots.pause, self._keys.gate, pause, self._limit.per))

    def cool(self, key: str, member: str, headers: Mapping[str, str] | None, *, granted: int) -> None:
        """A slot's request, granted at that moment on the Redis server's clock, has ended."""
        counted = self._counted(headers)
        self._slots.tell(
            partial(self._slots.cool, self._keys, key, self._limit.per, [member], counted=counted, granted=granted)
        )

    def free(self, key: str, member: str) -> None:
        """A slot's request was never sent."""
        self._slots.tell(partial(self._slots.free, key, member))

    def ended_without_redis(self) -> None:
        """A request that the stand-in let go has ended. If Redis is back, it took that one for ended before."""
        if self._stand_in is None:
            self._slots.tell(partial(self._slots.cool, self._keys, self._keys.open, self._limit.per, _members(1)))

    async def _admission(self, *, bulk: bool) -> Permit:
        loop = asyncio.get_running_loop()
        while True:
            if bulk:
                await self._no_singles.wait()
            if loop.time() < self._not_before:
                await asyncio.sleep(self._not_before - loop.time())
                continue
            answer = await (self._from_redis(bulk=bulk) if self._ask_redis() else self._from_stand_in(bulk=bulk))
            if isinstance(answer, _Permit):
                return answer
            await asyncio.sleep(answer)

    def _ask_redis(self) -> bool:
        return self._part is None or self._slots.next_look() == 0

    async def _from_redis(self, *, bulk: bool) -> _Permit | float:
        """A permit, or the seconds after which to ask again."""
        (member,) = _members(1)
        try:
            if self._stand_in is not None:
                await self._hand_back()
            which, number, granted = await self._slots.take(self._keys, self._sizes, member, bulk=bulk)
        except asyncio.CancelledError:
            # It may have been granted all the same.
            self._slots.tell(partial(self._slots.withdraw, self._keys, member))
            raise
        except _AWAY as error:
            if self._part is None:
                raise ConnectionFailed(
                    f"{self._name}: not sent, for the shared rate limit in Redis cannot be reached: "
                    f"{type(error).__name__}: {error}",
                    maybe_processed=False,
                ) from error
            return 0.0
        now = asyncio.get_running_loop().time()
        self._told_at = now
        if which:
            self._available = number
            key = self._keys.open if which == 1 else self._keys.reserved
            return _Permit(self, _RedisSlot(self, key, member, granted), self._own)
        self._available = 0
        return number / 1e6 + (random.uniform(0, JITTER) if bulk else 0.0)  # noqa: S311 - jitter, not a secret

    async def _from_stand_in(self, *, bulk: bool) -> _Permit | float:
        """A permit of this process's own part, or 0.0 when it is time to look for Redis again."""
        assert self._part is not None  # noqa: S101 - `_ask_redis` saw to that
        if self._stand_in is None:
            self._stand_in = LocalEndpoint(self._name, self._part)
            for _ in range(min(self._used(), self._part.requests)):  # a new limiter has room: this does not wait
                (await self._stand_in.acquire()).answered(None)
        stand_in = self._stand_in
        try:
            async with asyncio.timeout(self._slots.next_look()):
                permit = await stand_in.acquire(bulk=bulk)
        except TimeoutError:
            return 0.0
        if self._stand_in is not stand_in:  # Redis has come back meanwhile, and was not told of this one
            permit.unused()
            return 0.0
        return _Permit(self, _StandInSlot(self, permit), self._own)

    async def _hand_back(self) -> None:
        """Tell Redis what was used without it, and pause all until the other processes have had time to do so too."""
        async with self._handover:
            if self._stand_in is None:
                return
            await self._slots.pause(self._keys.gate, 2 * PROBE, self._limit.per)
            await self._slots.cool(self._keys, self._keys.open, self._limit.per, _members(self._used()))
            self._stand_in = None

    def _used(self) -> int:
        return self._limit.requests - self._own.available(asyncio.get_running_loop().time())

    def _adopt(self, limit: int | None) -> None:
        """Keep to the server's limit where it is below the table's."""
        if not limit:
            return
        requests = min(limit, self._limit.requests)
        if requests != self._sizes.requests:
            _log.warning("%s: the server's limit is now %d requests in %g s", self._name, requests, self._limit.per)
            self._sizes = _Sizes(requests, self._limit.per)
            self._adopted = asyncio.get_running_loop().time()

    def _counted(self, headers: Mapping[str, str] | None) -> int:
        """How many requests the server says it has counted; 0 where it does not, or says itself when to return."""
        if headers is None:
            return 0
        return counted_by_server(RateLimitHeaders.of(headers), self._sizes.requests) or 0


class _RedisSlot:
    """One entry of a sorted set. Pauses are the endpoint's business."""

    __slots__ = ("_endpoint", "_granted", "_key", "_member")

    def __init__(self, endpoint: _SharedEndpoint, key: str, member: str, granted: int) -> None:
        self._endpoint = endpoint
        self._key = key
        self._member = member
        self._granted = granted

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:  # noqa: ARG002
        self._endpoint.cool(self._key, self._member, headers, granted=self._granted)

    def unused(self) -> None:
        self._endpoint.free(self._key, self._member)


class _StandInSlot:
    """A permit of the stand-in, which may outlive it."""

    __slots__ = ("_endpoint", "_permit")

    def __init__(self, endpoint: _SharedEndpoint, permit: Permit) -> None:
        self._endpoint = endpoint
        self._permit = permit

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        self._permit.answered(headers, pause=pause)
        self._endpoint.ended_without_redis()

    def unused(self) -> None:
        self._permit.unused()


class _Permit:
    """A slot of Redis or of the stand-in, also counted among this process's own requests."""

    __slots__ = ("_counted", "_endpoint", "_granted", "_own", "_slot")

    def __init__(self, endpoint: _SharedEndpoint, slot: Permit, own: SlotWindow) -> None:
        self._endpoint = endpoint
        self._slot = slot
        self._own = own
        self._granted = asyncio.get_running_loop().time()
        # Leases that ran out may let one process have more in flight than the limit: as many as the limit is enough.
        self._counted = own.take(self._granted)

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        if self._counted:
            self._own.answered(asyncio.get_running_loop().time())
        self._endpoint.ended(headers, pause, granted=self._granted)  # first, for the slot counts by the limit it tells
        self._slot.answered(headers, pause=pause)

    def unused(self) -> None:
        if self._counted:
            self._own.unused()
        self._slot.unused()


async def _patiently(commands: Iterable[asyncio.Future[Any]]) -> None:
    """Wait until they have ended, but no longer than `PATIENCE`, as far as the event loop was there to see it."""
    pending = set(commands)
    for _ in range(SLICES):
        if not pending:
            return
        _, pending = await asyncio.wait(pending, timeout=PATIENCE / SLICES)


def _members(count: int) -> list[str]:
    """New names for slots, unlike any that another process makes."""
    return [uuid.uuid4().hex for _ in range(count)]


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _check(rate_limits: Mapping[str, RateLimit], latency: float, share: int | None) -> None:
    unknown = rate_limits.keys() - ENDPOINTS.keys()
    if unknown:
        raise ConfigurationError(
            f"rate_limits names no endpoint {', '.join(sorted(unknown))}; the names are {', '.join(ENDPOINTS)}"
        )
    for name, limit in rate_limits.items():
        if limit.burst is not None and limit.burst < limit.requests:
            raise ConfigurationError(f"{name}: a shared limit cannot shape bursts; leave RateLimit.burst out")
    if not 0 <= latency < float("inf"):
        raise ConfigurationError(f"latency must be 0 seconds or more, got {latency}")
    if share is not None and share < 1:
        raise ConfigurationError(f"share must be 1 process or more, or None, got {share}")
