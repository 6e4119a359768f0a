"""Real servers for the tests of this folder."""

from real_postgresql import postgresql
from real_redis import mortal_redis_server, redis_server

__all__ = ["mortal_redis_server", "postgresql", "redis_server"]
