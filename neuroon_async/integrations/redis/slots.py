"""The slots of one endpoint in Redis: a `SlotStore` by scripts, each atomic and by the Redis server's own clock.

A slot is an entry of a sorted set, scored with the moment it comes back. The scripts say what `policy` says; a test
holds the two together. Hosts' clocks may differ, and where Redis' own is set back, no time in it stays later than it
can rightly be.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from ...limits.policy import IN_TRANSIT, RESERVED, SINGLE_CALL_WAIT, Reserve
from ...limits.store import Forgotten, Full, Taken
from .scripts import evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis, RedisCluster

    from ...api.contract import RateLimit
    from .link import RedisLink

__all__ = ["SCRIPTS", "RedisSlots"]

_log = logging.getLogger("neuroon_async.limits")

OTHERS_DELAY = 2.0
"""Seconds that other processes get to tell what they used without Redis: they look for it every second."""

_FORGOTTEN = 2
"""What the script says that finds something missing."""
_NEVER = 2**53
"""A time that no clock reaches, in microseconds."""

# Times are whole microseconds: a double holds them exactly until the year 2255, but Lua's tostring does not.
_BASICS = """
local function clock()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end
local function whole(number) return string.format('%.0f', number) end
local function ms(us) return whole(math.max(1, math.ceil(us / 1000))) end
-- A pause: no admission before it `opens`; until it `ends` calls return one by one. Its `length` bounds both, should
-- the clock be set back.
local function pause_at(key, now, per)
    local stored = redis.call('HMGET', key, 'opens', 'ends', 'length')
    if not stored[1] then return nil end
    local opens, ends, length = tonumber(stored[1]), tonumber(stored[2]), tonumber(stored[3])
    if opens > now + math.max(length, per) or ends > now + length + per then
        opens, ends = math.min(opens, now + length), math.min(ends, now + length + per)
        redis.call('HSET', key, 'opens', whole(opens), 'ends', whole(ends))
    end
    return {opens = opens, ends = ends}
end
local function begin_pause(key, now, length, per)
    local pause = pause_at(key, now, per)
    if pause and pause.opens >= now + length then return end
    redis.call('HSET', key, 'opens', whole(now + length), 'ends', whole(now + length + per), 'length', whole(length))
    redis.call('PEXPIRE', key, ms(length + per))
end
-- A slot that must still be known, and is not: this Redis has lost its data, was evicting, or is another one now.
local function has_lost(slots, witness, told, now, per)
    return told <= now and now < told + per and not redis.call('ZSCORE', slots, witness)
end
"""

_TAKE = (
    _BASICS
    + """
-- KEYS: slots, elsewhere, pause, singles, processes, tables, late.
-- ARGV: requests, per, latency, bulk, member, most to keep, to keep at least, how soon, process, table ('': as before),
-- the longest that a slot may be away, a slot of this process's that Redis was told of, and when.
-- Gives {1, slots left, now} or {0, microseconds to wait, now}, and then the tables of others; or {2, 0, now}.
local slots, elsewhere, pause_key, singles, processes, tables, late = unpack(KEYS)
local now, requests, per, latency = clock(), tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local bulk, member, most, least, soon = ARGV[4] == '1', ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local process, own_table, longest = ARGV[9], ARGV[10], tonumber(ARGV[11])
local witness, told = ARGV[12], tonumber(ARGV[13])

if has_lost(slots, witness, told, now, per) then return {2, 0, now} end

-- A clock that was set back leaves times that lie too far ahead.
local function no_later(key, latest, instead)
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. whole(latest), '+inf')) do
        redis.call('ZADD', key, whole(instead), name)
    end
end
no_later(slots, now + longest, now + per)
no_later(late, now + longest, now + per)
no_later(elsewhere, now + per, now + per)
no_later(singles, now, now)
no_later(processes, now + per, now)

