"""The Plugin API on loopback: what a request goes through, from its headers' arrival to its answer.

Each station is a module of its own: `routing` (which operation), `limits` (counting), `faults` (what goes wrong),
`shop` (what the operation does), `server` (how the answer leaves). This one holds them together, and holds the
key and the origin to the documented rules.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from asyncio import wrap_future
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from uuid import uuid4

from aiohttp import web
from msgspec import UNSET, UnsetType

from ..api.arguments import check_count, check_flag, check_seconds, check_text
from ..api.contract import (
    API_KEY_VARIABLE,
    API_URL_VARIABLE,
    DATE_HEADER,
    DOCUMENTED_RATE_LIMITS,
    ENDPOINTS,
    HEALTH,
    RATE_LIMIT_HEADER,
    RATE_REMAINING_HEADER,
    REQUEST_ID_HEADER,
    SHOP_ID_VARIABLE,
    RateLimit,
)
from ..api.openapi import openapi
from ..client import NeuroonClient
from ..transport.retries import RetryPolicy
from .bodies import EmulatedResponse, Refusal, error_response, json_response, rate_limited_response
from .fault_rules import FaultRule
from .faults import Ending, Fault
from .headers import check_key, check_media_type, check_site
from .limits import request_counter
from .loop_thread import LoopThread, in_event_loop
from .readings import Readings
from .recording import RecordedRequest
from .routing import Route, find_route
from .server import Connection, LoopbackServer, deliver
from .shop import EmulatedShop
from .waiting import Changes
from .widget import widget_response

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from .limits import Algorithm, Alignment, RequestCounter
    from .shop import FullSemantics, ReceivedConversion, RememberedSync, Upsert

__all__ = ["DEFAULT_API_KEY", "DEFAULT_SHOP_ID", "Emulator", "ThreadedEmulator"]

T = TypeVar("T")
Page = Callable[[web.BaseRequest, Connection], Awaitable[web.StreamResponse | None]]

DEFAULT_SHOP_ID = "shop_test"
DEFAULT_API_KEY = "sk_" + "0" * 32
DEFAULT_READINGS = Readings()


class Emulator:
    """The Plugin API as documented, on a loopback socket: an async context manager.

    Where pages of the documentation disagree, ``readings`` chooses one. `fail` makes requests go wrong.
    A stopped emulator starts again on the same port, with the same state.

    Args:
        shop_id: The shop that the key belongs to.
        api_key: The key that every request must have.
        host: The address to listen at; loopback by default.
        port: The port to listen at; 0 takes a free one.
        readings: What contradictory pages mean: see `Readings`.
        rate_limits: Limits by endpoint name. A given mapping overrides the documented table, ``None`` in it lifts one
            limit, and ``None`` instead of it lifts all.
        algorithm: How requests are counted, which the vendor does not say: in a ``"fixed"`` or a ``"rolling"``
            window, by a token ``"bucket"``, or not at all (``"off"``). A request counts when its headers arrive, by
            the event loop's clock; a refused one does not count.
        aligned: Where fixed windows begin: at the ``"first"`` request, or by the ``"clock"`` at multiples of their
            length.
        rate_headers: ``False`` is short for ``Readings(rate_headers="missing")``.
        retry_after: The header on a 429: ``True`` gives the whole window in seconds, ``"date"`` the same moment as
            an HTTP date, a number these seconds; ``False`` leaves it out.
        latency: Seconds between a request's arrival and its processing; 0 by default.
        jitter: Up to so many seconds more, evenly distributed; 0 by default.
        seed: Makes the jitter repeatable.
        max_body_bytes: Larger bodies get a proxy's 413. ``None``, the default: no limit.
        keep_bodies: Are bodies kept in the log of requests? ``False`` saves memory in huge syncs.
        keepalive_timeout: Seconds after which an idle connection is closed; 75 by default.
        grace: Seconds that closing waits for requests in progress; 1 by default.
        shop_url: The shop's registered URL, which an ``Origin`` header must match; ``None`` accepts any.
        shop_name: The name in answers.
        max_products: How many products the plan allows. Each further one fails within a 200.
        verification_code: The code to publish on the domain.
        require_verified: Do products and conversions need a verified domain, and get 403 without one?
        require_search_log_id: ``True`` is short for ``Readings(search_log_id="required")``.
        full_semantics: ``"mark_absent"`` is short for ``Readings(full_sync="mark_absent")``.
        upsert: Does an update keep the fields that it does not mention (``"merge"``), or lose them (``"replace"``)?
        name_all_missing_parents: Does a 422 name every missing parent of a batch, or the first only?
        reject_item: Called with each product; the reason it returns fails that product within a 200.
        reject_batch: Called with each batch; the status and message it returns fail the whole batch.
        wall_clock: Gives the Unix time in seconds, for widget tokens and HTTP dates, the header
            ``Date`` among them.

    Raises `ValueError` for options that cannot work, such as a limit of an unknown endpoint. An exception inside the
    emulator, such as one from a hook, answers 500 and is raised on leaving the context.

    >>> async def demo() -> str:
    ...     async with Emulator(algorithm="off") as emulator:
    ...         return emulator.url  # hand this to the client as base_url
    """

    def __init__(
        self,
        shop_id: str = DEFAULT_SHOP_ID,
        api_key: str = DEFAULT_API_KEY,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        readings: Readings = DEFAULT_READINGS,
        rate_limits: Mapping[str, RateLimit | None] | None = DOCUMENTED_RATE_LIMITS,
        algorithm: Algorithm = "fixed",
        aligned: Alignment = "first",
        rate_headers: bool = True,
        retry_after: bool | float | Literal["date"] = True,
        latency: float = 0.0,
        jitter: float = 0.0,
        seed: int = 0,
        max_body_bytes: int | None = None,
        keep_bodies: bool = True,
        keepalive_timeout: float = 75.0,
        grace: float = 1.0,
        shop_url: str | None = "https://shop.example",
        shop_name: str = "Test shop",
        max_products: int = 1_000_000,
        verification_code: str = "neuroon-verify-0000",
        require_verified: bool = False,
        require_search_log_id: bool = False,
        full_semantics: FullSemantics = "replace",
        upsert: Upsert = "merge",
        name_all_missing_parents: bool = False,
        reject_item: Callable[[dict[str, Any]], str | None] | None = None,
        reject_batch: Callable[[list[dict[str, Any]]], tuple[int, str] | None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        for option, seconds in (("latency", latency), ("jitter", jitter), ("grace", grace)):
            check_seconds(option, seconds, zero=True)
        for option, flag in (
            ("rate_headers", rate_headers),
            ("keep_bodies", keep_bodies),
            ("require_verified", require_verified),
            ("require_search_log_id", require_search_log_id),
            ("name_all_missing_parents", name_all_missing_parents),
        ):
            check_flag(option, flag)
        check_count("port", port, 65_535, least=0)
        check_text("host", host)
        self.shop_id = shop_id
        self.api_key = api_key
        self.host = host
        self.port: int = port
        self.rate_headers = rate_headers
        self.retry_after: bool | float | Literal["date"] = retry_after
        self.latency = latency
        self.jitter = jitter
        self.max_body_bytes = max_body_bytes
        self.keep_bodies = keep_bodies
        self.keepalive_timeout = keepalive_timeout
        self.grace = grace
        self.shop_url = shop_url
        self.require_verified = require_verified
        self.requests: list[RecordedRequest] = []
        self.faults: list[FaultRule] = []
        self.watchers: list[Callable[[RecordedRequest], None]] = []
        """Called when a request has arrived, and again when it has ended."""
        self.pages: list[Page] = []
        """Asked before the API, and outside its limits, faults and log. ``None`` leaves a request to the API."""
        self.shop: EmulatedShop = EmulatedShop(
            shop_id=shop_id,
            name=shop_name,
            max_products=max_products,
            full_semantics=full_semantics,
            upsert=upsert,
            require_search_log_id=require_search_log_id,
            name_all_missing_parents=name_all_missing_parents,
            reject_item=reject_item,
            reject_batch=reject_batch,
            verification_code=verification_code,
            readings=readings,
        )
        self._algorithm: Algorithm = algorithm
        self._aligned: Alignment = aligned
        self._counters: dict[str, RequestCounter] = {}
        limits = {} if rate_limits is None else {**DOCUMENTED_RATE_LIMITS, **rate_limits}
        for endpoint, limit in limits.items():
            self.set_limit(endpoint, limit)
        self._random = random.Random(seed)  # noqa: S311 - jitter has to be repeatable, not secret
        self._wall_clock = wall_clock
        self._changes = Changes()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrivals = 0
        self._server: LoopbackServer | None = None
        self._runner: web.ServerRunner | None = None
        self._crashes: list[Exception] = []

    def __repr__(self) -> str:
        where = self.url if self._runner is not None else "stopped"
        return f"<Emulator of {self.shop_id!r}, {where}>"

    @classmethod
    def in_thread(
        cls, shop_id: str = DEFAULT_SHOP_ID, api_key: str = DEFAULT_API_KEY, **options: Any
    ) -> ThreadedEmulator:
        """An emulator whose event loop runs in a thread of its own, for code that has no loop or blocks it.

        Takes the options of `Emulator`; a plain context manager. See `ThreadedEmulator`.

        >>> with Emulator.in_thread() as emulator:
        ...     emulator.url.startswith("http://127.0.0.1:")
        True
        """
        return ThreadedEmulator(shop_id, api_key, **options)

    # Life

    async def start(self) -> None:
        """Listen. Raises `OSError` where the port is taken."""
        if self._runner is not None:
            raise RuntimeError("the emulator is already running")
        self._server = LoopbackServer(self._handle, keepalive_timeout=self.keepalive_timeout)
        runner = web.ServerRunner(self._server, shutdown_timeout=self.grace)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port, reuse_address=True).start()
        except BaseException:
            await runner.cleanup()
            raise
        self.port = runner.addresses[0][1]
        self._loop = asyncio.get_running_loop()
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening, let requests in progress finish within ``grace`` seconds, cancel the rest."""
        runner, self._runner = self._runner, None
        if runner is not None and self._server is not None:
            await runner.cleanup()
            await self._server.cancel_all()
            self._loop = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self._raise_crashes(error)

    def _raise_crashes(self, error: BaseException | None) -> None:
        """Raise what failed inside the emulator, unless the block that used it has failed by itself."""
        crashes, self._crashes = self._crashes, []
        if crashes and error is None:
            raise ExceptionGroup("the emulator failed while answering", crashes)

    @property
    def url(self) -> str:
        """Where it listens, for ``base_url``: without a trailing slash."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which `NeuroonClient.from_env` and the command find this emulator."""
        return {API_URL_VARIABLE: self.url, API_KEY_VARIABLE: self.api_key, SHOP_ID_VARIABLE: self.shop_id}

    def client(self, **options: Any) -> NeuroonClient:
        """A client of this emulator that neither waits between attempts nor keeps to rate limits.

        Args:
            options: Any option of `NeuroonClient`; it wins over what is set here. To test with the limits and pauses
                of production, pass ``rate_limits=DOCUMENTED_RATE_LIMITS`` and ``retry=RetryPolicy()``.
        """
        own: dict[str, Any] = {
            "shop_id": self.shop_id,
            "api_key": self.api_key,
            "base_url": self.url,
            "rate_limits": None,
            "retry": RetryPolicy(initial=0.0),
        }
        return NeuroonClient(**own | options)

    # What it holds

    @property
    def readings(self) -> Readings:
        """How contradictory pages are read. May be replaced at any time."""
        return self.shop.readings

    @readings.setter
    def readings(self, readings: Readings) -> None:
        self.shop.readings = readings

    @property
    def products(self) -> dict[str, dict[str, Any]]:
        """The catalog: ``externalId`` → the product by its wire names; fractions are exact `Decimal`."""
        return self.shop.products

    @property
    def conversions(self) -> dict[str, ReceivedConversion]:
        """Orders by ``orderId``, each as first delivered."""
        return self.shop.conversions

    @property
    def idempotency(self) -> dict[str, RememberedSync]:
        """Every idempotency key under which a sync was applied, with its count of ``replays``."""
        return self.shop.idempotency

    @property
    def domain(self) -> str | None:
        return self.shop.domain

    @property
    def verification_code(self) -> str:
        return self.shop.verification_code

    @property
    def verified(self) -> bool:
        return self.shop.verified_at is not None

    @verified.setter
    def verified(self, verified: bool) -> None:
        if verified:
            self.shop.set_verified(self.shop.domain or self.shop_url)
        else:
            self.shop.unverify()

    def requests_to(self, endpoint: str) -> list[RecordedRequest]:
        """The log of one endpoint."""
        return [request for request in self.requests if request.endpoint == endpoint]

    async def wait_for(self, predicate: Callable[[], T], *, timeout: float | None = 5.0) -> T:
        """Wait until ``predicate`` returns something true, and return that.

        Args:
            predicate: Takes nothing. It is asked at the start, whenever a request arrives, has been processed or
                has ended, and once more at the timeout; it may look at anything, in this emulator or elsewhere.
            timeout: Seconds; ``None`` waits without end.

        Raises `TimeoutError` where it is still false after ``timeout``.

        >>> async def order_arrives(emulator: Emulator) -> None:
        ...     await emulator.wait_for(lambda: "order-1" in emulator.conversions)
        """
        try:
            return await self._changes.until(predicate, timeout=timeout)
        except TimeoutError:
            seen = f"{len(self.requests)} requests in the log"
            raise TimeoutError(f"what was waited for did not happen within {timeout:g} s ({seen})") from None

    # What can be done to it

    def fail(
        self,
        endpoint: str | None,
        fault: Fault,
        *,
        times: int | UnsetType | None = UNSET,
        every: int | None = None,
        when: Callable[[RecordedRequest], bool] | None = None,
    ) -> FaultRule:
        """Let a fault strike requests that have passed authentication and rate limits.

        Args:
            endpoint: The endpoint's name, or ``"health"``; ``None`` matches every request.
            fault: What happens to the request.
            times: How often the fault strikes at most; ``None`` means always. Once by default, or always where
                ``every`` or ``when`` chooses the requests.
            every: Strike only each n-th matching request.
            when: Match only the requests for which this returns true.

        The first rule in ``faults`` that strikes a request wins. Remove the returned rule from ``faults`` to end it.
        Raises `ValueError` for an unknown endpoint or a count below its minimum.
        """
        if endpoint is not None and endpoint != HEALTH.name:
            _check_endpoint(endpoint)
        if isinstance(times, UnsetType):
            times = 1 if every is None and when is None else None
        rule = FaultRule(fault, endpoint, times=times, every=1 if every is None else every, when=when)
        self.faults.append(rule)
        return rule

    def set_limit(self, endpoint: str, limit: RateLimit | None) -> None:
        """Change a limit, also while running; what was counted so far still counts. ``None`` lifts it."""
        _check_endpoint(endpoint)
        counter = self._counters.get(endpoint)
        if limit is None:
            self._counters.pop(endpoint, None)
        elif counter is not None:
            counter.limit = limit
        else:
            counter = request_counter(limit, self._algorithm, aligned=self._aligned)
            if counter is not None:
                self._counters[endpoint] = counter

    def limit(self, endpoint: str) -> RateLimit | None:
        """The limit that is counted for an endpoint; ``None`` where there is none."""
        _check_endpoint(endpoint)
        counter = self._counters.get(endpoint)
        return None if counter is None else counter.limit

    def remaining(self, endpoint: str) -> int | None:
        """How many requests an endpoint would admit now; ``None`` where there is no limit."""
        _check_endpoint(endpoint)
        counter = self._counters.get(endpoint)
        return None if counter is None else counter.remaining(self._now())

    def _now(self) -> float:
        return (self._loop or asyncio.get_running_loop()).time()

    def spend(self, endpoint: str, requests: int = 1) -> int:
        """Count requests as if another process with the same key had made them. Gives how many were admitted."""
        _check_endpoint(endpoint)
        counter = self._counters.get(endpoint)
        if counter is None:
            return requests
        now = self._now()
        return sum(counter.take(now) for _ in range(requests))

    # A request's way

    async def _handle(self, request: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        for page in self.pages:
            response = await page(request, connection)
            if response is not None:
                return response
        record = self._record(request, connection)
        try:
            return await self._exchange(request, record, connection)
        except (ConnectionError, TimeoutError, web.RequestPayloadError):
            raise  # the client or the network went away, or sent half a body: not the emulator's failure
        except Exception as error:
            self._crashes.append(error)
            record.status = 500
            raise
        finally:
            record.finished = asyncio.get_running_loop().time()
            self._tell(record)

    def _tell(self, record: RecordedRequest) -> None:
        for watcher in self.watchers:
            watcher(record)
        self._changes.announce()

    def _record(self, request: web.BaseRequest, connection: Connection) -> RecordedRequest:
        self._arrivals += 1
        record = RecordedRequest(
            number=self._arrivals,
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

    async def _exchange(
        self, request: web.BaseRequest, record: RecordedRequest, connection: Connection
    ) -> web.StreamResponse:
        rate_headers: dict[str, str] = {}
        admitted = self._admit(record, rate_headers)
        body = await request.content.read()
        record.body_size = len(body)
        if self.keep_bodies:
            record.body = body
        if self.max_body_bytes is not None and len(body) > self.max_body_bytes:
            admitted = error_response(413, path=record.raw_path, shape="html")
        fault = self._fault_for(record) if isinstance(admitted, Route) else None
        await self._pass_time(0.0 if fault is None else fault.delay)
        answer = self._answer(admitted, body, record, fault, rate_headers) if isinstance(admitted, Route) else admitted
        ending = Ending.ANSWER if fault is None else fault.ending
        if ending in {Ending.ANSWER, Ending.ANSWER_THEN_CLOSE, Ending.TRUNCATE}:
            record.status = answer.status
        headers = dict(answer.headers)
        if self.readings.request_id == "sent":
            headers[REQUEST_ID_HEADER] = record.request_id
        if self._wall_clock is not time.time:
            headers[DATE_HEADER] = formatdate(self._wall_clock(), usegmt=True)
        return await deliver(request, EmulatedResponse(answer.status, answer.body, headers), ending, connection)

    def _admit(self, record: RecordedRequest, rate_headers: dict[str, str]) -> Route | EmulatedResponse:
        """Decide by the headers alone, at the moment of arrival: the operation, or the answer that refuses it."""
        own = self._own_page(record) if record.method == "GET" else None
        if own is not None:
            return own
        try:
            route = find_route(record.method, record.raw_path, verify_path=self.readings.verify_path)
            record.endpoint = route.endpoint.name
            if route.endpoint is not HEALTH:
                self._authorize(route, record)
        except Refusal as refusal:
            return self._refuse(refusal, record)
        return self._throttle(record, rate_headers) or route

    def _own_page(self, record: RecordedRequest) -> EmulatedResponse | None:
        """What the emulator offers beside the Plugin API: its description, and the stand-in for the widget."""
        if record.raw_path == "/openapi.json":
            return json_response(200, openapi(server=self.url))
        return widget_response(record.raw_path, self.shop, api_key=self.api_key, now=self._wall_clock())

    def _authorize(self, route: Route, record: RecordedRequest) -> None:
        check_key(record.headers, self.api_key)
        if route.params.get("shop_id", self.shop_id) != self.shop_id:
            raise Refusal(self.readings.foreign_shop, "API Key does not belong to this shop")
        if self.shop_url is not None:
            check_site(record.headers, self.shop_url, referer=self.readings.referer == "checked")

    def _throttle(self, record: RecordedRequest, rate_headers: dict[str, str]) -> EmulatedResponse | None:
        counter = self._counters.get(record.endpoint or "")
        if counter is None:
            return None
        admitted = counter.take(record.arrived)
        if self.rate_headers and self.readings.rate_headers == "sent":
            rate_headers[RATE_LIMIT_HEADER] = str(counter.limit.requests)
            rate_headers[RATE_REMAINING_HEADER] = str(counter.remaining(record.arrived) if admitted else 0)
        if admitted or self.readings.limits == "announced":
            return None
        seconds: float = math.ceil(counter.limit.per)
        headers = dict(rate_headers)
        if self.retry_after == "date":
            headers["Retry-After"] = formatdate(self._wall_clock() + seconds, usegmt=True)
        elif self.retry_after is not False:
            seconds = seconds if self.retry_after is True else self.retry_after
            headers["Retry-After"] = f"{seconds:g}"
        return self._too_many_requests(counter.limit.requests, seconds, headers, record)

    def _too_many_requests(
        self, limit: int, seconds: float, headers: Mapping[str, str], record: RecordedRequest
    ) -> EmulatedResponse:
        shape, with_offset = self.readings.errors, self.readings.times == "with_z"
        if shape is None:
            return rate_limited_response(limit=limit, retry_after=seconds, headers=headers, with_offset=with_offset)
        path = record.raw_path.partition("?")[0]
        return error_response(429, path=path, shape=shape, headers=headers, with_offset=with_offset)

    def _refuse(self, refusal: Refusal, record: RecordedRequest) -> EmulatedResponse:
        path = record.raw_path.partition("?")[0]
        return refusal.response(path, shape=self.readings.errors, with_offset=self.readings.times == "with_z")

    def _fault_for(self, record: RecordedRequest) -> Fault | None:
        for rule in tuple(self.faults):  # a test may add or remove rules from another thread
            if rule.strikes(record):
                record.fault = rule.fault
                return rule.fault
        return None

    async def _pass_time(self, extra: float) -> None:
        seconds = self.latency + extra
        if self.jitter:
            seconds += self._random.uniform(0.0, self.jitter)
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _answer(
        self, route: Route, body: bytes, record: RecordedRequest, fault: Fault | None, rate_headers: dict[str, str]
    ) -> EmulatedResponse:
        own = EmulatedResponse(500)
        if fault is None or fault.processed:
            try:
                own = self._process(route, body, record)
            except Refusal as refusal:
                own = self._refuse(refusal, record)
            own = EmulatedResponse(own.status, own.body, {**own.headers, **rate_headers})
            self._changes.announce()
        return own if fault is None or fault.scripted is None else fault.scripted(record.raw_path.partition("?")[0])

    def _process(self, route: Route, body: bytes, record: RecordedRequest) -> EmulatedResponse:
        """The operation itself. Raises `Refusal`."""
        name = route.endpoint.name
        if self.require_verified and not self.verified and name in _NEEDS_VERIFIED_DOMAIN:
            raise Refusal(403, "Domain is not verified")
        if route.endpoint.method == "POST":
            check_media_type(record.headers)
        document: dict[str, Any] | None = None
        status = 200
        match name:
            case "shop":
                document = self.shop.describe(url=self.shop_url)
            case "sync_products":
                document, record.replayed = self.shop.sync(body, record.idempotency_key)
            case "delete_product":
                self.shop.delete(route.params["external_id"])
                document = {"deleted": True} if self.readings.answers == "older" else None
            case "verify_domain":
                document = self.shop.verify(body, url=self.shop_url)
            case "verification_data":
                document = self.shop.verification_data()
            case "unverify_domain":
                self.shop.unverify()
            case "track_conversion":
                document = self.shop.track(body)
                status = self.readings.conversion_status
            case _:
                document = {"status": "UP"}
        return EmulatedResponse(204) if document is None or status == 204 else json_response(status, document)


class ThreadedEmulator(Emulator):
    """An emulator that runs in a thread of its own: with `FastAPI's TestClient`, Flask, Django and plain tests.

    Made by `Emulator.in_thread`, with the same options. Its state may be read and changed from any thread: the
    logs and the catalog at any time, faults, limits and settings too. Iterating over ``products`` goes over a copy.
    Hooks, such as ``reject_item`` and the predicate of `wait_for`, are called in the emulator's thread.

    `start`, `stop` and `wait_for` block where no event loop runs in the caller's thread. In a coroutine, await them.

    >>> with Emulator.in_thread() as emulator:
    ...     rule = emulator.fail("sync_products", Fault.status(503), times=None)
    """

    _thread: LoopThread | None = None

    def start(self) -> Any:
        return self._start_in_caller() if in_event_loop() else self._start_blocking()

    def stop(self) -> Any:
        return self._stop_in_caller() if in_event_loop() else self._stop_blocking()

    def wait_for(self, predicate: Callable[[], T], *, timeout: float | None = 5.0) -> Any:
        if self._thread is None:
            raise RuntimeError("the emulator is stopped: nothing can happen in it")
        waiting = super().wait_for(predicate, timeout=timeout)
        return wrap_future(self._thread.submit(waiting)) if in_event_loop() else self._thread.wait(waiting)

    def set_limit(self, endpoint: str, limit: RateLimit | None) -> None:
        self._call(lambda: super(ThreadedEmulator, self).set_limit(endpoint, limit))

    def remaining(self, endpoint: str) -> int | None:
        return self._call(lambda: super(ThreadedEmulator, self).remaining(endpoint))

    def spend(self, endpoint: str, requests: int = 1) -> int:
        return self._call(lambda: super(ThreadedEmulator, self).spend(endpoint, requests))

    def __enter__(self) -> Self:
        self._start_blocking()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_blocking()
        self._raise_crashes(error)

    def _call(self, function: Callable[[], T]) -> T:
        return function() if self._thread is None else self._thread.call(function)

    def _open_thread(self) -> LoopThread:
        if self._thread is not None:
            raise RuntimeError("the emulator is already running")
        self._thread = LoopThread(f"emulator of {self.shop_id}")
        return self._thread

    def _close_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def _start_blocking(self) -> None:
        thread = self._open_thread()
        try:
            thread.wait(super().start())
        except BaseException:
            self._close_thread()
            raise

    async def _start_in_caller(self) -> None:
        thread = self._open_thread()
        try:
            await wrap_future(thread.submit(super().start()))
        except BaseException:
            self._close_thread()
            raise

    def _stop_blocking(self) -> None:
        if self._thread is not None:
            try:
                self._thread.wait(super().stop())
            finally:
                self._close_thread()

    async def _stop_in_caller(self) -> None:
        if self._thread is not None:
            try:
                await wrap_future(self._thread.submit(super().stop()))
            finally:
                self._close_thread()


_NEEDS_VERIFIED_DOMAIN = frozenset({"sync_products", "delete_product", "track_conversion"})


def _check_endpoint(name: str) -> None:
    if name not in ENDPOINTS:
        raise ValueError(f"unknown endpoint {name!r}; known are {', '.join(ENDPOINTS)}")
