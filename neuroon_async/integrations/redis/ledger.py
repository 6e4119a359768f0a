"""What the server has, remembered in Redis: the ledger of a fleet (extra ``redis``).

One hash for each shop: product id → digest and time of the last acknowledgement, or what is known of requests that
were never answered (`ledger_scripts`). A run holds the shop's lock, which expires unless it is renewed. Each step is
one script that first looks whether the lock is still the run's own, so a run that has lost it changes nothing and
learns nothing any more. What is missing is worked out in Redis, too: this process holds a portion of the ids at a time.

It knows keys, the lock and the order of the steps. What a run does with a ledger it leaves to `neuroon_async.sync`, the
connection and its end to whoever made it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisClusterException, RedisError

from ...api.arguments import check_seconds, check_text
from ...cancellation import finish
from ...errors import UsageError
from ...ledger.protocols import LedgerError
from ...ledger.sqlite import REQUEST_LIFETIME
from .commands import MOST_SECONDS, Commands, check_client, of_another_loop
from .keys import key_base
from .ledger_scripts import (
    ANSWERED,
    COMPARE,
    FORGET,
    FORGET_ALL,
    INVALIDATE,
    KEEP,
    KEEP_DOUBTS,
    NEXT_MISSING,
    RECORD,
    RELEASE,
    SEEN,
    TAKE,
    UNCHANGED,
)
from .scripts import evaluate
from .troubles import advice_on, in_words

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping

    from redis.asyncio import Redis, RedisCluster

    from ...ledger.protocols import LedgerRun

__all__ = ["RedisLedger"]

_log = logging.getLogger("neuroon_async.ledger")

PATIENCE = 5.0
"""Seconds that Redis gets to carry out one script."""
RENEWALS = 3
"""How often a run renews its lock within one lease."""
_ONE_SCRIPT = 500
_LOST = "Redis has lost what this run told it, so what is missing cannot be known"
_UNDONE = (RedisError, RedisClusterException, OSError)  # the built-in TimeoutError is an OSError


class RedisLedger:
    """A ledger for many processes, for any number of shops: whichever of them syncs a shop finds what was sent.

    ``redis``: your own ``redis.asyncio.Redis`` or ``RedisCluster`` (Redis 5 or later), used and never closed.
    ``prefix``: what the keys begin with (default ``neuroon``).
    ``lease``: seconds for which the lock of a run outlives a process that crashed (default 30); a live one renews it
    three times in that time.
    ``request_lifetime``: seconds for which the server may still process a request whose answer was lost (default 600);
    see `SQLiteLedger`.

    One run at a time has a shop's part to itself: a second one, anywhere, gets a `LedgerError` at once. A run that
    loses its lock (its process stood still, Redis lost its data) sends nothing more and ends with a `LedgerError`, and
    so does one whose Redis does not answer within 5 s: with too little remembered rather than too much, unless Redis
    itself forgets what it had confirmed. Where a crash of the Redis server must not cost that promise, set
    ``appendfsync always`` in it.

    About 100 bytes a product in Redis, and as much again for the length of a run with ``delete_missing``.

    >>> ledger = RedisLedger(Redis())                                               # doctest: +SKIP
    >>> report = await client.products.sync(products, ledger=ledger)                # doctest: +SKIP

    Raises `ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        redis: Redis | RedisCluster,
        prefix: str = "neuroon",
        *,
        lease: float = 30.0,
        request_lifetime: float = REQUEST_LIFETIME,
    ) -> None:
        check_seconds("lease", lease, least=0.001, most=MOST_SECONDS)
        check_seconds("request_lifetime", request_lifetime, zero=True, most=MOST_SECONDS)
        key_base(prefix, "")
        check_client(redis)
        self._redis = redis
        self._prefix = prefix
        self._lease = lease
        self._lifetime = request_lifetime

    def __repr__(self) -> str:
        return f"RedisLedger(prefix={self._prefix!r})"

    @asynccontextmanager
    async def run(self, shop: str) -> AsyncGenerator[LedgerRun, None]:
        """Lock one shop's part for one run. Raises `LedgerError` where another run has it."""
        async with self._locked(shop) as run:
            yield run

    async def forget_shop(self, shop: str) -> int:
        """Forget all of one shop: its next run sends everything. Returns how many products that were.

        Requests that were never answered are kept note of, as long as they may still be processed.
        """
        async with self._locked(shop) as run:
            return await run.forget_all()

    @asynccontextmanager
    async def _locked(self, shop: str) -> AsyncGenerator[_RedisRun, None]:
        check_text("shop", shop)
        lock = _Lock(self._redis, key_base(f"{self._prefix}:ledger", shop), shop, self._lease, self._lifetime)
        run: _RedisRun | None = None
        renewing: asyncio.Task[None] | None = None
        try:
            run = _RedisRun(lock, await lock.take())
            renewing = asyncio.create_task(lock.keep())
            yield run
        finally:
            await finish(_end(lock, renewing, in_flight=run is not None and bool(run.open)))


class _Lock:
    """The right of one run to a shop's keys, and the only way to them."""

    def __init__(self, redis: Redis | RedisCluster, base: str, shop: str, lease: float, lifetime: float = 0.0) -> None:
        self._redis = redis
        self._shop = shop
        self._lease = lease
        self._renewed_at = -math.inf
        """By this process's monotonic clock, when the request that renewed the lock last was made."""
        self.began = "0"
        """By the clock of Redis."""
        self.earlier = "0"
        """Until when an earlier run may have sent something."""
        token = uuid.uuid4().hex
        # The temporary sets carry the run's own name: what a crashed run left must not mix with this one's.
        self._keys = [f"{base}:lock", f"{base}:products", f"{base}:seen:{token}", f"{base}:missing:{token}"]
        self._keys += [f"{base}:sending", f"{base}:doubts"]
        self._arguments = (token, max(1, round(lease * 1000)), round(lifetime * 1000))
        self._commands = Commands(PATIENCE)

    async def take(self) -> int:
        """Returns how many products the ledger holds."""
        asked_at = time.monotonic()
        held, number, *times = await self._run(TAKE)
        if not held:
            raise LedgerError(
                f"another run is using the ledger of {self._shop} in Redis; if its process has died, its lock ends "
                f"within {math.ceil(number / 1_000):,} s"
            )
        self._renewed_at = asked_at
        self.began, self.earlier = times
        return int(number)

    def lost(self) -> LedgerError | None:
        """Why nothing more may be sent or changed: by now the lock may be another run's. ``None`` while it is ours."""
        if time.monotonic() - self._renewed_at <= self._lease:
            return None
        return LedgerError(
            f"this run has lost its lock on the ledger of {self._shop} in Redis: it was not renewed within "
            f"{self._lease:g} s (the process stood still, or Redis did not answer). Nothing more was sent. What has "
            "been recorded stays right; run the sync again"
        )

    async def keep(self) -> None:
        """Renew the lock until cancelled. Where it is lost, the run's next step says so."""
        while True:
            await asyncio.sleep(self._lease / RENEWALS)
            asked_at = time.monotonic()
            try:
                (held, *_) = await self._run(KEEP)
            except LedgerError as error:
                _log.warning("the lock of a sync was not renewed this time: %s", error)
            else:
                self._renewed_at = asked_at if held else -math.inf

    async def release(self, *, in_flight: bool = False) -> None:
        """End what is under way, then give the lock back. Never takes away another run's.

        ``in_flight``: some requests of this run were not answered.
        """
        await self._commands.settled()
        try:
            await self._run(RELEASE, int(in_flight), self.earlier)
        except (LedgerError, UsageError) as error:
            _log.warning("the lock of a sync could not be given back and ends by itself: %s", error)

    async def do(self, script: str, *arguments: Any) -> list[Any]:
        """Run a script, if the lock is still ours. Raises `LedgerError`."""
        lost = self.lost()
        if lost is not None:
            raise lost
        held, *answer = await self._run(script, *arguments)
        if not held:
            raise LedgerError(
                f"this run has lost its lock on the ledger of {self._shop} in Redis: it expired, or Redis lost its "
                "data. What has been recorded stays right; run the sync again"
            )
        return answer

    async def _run(self, script: str, *arguments: Any) -> list[Any]:
        # A caller that is cancelled leaves the script to end by itself; `release` waits for it.
        try:
            return await self._commands.run(lambda: self._eval(script, arguments))
        except _UNDONE as error:
            what = f"the ledger of {self._shop} in Redis cannot be used: {in_words(error)}"
            raise LedgerError(what, advice=advice_on(error)) from error
        except RuntimeError as error:
            raise of_another_loop(error) from error

    async def _eval(self, script: str, arguments: tuple[Any, ...]) -> list[Any]:
        return await evaluate(self._redis, script, self._keys, [*self._arguments, *arguments])


class _RedisRun:
    """The methods of `LedgerRun`, and of those that tell answers and attempts apart and hold a lease.

    500 ids in each script.
    """

    def __init__(self, lock: _Lock, held: int) -> None:
        self._lock = lock
        self._held = held
        self._seen = 0
        """How many different ids Redis has been told of as seen."""
        self._compared = False
        self.open: set[str] = set()
        """What was sent or is about to be, and is not answered yet."""
        self._repeated: set[str] = set()
        """Of these an attempt was never answered, and what its repetition said is about to be written down."""

    def lease_lost(self) -> LedgerError | None:
        return self._lock.lost()

    async def unchanged(self, digests: Mapping[str, bytes]) -> Collection[str]:
        found: set[str] = set()
        ids = list(digests)
        for some in _portions(ids):
            places = await self._lock.do(UNCHANGED, *_pairs(some, digests))
            found.update(some[int(place)] for place in places)
        return found

    async def invalidate(self, ids: Collection[str]) -> None:
        self.open.update(ids)
        for some in _portions(ids):
            await self._lock.do(INVALIDATE, self._lock.began, self._lock.earlier, *map(_key, some))

    async def record(self, digests: Mapping[str, bytes]) -> None:
        for some in _portions(digests):
            await self._lock.do(RECORD, self._any_repeated(some), *_pairs(some, digests))
        self._settle(digests)

    async def repeated(self, ids: Collection[str]) -> None:
        self._repeated.update(ids)

    async def answered(self, ids: Collection[str]) -> None:
        for some in _portions(self.open.intersection(ids)):
            await self._lock.do(ANSWERED, *map(_key, some))
        self._settle(ids)

    async def forget(self, ids: Collection[str]) -> None:
        for some in _portions(ids):
            await self._lock.do(FORGET, self._any_repeated(some), *map(_key, some))
        self._settle(ids)

    async def forget_all(self) -> int:
        """Forget the products at once, when all that was never answered has been copied elsewhere."""
        cursor: Any = 0
        while True:
            (cursor,) = await self._lock.do(KEEP_DOUBTS, self._lock.began, self._lock.earlier, cursor)
            if int(cursor) == 0:
                break
        (count,) = await self._lock.do(FORGET_ALL)
        return int(count)

    async def seen(self, ids: Collection[str]) -> None:
        for some in _portions(ids):
            (known,) = await self._lock.do(SEEN, self._seen, *map(_key, some))
            if known < 0:
                raise LedgerError(_LOST)
            self._seen = max(self._seen, known)  # not by how many it grew: a step whose answer is lost is done twice

    async def missing(self) -> tuple[int, int]:
        return await self._compare(), self._held

    async def missing_ids(self) -> AsyncIterator[str]:
        if not self._compared:
            await self._compare()
        while True:
            (some,) = await self._lock.do(NEXT_MISSING, _ONE_SCRIPT)
            for key in some:
                yield key.decode("utf-8", "surrogatepass")
            if not some:
                return

    def _any_repeated(self, ids: Collection[str]) -> int:
        """One more in doubt than need be is only sent once more."""
        return int(not self._repeated.isdisjoint(ids))

    def _settle(self, ids: Collection[str]) -> None:
        self.open.difference_update(ids)
        self._repeated.difference_update(ids)

    async def _compare(self) -> int:
        """Find what was not seen. A set that Redis has lost a part of would condemn products that are there."""
        self._compared = True
        cursor: Any = 0
        while True:
            cursor, missing, whole = await self._lock.do(COMPARE, cursor, self._seen)
            if not whole:
                raise LedgerError(_LOST)
            if int(cursor) == 0:
                return int(missing)


async def _end(lock: _Lock, renewing: asyncio.Task[None] | None, *, in_flight: bool) -> None:
    if renewing is not None:
        renewing.cancel()
        await asyncio.wait([renewing])
    await lock.release(in_flight=in_flight)


def _portions(ids: Collection[str]) -> list[list[str]]:
    every = list(ids)
    return [every[start : start + _ONE_SCRIPT] for start in range(0, len(every), _ONE_SCRIPT)]


def _pairs(ids: list[str], digests: Mapping[str, bytes]) -> list[bytes]:
    return [part for external_id in ids for part in (_key(external_id), digests[external_id])]


def _key(external_id: str) -> bytes:
    return external_id.encode("utf-8", "surrogatepass")
