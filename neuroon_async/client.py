"""`NeuroonClient`: owns the session and the limits, hands out one resource for each documented flow."""

from __future__ import annotations

import os
from copy import copy
from typing import TYPE_CHECKING, Any, Self

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
from .limits.local import LocalLimiter
from .limits.policy import limit_table
from .resources.conversions import Conversions
from .resources.domain import Domain
from .resources.products import Products
from .resources.widget import WidgetTokenSigner
from .settings import Secret, Settings, settings_from_env
from .transport.exchange import HttpExchange
from .transport.retries import RetryPolicy
from .transport.session import SessionHolder
from .transport.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import aiohttp

    from .api.contract import Locale
    from .instrumentation import Instrumentation
    from .limits.protocols import Limiter, LimitState

__all__ = ["NeuroonClient"]


class NeuroonClient:
    """The Plugin API of one shop.

    Create it once, in the application's event loop, and share it: rate limits are kept per client. Nothing is opened
    before the first call; close it with ``async with`` or `aclose`.

    ``timeout`` bounds one attempt, in seconds. ``rate_limits`` overrides the documented table by endpoint name;
    ``None`` switches limits off. ``limiter`` is a limiter shared with other clients or processes, and replaces
    ``rate_limits``. ``session`` is an aiohttp session of your own: it is used and never closed. ``user_agent``
    (``your-app/version``) is put before the SDK's. ``origin``, where given, must be the shop's registered URL.
    ``instrumentation`` is told of every request: `neuroon_async.instrumentation.opentelemetry`, or your own.

    Raises `ConfigurationError`, which never quotes the key, for settings that cannot work.

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
    ) -> None:
        key = api_key if isinstance(api_key, Secret) else Secret(api_key)
        del api_key  # should a check below fail, no error tracker finds it among the local variables
        settings = Settings(
            shop_id=shop_id,
            api_key=key,
            base_url=_address_of(environment) if base_url is None else base_url,
            locale=locale,
            origin=origin,
            user_agent=user_agent,
        )
        if limiter is None and rate_limits is not None:
            limiter = LocalLimiter(limit_table(rate_limits))
        self._session = SessionHolder(session)
        self._widget = WidgetTokenSigner(shop_id, settings.api_key)
        retry = RetryPolicy() if retry is None else retry
        exchange = HttpExchange(settings, self._session)
        places = self._session.places
        self._use(
            Transport(settings, exchange, limiter, retry, timeout, places=places, instrumentation=instrumentation)
        )

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """A client by ``NEUROON_API_KEY``, ``NEUROON_SHOP_ID`` and, optionally, ``NEUROON_API_URL``.

        Keyword arguments are those of the class and win. Raises `ConfigurationError` where a variable is missing.
        """
        arguments: dict[str, Any] = {**settings_from_env(os.environ), **overrides}
        if "environment" in overrides and "base_url" not in overrides:
            arguments.pop("base_url", None)
        for name, variable in (("api_key", API_KEY_VARIABLE), ("shop_id", SHOP_ID_VARIABLE)):
            if not arguments.get(name):
                raise ConfigurationError(f"the environment variable {variable} is not set")
        if not isinstance(arguments["api_key"], Secret):
            arguments["api_key"] = Secret(arguments["api_key"])
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

    async def shop(self) -> Shop:
        """The shop's plan."""
        return self._transport.decode(await self._transport.call(SHOP), Shop)

    async def health(self) -> bool:
        """Does the service say that it is up? ``False`` where it says otherwise or does not answer."""
        try:
            answer = await self._transport.call(HEALTH)
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


def _address_of(environment: Environment | str) -> str:
    try:
        return Environment(environment).value
    except ValueError:
        names = ", ".join(f"Environment.{known.name}" for known in Environment)
        raise ConfigurationError(
            f"environment must be one of {names}, got {environment!r}; base_url takes other addresses"
        ) from None
