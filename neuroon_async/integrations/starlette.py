"""Starlette and FastAPI: a client that lives as long as the app, and SDK errors as HTTP answers.

Knows the app's lifespan, its state and its exception handlers, and nothing of the API. FastAPI is not imported:
`get_client` and `client_for` have the signature that its ``Depends`` wants.

    app = FastAPI(lifespan=neuroon_lifespan(NeuroonClient.from_env), exception_handlers=exception_handlers())

    @app.post("/products")
    async def push(client: Annotated[NeuroonClient, Depends(get_client)]): ...

Nobody cancels the handler of a visitor who has left. So what `get_client` and `client_for` hand to a handler gives up
within ``request_deadline``, or is refused at once where the wait for the rate limit would outlast it: handlers whose
visitors are gone do not stand in line before the next one. Work that may take longer uses ``app.state.neuroon``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ..extras import NeedsExtra

with NeedsExtra("starlette", __name__):
    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection, Request  # noqa: TC002 - FastAPI reads the annotations at run time
    from starlette.responses import JSONResponse, Response

from ..api.arguments import check_callback, check_capable, check_seconds, check_text, shown
from ..api.shapes import is_mapping
from ..client import NeuroonClient
from ..errors import (
    APIError,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    InvalidBatch,
    InvalidConversion,
    InvalidProduct,
    NeuroonError,
    NotFound,
    RateLimited,
    RequestTimeout,
    ResponseDecodeError,
    ServerError,
    UnprocessableEntity,
    UsageError,
    ValidationFailed,
)
from ..outbox.store import DuplicateOrder, OutboxUnavailable
from ..transport.retries import RetryPolicy
from ..transport.session import SessionHolder

__all__ = ["client_for", "exception_handlers", "get_client", "neuroon_lifespan", "readiness"]

_log = logging.getLogger("neuroon_async.starlette")

STATE_NAME = "neuroon"
"""Under this name the client, or the mapping of clients, is in ``app.state`` and ``request.state``."""
REQUEST_STATE_NAME = "neuroon_of_requests"
"""Under this name are the same clients as request handlers get them: with a deadline."""
REQUEST_DEADLINE = 10.0
"""Seconds that a handler's call, or its whole bulk run, may take by default."""
PROBE_TIMEOUT = 2.0
"""Seconds that a readiness check waits for the service: less than orchestrators commonly wait for the check."""
_PROBE: dict[str, Any] = {"retry": RetryPolicy(attempts=1), "timeout": PROBE_TIMEOUT}

ClientFactory = Callable[..., NeuroonClient]
_Clients = NeuroonClient | Mapping[str, NeuroonClient]
Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]


def neuroon_lifespan(
    clients: NeuroonClient | ClientFactory | Mapping[str, ClientFactory],
    *,
    lifespan: Lifespan | None = None,
    request_deadline: float | None = REQUEST_DEADLINE,
) -> Callable[[Starlette], AbstractAsyncContextManager[dict[str, Any]]]:
    """A lifespan that opens the client at startup and closes it at shutdown.

    ``clients`` is one of

    - a factory without arguments, called at startup: ``NeuroonClient.from_env``;
    - a client: it is closed at shutdown, so such an app starts only once;
    - for several shops, factories by name that take ``session``: ``{"es": partial(NeuroonClient, shop_id=…, …), …}``.
      The clients share one aiohttp session; each keeps its own key and limits.

    ``lifespan`` is the app's own: it runs within, finds the client in ``app.state.neuroon``, and what it yields is
    in ``request.state`` as usual.

    ``request_deadline`` is how many seconds a call, or a whole bulk run, of the clients that `get_client` and
    `client_for` give may take, waiting for the rate limit included; 10 by default. A policy with a ``deadline`` of
    its own keeps that. ``None``: they are the app's clients as they are.

    >>> from neuroon_async import NeuroonClient
    >>> lifespan = neuroon_lifespan(NeuroonClient.from_env)  # then: FastAPI(lifespan=lifespan)
    """
    check_seconds("request_deadline", request_deadline, none=True)
    check_callback("lifespan", lifespan, "; @asynccontextmanager makes one of an async generator")
    if not isinstance(clients, NeuroonClient):
        _check_factories(clients)

    @asynccontextmanager
    async def combined(app: Starlette) -> AsyncGenerator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            opened = await _open(clients, stack)
            states = {STATE_NAME: opened, REQUEST_STATE_NAME: _for_requests(opened, request_deadline)}
            for name, value in states.items():
                setattr(app.state, name, value)
                stack.callback(delattr, app.state, name)
            state = None if lifespan is None else await stack.enter_async_context(lifespan(app))
            if state is not None and STATE_NAME in state:
                raise ConfigurationError(f"the app's own lifespan must not yield {STATE_NAME!r}: the client is there")
            yield {**(state or {}), **states}

    return combined


