"""One call: what stays the same over its attempts, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from multidict import CIMultiDict
from yarl import URL

from ..api.contract import Endpoint
from ..errors import NeuroonError

__all__ = ["Call", "CallStats"]


@dataclass(slots=True)
class CallStats:
    """What calls cost, summed up for whoever passes one in. ``waited`` is in seconds."""

    requests: int = 0
    retries: int = 0
    throttled: int = 0
    waited: float = 0.0
    waiting: int = 0
    """How many calls are held back by the rate limit right now."""


@dataclass(slots=True)
class Call:
    """What stays the same over the attempts of one call, and what they add up to."""

    endpoint: Endpoint
    url: URL
    headers: CIMultiDict[str] = field(repr=False)  # the key is among them
    body: bytes | None = field(repr=False)
    bulk: bool
    stats: CallStats
    attempts: int = 0
    maybe_processed: bool = False
    last_failure: NeuroonError | None = None
