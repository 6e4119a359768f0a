"""The Plugin API on loopback, as tests use it: start and stop it, look at what it holds, change what it does.

What happens to a request is in `gateway`; what the shop remembers in `shop`; what was asked in `recording`.
"""

from __future__ import annotations

import asyncio
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from msgspec import UNSET, UnsetType

from ..api.arguments import check_count, check_flag, check_kind, check_seconds, check_text
from ..api.contract import API_KEY_VARIABLE, API_URL_VARIABLE, DOCUMENTED_RATE_LIMITS, SHOP_ID_VARIABLE
from ..client import NeuroonClient
from ..errors import UsageError
from ..transport.retries import RetryPolicy
from .conditions import RetryAfter, check_conditions
from .fault_rules import FaultRule
from .gateway import Gateway, Page
from .limits import EndpointLimits
from .loop_thread import ThreadedLife
from .readings import Readings
from .recording import RecordedRequest, RequestLog, Watcher
from .server import LoopbackServer
from .shop import EmulatedShop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from ..api.contract import RateLimit
    from .faults import Fault
    from .limits import Algorithm, Alignment
    from .shop import FullSemantics, ReceivedConversion, RememberedSync, Upsert

__all__ = ["DEFAULT_API_KEY", "DEFAULT_SHOP_ID", "Emulator", "ThreadedEmulator"]

