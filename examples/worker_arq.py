"""The client in an arq worker: ``arq worker_arq.WorkerSettings`` in this folder (needs arq and a Redis).

arq's hooks are all it takes: one client for the life of the worker, in ``ctx``. Enqueue jobs as usual:

    await redis.enqueue_job("sync_products", [{"externalId": "SKU-1", …}], _job_id="sync:SKU-1")

Both jobs may run twice (arq delivers at least once): products are upserted, and the server counts an order once.
Several workers count against one limit: give each a part of it, as below, or all of them a `RedisLimiter`.
"""

from typing import Any

import msgspec

from neuroon_async import DOCUMENTED_RATE_LIMITS, Conversion, NeuroonClient

WORKERS = 2


async def startup(ctx: dict[str, Any]) -> None:
    shares = {name: limit.share_of(WORKERS) for name, limit in DOCUMENTED_RATE_LIMITS.items()}
    ctx["neuroon"] = NeuroonClient.from_env(rate_limits=shares)


async def shutdown(ctx: dict[str, Any]) -> None:
    await ctx["neuroon"].aclose()


async def sync_products(ctx: dict[str, Any], products: list[dict[str, Any]]) -> dict[str, Any]:
    report = await ctx["neuroon"].products.sync(products)
    return {"accepted": report.accepted, "failures": [str(failure) for failure in report.failures]}


async def track_conversion(ctx: dict[str, Any], conversion: dict[str, Any]) -> bool:
    """``conversion`` is a `Conversion` by ``msgspec.to_builtins``: jobs should hold plain data."""
    return await ctx["neuroon"].conversions.track(msgspec.convert(conversion, Conversion))


class WorkerSettings:
    functions = (sync_products, track_conversion)
    on_startup = startup
    on_shutdown = shutdown
    job_timeout = 3_600
    """Seconds: a sync waits out an outage of 45 minutes. To end sooner, give the client a ``bulk_deadline``."""
