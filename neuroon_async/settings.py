"""Who calls, and where: credentials, environments and environment variables, checked once and early.

The API key lives in a `Secret`, which shows itself to nobody who does not ask for it by name.
"""

from __future__ import annotations

import functools
import inspect
import ipaddress
import os
import re
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from .advice import Advice
from .api.addresses import can_be_host
from .api.arguments import check_flag, shown
from .api.contract import API_KEY_VARIABLE, API_URL_VARIABLE, PREFIX, SHOP_ID_VARIABLE, Environment, Locale, as_locale
from .errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Secret",
    "Settings",
    "check_credentials",
    "check_header_value",
    "checked_locale",
    "is_loopback",
    "package_version",
    "settings_from_env",
    "warn_user",
]

_PACKAGE = __name__.partition(".")[0]
_DOCUMENTED_KEY = re.compile(r"sk_[0-9a-fA-F]{32}")
_ESCAPED = re.compile(r"\\(?:u00(?P<code>[2-7][0-9A-Fa-f])|(?P<slash>/))")
"""JSON escapes of printable ASCII, and of the slash."""
_REDACTED = "[API key]"
_TELLING = 11
"""Characters of a key, ``sk_`` and eight digits, that no other text begins with by chance."""
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_HEADER_TEXT = re.compile(r"[\x20-\x7e]+")
_SHOP_ID = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


_USE_HTTPS = Advice(
    "use https; http is accepted for 127.0.0.1, ::1 and localhost only, or with {allow_plain_http} for a network that "
    "you trust",
    {"allow_plain_http": True},
)


class Secret:
    """A string that no ``repr``, ``str``, format, log line or pickle gives away.

    Wherever an API key is taken, a ``Secret`` may be given instead of text; `reveal` gives the text back.

    >>> f"{Secret('sk_0123')}"
    "Secret('***')"
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def redact(self, text: str) -> str:
        """``text`` without this secret, for text that others wrote and the SDK shows: a server may echo what it got.

        A secret that was cut off is recognised by its beginning, and one behind JSON escapes too. One that is too
        short to be told from other text is left out only where it stands as a word of its own.
        """
        value = self._value
        if len(value) < _TELLING:
            return _as_word(value).sub(_REDACTED, text) if value and value in text else text
        plain = _unescaped(text) if "\\" in text else text
        if value[:_TELLING] in plain:
            return self._cut_out(plain)
        return self._cut_out(text) if value[:_TELLING] in text else text

    def _cut_out(self, text: str) -> str:
        """``text`` without the secret or as much of it as is there, however far it was cut off."""
        value, start = self._value, self._value[:_TELLING]
        pieces: list[str] = []
        rest = 0
        while (found := text.find(start, rest)) >= 0:
            end = found + _TELLING
            while end < len(text) and end - found < len(value) and text[end] == value[end - found]:
                end += 1
            pieces += [text[rest:found], _REDACTED]
            rest = end
        return "".join([*pieces, text[rest:]])

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: hand the API key to the other process by its environment")


def _as_word(value: str) -> re.Pattern[str]:
    """Finds this value where no letter or digit goes on with it."""
    before = r"(?<!\w)" if re.match(r"\w", value) else ""
    after = r"(?!\w)" if re.match(r"\w", value[-1]) else ""
    return re.compile(f"{before}{re.escape(value)}{after}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked credentials and addresses. Raises `ConfigurationError`, which never quotes the key."""

    shop_id: str
    api_key: Secret
    base_url: str = Environment.PRODUCTION
    locale: str | None = None
    origin: str | None = None
    user_agent: str | None = None
    allow_plain_http: bool = False

    def __post_init__(self) -> None:
        check_credentials(self.shop_id, self.api_key)
        check_flag("allow_plain_http", self.allow_plain_http)
        base_url = _checked_base_url(self.base_url, plain_http=self.allow_plain_http)
        object.__setattr__(self, "base_url", base_url)
        if self.locale is not None:
            object.__setattr__(self, "locale", checked_locale(self.locale))
        for name, value in (("origin", self.origin), ("user_agent", self.user_agent)):
            if value is not None:
                check_header_value(name, value)


def _unescaped(text: str) -> str:
    """``text`` as a reader takes it, without JSON's escapes of ASCII. For comparing and showing, not for parsing."""
    return _ESCAPED.sub(lambda escape: escape["slash"] or chr(int(escape["code"], 16)), text)