T = TypeVar("T")

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
        wall_clock: Gives the Unix time in seconds, for widget tokens and the dates in headers.

    Raises `UsageError` for options that cannot work, such as a limit of an unknown endpoint. An exception inside the
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
        check_text("host", host)
        check_count("port", port, 65_535, least=0)
        check_seconds("keepalive_timeout", keepalive_timeout, zero=True)
        check_seconds("grace", grace, zero=True)
        self.shop_id = shop_id
        self.api_key = api_key
        self.host = host
        self.port: int = port
        self.keepalive_timeout = keepalive_timeout
        self.grace = grace
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
        self.shop_url = shop_url
        self.require_verified = require_verified
        self.rate_headers = rate_headers
        self.retry_after: RetryAfter = retry_after
        self.latency = latency
        self.jitter = jitter
        self.max_body_bytes = max_body_bytes
        self.keep_bodies = keep_bodies
        self.wall_clock = wall_clock
        self.faults: list[FaultRule] = []
        check_conditions(self)
        self._log = RequestLog()
        self.requests: list[RecordedRequest] = self._log.requests
        self.watchers: list[Watcher] = self._log.watchers
        """Called when a request has arrived, and again when it has ended."""
        self.pages: list[Page] = []
        """Asked before the API, and outside its limits, faults and log. ``None`` leaves a request to the API."""
        self._limits = EndpointLimits(rate_limits, algorithm, aligned=aligned)
        self._gateway = Gateway(self, shop=self.shop, limits=self._limits, log=self._log, pages=self.pages, seed=seed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: LoopbackServer | None = None

    def __repr__(self) -> str:
        where = self.url if self._server is not None else "stopped"
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
        """Listen. Raises `OSError` where the port is taken, `UsageError` where it listens already."""
        if self._server is not None:
            raise UsageError(f"{self!r} is already running")
        server = LoopbackServer(self._gateway.handle, keepalive_timeout=self.keepalive_timeout)
        self.port = await server.listen(self.host, self.port, grace=self.grace)
        self._loop = asyncio.get_running_loop()
        self._server = server

    async def stop(self) -> None:
        """Stop listening, let requests in progress finish within ``grace`` seconds, cancel the rest."""
        server, self._server = self._server, None
        if server is not None:
            await server.end()
            self._loop = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self._gateway.end(failed=error is not None)

    @property
    def url(self) -> str:
        """Where it listens, for ``base_url``: without a trailing slash. Raises `UsageError` before it has a port."""
        if self.port == 0:
            raise UsageError("the emulator has no address before it is started", advice="start it, or give it a port")
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
        own: dict[str, Any] = {"shop_id": self.shop_id, "api_key": self.api_key, "base_url": self.url}
        own |= {"rate_limits": None, "retry": RetryPolicy(initial=0.0)}
        return NeuroonClient(**own | options)

    # What it holds

    @property
    def readings(self) -> Readings:
        """How contradictory pages are read. May be replaced at any time."""
        return self.shop.readings

    @readings.setter
    def readings(self, readings: Readings) -> None:
        check_kind("readings", readings, Readings)
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
        check_flag("verified", verified)
        if verified:
            self.shop.set_verified(self.shop.domain or self.shop_url)
        else:
            self.shop.unverify()

    def requests_to(self, endpoint: str) -> list[RecordedRequest]:
        """The log of one endpoint. Raises `UsageError` for a name that no request can have."""
        return self._log.to(endpoint)

    async def wait_for(self, predicate: Callable[[], T], *, timeout: float | None = 5.0) -> T:
        """Wait until ``predicate`` returns something true, and return that.

        Args:
            predicate: A plain function without arguments, asked at the start, whenever a request arrives, has been
                processed or has ended, and once more at the timeout; it may look at anything, here or elsewhere.
            timeout: Seconds; ``None`` waits without end.

        Raises `TimeoutError` where it is still false after ``timeout``.

        >>> async def order_arrives(emulator: Emulator) -> None:
        ...     await emulator.wait_for(lambda: "order-1" in emulator.conversions)
        """
        return await self._log.wait_for(predicate, timeout=timeout)

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
        Raises `UsageError` for an unknown endpoint or a count below its minimum.
        """
        if isinstance(times, UnsetType):
            times = 1 if every is None and when is None else None
        rule = FaultRule(fault, endpoint, times=times, every=1 if every is None else every, when=when)
        self.faults.append(rule)
        return rule

    def set_limit(self, endpoint: str, limit: RateLimit | None) -> None:
        """Change a limit, also while running; what was counted so far still counts. ``None`` lifts it."""
        self._limits.set(endpoint, limit)

    def limit(self, endpoint: str) -> RateLimit | None:
        """The limit that is counted for an endpoint; ``None`` where there is none."""
        return self._limits.limit(endpoint)

    def remaining(self, endpoint: str) -> int | None:
        """How many requests an endpoint would admit now; ``None`` where there is no limit."""
        return self._limits.remaining(endpoint, self._now())

    def spend(self, endpoint: str, requests: int = 1) -> int:
        """Count requests as if another process with the same key had made them. Gives how many were admitted."""
        return self._limits.spend(endpoint, requests, self._now())

    def _now(self) -> float:
        try:
            return (self._loop or asyncio.get_running_loop()).time()
        except RuntimeError:
            raise UsageError(f"{self!r} has no clock to count by", advice="start it first") from None


class ThreadedEmulator(Emulator):
    """An emulator that runs in a thread of its own: with `FastAPI's TestClient`, Flask, Django and plain tests.

    Made by `Emulator.in_thread`, with the same options. Its state may be read and changed from any thread: the
    logs and the catalog at any time, faults, limits and settings too. Iterating over ``products`` goes over a copy.
    Hooks, such as ``reject_item`` and the predicate of `wait_for`, are called in the emulator's thread.

    `start`, `stop` and `wait_for` block where no event loop runs in the caller's thread. In a coroutine, await them.

    >>> from neuroon_async.testing import Emulator, Fault
    >>> with Emulator.in_thread() as emulator:
    ...     rule = emulator.fail("sync_products", Fault.status(503), times=None)
    """

    @cached_property
    def _life(self) -> ThreadedLife:
        return ThreadedLife(f"emulator of {self.shop_id}")

    def start(self) -> Any:
        return self._life.start(super().start)

    def stop(self) -> Any:
        return self._life.stop(super().stop)

    def wait_for(self, predicate: Callable[[], T], *, timeout: float | None = 5.0) -> Any:
        waiting = super().wait_for
        return self._life.run(lambda: waiting(predicate, timeout=timeout))

    def __enter__(self) -> Self:
        self._life.start_blocking(super().start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._life.stop_blocking(super().stop)
        self._gateway.end(failed=error is not None)
