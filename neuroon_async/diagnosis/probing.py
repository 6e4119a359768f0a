"""Asks the server, one attempt a question, and only questions that change nothing. Judges nothing.

The requests go the way of the SDK's own, without its retries. Together they are at most a tenth of what each limit
allows, whichever way the server counts; so nothing is ever asked under ``/verify``, which takes 5 requests in 300 s.
"""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from yarl import URL

from ..api.contract import HEALTH, PREFIX, SHOP, VERIFICATION_DATA, Endpoint, Environment
from ..api.responses import Response
from ..errors import APIError, ConfigurationError
from ..settings import Secret, Settings, check_credentials
from ..transport.calls import Call, CallStats
from ..transport.exchange import HttpExchange
from ..transport.failures import origin_of
from ..transport.routes import ProxyChoice, Route, proxy_from_env
from ..transport.session import SessionHolder
from ..transport.time_limit import TimeLimit
from .connection import Way, connect
from .observations import Exchange, KeyShape, Observations, Probe, Setup

__all__ = ["Access", "examine"]

_LONGEST_BODY = 8_192
_NOBODY = "shop_neuroon_doctor_asks_for_no_shop"
"""An id that no shop has. How the server refuses it shows what it says of a foreign shop."""
_UNKNOWN_PATH = Endpoint("unknown_path", "GET", f"{PREFIX}/{{shop_id}}/neuroon-doctor", None, repeat_safe=True)
_WRONG_METHOD = Endpoint("wrong_method", "GET", f"{PREFIX}/{{shop_id}}/products/neuroon-doctor", None, repeat_safe=True)
_REFERER = "https://neuroon-doctor.invalid/"
_ANY_KEY = re.compile(r"sk_(?:live_)?\w{16,}")
_DOCUMENTED_KEY = re.compile(r"sk_[0-9a-fA-F]{32}")


def _each_others() -> Mapping[str, str]:
    here, there = Environment.PRODUCTION, Environment.DEVELOPMENT
    return {here: there, there: here}


@dataclass(frozen=True, slots=True)
class Access:
    """What the user gave, and how patient to be.

    Args:
        base_url: The API's address.
        shop_id: The shop's id, where there is one.
        api_key: Its key, where there is one.
        proxy: The proxy's address; by default that of ``environ``.
        ca_file: Certificate authorities to trust beside the system's.
        allow_plain_http: Accept an http address of another machine.
        timeout: Seconds for each step of the way and for each request; 15 by default.
        environ: Where ``HTTPS_PROXY`` and ``NO_PROXY`` are looked up; nowhere by default.
        other_environments: Where else the key may belong, by the address that it is used at.
        wall_clock: Gives the Unix time in seconds.
    """

    base_url: str
    shop_id: str | None
    api_key: Secret | None
    proxy: ProxyChoice | None = None
    ca_file: str | os.PathLike[str] | None = None
    allow_plain_http: bool = False
    timeout: float = 15.0
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    other_environments: Mapping[str, str] = field(default_factory=_each_others)
    wall_clock: Callable[[], float] = time.time


async def examine(access: Access) -> Observations:
    """Look at everything that is worth looking at. Raises nothing: what goes wrong is what was to be seen."""
    at = datetime.fromtimestamp(access.wall_clock(), UTC)
    setup = Setup(_without_keys(access.base_url), _without_keys(access.shop_id or ""), _key_shape(access.api_key))
    try:
        _check_address(access)
        chosen = proxy_from_env(access.base_url, access.environ) if access.proxy is None else access.proxy
        route = Route(chosen, access.ca_file)
        proxy = route.proxy_for(URL(access.base_url))
    except ConfigurationError as problem:
        return Observations(replace(setup, problem=problem), at)
    setup = replace(setup, proxy=proxy and origin_of(proxy), own_authorities=access.ca_file is not None)
    try:
        check_credentials(access.shop_id or "", access.api_key or Secret(""))
    except ConfigurationError as problem:
        setup = replace(setup, problem=problem)
    connection = await connect(_way(access, route, proxy))
    exchanges: dict[Probe, Exchange] = {}
    if connection.problem is None and setup.problem is None and access.api_key is not None and access.shop_id:
        exchanges = await _ask(access, access.api_key, access.shop_id, route, proxy)
    return Observations(setup, at, connection, exchanges)


def _without_keys(text: str) -> str:
    """What was given where no key belongs: a user may have exchanged the variables."""
    return _ANY_KEY.sub("[an API key]", text)