def check_credentials(shop_id: object, api_key: Secret, *, warn: bool = True) -> None:
    """Raise `ConfigurationError` for a shop id or a key that cannot be one. Never quotes the key.

    ``warn``: warn of a key that can be one, and is of another shape than the documented.
    """
    if not isinstance(shop_id, str):
        raise ConfigurationError(f"must be text, such as 'shop_…', got {type(shop_id).__name__}", where="shop_id")
    if _DOCUMENTED_KEY.fullmatch(shop_id):
        raise ConfigurationError(
            "holds what looks like an API key",
            where="shop_id",
            advice=Advice(
                f"the key belongs into {{api_key}} or {API_KEY_VARIABLE}, the shop's id into {SHOP_ID_VARIABLE}",
                {"api_key": ...},
            ),
        )
    _check_key(api_key, warn=warn)
    if not _SHOP_ID.fullmatch(shop_id):
        raise ConfigurationError("must be text without spaces or control characters, such as 'shop_…'", where="shop_id")


def check_header_value(name: str, value: object) -> str:
    """The value. Raises `ConfigurationError` for what a header cannot carry, line breaks above all."""
    if not isinstance(value, str) or not _HEADER_TEXT.fullmatch(value):
        raise ConfigurationError("must be printable ASCII: it becomes a header", where=name)
    return value


def settings_from_env(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """``base_url``, ``api_key`` and ``shop_id``, as far as the environment variables give them."""
    environ = os.environ if environ is None else environ
    variables = {"base_url": API_URL_VARIABLE, "api_key": API_KEY_VARIABLE, "shop_id": SHOP_ID_VARIABLE}
    return {name: environ[variable] for name, variable in variables.items() if environ.get(variable)}


def _check_key(key: Secret, *, warn: bool) -> None:
    # Not kept in a local variable: error trackers show those.
    kind: type = type(key.reveal())
    if not issubclass(kind, (str, type(None))):
        raise ConfigurationError(f"must be text, got {kind.__name__}", where="api_key")
    if not key.reveal():
        raise ConfigurationError(
            "the API key is empty", advice=Advice(f"pass {{api_key}} or set {API_KEY_VARIABLE}", {"api_key": ...})
        )
    if not _HEADER_SAFE.fullmatch(key.reveal()):
        raise ConfigurationError(
            "the API key holds spaces, line breaks or other characters that a header cannot carry; "
            "it looks like 'sk_' and 32 hex digits"
        )
    if warn and not _DOCUMENTED_KEY.fullmatch(key.reveal()):
        warn_user("the API key does not look like 'sk_' and 32 hex digits; it is used as it is")


def warn_user(text: str) -> None:
    """Warn at the line that has called this package, however many of its own functions lie between."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level + 1)


def checked_locale(locale: object) -> str:
    """The locale as ``Accept-Language`` writes it: ``en_GB`` would be unknown there, and answered in Spanish."""
    known = as_locale(locale) if isinstance(locale, str) else None
    if known is None:
        raise UsageError(
            f"must be one of {', '.join(Locale)}, got {shown(locale)}; a region may follow: es-ES", where="locale"
        )
    return known


def _checked_base_url(url: object, *, plain_http: bool) -> str:
    """An absolute https URL without a trailing slash; plain http only to this very machine, unless it is allowed."""

    def refused(what: str, advice: Advice | None = None) -> ConfigurationError:
        return ConfigurationError(what, where="base_url", advice=advice)

    if not isinstance(url, str):
        raise refused(f"must be text, such as 'https://api.neuroon.ai', got {type(url).__name__}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise refused(f"is not a URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not host or not _HEADER_SAFE.fullmatch(url):
        raise refused(f"must be an absolute URL such as 'https://api.neuroon.ai'{_missing_part(parts)}")
    if parts.username is not None or parts.password is not None or "?" in url or "#" in url:
        raise refused("must hold no user, password, query or fragment")
    if parts.scheme == "http" and not plain_http and not is_loopback(host):
        raise refused(f"uses plain http to {host}: the API key would travel unencrypted", _USE_HTTPS)
    if port == 0 or not can_be_host(host):
        raise refused(f"names a host that cannot exist: {host!r}" + (" at port 0" if port == 0 else ""))
    address = url.rstrip("/")
    # As copied from a page: each call would get the API's own 404, as if no product were there.
    if f"{PREFIX.rpartition('/')[0]}/" in f"{address}/":
        raise refused(f"must not hold the path {PREFIX}, which the SDK adds")
    return address


def _missing_part(parts: SplitResult) -> str:
    if not parts.scheme:
        return "; it does not begin with https://"
    if parts.scheme not in {"http", "https"}:
        return "; it is neither https nor http"
    if not parts.hostname:
        return "; it names no host"
    return "; it holds a space, a line break or a letter beyond ASCII (a host with such is written xn--…)"


def is_loopback(host: str) -> bool:
    """Is this the very machine that the program runs on?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.cache
def package_version() -> str:
    """The installed version of this package. Read once: to find it takes longer than to make a client."""
    try:
        return version("neuroon-async")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0"
