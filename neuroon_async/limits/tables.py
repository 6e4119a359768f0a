"""The table of limits, one for each endpoint by its name: checked once, for clients and for limits that are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.arguments import check_flag, shown
from ..api.contract import DOCUMENTED_RATE_LIMITS, ENDPOINTS, RateLimit
from ..api.shapes import is_mapping, is_number
from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_call", "check_limits", "limit_table", "shared_table"]


def limit_table(overrides: Mapping[str, RateLimit | None]) -> dict[str, RateLimit | None]:
    """The documented limits with some replaced by name. Raises `UsageError` for a name or a kind there is none of."""
    check_limits(overrides)
    unknown = overrides.keys() - ENDPOINTS.keys()
    if unknown:
        raise UsageError(
            f"names no endpoint {', '.join(sorted(map(str, unknown)))}; the names are {', '.join(ENDPOINTS)}",
            where="rate_limits",
        )
    return {**DOCUMENTED_RATE_LIMITS, **overrides}


def check_call(bulk: object, deadline: object) -> None:
    """Raise `UsageError` for arguments of ``acquire`` that cannot be meant."""
    check_flag("bulk", bulk)
    if deadline is not None and not is_number(deadline):
        raise UsageError(f"must be a time of the event loop, or None; got {shown(deadline)}", where="deadline")


def check_limits(limits: object) -> None:
    """Raise `UsageError` unless this maps names to limits, or to ``None``."""
    if not is_mapping(limits):
        raise UsageError(f"must map endpoint names to RateLimit, got {type(limits).__name__}", where="rate_limits")
    for name, limit in limits.items():
        if not _is_limit(limit):
            raise UsageError(f"must be a RateLimit or None, got {shown(limit)}", where=f"rate_limits[{shown(name)}]")


def _is_limit(value: object) -> bool:
    return value is None or isinstance(value, RateLimit)


def shared_table(overrides: Mapping[str, RateLimit]) -> dict[str, RateLimit]:
    """As `limit_table`, for limits that processes share: none is switched off, and none shapes bursts."""
    table: dict[str, RateLimit] = {}
    for name, limit in limit_table(overrides).items():
        where = f"rate_limits[{name!r}]"
        if limit is None:
            raise UsageError("is None: a shared limit cannot be switched off; give it a RateLimit", where=where)
        if limit.burst is not None and limit.burst < limit.requests:
            raise UsageError("has a burst: a shared limit cannot shape bursts; leave RateLimit.burst out", where=where)
        table[name] = limit
    return table
