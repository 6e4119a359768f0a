"""What a request meets at the emulator: settings that a test may change at any time.

So they are looked up anew for each request. `Emulator` has them as its attributes, and says what each means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from ..api.arguments import check_callback, check_count, check_flag, check_kind, check_seconds, check_text
from ..settings import check_header_value
from .readings import Readings

if TYPE_CHECKING:
    from collections.abc import Callable

    from .fault_rules import FaultRule

__all__ = ["Conditions", "RetryAfter", "check_conditions"]

RetryAfter = bool | float | Literal["date"]


class Conditions(Protocol):
    """The settings of an emulator that its answers depend on."""

    shop_id: str
    api_key: str
    shop_url: str | None
    require_verified: bool
    rate_headers: bool
    retry_after: RetryAfter
    latency: float
    jitter: float
    max_body_bytes: int | None
    keep_bodies: bool
    faults: list[FaultRule]
    wall_clock: Callable[[], float]

    @property
    def readings(self) -> Readings:
        """How contradictory pages are read."""
        ...

    @property
    def url(self) -> str:
        """Where the emulator listens."""
        ...


def check_conditions(conditions: Conditions) -> None:
    """Raise `UsageError` where a setting is not of the kind that it has to be."""
    check_text("shop_id", conditions.shop_id)
    check_header_value("api_key", conditions.api_key)
    check_text("shop_url", conditions.shop_url, none=True)
    check_kind("readings", conditions.readings, Readings)
    check_flag("require_verified", conditions.require_verified)
    check_flag("rate_headers", conditions.rate_headers)
    if not isinstance(conditions.retry_after, bool) and conditions.retry_after != "date":
        check_seconds("retry_after", conditions.retry_after, zero=True)
    check_seconds("latency", conditions.latency, zero=True)
    check_seconds("jitter", conditions.jitter, zero=True)
    check_count("max_body_bytes", conditions.max_body_bytes, least=0, none=True)
    check_flag("keep_bodies", conditions.keep_bodies)
    check_callback("wall_clock", conditions.wall_clock, none=False)
