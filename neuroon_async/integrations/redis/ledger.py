"""What the server has, remembered in Redis: the ledger of a fleet (extra ``redis``).

One hash a shop: product id → digest and time of the last acknowledgement; nothing while the server's state is in
doubt. A run holds the shop's lock, which expires unless it is renewed. Each step is one script that first looks whether
the lock is still the run's own, so a run that has lost it changes nothing and learns of nothing any more. What is
missing is worked out in Redis, too: this process holds a portion of the ids at a time, never all.

It knows keys, scripts and the lock. What a run does with a ledger it leaves to `neuroon_async.sync`, the connection
and its end to whoever made it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from ...errors import ConfigurationError
from ...ledger.protocols import LedgerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Collection, Mapping

    from redis.asyncio import Redis

    from ...ledger.protocols import LedgerRun

__all__ = ["RedisLedger"]

_log = logging.getLogger("neuroon_async.ledger")

PATIENCE = 5.0
"""Seconds that Redis gets to carry out one script."""
_ONE_SCRIPT = 500
_UNDONE = (RedisError, OSError)  # the built-in TimeoutError is an OSError

# KEYS of every script: lock, products, seen, missing.  ARGV: the run's token, the lease in milliseconds, then its own.
# Every answer but _RELEASE's begins with 1, or is {0} where the lock is no longer this run's.
_GUARD = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end\n"

_TAKE = """
local held = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if not held and redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end  -- it may be asked twice for one answer
return {1, redis.call('HLEN', KEYS[2])}
"""

_KEEP = (
    _GUARD
    + """
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for key = 3, 4 do redis.call('PEXPIRE', KEYS[key], 2 * ARGV[2]) end  -- these must outlive the lock
return {1}
"""
)

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[4]) end
return {1}
"""

# ARGV: ids and their digests in turn. Gives the places of those that are recorded just so.
_UNCHANGED = (
    _GUARD
    + """
local places = {1}
for i = 3, #ARGV, 2 do
    local value = redis.call('HGET', KEYS[2], ARGV[i])
    if value and #value > #ARGV[i + 1] and string.sub(value, 1, #ARGV[i + 1]) == ARGV[i + 1] then
        places[#places + 1] = (i - 3) / 2
    end
end
return places
"""
)

# ARGV: ids.
_INVALIDATE = (
    _GUARD
    + """
for i = 3, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], '') end
return {1}
"""
)

# ARGV: ids and their digests in turn.
_RECORD = (
    _GUARD
    + """
local now = redis.call('TIME')[1]
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1] .. now) end
return {1}
"""
)

# ARGV: ids.
_FORGET = (
    _GUARD
    + """
for i = 3, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
return {1}
"""
)

# Gives how many products were forgotten.
_FORGET_ALL = (
    _GUARD
    + """
local count = redis.call('HLEN', KEYS[2])
redis.call('UNLINK', KEYS[2])
return {1, count}
"""
)

# ARGV: ids. Gives how many of them were new to the set.
_SEEN = (
    _GUARD
    + """
local new = 0
for i = 3, #ARGV do new = new + redis.call('SADD', KEYS[3], ARGV[i]) end
redis.call('PEXPIRE', KEYS[3], 2 * ARGV[2])
return {1, new}
"""
)

# ARGV: a cursor, how many ids the set of seen ones holds at least. Moves on by a portion of the products, and keeps
# those not seen. Gives the next cursor, how many are missing so far, and whether the set was whole.
_COMPARE = (
    _GUARD
    + """
if redis.call('SCARD', KEYS[3]) < tonumber(ARGV[4]) then return {1, '0', 0, 0} end
local page = redis.call('HSCAN', KEYS[2], ARGV[3], 'COUNT', 500)
for i = 1, #page[2], 2 do
    if redis.call('SISMEMBER', KEYS[3], page[2][i]) == 0 then redis.call('SADD', KEYS[4], page[2][i]) end
end
redis.call('PEXPIRE', KEYS[4], 2 * ARGV[2])
return {1, page[1], redis.call('SCARD', KEYS[4]), 1}
"""
)

