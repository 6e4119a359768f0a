"""The one road: every request of the SDK takes it, and only this module touches aiohttp's client.

    endpoint, parameters, body ─► retries ─► admission by the limiter ─► one attempt ─► body bytes or a typed error

The body is encoded by the caller, once, and reused by every attempt.
"""

from __future__ import annotations

import asyncio
import io
import logging
import math
from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from ..api.contract import (
    API_KEY_HEADER,
    IDEMPOTENCY_KEY_HEADER,
    JSON_CONTENT_TYPE,
    LONGEST_WINDOW,
)
from ..api.responses import Response, decode_response, read_error, read_success
from ..api.results import Answer
from ..errors import (
    APIError,
    ConfigurationError,
    ConnectionFailed,
    NeuroonError,
    RateLimited,
    RequestTimeout,
    ResponseDecodeError,
    ServerError,
    TransportError,
)
from ..instrumentation import Attempt
from ..settings import package_version
from .calls import Call, CallStats
from .retries import RetryPolicy, retrying

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.contract import Endpoint
    from ..instrumentation import Instrumentation
    from ..limits.protocols import Limiter, Permit
    from ..settings import Settings
    from .session import SessionHolder

__all__ = ["Transport"]

A = TypeVar("A", bound=Answer)
_log = logging.getLogger("neuroon_async")

CONNECT_TIMEOUT = 10.0
"""Seconds for the TCP and TLS handshake, within the timeout of the attempt."""
_LARGE_BODY = 2**20


