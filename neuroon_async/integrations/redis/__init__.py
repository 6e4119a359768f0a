"""Limits and ledger in Redis, shared by many machines (extra ``redis``)."""

from .ledger import RedisLedger
from .limiter import RedisLimiter

__all__ = ["RedisLedger", "RedisLimiter"]
