"""The browser widget's token, which the shop's server signs itself, and the tag that carries it. No I/O."""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Literal

from ..api.addresses import foreign_scheme, is_site_address, names_no_host
from ..api.arguments import check_callback, check_choice, check_flag, check_text, read_clock, shown
from ..api.contract import (
    PINNED_WIDGET_SCRIPT_URL,
    WIDGET_POSITIONS,
    WIDGET_SCRIPT_URL,
    WIDGET_THEMES,
    WIDGET_TOKEN_LIFETIME,
    WIDGET_TOKEN_RENEWAL,
    Environment,
    Locale,
)
from ..errors import UsageError
from ..settings import Secret, check_credentials, checked_locale

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WidgetTokenSigner"]

_VERSION = re.compile(r"\d+(?:\.\d+){0,3}(?:[-+.][0-9A-Za-z.-]+)?")
_INTEGRITY = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/]+={0,2}(?: sha(?:256|384|512)-[A-Za-z0-9+/]+={0,2})*")
_NONCE = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


class WidgetTokenSigner:
    """Signs widget tokens, and writes the tag that carries one. Usable alone, from any number of threads.

    A token is ``base64url(shopId:unixSeconds:hex(HMAC-SHA256(apiKey, shopId:unixSeconds)))`` without padding, valid
    for 24 hours. It is cached and signed again 5 minutes before its end. After a rotation of the key, make a new signer
    at once.

    Args:
        shop_id: The shop's id, ``shop_…``.
        api_key: Its API key. It stays on the server: the token does not tell it.
        environment: Where the key belongs. The tag of a Development shop leads the widget there.
        clock: Gives the Unix time in seconds.

    Raises:
        ConfigurationError: For an id or a key that cannot be one, and other options that cannot work. It never quotes
            the key.

    >>> signer = WidgetTokenSigner("shop_1", "sk_" + "0" * 32, clock=lambda: 1_700_000_000)
    >>> signer.token() == signer.token()
    True
    """

    def __init__(
        self,
        shop_id: str,
        api_key: str | Secret,
        *,
        environment: Environment | str = Environment.PRODUCTION,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._shop_id: str = shop_id
        warn = not isinstance(api_key, Secret)  # a client gives its own, and has warned of it
        self._key: Secret = api_key if isinstance(api_key, Secret) else Secret(api_key)
        del api_key  # should the check fail, no error tracker finds it among the local variables
        check_credentials(shop_id, self._key, warn=warn)
        check_callback("clock", clock, none=False)
        self._environment: Environment = _known_environment(environment)
        self._clock: Callable[[], float] = clock
        self._signed: tuple[int, str] | None = None
        """When the token was signed, and the token. Replaced as one: threads need no lock, which a fork might leave
        locked for ever."""

    def __repr__(self) -> str:
        return f"WidgetTokenSigner(shop_id={self._shop_id!r})"

    def token(self) -> str:
        """A token that is valid for at least 5 more minutes."""
        now = int(read_clock("clock", self._clock))
        signed = self._signed
        if signed is None or not _is_fresh(signed[0], now):
            signed = self._signed = now, self._sign(now)
        return signed[1]

    def script_tag(
        self,
        container: str = "#neuroon-search",
        theme: Literal["auto", "light", "dark"] = "auto",
        *,
        locale: Locale | str | None = None,
        position: Literal["inline", "floating"] | None = None,
        api_url: str | None = None,
        version: str | None = None,
        integrity: str | None = None,
        nonce: str | None = None,
        load_async: bool = True,
        script_url: str | None = None,
    ) -> str:
        """The ``<script>`` element that loads the widget into ``container``; every attribute is escaped.

        Put it next to ``<div id="neuroon-search"></div>``, and render it again for each page: tokens expire.

        Args:
            container: The CSS selector of the element that takes the widget.
            theme: ``"auto"`` (the browser's choice), ``"light"`` or ``"dark"``.
            locale: The widget's language, such as ``"es"`` or ``"es-ES"``. By default the widget finds it out:
                ``?lang=``, then ``<html lang>``, then the browser's.
            position: ``"inline"`` or ``"floating"``. By default the widget's own default, inline.
            api_url: The API that the widget calls. By default that of the environment; an internal address given to
                the client as ``base_url`` is never published.
            version: Pins the script to one published version, such as ``"0.9.10"``.
            integrity: The hash of that version (``sha384-…``), which the browser then checks. Needs ``version`` or
                ``script_url``.
            nonce: The page's nonce, where its Content Security Policy asks for one.
            load_async: Let the page go on while the script loads.
            script_url: Another address of the script.

        Raises:
            UsageError: For a value that the widget does not know, or options that contradict each other.

        >>> signer = WidgetTokenSigner("shop_1", "sk_" + "0" * 32)
        >>> tag = signer.script_tag(theme="dark", locale="es", version="0.9.10")
        """
        check_text("container", container, "#neuroon-search", empty=True)
        check_flag("load_async", load_async)
        check_choice("theme", theme, WIDGET_THEMES)
        check_choice("position", position, (None, *WIDGET_POSITIONS))
        if version is not None and script_url is not None:
            raise UsageError("names the script already", where="script_url", advice="leave version out")
        if integrity is not None and version is None and script_url is None:
            raise UsageError(
                "needs a pinned script: the plain address changes", where="integrity", advice="add version"
            )
        attributes = {
            "src": _script_address(version) if script_url is None else _checked_script(script_url),
            "data-token": self.token(),
            "data-container": container,
            "data-theme": theme,
            "data-locale": None if locale is None else checked_locale(locale),
            "data-position": position,
            "data-api-url": self._api_url() if api_url is None else _checked_address(api_url),
            "integrity": None if integrity is None else _matching("integrity", integrity, _INTEGRITY, "sha384-…"),
            "crossorigin": None if integrity is None else "anonymous",
            "nonce": None if nonce is None else _matching("nonce", nonce, _NONCE, "base64 text"),
        }
        rendered = [f'{name}="{escape(value)}"' for name, value in attributes.items() if value is not None]
        return f"<script {' '.join([*rendered, *(['async'] if load_async else [])])}></script>"

    def _api_url(self) -> str | None:
        """Production is the widget's own default."""
        return None if self._environment is Environment.PRODUCTION else self._environment.value

    def _sign(self, now: int) -> str:
        message = f"{self._shop_id}:{now}"
        signature = hmac.new(self._key.reveal().encode(), message.encode(), sha256).hexdigest()
        return urlsafe_b64encode(f"{message}:{signature}".encode()).rstrip(b"=").decode()


def _is_fresh(signed_at: int, now: int) -> bool:
    # A clock that was set back makes the cached token one from the future, which a server may refuse.
    return 0 <= now - signed_at < WIDGET_TOKEN_LIFETIME - WIDGET_TOKEN_RENEWAL


def _known_environment(environment: Environment | str) -> Environment:
    try:
        return Environment(environment)
    except ValueError:
        names = ", ".join(f"Environment.{known.name}" for known in Environment)
        raise UsageError(
            f"must be one of {names}, got {shown(environment)}",
            where="environment",
            advice="script_tag takes another address of the API as api_url",
        ) from None


def _script_address(version: str | None) -> str:
    if version is None:
        return WIDGET_SCRIPT_URL
    return PINNED_WIDGET_SCRIPT_URL.format(version=_matching("version", version, _VERSION, "'0.9.10'"))


def _checked_script(url: str) -> str:
    check_text("script_url", url, empty=True)
    if foreign_scheme(url) is not None or names_no_host(url):
        raise UsageError(f"must be an http or https address, or a path; got {shown(url)}", where="script_url")
    return url


def _matching(name: str, value: object, pattern: re.Pattern[str], example: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise UsageError(f"must look like {example}, got {shown(value)}", where=name)
    return value


def _checked_address(url: str) -> str:
    if not is_site_address(url):
        raise UsageError(f"must be an address such as {Environment.DEVELOPMENT}, got {shown(url)}", where="api_url")
    return url.rstrip("/")
