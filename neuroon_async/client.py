"""`NeuroonClient`: owns the session and the limits, hands out one resource for each documented flow."""

from __future__ import annotations

import os
from copy import copy
from typing import TYPE_CHECKING, Self, TypedDict, TypeVar, Unpack

from .api.arguments import check_capable, shown
from .api.contract import (
    API_KEY_VARIABLE,
    DOCUMENTED_RATE_LIMITS,
    HEALTH,
    SHOP,
    SHOP_ID_VARIABLE,
    Environment,
    RateLimit,
)
from .api.results import Health, Shop
from .errors import ConfigurationError, NeuroonError
from .instrumentation.log_lines import set_up_from_env
from .limits.local import LocalLimiter
from .limits.tables import limit_table
from .resources.conversions import Conversions
from .resources.domain import Domain
from .resources.products import Products
from .resources.widget import WidgetTokenSigner
from .settings import Secret, Settings, settings_from_env
from .transport.exchange import HttpExchange
from .transport.retries import RetryPolicy
from .transport.routes import Route, proxy_from_env
from .transport.session import SessionHolder
from .transport.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext
    from types import TracebackType

    import aiohttp

    from .api.contract import Locale
    from .instrumentation import Instrumentation
    from .limits.protocols import Limiter, LimitState
    from .transport.routes import ProxyChoice

__all__ = ["ClientOptions", "NeuroonClient"]

T = TypeVar("T")


class ClientOptions(TypedDict, total=False):
    """The arguments of `NeuroonClient`, for functions that pass them on."""

    shop_id: str
    api_key: str | Secret
    environment: Environment | str
    base_url: str | None
    locale: Locale | str | None
    origin: str | None
    user_agent: str | None
    timeout: float
    retry: RetryPolicy | None
    rate_limits: Mapping[str, RateLimit | None] | None
    limiter: Limiter | None
    session: aiohttp.ClientSession | None
    instrumentation: Instrumentation | None
    proxy: ProxyChoice | Secret | None
    ssl: SSLContext | str | os.PathLike[str] | None
    headers: Mapping[str, str] | None
    allow_plain_http: bool


_SET_BOTH = (
    f"set {API_KEY_VARIABLE} and {SHOP_ID_VARIABLE}; without an account, 'neuroon sandbox' offers the same API on this "
    "machine, and prints both"
)


