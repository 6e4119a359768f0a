"""Real servers for the tests of this folder, and connections to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from real_mariadb import mariadb
from real_postgresql import postgresql, psycopg
from real_redis import mortal_redis_server, redis_server

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["connect", "mariadb", "mortal_redis_server", "postgresql", "psycopg", "redis_server"]


@pytest.fixture
async def connect(redis_server) -> AsyncIterator[Callable[..., Redis]]:
    """Makes connections, each of its own pool, that are closed after the test."""
    redis_asyncio = pytest.importorskip("redis.asyncio", reason="needs the extra 'redis'")
    async with AsyncExitStack() as stack:

        def new(**options: Any) -> Redis:
            redis = redis_asyncio.Redis(unix_socket_path=redis_server.socket, **options)
            stack.push_async_callback(redis.aclose)
            return redis

        yield new
