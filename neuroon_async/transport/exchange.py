"""One attempt: a request and its answer over aiohttp's client, which only this module and those of its session touch.

Failures are returned, not raised: the exceptions of aiohttp hold the request's headers, the API key among them, and
must not travel on, neither as the context of another error nor in the frames of a traceback.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import aiohttp
from multidict import CIMultiDict

from ..advice import Advice
from ..api.contract import (
    API_KEY_HEADER,
    IDEMPOTENCY_KEY_HEADER,
    JSON_CONTENT_TYPE,
    REQUEST_ID_HEADER,
)
from ..api.responses import Response, read_error, read_success
from ..errors import APIError, ConnectionFailed, NeuroonError, RequestTimeout, ResponseDecodeError
from ..settings import package_version
from .attempt_clock import AttemptClock, running_clock
from .failures import explain, loss_of, origin_of
from .routes import Route, may_use_proxy
from .session import SessionHolder, closed_session
from .unpacking import ACCEPT_ENCODING, UnpackedAnswer, UnreadableAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from yarl import URL

    from ..settings import Settings
    from .calls import Call

__all__ = ["Exchange", "ExchangeResult", "HttpExchange"]

CONNECT_TIMEOUT = 10.0
"""Seconds for the TCP and TLS handshake with one address, within the timeout of the attempt."""
_LARGE_BODY = 2**20
_REDIRECTS = {300, 301, 302, 303, 305, 307, 308}
_TOLD_BY_BODY = {400, 404, 409, 422}
"""Errors whose body names what was refused. A page of a proxy is no answer to a deletion, 404 or not."""
_CHECKED_BY_SERVER = ("Origin", "Referer")
"""The server compares them with the shop's address, so no default of a given session may add them."""


@dataclass(frozen=True, slots=True)
class ExchangeResult:
    """What came of one attempt. ``headers`` and ``body`` are the answer's, as it gave them: they may echo the key.

    ``headers`` are ``None`` where no answer came.
    """

    outcome: Response | NeuroonError
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)


class Exchange(Protocol):
    """How one request becomes one answer. A test, or a run that sends nothing, may have its own."""

    def ready(self) -> None:
        """Raise `ClientClosed`, or another `UsageError`, where nothing can be sent any more."""

    async def send(self, call: Call, more_headers: Mapping[str, str] | None = None) -> ExchangeResult:
        """Send it once. A failure is returned. ``call.sent`` becomes true when the server may have the request."""
        ...