def _check_factories(clients: object) -> None:
    if isinstance(clients, Starlette):
        raise UsageError(
            "neuroon_lifespan is not a lifespan itself: call it, lifespan=neuroon_lifespan(NeuroonClient.from_env)"
        )
    if callable(clients):
        check_callback("clients", clients)
        return
    if not is_mapping(clients):
        raise UsageError(
            f"must be a NeuroonClient, a function that makes one, or a mapping of such functions; got {shown(clients)}",
            where="clients",
        )
    for name, factory in clients.items():
        check_callback(f"clients[{name!r}]", factory, none=False)


async def _open(
    clients: NeuroonClient | ClientFactory | Mapping[str, ClientFactory], stack: AsyncExitStack
) -> _Clients:
    if isinstance(clients, NeuroonClient):
        return await stack.enter_async_context(clients)
    if callable(clients):
        return await _enter(clients(), stack)
    shared = SessionHolder(None)
    stack.push_async_callback(shared.close)
    session = shared.get()
    return MappingProxyType({name: await _enter(factory(session=session), stack) for name, factory in clients.items()})


async def _enter(made: NeuroonClient, stack: AsyncExitStack) -> NeuroonClient:
    check_capable("clients", made, ("__aenter__", "__aexit__"), "functions that make a NeuroonClient", none=False)
    return await stack.enter_async_context(made)


def _for_requests(opened: _Clients, deadline: float | None) -> _Clients:
    """The same clients, none of which outlasts the patience of whoever waits for a handler."""
    if isinstance(opened, NeuroonClient):
        return opened if deadline is None else _with_deadline(opened, deadline)
    return MappingProxyType(
        {name: client if deadline is None else _with_deadline(client, deadline) for name, client in opened.items()}
    )


def _with_deadline(client: NeuroonClient, deadline: float) -> NeuroonClient:
    policy = client.retry
    deadline = policy.deadline or deadline
    bulk_deadline = policy.bulk_deadline or deadline
    # A round of retries is patience enough: the next one would begin after the deadline.
    bounded = replace(policy, deadline=deadline, bulk_deadline=bulk_deadline, outage_patience=0.0)
    return client.with_options(retry=bounded)


def get_client(connection: HTTPConnection) -> NeuroonClient:
    """The app's client, for ``Depends(get_client)`` or to be called with any request or websocket.

    It gives up within the deadline of `neuroon_lifespan`, bulk runs included. A call whose wait for the rate limit
    would outlast that is refused at once: `RateLimited` with ``local`` set, and when to come back.

    Raises `ConfigurationError` where the app has no `neuroon_lifespan`, or several clients.
    """
    found = _clients(connection, REQUEST_STATE_NAME)
    if isinstance(found, NeuroonClient):
        return found
    raise ConfigurationError(f"this app has several clients: use client_for() with one of {', '.join(found)}")


def client_for(name: str) -> Callable[[HTTPConnection], NeuroonClient]:
    """`get_client` for one of several shops: ``Depends(client_for("es"))``."""
    check_text("name", name)

    def get_named_client(connection: HTTPConnection) -> NeuroonClient:
        found = _clients(connection, REQUEST_STATE_NAME)
        if isinstance(found, NeuroonClient):
            raise ConfigurationError("this app has one client without a name: use get_client()")
        if name not in found:
            raise ConfigurationError(f"this app has no client {name!r}; there are {', '.join(found)}")
        return found[name]

    return get_named_client


def _clients(connection: HTTPConnection, name: str) -> _Clients:
    check_capable("connection", connection, ("state", "scope"), "a request or a websocket", none=False)
    found: _Clients | None = getattr(connection.state, name, None)
    if found is None and "app" in connection.scope:
        # httpx' ASGITransport does not carry the lifespan's state into requests, as servers do.
        found = getattr(connection.app.state, name, None)
    if found is None:
        raise ConfigurationError("no client here: give the app lifespan=neuroon_lifespan(…), and run its lifespan")
    return found


