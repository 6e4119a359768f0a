"""How requests get to the server: through which proxy, trusting whom, with which headers of the user's own.

Checked once, when the client is made. Loopback and plain http never use a proxy: it would read the API key.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl as tls
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from ..advice import Advice
from ..api.addresses import can_be_host
from ..api.arguments import check_callback, shown
from ..errors import ConfigurationError
from ..settings import Secret, check_header_value, is_loopback
from .failures import system_words

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["ProxyChoice", "Route", "may_use_proxy", "proxy_from_env"]

ProxyChoice = str | Callable[[str], str | None]
"""The address of a proxy, or a function that gives one, or ``None``, for the address of a request."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWNED = {
    "accept": None,
    "accept-encoding": None,
    "accept-language": "locale",
    "connection": None,
    "content-encoding": None,
    "content-length": None,
    "content-type": None,
    "expect": None,
    "host": None,
    "origin": "origin",
    "proxy-authorization": "proxy",
    "referer": None,
    "te": None,
    "trailer": None,
    "transfer-encoding": None,
    "upgrade": None,
    "user-agent": "user_agent",
    "x-idempotency-key": None,
    "x-shop-api-key": "api_key",
}
"""Headers that the SDK decides about, with the argument that is meant for them, where there is one."""


class Route:
    """The checked options. Its ``repr`` tells none of them: a proxy's address may hold a password, a header a token.

    ``ssl`` is a context, or the file of certificate authorities to trust beside the system's.
    Raises `ConfigurationError` for what cannot work.
    """

    def __init__(
        self,
        proxy: ProxyChoice | Secret | None = None,
        ssl: tls.SSLContext | str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if proxy is not None and not isinstance(proxy, (str, Secret)):
            if not callable(proxy):  # its value is not shown: it may hold a password
                raise ConfigurationError(
                    f"must be an address or a function of one, got {type(proxy).__name__}", where="proxy"
                )
            check_callback("proxy", proxy)
        self._proxy = Secret(proxy) if isinstance(proxy, str) else proxy
        del proxy  # should a check below fail, no error tracker finds its password among the local variables
        if isinstance(self._proxy, Secret):
            _check_proxy(self._proxy, "proxy")
        self.ssl: tls.SSLContext | bool = True if ssl is None else _context_of(ssl)
        self.headers: Mapping[str, str] = _checked_headers({} if headers is None else headers)

    def proxy_for(self, url: URL) -> str | None:
        """The proxy of a request to ``url``."""
        if self._proxy is None or not may_use_proxy(url):
            return None
        if isinstance(self._proxy, Secret):
            return self._proxy.reveal()
        chosen = self._proxy(str(url))
        if chosen is not None:
            _check_proxy(Secret(chosen), "proxy")
        return chosen

    def always_uses_proxy(self, url: URL) -> bool:
        """Does every request to ``url`` go through one? A function decides anew each time, and is not asked here."""
        return isinstance(self._proxy, Secret) and may_use_proxy(url)

    def __repr__(self) -> str:
        return "Route(…)"


def may_use_proxy(url: URL) -> bool:
    """A proxy sees all of a plain request, the API key too; and this machine is reached without one."""
    return url.scheme == "https" and not is_loopback(url.host or "")


def proxy_from_env(base_url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that ``HTTPS_PROXY`` names for ``base_url``, unless ``NO_PROXY`` exempts it. Also in lower case."""
    named = _named_proxy(base_url, environ)
    del environ  # it holds the API key, and so would the local variables of an error
    if named is None:
        return None
    name, address = named
    _check_proxy(address, name)
    return address.reveal()


def _named_proxy(base_url: str, environ: Mapping[str, str]) -> tuple[str, Secret] | None:
    """The variable that decides, and the address in it."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port or 443
    except (ValueError, TypeError, AttributeError):
        return None  # no address, as the settings will say
    name = next((name for name in ("https_proxy", "HTTPS_PROXY") if environ.get(name, "").strip()), None)
    if name is None or parts.scheme != "https" or is_loopback(host):
        return None
    exempt = environ.get("no_proxy", "").strip() or environ.get("NO_PROXY", "")
    if any(_covers(entry.strip().lower(), host, port) for entry in exempt.split(",")):
        return None
    address = environ[name].strip()
    return name, Secret(address if "://" in address else f"http://{address}")


def _covers(entry: str, host: str, port: int) -> bool:
    """Does this entry of ``NO_PROXY`` exempt the host? A name stands for its subdomains, a network for all in it."""
    if entry == "*":
        return True
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit() and ":" not in name:
        if int(number) != port:
            return False
        entry = name
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name = entry.removeprefix("*").removeprefix(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))


def _check_proxy(address: Secret, where: str) -> None:
    """Never quotes the address, nor keeps it in a variable: it may hold a password."""
    if not _is_http_proxy(address):
        raise ConfigurationError("must be the address of an HTTP proxy, such as http://proxy.example:3128", where=where)


def _is_http_proxy(address: Secret) -> bool:
    try:
        parts = urlsplit(address.reveal())
        return parts.scheme in {"http", "https"} and parts.port != 0 and can_be_host(parts.hostname or "")
    except (ValueError, TypeError, AttributeError):
        return False


def _context_of(ssl: object) -> tls.SSLContext:
    if isinstance(ssl, tls.SSLContext):
        return ssl
    if not isinstance(ssl, str) and not hasattr(ssl, "__fspath__"):
        raise ConfigurationError(
            f"must be an SSLContext or the path of a file of certificate authorities, got {shown(ssl)}", where="ssl"
        )
    path = os.fspath(cast("str | os.PathLike[str]", ssl))
    context = tls.create_default_context()
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        why = system_words(error) if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"{path} cannot be read as a file of certificate authorities: {why}", where="ssl"
        ) from None
    return context


def _checked_headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"must map names to values, got {type(headers).__name__}", where="headers")
    given = cast("Mapping[object, object]", headers)
    checked: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigurationError(f"holds {name!r}, which is no name of a header", where="headers")
        if name.lower() in _OWNED:
            argument = _OWNED[name.lower()]
            advice = None if argument is None else Advice(f"use the argument {{{argument}}}", {argument: ...})
            raise ConfigurationError(f"must not hold {name}: the SDK itself sends it", where="headers", advice=advice)
        checked[name] = check_header_value(f"headers[{name!r}]", value)
    return checked
