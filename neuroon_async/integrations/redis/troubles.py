"""What Redis says when it will not carry out a command, and what to do about it. Pure."""

from __future__ import annotations

from redis.exceptions import ClusterDownError, MovedError

__all__ = ["advice_on", "in_words"]

_RIGHTS = (
    "allow its user scripts (+@scripting), what these do (+@read +@write +time), and keys that begin with the prefix"
)
_ADVICE = {
    "OOM command": "it is full: give it more memory (maxmemory)",
    "READONLY": "it is a replica: have the client ask the primary, such as by master_for of a Sentinel",
    "NOPERM": _RIGHTS,
    "NoPermissionError": _RIGHTS,
}
_OF_A_CLUSTER = "it is a node of a cluster: give a redis.asyncio.RedisCluster, and wait until the cluster is whole"


def advice_on(error: Exception) -> str | None:
    """What to do about an error of redis-py. ``None`` where it says so itself, or nobody knows."""
    if isinstance(error, (MovedError, ClusterDownError)) or str(error).startswith(("MOVED ", "CLUSTERDOWN ")):
        return _OF_A_CLUSTER  # the text alone tells, where redis-py is old
    said = f"{type(error).__name__} {error}"
    return next((advice for sign, advice in _ADVICE.items() if sign in said), None)


def in_words(error: Exception) -> str:
    """An error by its kind, as what it says."""
    return f"{type(error).__name__}: {error}"