class Transport:
    """Sends calls of one shop. Cheap to copy with other options; copies share the session and the limiter."""

    def __init__(
        self,
        settings: Settings,
        session: SessionHolder,
        limiter: Limiter | None,
        retry: RetryPolicy,
        timeout: float,
        *,
        instrumentation: Instrumentation | None = None,
    ) -> None:
        self.settings = settings
        self.session = session
        self.limiter = limiter
        self.retry = _checked_retry(retry)
        self.timeout = _client_timeout(timeout)
        self.instrumentation = instrumentation
        self.bounded = True
        """Does the policy's deadline apply?"""
        self._headers = _standing_headers(settings)

    def with_options(self, *, retry: RetryPolicy | None = None, timeout: float | None = None) -> Transport:
        other = copy(self)
        if retry is not None:
            other.retry = _checked_retry(retry)
        if timeout is not None:
            other.timeout = _client_timeout(timeout)
        return other

    def without_deadline(self) -> Transport:
        """For bulk runs: a batch's wait for the rate limit is no failure. A deadline is for single calls."""
        other = copy(self)
        other.bounded = False
        return other

    def ready(self) -> None:
        """Raise the error that every call would raise: the client is closed, or belongs to another event loop."""
        self.session.get()

    async def call(
        self,
        endpoint: Endpoint,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        idempotency_key: str | None = None,
        bulk: bool = False,
        stats: CallStats | None = None,
    ) -> Response:
        """Send one request, again where that is safe and can help. Raises `APIError` or `TransportError`."""
        self.ready()  # an unusable client fails before it waits for anything
        call = Call(
            endpoint=endpoint,
            url=URL(self.settings.base_url + endpoint.path_for(**(params or {})), encoded=True),
            headers=self._call_headers(body, idempotency_key),
            body=body,
            bulk=bulk and endpoint.limit is not None,
            stats=stats or CallStats(),
        )
        deadline = self.retry.deadline if self.bounded else None
        if deadline is None:
            return await self._repeat(call, None)
        ends = asyncio.get_running_loop().time() + deadline
        timer = asyncio.timeout_at(ends)
        try:
            async with timer:
                return await self._repeat(call, ends)
        except TimeoutError:
            if not timer.expired():  # a limiter's own, not ours
                raise
        last = f"; last failure: {call.last_failure}" if call.last_failure else ""
        raise RequestTimeout(
            f"{endpoint.name}: no success within the deadline of {deadline:g} s{last}",
            maybe_processed=call.maybe_processed,
        )

    def decode(self, answer: Response, kind: type[A]) -> A:
        """The struct that an answer documents. Raises `ResponseDecodeError` where it holds something else."""
        try:
            return decode_response(answer.body, kind)
        except msgspec.MsgspecError as error:
            # Redacted before it is cut: half a key would not be recognised.
            excerpt = self.settings.api_key.redact_bytes(answer.body)[:200].decode("utf-8", "replace")
            problem = f"{error}; it begins {excerpt!r}"
        raise ResponseDecodeError(
            f"the server answered {answer.status}, but not with a {kind.__name__}: {problem}",
            status=answer.status,
            request_id=answer.request_id,
        )

    def _call_headers(self, body: bytes | None, idempotency_key: str | None) -> CIMultiDict[str]:
        headers = self._headers.copy()
        if body is not None:
            headers["Content-Type"] = JSON_CONTENT_TYPE
        if idempotency_key is not None:
            headers[IDEMPOTENCY_KEY_HEADER] = idempotency_key
        return headers

    async def _repeat(self, call: Call, deadline: float | None) -> Response:
        budget = self.retry.budget
        cost = 0

        def before_retry(error: BaseException, wait: float) -> None:
            nonlocal cost
            cost = budget.cost_of(error)
            call.stats.retries += 1
            _log.info("%s: attempt %d failed, next one in %.1f s: %s", call.endpoint.name, call.attempts, wait, error)

        async def attempt() -> Response:
            return await self._attempt(call)

        answer: Response = await retrying(self.retry, call.endpoint, before_retry=before_retry, deadline=deadline)(
            attempt
        )
        budget.refund(cost)
        return answer

    async def _attempt(self, call: Call) -> Response:
        permit = await self._admit(call)
        call.attempts += 1
        call.stats.requests += 1
        outcome: Response | NeuroonError | None = None
        try:
            if self.instrumentation is None:
                outcome = await self._exchange(call, permit)
            else:
                outcome = await self._watched_exchange(self.instrumentation, call, permit)
        finally:
            if outcome is None:  # cancelled in flight: the server may have counted it, and acted on it
                call.maybe_processed = True
                if permit is not None:
                    permit.answered(None)
        call.stats.ended(outcome)
        if isinstance(outcome, Response):
            return outcome
        if isinstance(outcome, APIError) and outcome.status == call.endpoint.done_on_retry and call.attempts > 1:
            return Response(outcome.status, b"", outcome.request_id)
        call.last_failure = outcome
        if isinstance(outcome, TransportError):
            # The caller asks about the whole call: an earlier attempt may have got through.
            call.maybe_processed = outcome.maybe_processed = call.maybe_processed or outcome.maybe_processed
        elif isinstance(outcome, ServerError):
            call.maybe_processed = True
        # Raised here, outside of any except block: aiohttp's own exceptions hold the request's headers, the key among
        # them, and must not travel on as the context of ours.
        raise outcome

    async def _admit(self, call: Call) -> Permit | None:
        if self.limiter is None or call.endpoint.limit is None:
            return None
        loop = asyncio.get_running_loop()
        started = loop.time()
        call.stats.waiting += 1
        try:
            return await self.limiter.acquire(call.endpoint.name, bulk=call.bulk)
        finally:
            call.stats.waiting -= 1
            waited = loop.time() - started
            call.stats.waited += waited
            if self.instrumentation is not None:
                self.instrumentation.waited(call.endpoint, waited)

    async def _watched_exchange(
        self, instrumentation: Instrumentation, call: Call, permit: Permit | None
    ) -> Response | NeuroonError:
        attempt = Attempt(
            endpoint=call.endpoint,
            shop_id=self.settings.shop_id,
            # A product may be called like the key.
            url=URL(self.settings.api_key.redact(str(call.url)), encoded=True),
            number=call.attempts,
        )
        with instrumentation.attempt(attempt):
            attempt.outcome = outcome = await self._exchange(call, permit, attempt.headers)
        return outcome

    async def _exchange(
        self, call: Call, permit: Permit | None, more_headers: Mapping[str, str] | None = None
    ) -> Response | NeuroonError:
        """One request and its answer. Failures are returned, not raised: see `_attempt`."""
        session = self.session.get()
        try:
            async with session.request(
                call.endpoint.method,
                call.url,
                data=_payload(call.body),
                headers=call.headers if not more_headers else _joined(more_headers, call.headers),
                allow_redirects=False,  # the key must not travel on to another address
                raise_for_status=False,
                timeout=self.timeout,
                # Middlewares of one request replace the session's, which only a given one has.
                middlewares=(*getattr(session, "_middlewares", ()), _send_once),
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failure = self._failure(call, error)
            if permit is not None:
                if failure.maybe_processed:
                    permit.answered(None)
                else:
                    permit.unused()
            return failure
        except asyncio.CancelledError as cancellation:
            # Without aiohttp's frames: they hold the headers, and error trackers show local variables.
            raise cancellation.with_traceback(None)  # noqa: B904 - the same exception, not one caused by it
        outcome: Response | NeuroonError
        content = self.settings.api_key.redact_bytes(content)
        redact = self.settings.api_key.redact
        if 200 <= response.status < 300:
            outcome = read_success(call.endpoint, response.status, response.headers, content, redact=redact)
        else:
            outcome = read_error(response.status, response.headers, content, now=datetime.now(UTC), redact=redact)
            call.stats.throttled += isinstance(outcome, RateLimited)
        if permit is not None:
            permit.answered(response.headers, pause=self._pause(call, outcome))
        return outcome

    def _pause(self, call: Call, outcome: Response | NeuroonError) -> float | None:
        """How long a 429 holds the whole endpoint back, in seconds."""
        if not isinstance(outcome, RateLimited):
            return None
        if outcome.retry_after is None:
            return self.retry.backoff(call.attempts)
        return min(outcome.retry_after, LONGEST_WINDOW)

    def _failure(self, call: Call, error: Exception) -> TransportError:
        where = f"{call.endpoint.method} {self.settings.base_url} ({call.endpoint.name})"
        text = self.settings.api_key.redact(str(error)) if not isinstance(error, aiohttp.ClientResponseError) else ""
        reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return RequestTimeout(f"{where}: no connection in time", maybe_processed=False)
        if isinstance(error, TimeoutError):
            return RequestTimeout(f"{where}: no answer within {self.timeout.total:g} s", maybe_processed=True)
        if isinstance(error, _ConnectionLost):
            return ConnectionFailed(f"{where}: connection lost: {text}", maybe_processed=True)
        if isinstance(error, aiohttp.ClientConnectorError):
            return ConnectionFailed(f"{where}: cannot connect: {reason}", maybe_processed=False)
        return ConnectionFailed(f"{where}: connection lost: {reason}", maybe_processed=True)


class _ConnectionLost(aiohttp.ClientConnectionError):
    """What aiohttp has two names for, under a third one that it does not answer with a request of its own."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a GET or DELETE a second time by itself when the connection is lost.

    The limiter would not see that request, and its 404 would hide that the first delete had worked.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:  # never sent
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionLost(f"{type(error).__name__}: {error}") from error


def _checked_retry(policy: RetryPolicy) -> RetryPolicy:
    if not isinstance(policy, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, such as RetryPolicy(attempts=3), got {policy!r}")
    return policy


def _client_timeout(seconds: float) -> aiohttp.ClientTimeout:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise ConfigurationError(f"timeout must be a number of seconds above 0, got {seconds!r}")
    return aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, CONNECT_TIMEOUT))


def _joined(more: Mapping[str, str], headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """Both, where ``headers`` win; no header twice."""
    joined = CIMultiDict(more)
    joined.update(headers)
    return joined


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    """aiohttp sends bytes in one piece and warns when that is over 1 MiB; a stream it sends in chunks."""
    return io.BytesIO(body) if body is not None and len(body) >= _LARGE_BODY else body


def _standing_headers(settings: Settings) -> CIMultiDict[str]:
    product = f"neuroon-async/{package_version()}"
    headers = CIMultiDict(
        {
            API_KEY_HEADER: settings.api_key.reveal(),
            "Accept": "application/json",
            "User-Agent": f"{settings.user_agent} {product}" if settings.user_agent else product,
        }
    )
    if settings.locale is not None:
        headers["Accept-Language"] = settings.locale
    if settings.origin is not None:
        headers["Origin"] = settings.origin
    return headers
