"""A request's way through the emulator, from the arrival of its headers to the end of its answer.

Each station is a module of its own: `admission` (may it pass, and which operation is it), `fault_rules` (what goes
wrong), `operations` (what the shop does), `server` (how the answer leaves). This one knows their order.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import TYPE_CHECKING

from aiohttp import web

from ..api.arguments import check_count, read_clock
from ..api.contract import DATE_HEADER, REQUEST_ID_HEADER
from ..api.openapi import openapi
from .bodies import EmulatedResponse, Refusal, json_response
from .faults import Ending, Fault
from .gatekeeper import Gatekeeper
from .operations import perform
from .routing import Route
from .server import Connection, deliver
from .widget import widget_response

if TYPE_CHECKING:
    from .conditions import Conditions
    from .limits import EndpointLimits
    from .recording import RecordedRequest, RequestLog
    from .shop import EmulatedShop

__all__ = ["Gateway", "Page"]

Page = Callable[[web.BaseRequest, Connection], Awaitable[web.StreamResponse | None]]

_UNTOUCHED = Fault()


class Gateway:
    """Answers the emulator's requests.

    Args:
        conditions: The emulator's settings.
        shop: The state that operations read and change.
        limits: What counts the requests.
        log: Where requests are recorded.
        pages: Asked before the API.
        seed: Makes the jitter repeatable.
    """

    def __init__(
        self,
        conditions: Conditions,
        *,
        shop: EmulatedShop,
        limits: EndpointLimits,
        log: RequestLog,
        pages: list[Page],
        seed: int,
    ) -> None:
        check_count("seed", seed, least=0)
        self._conditions = conditions
        self._shop = shop
        self._gatekeeper = Gatekeeper(conditions, limits)
        self._log = log
        self._pages = pages
        self._random = random.Random(seed)  # noqa: S311 - jitter has to be repeatable, not secret
        self._crashes: list[Exception] = []

    async def handle(self, request: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        """Answer one request."""
        for page in self._pages:
            response = await page(request, connection)
            if response is not None:
                return response
        record = self._log.arrived(request, connection)
        try:
            return await self._exchange(request, record, connection)
        except (ConnectionError, TimeoutError, web.RequestPayloadError):
            raise  # the client or the network went away, or sent half a body: not the emulator's failure
        except Exception as error:
            self._crashes.append(error)
            record.status = 500
            raise
        finally:
            self._log.ended(record)

    def end(self, *, failed: bool) -> None:
        """Raise what went wrong inside the emulator, unless what used it has ``failed`` by itself."""
        crashes, self._crashes = self._crashes, []
        if crashes and not failed:
            raise ExceptionGroup("the emulator failed while answering", crashes)

    async def _exchange(
        self, request: web.BaseRequest, record: RecordedRequest, connection: Connection
    ) -> web.StreamResponse:
        rate_headers: dict[str, str] = {}
        admitted = self._admit(record, rate_headers)
        body = await self._receive(request, record)
        if self._too_large(body):
            admitted = self._refuse(Refusal(413, shape="html"), record)
        fault = self._fault_for(record) if isinstance(admitted, Route) else _UNTOUCHED
        await self._pass_time(fault.delay)
        answer = self._answer(admitted, body, record, fault, rate_headers) if isinstance(admitted, Route) else admitted
        if fault.ending in {Ending.ANSWER, Ending.ANSWER_THEN_CLOSE, Ending.TRUNCATE}:
            record.status = answer.status
        return await deliver(request, self._stamped(answer, record), fault.ending, connection)

    def _admit(self, record: RecordedRequest, rate_headers: dict[str, str]) -> Route | EmulatedResponse:
        """The operation, or the answer that needs none: a refusal, or a page of the emulator's own."""
        own = self._own_page(record) if record.method == "GET" else None
        if own is not None:
            return own
        try:
            return self._gatekeeper.admit(record, rate_headers)
        except Refusal as refusal:
            return self._refuse(refusal, record)

    def _own_page(self, record: RecordedRequest) -> EmulatedResponse | None:
        """What the emulator offers beside the Plugin API: its description, and the stand-in for the widget."""
        if record.path == "/openapi.json":
            return json_response(200, openapi(server=self._conditions.url))
        now = read_clock("wall_clock", self._conditions.wall_clock)
        return widget_response(record.raw_path, self._shop, api_key=self._conditions.api_key, now=now)

    async def _receive(self, request: web.BaseRequest, record: RecordedRequest) -> bytes:
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await request.content.read()
        record.body_size = len(body)
        if self._conditions.keep_bodies:
            record.body = body
        return body

    def _too_large(self, body: bytes) -> bool:
        most = self._conditions.max_body_bytes
        return most is not None and len(body) > most

    def _fault_for(self, record: RecordedRequest) -> Fault:
        for rule in tuple(self._conditions.faults):  # a test may add or remove rules from another thread
            if rule.strikes(record):
                record.fault = rule.fault
                return rule.fault
        return _UNTOUCHED

    async def _pass_time(self, extra: float) -> None:
        seconds = self._conditions.latency + extra
        if self._conditions.jitter:
            seconds += self._random.uniform(0.0, self._conditions.jitter)
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _answer(
        self, route: Route, body: bytes, record: RecordedRequest, fault: Fault, rate_headers: dict[str, str]
    ) -> EmulatedResponse:
        own = EmulatedResponse(500)
        if fault.processed:
            try:
                own = perform(route, body, record, shop=self._shop, conditions=self._conditions)
            except Refusal as refusal:
                own = self._refuse(refusal, record)
            own = EmulatedResponse(own.status, own.body, {**own.headers, **rate_headers})
            self._log.changes.announce()
        return own if fault.scripted is None else fault.scripted(record.path)

    def _refuse(self, refusal: Refusal, record: RecordedRequest) -> EmulatedResponse:
        readings = self._conditions.readings
        return refusal.response(record.path, shape=readings.errors, with_offset=readings.times == "with_z")

    def _stamped(self, answer: EmulatedResponse, record: RecordedRequest) -> EmulatedResponse:
        """The answer with the headers that every answer has."""
        headers = dict(answer.headers)
        if self._conditions.readings.request_id == "sent":
            headers[REQUEST_ID_HEADER] = record.request_id
        if self._conditions.wall_clock is not time.time:  # which aiohttp's own header follows
            headers[DATE_HEADER] = formatdate(read_clock("wall_clock", self._conditions.wall_clock), usegmt=True)
        return EmulatedResponse(answer.status, answer.body, headers)
