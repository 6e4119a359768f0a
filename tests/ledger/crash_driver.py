"""Runs syncs in processes that may be killed: one JSON order a line on stdin, the child's id and its end on stdout.

The driver imports everything once and forks for each order, so that a round takes milliseconds. An order is
``{"url", "ledger", "ids", "price", "delete_missing", "die_at"}``: with ``die_at`` the child kills itself at that
ledger operation, before it if even and after it if odd. ``ledger`` is a file, or with ``lease`` the socket of a Redis.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from neuroon_async import Ledger, NeuroonClient, Product, RetryPolicy, SQLiteLedger
from neuroon_async.ledger.sqlite_run import SQLiteRun
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID

CONCURRENCY = 3
BATCH_SIZE = 10


def die_at(moment: int) -> None:
    """SIGKILL around one of the operations that write to the ledger."""
    moments = count()

    def mortal(work: Callable[..., None]) -> Callable[..., None]:
        def working(run: SQLiteRun, *what: Any) -> None:
            _die_if(next(moments) == moment)
            work(run, *what)
            _die_if(next(moments) == moment)

        return working

    SQLiteRun._invalidate = mortal(SQLiteRun._invalidate)
    SQLiteRun._record = mortal(SQLiteRun._record)
    SQLiteRun._forget = mortal(SQLiteRun._forget)
    SQLiteRun._keep = mortal(SQLiteRun._keep)


def _die_if(the_moment_has_come: bool) -> None:
    if the_moment_has_come:
        os.kill(os.getpid(), signal.SIGKILL)


async def sync(order: dict[str, Any]) -> None:
    async with NeuroonClient(
        shop_id=DEFAULT_SHOP_ID,
        api_key=DEFAULT_API_KEY,
        base_url=order["url"],
        rate_limits=None,
        retry=RetryPolicy(attempts=3, initial=0.01),
        timeout=order.get("timeout", 30.0),
    ) as client:
        await client.products.sync(
            (
                Product(external_id=external_id, name="x", price=order["price"], url="https://shop.example/x")
                for external_id in order["ids"]
            ),
            ledger=ledger_of(order),
            delete_missing=order.get("delete_missing", False),
            max_delete_fraction=1,
            concurrency=CONCURRENCY,
            batch_size=BATCH_SIZE,
        )


def ledger_of(order: dict[str, Any]) -> Ledger:
    lifetime = order.get("request_lifetime", 0)
    if "lease" not in order:
        return SQLiteLedger(order["ledger"], request_lifetime=lifetime)
    from redis.asyncio import Redis  # noqa: PLC0415 - optional

    from neuroon_async.integrations.redis import RedisLedger  # noqa: PLC0415 - likewise

    redis = Redis(unix_socket_path=order["ledger"])
    return RedisLedger(redis, lease=order["lease"], request_lifetime=lifetime)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            if order.get("die_at") is not None:
                die_at(order["die_at"])
            asyncio.run(sync(order))
            os._exit(0)
        tell(child)
        _, status = os.waitpid(child, 0)
        tell(os.waitstatus_to_exitcode(status))


def tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
