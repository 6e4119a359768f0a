"""What the emulator remembers of each request, and who is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from multidict import CIMultiDictProxy

from ..api.arguments import check_callback, check_seconds
from ..api.contract import IDEMPOTENCY_KEY_HEADER, Locale
from .bodies import decode_json, is_array, is_object
from .faults import Fault
from .headers import locale_of
from .routing import check_endpoint
from .waiting import Changes

if TYPE_CHECKING:
    from aiohttp import web

    from .server import Connection

__all__ = ["RecordedRequest", "RequestLog", "Watcher"]

T = TypeVar("T")


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
    def path(self) -> str:
        """The path as it came, without the query."""
        return self.raw_path.partition("?")[0]

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


Watcher = Callable[[RecordedRequest], None]


class RequestLog:
    """Every request in the order of arrival. Tells the watchers and those who wait of each one."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.watchers: list[Watcher] = []
        self.changes: Changes = Changes()
        self._count = 0

    def arrived(self, request: web.BaseRequest, connection: Connection) -> RecordedRequest:
        """Record a request whose headers have just come in."""
        self._count += 1
        record = RecordedRequest(
            number=self._count,
            endpoint=None,
            method=request.method,
            raw_path=request.raw_path,
            headers=request.headers,
            connection=connection.number,
            arrived=asyncio.get_running_loop().time(),
            request_id=f"req_{uuid4().hex}",
        )
        self.requests.append(record)
        self._tell(record)
        return record

    def ended(self, record: RecordedRequest) -> None:
        """Record that a request has had its answer, or will have none."""
        record.finished = asyncio.get_running_loop().time()
        self._tell(record)

    def to(self, endpoint: str) -> list[RecordedRequest]:
        """The requests to one endpoint."""
        check_endpoint(endpoint, health=True)
        return [request for request in self.requests if request.endpoint == endpoint]

    async def wait_for(self, predicate: Callable[[], T], *, timeout: float | None) -> T:
        """Wait until ``predicate`` returns something true. Raises `TimeoutError` with what was seen until then."""
        check_callback("predicate", predicate, none=False)
        check_seconds("timeout", timeout, zero=True, none=True)
        try:
            return await self.changes.until(predicate, timeout=timeout)
        except TimeoutError:
            seen = f"{len(self.requests)} requests in the log"
            raise TimeoutError(f"what was waited for did not happen within {timeout:g} s ({seen})") from None

    def _tell(self, record: RecordedRequest) -> None:
        for watcher in self.watchers:
            watcher(record)
        self.changes.announce()
