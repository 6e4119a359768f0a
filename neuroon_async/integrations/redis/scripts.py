"""One script in Redis: asked for by its digest, and sent whole where Redis does not know it.

Everything goes out as bytes and comes back as bytes, however the client was told to encode and decode: a text in
another encoding would be another key, or another product's id.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis.asyncio import Redis, RedisCluster

__all__ = ["evaluate"]

_UNDECODED: dict[str, Any] = {"NEVER_DECODE": True}
"""redis-py's way to say that one answer is wanted as it came."""


async def evaluate(
    redis: Redis | RedisCluster, script: str, keys: Iterable[str], arguments: Iterable[str | bytes | int]
) -> list[Any]:
    """Run a script. Text in its answer is bytes."""
    names = [key.encode() for key in keys]
    parts = (len(names), *names, *(part.encode() if isinstance(part, str) else part for part in arguments))
    client: Any = redis
    answer: list[Any]
    try:
        answer = await client.execute_command("EVALSHA", _digest(script), *parts, **_UNDECODED)
    except NoScriptError:  # flushed, or another server than before
        answer = await client.execute_command("EVAL", script.encode(), *parts, **_UNDECODED)
    return answer


@cache
def _digest(script: str) -> bytes:
    return hashlib.sha1(script.encode()).hexdigest().encode()  # noqa: S324 - as Redis does