@dataclass(slots=True)
class _Answer:
    """An answer as it arrived. ``problem`` says why its body cannot be used."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # both may echo the key
    body: bytes = field(repr=False)
    problem: str | None = None


class HttpExchange:
    """Sends requests of one shop through a session."""

    def __init__(self, settings: Settings, session: SessionHolder, route: Route | None = None) -> None:
        self._settings = settings
        self._session = session
        self._route = route or Route()
        self._headers = _standing_headers(settings, self._route.headers)
        self._unwanted = [name for name in _CHECKED_BY_SERVER if name not in self._headers]

    def ready(self) -> None:
        self._session.get()

    async def send(self, call: Call, more_headers: Mapping[str, str] | None = None) -> ExchangeResult:
        session = self._session.get()
        clock = AttemptClock(call)
        token = running_clock.set(clock)
        try:
            came = await self._ask(session, call, clock, more_headers)
        finally:
            running_clock.reset(token)
            clock.over()
        if isinstance(came, _Answer):
            return ExchangeResult(self._read(call, came), came.headers, came.body)
        return ExchangeResult(self._failure(call, came, session, clock))

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        call: Call,
        clock: AttemptClock,
        more_headers: Mapping[str, str] | None,
    ) -> _Answer | Exception:
        response: aiohttp.ClientResponse | None = None
        refusal: _Answer | None = None
        try:
            async with clock.timer:
                try:
                    async with session.request(
                        call.endpoint.method,
                        call.url,
                        data=_payload(call.body),
                        headers=self._headers_of(call, more_headers),
                        allow_redirects=False,  # the key must not travel on to another address
                        raise_for_status=False,
                        auto_decompress=False,
                        proxy=self._route.proxy_for(call.url),
                        ssl=self._route.ssl,
                        timeout=_only_connecting(call.timeout),
                        middlewares=self._middlewares(session, call),
                    ) as response:
                        refusal = _refusal(call, response)
                        return await _read_body(response)
                except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                    lost = error if isinstance(error, aiohttp.ClientConnectorError) else loss_of(error)
                    return refusal or lost
                except Exception as error:  # noqa: BLE001 - whatever a library raises becomes an error of the SDK's own
                    return refusal or error
                except BaseException as cut_short:  # noqa: BLE001 - raised again
                    # Without aiohttp's frames, what it was doing and what had come: they hold the request's headers,
                    # or the answer's, which may echo the key, and error trackers show local variables.
                    response = None
                    cut_short.__context__ = cut_short.__cause__ = None
                    raise cut_short.with_traceback(None)  # noqa: B904 - the same exception, not one caused by it
        except TimeoutError as expired:
            return refusal or expired

    def _headers_of(self, call: Call, more_headers: Mapping[str, str] | None) -> CIMultiDict[str]:
        """All headers of an attempt; those that the SDK itself sends win over ``more_headers``."""
        headers = self._headers.copy()
        if more_headers:
            headers = CIMultiDict(more_headers)
            headers.update(self._headers)
        headers[API_KEY_HEADER] = self._settings.api_key.reveal()  # kept nowhere else, so nothing else can show it
        if call.body is not None:
            headers["Content-Type"] = JSON_CONTENT_TYPE
        if call.idempotency_key is not None:
            headers[IDEMPOTENCY_KEY_HEADER] = call.idempotency_key
        return headers

    def _middlewares(
        self, session: aiohttp.ClientSession, call: Call
    ) -> tuple[aiohttp.ClientMiddlewareType, ...] | None:
        """What aiohttp's client must pass through. ``None``: what the session has, which only a given one does.

        It never repeats a POST by itself; and where the session adds nothing that must not be, there is nothing to be
        done then.
        """
        if call.endpoint.method == "POST" and not self._needs_correction(session, call.url):
            return None
        # Those of one request replace the session's.
        return (*getattr(session, "_middlewares", ()), self._send_once)

    def _needs_correction(self, session: aiohttp.ClientSession, url: URL) -> bool:
        """May this session add a header that must not be sent, or go through a proxy that must not see the key?"""
        if session.headers and any(name in session.headers for name in self._unwanted):
            return True
        return self._session.is_given and not may_use_proxy(url)

    async def _send_once(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Keep aiohttp from sending a GET or DELETE a second time by itself when the connection is lost.

        The limiter would not see that request, and its 404 would hide that the first delete had worked. And take out
        what only the session of a user has added.
        """
        for name in self._unwanted:
            request.headers.popall(name, None)
        if request.proxy is not None and not may_use_proxy(request.url):
            request.update_proxy(None, None, None)
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:  # never sent
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise loss_of(error) from error

    def _read(self, call: Call, answer: _Answer) -> Response | NeuroonError:
        """What an answer means: a success, or a typed error whose texts hold no key."""
        redact = self._settings.api_key.redact
        if 200 <= answer.status < 300:
            if answer.problem is not None:
                return self._unreadable(call, answer, answer.problem)
            outcome = read_success(call.endpoint, answer.status, answer.headers, answer.body, redact=redact)
            if isinstance(outcome, NeuroonError):
                outcome.where = self._where(call)
            return outcome
        now = datetime.now(UTC)
        error = read_error(answer.status, answer.headers, answer.body, problem=answer.problem, now=now, redact=redact)
        if answer.status in _REDIRECTS:
            _name_redirect(error, answer.headers.get("Location"), redact)
        return error

    def _unreadable(self, call: Call, answer: _Answer, problem: str) -> ResponseDecodeError:
        request_id = answer.headers.get(REQUEST_ID_HEADER)
        return ResponseDecodeError(
            f"the server answered {answer.status}, but {problem}; {call.endpoint.doubt}",
            where=self._where(call),
            status=answer.status,
            request_id=request_id and self._settings.api_key.redact(request_id),
        )

    def _where(self, call: Call) -> str:
        return f"{self._settings.shop_id}: {call.endpoint.method} {self._settings.base_url} ({call.endpoint.name})"

    def _failure(
        self, call: Call, error: Exception, session: aiohttp.ClientSession, clock: AttemptClock
    ) -> NeuroonError:
        if session.closed:
            return closed_session(maybe_processed=call.sent)
        if isinstance(error, NeuroonError):  # of the function that chooses a proxy
            return error
        where = self._where(call)
        if isinstance(error, TimeoutError):
            what = f"no answer within {clock.allowed:.3g} s" if call.sent else "no connection in time"
            return RequestTimeout(what, where=where, maybe_processed=call.sent)
        proxied = self._route.always_uses_proxy(call.url)
        reason = explain(error, self._settings.api_key.redact, connected=call.sent, proxied=proxied)
        return ConnectionFailed(
            reason.what, where=where, advice=reason.advice, maybe_processed=call.sent, permanent=reason.permanent
        )