def _key_shape(key: Secret | None) -> KeyShape:
    # Not kept in a local variable: error trackers show those.
    if key is None or not key.reveal():
        return KeyShape.MISSING
    if _DOCUMENTED_KEY.fullmatch(key.reveal()):
        return KeyShape.DOCUMENTED
    return KeyShape.OLDER if key.reveal().startswith("sk_live_") else KeyShape.OTHER


def _check_address(access: Access) -> None:
    """Raise `ConfigurationError` for an address that cannot work, whatever the credentials are."""
    Settings("shop", Secret("sk_" + "0" * 32), access.base_url, allow_plain_http=access.allow_plain_http)


def _way(access: Access, route: Route, proxy: str | None) -> Way:
    context = route.ssl if isinstance(route.ssl, ssl.SSLContext) else ssl.create_default_context()
    return Way(access.base_url, access.timeout, context, proxy, own_authorities=access.ca_file is not None)


class _Asking:
    """Asks at one address with one key, and keeps what came."""

    def __init__(self, access: Access, settings: Settings, session: SessionHolder, route: Route) -> None:
        self._access = access
        self._settings = settings
        self._exchange = HttpExchange(settings, session, route)

    async def ask(self, endpoint: Endpoint, **params: str) -> Exchange:
        clock, redact = self._access.wall_clock, self._settings.api_key.redact
        call = Call(
            endpoint=endpoint,
            url=URL(self._settings.base_url + endpoint.path_for(**params), encoded=True),
            body=None,
            idempotency_key=None,
            bulk=False,
            timeout=self._access.timeout,
            limit=TimeLimit(),
            stats=CallStats(),
        )
        sent_at = clock()
        result = await self._exchange.send(call)
        return Exchange(
            endpoint=endpoint,
            url=redact(str(call.url)),
            outcome=result.outcome,
            sent_at=sent_at,
            came_at=clock(),
            headers={name: redact(value) for name, value in (result.headers or {}).items()},
            body=redact(result.body[: 4 * _LONGEST_BODY].decode("utf-8", "replace"))[:_LONGEST_BODY],
        )


async def _ask(access: Access, key: Secret, shop_id: str, route: Route, proxy: str | None) -> dict[Probe, Exchange]:
    """The questions, each only where the answers before it leave it a sense."""
    session = SessionHolder(None)
    settings = Settings(
        shop_id, key, access.base_url, user_agent="neuroon-doctor", allow_plain_http=access.allow_plain_http
    )
    here = _Asking(access, settings, session, route)
    seen: dict[Probe, Exchange] = {}
    try:
        seen[Probe.HEALTH] = await here.ask(HEALTH)
        seen[Probe.SHOP] = first = await here.ask(SHOP)
        if first.status == 401 and (other := access.other_environments.get(settings.base_url)) is not None:
            there = _Asking(access, replace(settings, base_url=other), session, route)
            seen[Probe.ELSEWHERE] = await there.ask(SHOP)
        if not _worth_asking_more(first):
            return seen
        seen[Probe.VERIFICATION_DATA] = own = await here.ask(VERIFICATION_DATA, shop_id=shop_id)
        if isinstance(first.outcome, Response):
            seen[Probe.SHOP_AGAIN] = await here.ask(SHOP)
            with_referer = _Asking(access, settings, session, _with_referer(route, proxy))
            seen[Probe.REFERER] = await with_referer.ask(SHOP)
        if own.status != 429:
            seen[Probe.FOREIGN_SHOP] = await here.ask(VERIFICATION_DATA, shop_id=_NOBODY)
        seen[Probe.UNKNOWN_PATH] = await here.ask(_UNKNOWN_PATH, shop_id=shop_id)
        seen[Probe.WRONG_METHOD] = await here.ask(_WRONG_METHOD, shop_id=shop_id)
    finally:
        await session.close()
    return seen


def _worth_asking_more(shop: Exchange) -> bool:
    """Did the API itself answer, with a key that it knows? Nobody learns more from a server that is ill."""
    if isinstance(shop.outcome, Response):
        return True
    return isinstance(shop.outcome, APIError) and shop.outcome.status in {403, 429}


def _with_referer(route: Route, proxy: str | None) -> Route:
    """The SDK refuses this header to everybody else: what the server makes of it is the question here."""
    other = Route(proxy)
    other.ssl, other.headers = route.ssl, {**route.headers, "Referer": _REFERER}
    return other
