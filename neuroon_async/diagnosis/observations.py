"""What was seen, before anybody judges it. Pure data; nothing in it holds the API key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ..api.contract import Endpoint
from ..api.responses import Response
from ..errors import NeuroonError
from ..transport.failures import Reason
from .certificates import Certificate

__all__ = ["Connection", "Exchange", "KeyShape", "Observations", "Probe", "Setup"]


class KeyShape(StrEnum):
    """What the API key looks like."""

    DOCUMENTED = "sk_ and 32 hex digits"
    OLDER = "sk_live_…"
    OTHER = "another shape"
    MISSING = "not set"


class Probe(StrEnum):
    """The requests that are made, each at most once. Together they stay below a tenth of every limit."""

    HEALTH = "health"
    SHOP = "shop"
    SHOP_AGAIN = "shop, again"
    VERIFICATION_DATA = "verification data"
    FOREIGN_SHOP = "the key at another shop's path"
    UNKNOWN_PATH = "a path that does not exist"
    WRONG_METHOD = "a method that the path does not take"
    REFERER = "shop, with a Referer"
    ELSEWHERE = "shop, in the other environment"


@dataclass(frozen=True, slots=True)
class Setup:
    """What the user gave. ``problem`` says what of it cannot work."""

    base_url: str
    shop_id: str
    """Empty where none was given."""
    key: KeyShape
    proxy: str | None = None
    """Scheme, host and port of the proxy that leads there, without its credentials."""
    own_authorities: bool = False
    problem: NeuroonError | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """The way to the server, without a request: the name's addresses, the connection, TLS. Times in seconds."""

    host: str
    addresses: tuple[str, ...] = ()
    connect_seconds: float | None = None
    """For the connection; ``None`` where there was none."""
    tls: str | None = None
    """The version of TLS; ``None`` for plain http, or where the handshake failed."""
    tls_seconds: float | None = None
    certificate: Certificate | None = None
    """What the server showed, also where it is not trusted."""
    trusted_by_system: bool | None = None
    """Would it be trusted without authorities of the user's own? ``None`` where that was not asked."""
    problem: Reason | None = None
    """Why there is no connection, or none that can be trusted."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its outcome. Its texts never hold the API key."""

    endpoint: Endpoint
    url: str
    outcome: Response | NeuroonError
    sent_at: float
    """Unix time by this machine's clock when the request left."""
    came_at: float
    """The same, when the whole answer was there."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str = ""

    @property
    def status(self) -> int | None:
        """The HTTP status; ``None`` where no answer came."""
        status: int | None = getattr(self.outcome, "status", None)
        return status

    @property
    def seconds(self) -> float:
        return max(0.0, self.came_at - self.sent_at)


@dataclass(frozen=True, slots=True)
class Observations:
    """All that one examination saw. What a problem made pointless to ask is absent."""

    setup: Setup
    at: datetime
    """When it began, by this machine's clock."""
    connection: Connection | None = None
    exchanges: Mapping[Probe, Exchange] = field(default_factory=dict[Probe, Exchange])