class NeuroonClient:
    """The Plugin API of one shop.

    Create it once, in the application's event loop, and share it: rate limits are kept per client. Nothing is opened
    before the first call; close it with ``async with`` or `aclose`.

    Args:
        shop_id: The shop's id, ``shop_…``.
        api_key: The shop's key. No error, log line, ``repr`` or traceback shows it.
        environment: `Environment.PRODUCTION` by default, or `Environment.DEVELOPMENT`.
        base_url: Another address, which wins over ``environment``. https, unless it leads to this machine.
        locale: The language of the server's messages, such as ``"es"`` or ``"en-GB"``; the server's default is Spanish.
        origin: Sent as ``Origin``; it must then be the shop's registered URL. Not sent by default.
        user_agent: ``your-app/version``, put before the SDK's own.
        timeout: Seconds for one attempt: that long to connect, and that long for the server to answer afterwards. 30 by
            default. Waiting for the rate limit or for a free connection is not counted.
        retry: When to try again, and for how long: see `RetryPolicy`.
        rate_limits: Overrides the documented table by endpoint name; ``None`` for a name, or for all, switches off.
        limiter: A limiter shared with other clients or processes, instead of ``rate_limits``.
        session: An aiohttp session of your own: used with its connection limit, and never closed. By default the
            client opens one with 128 connections.
        instrumentation: Sees every request: `neuroon_async.instrumentation.opentelemetry`, or one of your own.
        proxy: The address of an HTTP proxy, perhaps as a `Secret`, or a function that gives one, or ``None``, for the
            URL of a request. Loopback and plain http never use it. `from_env` takes it from ``HTTPS_PROXY`` and
            ``NO_PROXY``.
        ssl: The file of certificate authorities to trust beside the system's, or an `ssl.SSLContext`.
        headers: Sent with every request; never those that the SDK itself sends.
        allow_plain_http: Accept an http ``base_url`` that leads to another machine, such as an emulator in a container
            network. The key then travels unencrypted.

    Raises:
        ConfigurationError: For settings that cannot work. It never quotes the key.

    An answer is read up to 16 MiB, unpacked.

    >>> async def main():
    ...     async with NeuroonClient(shop_id="shop_1", api_key="sk_…") as client:
    ...         print(await client.shop())
    """

    def __init__(
        self,
        *,
        shop_id: str,
        api_key: str | Secret,
        environment: Environment | str = Environment.PRODUCTION,
        base_url: str | None = None,
        locale: Locale | str | None = None,
        origin: str | None = None,
        user_agent: str | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        rate_limits: Mapping[str, RateLimit | None] | None = DOCUMENTED_RATE_LIMITS,
        limiter: Limiter | None = None,
        session: aiohttp.ClientSession | None = None,
        instrumentation: Instrumentation | None = None,
        proxy: ProxyChoice | Secret | None = None,
        ssl: SSLContext | str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        allow_plain_http: bool = False,
    ) -> None:
        set_up_from_env()
        key = api_key if isinstance(api_key, Secret) else Secret(api_key)
        by_proxy = _hidden(proxy)  # its address may hold a password
        del api_key, proxy  # should a check below fail, no error tracker finds them among the local variables
        address = _address_of(environment)
        settings = Settings(
            shop_id=shop_id,
            api_key=key,
            base_url=address if base_url is None else base_url,
            locale=locale,
            origin=origin,
            user_agent=user_agent,
            allow_plain_http=allow_plain_http,
        )
        check_capable("limiter", limiter, ("acquire",), "a Limiter, such as LocalLimiter or RedisLimiter")
        check_capable("session", session, ("request",), "an aiohttp.ClientSession")
        check_capable("instrumentation", instrumentation, ("attempt", "waited"), "an Instrumentation")
        if limiter is None and rate_limits is not None:
            limiter = LocalLimiter(limit_table(rate_limits))
        self._session = SessionHolder(session)
        self._widget = WidgetTokenSigner(
            shop_id, settings.api_key, environment=_widget_environment(settings.base_url, environment)
        )
        retry = RetryPolicy() if retry is None else retry
        exchange = HttpExchange(settings, self._session, Route(by_proxy, ssl, headers))
        places = self._session.places
        self._use(
            Transport(settings, exchange, limiter, retry, timeout, places=places, instrumentation=instrumentation)
        )

    @classmethod
    def from_env(cls, **overrides: Unpack[ClientOptions]) -> Self:
        """A client by ``NEUROON_API_KEY``, ``NEUROON_SHOP_ID`` and, optionally, ``NEUROON_API_URL``.

        Its proxy is that of ``HTTPS_PROXY``, unless ``NO_PROXY`` exempts the address. Keyword arguments are those of
        the class and win. Raises `ConfigurationError` where a variable is missing.
        """
        arguments: ClientOptions = {**settings_from_env(os.environ), **overrides}  # type: ignore[typeddict-item]
        if "environment" in overrides and "base_url" not in overrides:
            arguments.pop("base_url", None)
        overrides.pop("api_key", None)
        overrides.pop("proxy", None)
        # Nor as text here: should something below fail, no error tracker finds it among the variables.
        if "api_key" in arguments:
            arguments["api_key"] = _hidden(arguments["api_key"])
        if "proxy" in arguments:
            arguments["proxy"] = _hidden(arguments["proxy"])
        for option, variable in (("api_key", API_KEY_VARIABLE), ("shop_id", SHOP_ID_VARIABLE)):
            if not arguments.get(option):
                raise ConfigurationError(f"the environment variable {variable} is not set", advice=_SET_BOTH)
        if "proxy" not in arguments:
            base_url = arguments.get("base_url") or _address_of(arguments.get("environment", Environment.PRODUCTION))
            arguments["proxy"] = _hidden(proxy_from_env(base_url, os.environ))
        return cls(**arguments)

    def with_options(self, *, retry: RetryPolicy | None = None, timeout: float | None = None) -> Self:
        """The same client with another retry policy or timeout (seconds). Cheap: session and limits are shared.

        So closing either of them closes both.

        >>> hurried = client.with_options(timeout=2.0, retry=RetryPolicy(attempts=1))     # doctest: +SKIP
        """
        other = copy(self)
        other._use(self._transport.with_options(retry=retry, timeout=timeout))  # noqa: SLF001 - its own copy
        return other

    def _use(self, transport: Transport) -> None:
        self._transport = transport
        self._products = Products(transport)
        self._domain = Domain(transport)
        self._conversions = Conversions(transport)

    @property
    def products(self) -> Products:
        """The catalog: sync and delete products."""
        return self._products

    @property
    def domain(self) -> Domain:
        """Domain verification."""
        return self._domain

    @property
    def conversions(self) -> Conversions:
        """Conversion tracking."""
        return self._conversions

    @property
    def widget(self) -> WidgetTokenSigner:
        """The browser widget's token and tag. Not async: signing needs no I/O."""
        return self._widget

    @property
    def shop_id(self) -> str:
        return self._transport.settings.shop_id

    @property
    def retry(self) -> RetryPolicy:
        """The policy in use."""
        return self._transport.retry

    async def shop(self, *, timeout: float | None = None) -> Shop:
        """The shop's plan. ``timeout``: seconds for one attempt, instead of the client's."""
        return self._transport.decode(await self._transport.call(SHOP, timeout=timeout), Shop)

    async def health(self, *, timeout: float | None = None) -> bool:
        """Does the service say that it is up? ``False`` where it says otherwise or does not answer."""
        try:
            answer = await self._transport.call(HEALTH, timeout=timeout)
            return self._transport.decode(answer, Health).status == "UP"
        except ConfigurationError:
            raise
        except NeuroonError:
            return False

    def limits(self) -> dict[str, LimitState]:
        """What is left of each endpoint's limit now, as far as this client's limiter knows; empty without one."""
        limiter = self._transport.limiter
        return {} if limiter is None else limiter.limits()

    async def aclose(self) -> None:
        """Close the session, unless it is your own, and end what is under way. May be called twice.

        Calls of this client and of its copies (`with_options`) end at once with `ClientClosed`, wherever they are:
        waiting for the rate limit, for a retry or for a connection, or in flight (``maybe_processed`` then says so).
        Bulk runs raise it with their report. Other clients on the same limiter or session go on.
        """
        self._session.mark_closed()
        self._transport.open_calls.close()
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        transport: Transport | None = getattr(self, "_transport", None)
        if transport is None:  # in the making, as a traceback with local variables may show it
            return "NeuroonClient(…)"
        settings = transport.settings
        return f"NeuroonClient(shop_id={settings.shop_id!r}, base_url={settings.base_url!r})"


def _widget_environment(base_url: str, environment: Environment | str) -> Environment:
    """Where the widget's token works. An address of the user's own, which may be internal, is never published."""
    named = (base_url, environment)
    return next((Environment(name) for name in named if name in set(Environment)), Environment.PRODUCTION)


def _address_of(environment: Environment | str) -> str:
    try:
        return Environment(environment).value
    except ValueError:
        names = ", ".join(f"Environment.{known.name}" for known in Environment)
        raise ConfigurationError(
            f"environment must be one of {names}, got {shown(environment)}; base_url takes other addresses"
        ) from None


def _hidden(value: T) -> T | Secret:
    """Text as a `Secret`. Anything else, and text that is empty, as it is."""
    return Secret(value) if isinstance(value, str) and value else value