# ARGV: how many. Should an answer be lost, what it held is merely found missing again by the next run.
_NEXT_MISSING = _GUARD + "return {1, redis.call('SPOP', KEYS[4], ARGV[3])}"


class RedisLedger:
    """A ledger for many processes, for any number of shops: whichever of them syncs a shop finds what was sent.

    ``redis`` is your own ``redis.asyncio.Redis`` (Redis 5 or later), used and never closed. One run at a time has a
    shop's part to itself: a second one, anywhere, gets a `LedgerError` at once. ``lease`` (seconds) is how long the
    lock of a run outlives a process that crashed; a live one renews it three times in that time. A run that loses it
    all the same (its process stood still, Redis lost its data) ends with a `LedgerError`, and so does one whose Redis
    does not answer within 5 s: with too little remembered rather than too much, unless Redis itself forgets what it
    had confirmed. Where a crash of the Redis server must not cost that promise, set ``appendfsync always`` in it.

    About 100 bytes a product in Redis, and as much again for the length of a run with ``delete_missing``.

    >>> ledger = RedisLedger(Redis())                                               # doctest: +SKIP
    >>> report = await client.products.sync(products, ledger=ledger)                # doctest: +SKIP

    Raises `ConfigurationError` for settings that cannot work.
    """

    def __init__(self, redis: Redis, prefix: str = "neuroon", *, lease: float = 30.0) -> None:
        if not 0.001 <= lease < float("inf"):
            raise ConfigurationError(f"lease must be a number of seconds above 0, got {lease}")
        self._redis = redis
        self._prefix = prefix
        self._lease = lease

    def __repr__(self) -> str:
        return f"RedisLedger(prefix={self._prefix!r})"

    @asynccontextmanager
    async def run(self, shop: str) -> AsyncIterator[LedgerRun]:
        """Lock one shop's part for one run. Raises `LedgerError` where another run has it."""
        async with self._locked(shop) as run:
            yield run

    async def forget_shop(self, shop: str) -> int:
        """Forget all of one shop: its next run sends everything. Returns how many products that were."""
        async with self._locked(shop) as run:
            return await run.forget_all()

    @asynccontextmanager
    async def _locked(self, shop: str) -> AsyncIterator[_RedisRun]:
        # The braces keep one shop's keys on one node of a cluster, as scripts require.
        lock = _Lock(self._redis, f"{self._prefix}:ledger:{{{shop}}}", shop, self._lease)
        try:
            held = await lock.take()
            renewing = asyncio.create_task(lock.keep())
            try:
                yield _RedisRun(lock, held)
            finally:
                renewing.cancel()
                await asyncio.wait([renewing])
        finally:
            await lock.release()


