"""What the emulator remembers of each request. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from multidict import CIMultiDictProxy

from ..api.contract import IDEMPOTENCY_KEY_HEADER, Locale
from .bodies import decode_json, is_array, is_object
from .faults import Fault
from .headers import locale_of

__all__ = ["RecordedRequest"]


@dataclass(slots=True, eq=False)
class RecordedRequest:
    """One request as it reached the server. Times are the event loop's, in seconds."""

    number: int
    endpoint: str | None
    """The name as in ``rate_limits``, ``"health"``, or ``None`` for a path that does not exist."""
    method: str
    raw_path: str
    """The path and query as they came, percent-encoding and all."""
    headers: CIMultiDictProxy[str] = field(repr=False)
    """Case-insensitive. Left out of the ``repr``, because the API key is in there."""
    connection: int
    """A number for the TCP connection: equal on requests that shared one."""
    arrived: float
    """When the headers had come in: the moment that the limits count."""
    finished: float | None = None
    status: int | None = None
    """What was answered; ``None`` where no answer was sent."""
    body: bytes | None = field(default=None, repr=False)
    """The bytes sent; ``None`` where the emulator keeps no bodies."""
    body_size: int = 0
    fault: Fault | None = None
    replayed: bool = False
    """Answered from memory, under an idempotency key that had been seen."""
    request_id: str = ""

    @property
    def idempotency_key(self) -> str | None:
        return self.headers.get(IDEMPOTENCY_KEY_HEADER)

    @property
    def locale(self) -> Locale:
        """The language that the API would answer in, by ``Accept-Language``: Spanish where that names no known one."""
        return locale_of(self.headers)

    @property
    def parsed(self) -> Any:
        """The body as JSON; ``None`` where there is none or it was not kept. Raises on a body that is not JSON."""
        return decode_json(self.body) if self.body else None

    @property
    def external_ids(self) -> list[str]:
        """The products of a sync request, in the order sent; empty where bodies are not kept."""
        document = self.parsed
        products: Any = document.get("products") if is_object(document) else None
        if not is_array(products):
            return []
        return [product["externalId"] for product in products if is_object(product) and "externalId" in product]