@lru_cache
def _only_connecting(timeout: float) -> aiohttp.ClientTimeout:
    """aiohttp's own bounds: all but the handshake is the `AttemptClock`'s."""
    return aiohttp.ClientTimeout(sock_connect=min(timeout, CONNECT_TIMEOUT))


def _refusal(call: Call, response: aiohttp.ClientResponse) -> _Answer | None:
    """What is left of an answer whose body does not arrive. Status and headers are enough for most errors.

    ``None`` where asking again is safe, and the body says what to do: a product is refused by its name there.
    """
    if 200 <= response.status < 300 or (call.endpoint.repeat_safe and response.status in _TOLD_BY_BODY):
        return None
    return _Answer(response.status, response.headers, b"", "the rest of the answer did not arrive")


async def _read_body(response: aiohttp.ClientResponse) -> _Answer:
    """The whole answer, unpacked and bounded. Of one that cannot be read, what its status and headers say."""
    encodings = response.headers.getall("Content-Encoding", [])  # of which each may have a line of its own
    unpacked = UnpackedAnswer(", ".join(encodings) or None)
    try:
        while not response.content.at_eof():
            unpacked.feed(await response.content.readany())
        return _Answer(response.status, response.headers, unpacked.whole())
    except UnreadableAnswer as problem:
        return _Answer(response.status, response.headers, b"", str(problem))


def _name_redirect(error: APIError, location: str | None, redact: Callable[[str], str]) -> None:
    """Say where a redirect leads, without its path: that may hold anything."""
    origin = origin_of(location) if location else None
    leads = "elsewhere" if not location else "to another path" if origin is None else f"to {redact(origin)}"
    error.message = error.what = f"the server redirects {leads}, and the API key must not travel on"
    error.args = (error.message,)
    error.advice = Advice("check {base_url}: it must be the address that answers itself", {"base_url": ...})


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    """aiohttp sends bytes in one piece and warns when that is over 1 MiB; a stream it sends in chunks."""
    return io.BytesIO(body) if body is not None and len(body) >= _LARGE_BODY else body


def _standing_headers(settings: Settings, own: Mapping[str, str]) -> CIMultiDict[str]:
    product = f"neuroon-async/{package_version()}"
    headers = CIMultiDict(
        {
            **own,
            "Accept": "application/json",
            "Accept-Encoding": ACCEPT_ENCODING,
            "User-Agent": f"{settings.user_agent} {product}" if settings.user_agent else product,
        }
    )
    if settings.locale is not None:
        headers["Accept-Language"] = settings.locale
    if settings.origin is not None:
        headers["Origin"] = settings.origin
    return headers
