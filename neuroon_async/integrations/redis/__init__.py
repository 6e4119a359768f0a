"""Limits and ledger in Redis, shared by many machines (extra ``redis``)."""

from importlib import import_module

from ...extras import NeedsExtra

with NeedsExtra("redis", __name__):
    import_module("redis")  # before the modules below, which could not say what is missing

from .ledger import RedisLedger
from .limiter import RedisLimiter

__all__ = ["RedisLedger", "RedisLimiter"]