async def readiness(request: Request) -> JSONResponse:
    """An endpoint for readiness checks: 200 where the service says that it is up, else 503.

    One quick request (2 s at most) for each client, outside of the rate limits. Not for liveness checks: restarting
    the app would not help the service.

    >>> from starlette.routing import Route
    >>> Route("/ready", readiness).path
    '/ready'
    """
    found = _clients(request, STATE_NAME)
    clients = [found] if isinstance(found, NeuroonClient) else found.values()
    up = all(await asyncio.gather(*(client.with_options(**_PROBE).health() for client in clients)))
    return JSONResponse({"neuroon": "up" if up else "down"}, status_code=200 if up else 503)


def exception_handlers() -> dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]]:
    """SDK exceptions as HTTP answers, for ``FastAPI(exception_handlers=…)``; add your own to the dict.

    What the request itself got wrong is answered with its fields; all else, such as a refused key or a wrong setting,
    is logged and answered in general words: nothing of the API's answers, addresses or settings reaches the browser.
    A log entry is one line; what only a change of the program or its settings mends has a traceback.

    ============================================================  ======
    `InvalidProduct`, `InvalidConversion`, `InvalidBatch`         422
    `ValidationFailed`, `UnprocessableEntity` (the server's)      422
    `NotFound`                                                    404
    `Conflict`, `DuplicateOrder`                                  409
    `RateLimited`, with ``Retry-After``; `OutboxUnavailable`      503
    `ServerError`, `ConnectionFailed`, `ResponseDecodeError`      502
    400, 404, 409, 422 that are not ``documented``: a proxy's     502
    `RequestTimeout`                                              504
    `ConfigurationError`, `AuthenticationFailed` and all others   500
    ============================================================  ======
    """
    return {NeuroonError: _answer}


@dataclass(frozen=True, slots=True)
class _Translation:
    kinds: tuple[type[NeuroonError], ...]
    status: int
    code: str
    message: str


_UNAVAILABLE = _Translation(
    (ServerError, ConnectionFailed, ResponseDecodeError), 502, "unavailable", "The search service is unavailable."
)
_TRANSLATIONS = (
    _Translation((InvalidProduct,), 422, "invalid_product", "The product breaks a rule."),
    _Translation((InvalidConversion,), 422, "invalid_conversion", "The order breaks a rule."),
    _Translation((InvalidBatch,), 422, "invalid_batch", "The number of products does not fit into one request."),
    _Translation((ValidationFailed, UnprocessableEntity), 422, "refused", "The search service refused the data."),
    _Translation((NotFound,), 404, "not_found", "The search service does not know it."),
    _Translation((Conflict, DuplicateOrder), 409, "conflict", "It is there already, with another content or state."),
    _Translation((RateLimited, OutboxUnavailable), 503, "busy", "Too much at once. Try again later."),
    _Translation((RequestTimeout,), 504, "timeout", "The search service took too long."),
    _UNAVAILABLE,
)
_ANY_OTHER = _Translation((NeuroonError,), 500, "internal_error", "Something went wrong on our side.")


def _translation_of(error: NeuroonError) -> _Translation:
    found = next((known for known in _TRANSLATIONS if isinstance(error, known.kinds)), _ANY_OTHER)
    perhaps_a_proxys = isinstance(error, APIError) and not error.documented
    return _UNAVAILABLE if perhaps_a_proxys and found.status < 500 else found


async def _answer(request: Request, error: NeuroonError) -> JSONResponse:
    translation = _translation_of(error)
    if translation is _ANY_OTHER:
        _log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    elif translation.status >= 500:
        _log.error("%s %s: %s", request.method, request.url.path, error)
    content: dict[str, Any] = {"error": translation.code, "message": translation.message}
    if fields := _fields(error):
        content["fields"] = fields
    return JSONResponse(content, status_code=translation.status, headers=_retry_headers(error))


def _fields(error: NeuroonError) -> dict[str, str]:
    """What is wrong with which field of what the caller sent."""
    if isinstance(error, (InvalidProduct, InvalidConversion)):
        fields: dict[str, str] = {}
        for field, rule in error.violations:
            fields[field] = f"{fields[field]}; {rule}" if field in fields else rule
        return fields
    return error.field_errors if isinstance(error, (ValidationFailed, UnprocessableEntity)) else {}


def _retry_headers(error: NeuroonError) -> dict[str, str]:
    retry_after = error.retry_after if isinstance(error, (RateLimited, ServerError)) else None
    return {} if retry_after is None else {"Retry-After": str(math.ceil(retry_after))}
