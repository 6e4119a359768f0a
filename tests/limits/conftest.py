"""A real Redis server for the tests of this folder."""

from real_redis import redis_server

__all__ = ["redis_server"]