class _Lock:
    """The right of one run to a shop's keys, and the only way to them."""

    def __init__(self, redis: Redis, base: str, shop: str, lease: float) -> None:
        self._redis = redis
        self._shop = shop
        self._lease = lease
        token = uuid.uuid4().hex
        # The temporary sets carry the run's own name: what a crashed run left must not mix with this one's.
        self._keys = [f"{base}:lock", f"{base}:products", f"{base}:seen:{token}", f"{base}:missing:{token}"]
        self._arguments = (token, max(1, round(lease * 1000)))
        self._under_way: set[asyncio.Future[Any]] = set()

    async def take(self) -> int:
        """Returns how many products the ledger holds."""
        held, *count = await self._run(_TAKE)
        if not held:
            raise LedgerError(
                f"another run is using the ledger of {self._shop} in Redis; if its process has died, its lock ends "
                f"within {self._lease:g} s"
            )
        return int(count[0])

    async def keep(self) -> None:
        """Renew the lock until cancelled. Where it is lost, the run's next step says so."""
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                await self._run(_KEEP)
            except LedgerError as error:
                _log.warning("the lock of a sync was not renewed this time: %s", error)

    async def release(self) -> None:
        """End what is under way, then give the lock back. Never takes away another run's."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=PATIENCE)
        try:
            await self._run(_RELEASE)
        except LedgerError as error:
            _log.warning("the lock of a sync could not be given back and ends by itself: %s", error)

    async def do(self, script: str, *arguments: Any) -> list[Any]:
        """Run a script, if the lock is still ours. Raises `LedgerError`."""
        held, *answer = await self._run(script, *arguments)
        if not held:
            raise LedgerError(
                f"this run has lost its lock on the ledger of {self._shop} in Redis: it expired, or Redis lost its "
                "data. What has been recorded stays right; run the sync again"
            )
        return answer

    async def _run(self, script: str, *arguments: Any) -> list[Any]:
        # In a task of its own, for redis-py (8.1) can swallow the cancellation of whoever awaits it. A caller that is
        # cancelled leaves the script to end by itself, which also spares the connection; `release` waits for it.
        running = asyncio.ensure_future(self._eval(script, arguments))
        self._under_way.add(running)
        running.add_done_callback(self._ended)
        try:
            await asyncio.wait([running], timeout=PATIENCE)
            if not running.done():
                running.cancel()
                raise TimeoutError(f"no answer within {PATIENCE:g} s")
            return running.result()
        except _UNDONE as error:
            raise LedgerError(
                f"the ledger of {self._shop} in Redis cannot be used: {type(error).__name__}: {error}"
            ) from error

    async def _eval(self, script: str, arguments: tuple[Any, ...]) -> list[Any]:
        answer: Awaitable[list[Any]] = self._redis.register_script(script)(self._keys, [*self._arguments, *arguments])
        return await answer

    def _ended(self, running: asyncio.Future[Any]) -> None:
        self._under_way.discard(running)
        if not running.cancelled():
            running.exception()  # whoever still waits has been told; for the others it has no meaning


class _RedisRun:
    """The methods of `LedgerRun`, in portions of 500 ids a script."""

    def __init__(self, lock: _Lock, held: int) -> None:
        self._lock = lock
        self._held = held
        self._seen = 0
        """How many different ids Redis has been told of as seen."""
        self._compared = False

    async def unchanged(self, digests: Mapping[str, bytes]) -> Collection[str]:
        found: set[str] = set()
        ids = list(digests)
        for some in _portions(ids):
            places = await self._lock.do(_UNCHANGED, *_pairs(some, digests))
            found.update(some[int(place)] for place in places)
        return found

    async def invalidate(self, ids: Collection[str]) -> None:
        for some in _portions(ids):
            await self._lock.do(_INVALIDATE, *map(_key, some))

    async def record(self, digests: Mapping[str, bytes]) -> None:
        for some in _portions(digests):
            await self._lock.do(_RECORD, *_pairs(some, digests))

    async def forget(self, ids: Collection[str]) -> None:
        for some in _portions(ids):
            await self._lock.do(_FORGET, *map(_key, some))

    async def forget_all(self) -> int:
        (count,) = await self._lock.do(_FORGET_ALL)
        return int(count)

    async def seen(self, ids: Collection[str]) -> None:
        for some in _portions(ids):
            (new,) = await self._lock.do(_SEEN, *map(_key, some))
            self._seen += int(new)

    async def missing(self) -> tuple[int, int]:
        return await self._compare(), self._held

    async def missing_ids(self) -> AsyncIterator[str]:
        if not self._compared:
            await self._compare()
        while True:
            (some,) = await self._lock.do(_NEXT_MISSING, _ONE_SCRIPT)
            for key in some:
                yield key if isinstance(key, str) else key.decode("utf-8", "surrogatepass")
            if not some:
                return

    async def _compare(self) -> int:
        """Find what was not seen. A set that Redis has lost a part of would condemn products that are there."""
        self._compared = True
        cursor: Any = 0
        while True:
            cursor, missing, whole = await self._lock.do(_COMPARE, cursor, self._seen)
            if not whole:
                raise LedgerError("Redis has lost what this run told it, so what is missing cannot be known")
            if int(cursor) == 0:
                return int(missing)


def _portions(ids: Collection[str]) -> list[list[str]]:
    every = list(ids)
    return [every[start : start + _ONE_SCRIPT] for start in range(0, len(every), _ONE_SCRIPT)]


def _pairs(ids: list[str], digests: Mapping[str, bytes]) -> list[bytes]:
    return [part for external_id in ids for part in (_key(external_id), digests[external_id])]


def _key(external_id: str) -> bytes:
    return external_id.encode("utf-8", "surrogatepass")