local different = {}
if own_table ~= '' then
    no_later(tables, now, now)
    redis.call('ZADD', tables, whole(now), own_table)
    redis.call('ZREMRANGEBYSCORE', tables, '-inf', whole(now - per - latency))
    redis.call('PEXPIRE', tables, ms(per + latency))
    if redis.call('ZCARD', tables) > 1 then
        for _, other in ipairs(redis.call('ZRANGE', tables, 0, -1)) do
            if other ~= own_table then different[#different + 1] = other end
        end
    end
end
local function answer(which, number)
    -- One that was sent away takes nothing of its own accord for a window: see RETURN.
    redis.call('ZADD', processes, whole(which == 1 and now or now + per), process)
    redis.call('PEXPIRE', processes, ms(per + latency))
    return {which, number, now, unpack(different)}
end

local pause = pause_at(pause_key, now, per)

-- What others spend takes free slots.
redis.call('ZREMRANGEBYSCORE', elsewhere, '-inf', whole(now))
local function spent(moment)
    return tonumber(redis.call('ZRANGEBYSCORE', elsewhere, '(' .. whole(moment), '+inf', 'LIMIT', 0, 1)[1] or 0)
end
-- Slots stay for `latency` after their return: an answer to a request that is older may have counted them.
redis.call('ZREMRANGEBYSCORE', slots, '-inf', whole(now - latency))
local function free(moment)
    return requests - redis.call('ZCOUNT', slots, '(' .. whole(moment), '+inf') - spent(moment)
end
-- How long until `missing` more slots are back that are not at `moment`. A request in flight may be answered now, so in
-- `per` at the latest; one that ended without an answer comes back later than that. What is spent elsewhere may be over
-- before.
local function slot_back(moment, missing)
    local function beyond(key, from) return redis.call('ZCOUNT', key, '(' .. whole(from), '+inf') end
    local function score(key, from, place)
        local found = redis.call('ZRANGEBYSCORE', key, '(' .. whole(from), '+inf', 'WITHSCORES', 'LIMIT', place - 1, 1)
        return found[2] and tonumber(found[2]) - now
    end
    local window = math.max(moment, now + per)
    local within = beyond(slots, moment) - beyond(slots, window)
    if missing <= within then return score(slots, moment, missing) end
    missing = missing - within - (beyond(slots, window) - beyond(late, window))
    return missing > 0 and score(late, window, missing) or per
end
local function until_back(moment, missing)
    local wait = slot_back(moment, missing)
    local over = redis.call('ZRANGEBYSCORE', elsewhere, '(' .. whole(moment), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    return over[2] and math.min(wait, tonumber(over[2]) - now) or wait
end

local left = free(now)
-- Asked twice, for the first answer was lost on its way.
if redis.call('ZSCORE', slots, member) then return answer(1, math.max(0, left)) end
redis.call('ZREMRANGEBYSCORE', late, '-inf', whole(now))
local wait = left < 1 and until_back(now, 1 - left) or 0
if bulk then
    redis.call('ZREMRANGEBYSCORE', singles, '-inf', whole(now - 2 * per))
    local keep = math.min(most, least + redis.call('ZCARD', singles))
    local missing = keep + 1 - free(now + soon)
    if missing > 0 then
        -- Where the next answer may be enough, look again after the time between two requests.
        local enough = until_back(now + soon, missing) - soon
        wait = math.max(wait, enough > 0 and enough or per / requests)
    end
end
wait = math.max(wait, pause and pause.opens - now or 0)
if wait > 0 then return answer(0, wait) end
if not bulk and most > 0 then
    redis.call('ZADD', singles, whole(now), member)
    redis.call('ZREMRANGEBYRANK', singles, 0, -most - 1)
    redis.call('PEXPIRE', singles, ms(2 * per))
end

redis.call('ZADD', slots, whole(now + per + latency), member)
redis.call('PEXPIRE', slots, ms(longest))
if pause and pause.ends > now then
    redis.call('HSET', pause_key, 'opens', whole(now + per / requests), 'ends', whole(pause.ends))
end
return answer(1, left - 1)
"""
)

_COOL = (
    _BASICS
    + """
-- KEYS: slots, elsewhere, late.  ARGV: in how long its slot comes back, the longest that one may be away, counted,
-- granted, member, per, a slot of this process's that Redis was told of, and when.
-- Its request has ended. Gives the time, and 1 where Redis has lost that other slot.
local slots, elsewhere, per = KEYS[1], KEYS[2], tonumber(ARGV[6])
local now = clock()
local lost = has_lost(slots, ARGV[7], tonumber(ARGV[8]), now, per)
redis.call('ZADD', slots, whole(now + tonumber(ARGV[1])), ARGV[5])
redis.call('PEXPIRE', slots, ms(tonumber(ARGV[2])))
if tonumber(ARGV[1]) > per then
    redis.call('ZADD', KEYS[3], whole(now + tonumber(ARGV[1])), ARGV[5])
    redis.call('PEXPIRE', KEYS[3], ms(tonumber(ARGV[1])))
end

-- One that was granted at `granted` was told that the server had `counted` so many when it arrived. Slots in flight may
-- be among them, and those that came back since. The others are spent elsewhere; the most seen within `per` holds.
local count = tonumber(ARGV[3]) - redis.call('ZCOUNT', slots, '(' .. ARGV[4], '+inf')
if count > 0 then
    for _, seen in ipairs(redis.call('ZRANGE', elsewhere, 0, -1)) do
        if tonumber(seen) < count then redis.call('ZREM', elsewhere, seen) end
    end
    redis.call('ZADD', elsewhere, whole(now + per), count)
    redis.call('PEXPIRE', elsewhere, ms(per))
end
return {now, lost and 1 or 0}
"""
)

_PAUSE = (
    _BASICS
    + """
-- KEYS: pause.  ARGV: length, per.  Only ever raised; outlives the pause by one window, over which calls return.
begin_pause(KEYS[1], clock(), tonumber(ARGV[1]), tonumber(ARGV[2]))
"""
)

_RETURN = (
    _BASICS
    + """
-- KEYS: slots, pause, processes.  ARGV: per, latency, process, how long it was absent, others' delay, the longest that
-- a slot may be away, and in pairs: a slot, in how long it comes back.
-- A process is back, and tells what it used meanwhile.
local slots, pause, processes = unpack(KEYS)
local now, per, latency = clock(), tonumber(ARGV[1]), tonumber(ARGV[2])
local process, absent = ARGV[3], tonumber(ARGV[4])
for i = 7, #ARGV, 2 do  -- it may know some of them
    redis.call('ZADD', slots, 'NX', whole(now + tonumber(ARGV[i + 1])), ARGV[i])
end
redis.call('PEXPIRE', slots, ms(tonumber(ARGV[6])))

-- Others may have used something too that they have yet to tell: those that were not heard of meanwhile, and, where
-- Redis has lost what it knew, all. Those that were heard of, or were sent away less than a window ago, used nothing.
redis.call('ZREMRANGEBYSCORE', processes, '-inf', whole(now - absent - per - latency))
local known = redis.call('ZSCORE', processes, process)
redis.call('ZREM', processes, process)
local others = redis.call('ZCARD', processes)
local silent = redis.call('ZCOUNT', processes, '-inf', whole(now - absent))
redis.call('ZADD', processes, whole(now), process)
redis.call('PEXPIRE', processes, ms(per + latency))
if silent > 0 or (others == 0 and not known) then begin_pause(pause, now, tonumber(ARGV[5]), per) end
"""
)

SCRIPTS = (_TAKE, _COOL, _PAUSE, _RETURN)


class RedisSlots:
    """One endpoint's slots: ``base`` begins the names of its keys, ``process`` tells who made it from others."""

    def __init__(
        self,
        link: RedisLink,
        redis: Redis | RedisCluster,
        base: str,
        limit: RateLimit,
        *,
        latency: float,
        process: str,
    ) -> None:
        self._link = link
        self._redis = redis
        self._limit = limit
        self._per = _us(limit.per)
        self._latency = _us(latency)
        self._late = _us(limit.per + IN_TRANSIT)
        """In how long a slot comes back whose request ended without an answer."""
        self._longest = max(self._per + self._latency, self._late)
        self._origin = process
        self._name = base
        self._slots = f"{base}:open"
        self._elsewhere = f"{base}:elsewhere"
        """How much others were seen to spend, scored with until when that holds: the latest last, the most first."""
        self._pause = f"{base}:pause"
        self._singles = f"{base}:singles"
        """When single calls left."""
        self._processes = f"{base}:processes"
        """When each process was last heard of."""
        self._tables = f"{base}:tables"
        """The limits that processes were configured with, scored with when that was last told."""
        self._late_ones = f"{base}:late"
        """The slots whose request ended without an answer: the time alone does not tell them from those in flight."""
        self._table = f"{limit.requests} requests in {limit.per:g} s"
        self._table_told: float | None = None
        self._differing: set[str] = set()
        self._witness = ("", _NEVER)
        """The slot that Redis was last told of for certain, and when by its clock. It must still know that slot."""

    async def take(self, requests: int, member: str, *, bulk: bool) -> Taken | Full | Forgotten:
        reserve = Reserve(requests, self._limit.per)
        keys = [
            self._slots,
            self._elsewhere,
            self._pause,
            self._singles,
            self._processes,
            self._tables,
            self._late_ones,
        ]
        which, number, now, *tables = await self._run(
            _TAKE,
            keys,
            requests,
            self._per,
            self._latency,
            int(bulk),
            member,
            reserve.most,
            RESERVED,
            _us(SINGLE_CALL_WAIT),
            self._process,
            self._table if self._table_is_due() else "",
            self._longest,
            *self._witness,
        )
        if which == _FORGOTTEN:
            return Forgotten()
        self._note_tables(tables)
        return Taken(stamp=int(now), left=int(number)) if which else Full(int(number) / 1e6)

    async def cool(self, member: str, *, stamp: int = 0, counted: int | None = None) -> None:
        await self._cool(self._per, member, counted or 0, stamp)

    async def cool_late(self, member: str) -> None:
        await self._cool(self._late, member, 0, 0)

    async def _cool(self, back_in: int, member: str, counted: int, stamp: int) -> None:
        arguments = (back_in, self._longest, counted, stamp, member, self._per, *self._witness)
        now, lost = await self._run(_COOL, [self._slots, self._elsewhere, self._late_ones], *arguments)
        if not lost:  # else the next `take` has to find it missing, too
            self._witness = (member, int(now))

    async def free(self, member: str) -> None:
        await self._link.ask(lambda: self._redis.zrem(self._slots.encode(), member.encode()))

    async def withdraw(self, member: str) -> None:
        await self._link.settled()
        await self.free(member)

    async def pause(self, seconds: float) -> None:
        await self._run(_PAUSE, [self._pause], _us(seconds), self._per)

    async def hand_back(self, members: Mapping[str, float], absent: float) -> None:
        keys = [self._slots, self._pause, self._processes]
        times = (self._per, self._latency, self._process, _us(absent), _us(OTHERS_DELAY), self._longest)
        pairs = (part for member, seconds in members.items() for part in (member, _us(seconds)))
        await self._run(_RETURN, keys, *times, *pairs)
        self._witness = ("", _NEVER)  # it may not be among those that were told now

    def look_in(self) -> float:
        return self._link.look_in()

    @property
    def _process(self) -> str:
        """A limiter may be made before a server forks its workers, and each of them counts by itself."""
        return f"{self._origin}:{os.getpid()}"

    def _table_is_due(self) -> bool:
        """Once a window is enough to find out whether others have another table."""
        return self._table_told is None or abs(self._link.now() - self._table_told) > self._limit.per

    def _note_tables(self, tables: list[bytes]) -> None:
        if self._table_is_due():
            self._table_told = self._link.now()
        for text in tables:
            table = text.decode("utf-8", "replace")
            if table not in self._differing:
                self._differing.add(table)
                _log.warning(
                    "%s: this process shares %s, but another one %s; give all the same rate_limits",
                    self._name,
                    self._table,
                    table,
                )

    async def _run(self, script: str, keys: list[str], *arguments: int | str) -> list[Any]:
        return await self._link.ask(lambda: evaluate(self._redis, script, keys, arguments))


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
