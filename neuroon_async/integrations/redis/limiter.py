"""One budget for many processes: a limiter whose slots live in Redis (extra ``redis``).

The vendor counts per shop and endpoint, over all processes that use the key. `RedisLimiter` keeps the rule of
`neuroon_async.limits` over all of them: each of N slots comes back T seconds after the *answer* to its request. What
the server says is left tells how much something that knows nothing of this Redis spends, and lowers what all may take.

This module puts together what does it: callers and fallback in `limits.shared`, the slots and their arithmetic in
`slots`, connections and outages in `link`. The connection and its end it leaves to whoever made it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from ...api.arguments import check_count, check_seconds, check_text
from ...api.contract import DOCUMENTED_RATE_LIMITS, RateLimit
from ...limits.shared import SharedLimiter
from ...limits.tables import shared_table
from .commands import MOST_SECONDS, check_client
from .keys import key_base
from .link import RedisLink
from .slots import SCRIPTS, RedisSlots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis, RedisCluster

__all__ = ["RedisLimiter"]


class RedisLimiter(SharedLimiter):
    """The rate limits of one shop, shared by every process that names the same Redis, ``prefix`` and ``shop_id``.

    Give it to `NeuroonClient` as ``limiter``. Within a process, calls are first come, first served, single calls before
    bulk ones. Across processes, bulk calls leave single ones what `limits.policy.Reserve` says.

    **Without Redis** each process keeps to one of ``share`` equal parts of the budget, less what it has used in the
    last window, and for the first window to no more than its part of what Redis last said was left. It looks for Redis
    every second, and tells it what was used meanwhile. All processes are then held back for two seconds, so that
    others can tell the same, unless Redis shows that these were never away. Both changes are logged, once each, with
    the reason. The second that Redis gets to answer is counted only while the event loop is there to read, so a loop
    that is late is not taken for a Redis that is away. Opening connections has a patience of its own, so a Redis far
    away is used, too.

    **Other users of the key.** Where the server says that less is left (``X-RateLimit-Remaining``) than Redis knows of,
    all processes leave as much for one window. Requests in flight may be among those that the server has counted, so
    the more there are, the later it shows.

    **A Redis that has lost its data**, by a restart, a failover or an eviction, is noticed: each process looks whether
    the last slot that Redis was told of is still there. If not, it tells again what it has used, and keeps to a
    ``share`` of what was left; all are held back for two seconds, so that others can tell the same. This is logged.

    ``aclose`` (or ``async with``) waits until Redis has been told of every ended request; skipping it merely leaves the
    last slots occupied for ``latency`` seconds longer.

    Args:
        redis: Your own ``redis.asyncio.Redis`` or ``RedisCluster`` (Redis 5 or later), used and never closed. At most
            16 of its connections are used at a time, and no more than half of its pool, by any number of limiters.
            While a node of a cluster is away, all limiters of the client do without Redis.
        shop_id: The shop whose limits these are.
        rate_limits: Override the documented table by endpoint name. Processes that disagree log a warning.
        latency: Seconds, at least the clients' ``timeout``: for so long a request may still arrive whose answer nobody
            reports, because its process died. Its slot comes back that much later than others.
        share: How many processes there are at most, for the time without Redis. ``None`` raises `ConnectionFailed`
            instead, as do endpoints with fewer requests than parts; then all callers learn of it at once.
        prefix: Begins the names of all keys.

    Raises:
        UsageError: for arguments that cannot work.

    >>> async def main():                                                           # doctest: +SKIP
    ...     async with RedisLimiter(Redis(), shop_id="shop_1", share=4) as limiter:
    ...         async with NeuroonClient(shop_id="shop_1", api_key="sk_…", limiter=limiter) as client:
    ...             await client.products.sync(catalog)
    """

    def __init__(
        self,
        redis: Redis | RedisCluster,
        *,
        shop_id: str,
        rate_limits: Mapping[str, RateLimit] = DOCUMENTED_RATE_LIMITS,
        latency: float = 60.0,
        share: int | None = 4,
        prefix: str = "neuroon",
    ) -> None:
        table = shared_table(rate_limits)
        check_text("shop_id", shop_id)
        for name, limit in table.items():
            check_seconds(f"rate_limits[{name!r}].per", limit.per, most=MOST_SECONDS)
        check_seconds("latency", latency, zero=True, most=MOST_SECONDS)
        check_count("share", share, none=True)
        check_client(redis)
        self._slots = RedisLink.of(redis, SCRIPTS)
        base = key_base(prefix, shop_id)
        process = uuid.uuid4().hex
        super().__init__(
            (
                (
                    name,
                    limit,
                    RedisSlots(self._slots, redis, f"{base}:{name}", limit, latency=latency, process=process),
                )
                for name, limit in table.items()
            ),
            share,
        )

    async def aclose(self) -> None:
        """Wait until Redis has been told of every ended request. The limiter stays usable."""
        await super().aclose()
        await self._slots.rest()
