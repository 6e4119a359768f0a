"""What a failed attempt died of, in words: one reading of the many exceptions that aiohttp and a resolver raise.

Pure: it is given an exception, and says what happened, with the library's own text, and what to do where that is known.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from .unpacking import DamagedAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ConnectionLost", "Reason", "explain", "origin_of"]

_LONGEST_TEXT = 300
_HOW_IT_VERIFIES = re.compile(r" ssl:(?:<[^<>]*>|default|True|False|None)(?= |$)")
"""aiohttp shows the object that verifies certificates, which tells the reader nothing."""
_TOO_LONG = "Got more than"
"""How aiohttp's two parsers tell of headers over their limit: one by a class, the other in words alone."""


class ConnectionLost(aiohttp.ClientConnectionError):
    """What aiohttp has two names for, under a third one that it does not answer with a request of its own."""


@dataclass(frozen=True, slots=True)
class Reason:
    """``permanent``: trying again cannot help before something is changed."""

    what: str
    advice: str | None = None
    permanent: bool = False


def explain(error: Exception, redact: Callable[[str], str], *, connected: bool) -> Reason:
    """The reason of a failure. ``connected``: had the request a connection to be sent over?"""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(error, redact)
    certificate = _certificate_error(error)
    if certificate is not None:
        return Reason(
            f"the server's certificate is not trusted: {redact(certificate.verify_message or str(certificate))}",
            "where a proxy of your network reads TLS, give its certificate authority: ssl='/path/to/ca.pem'",
            permanent=True,
        )
    return Reason(f"{_problem(error, connected=connected)}: {_text(error, redact)}")


def _problem(error: Exception, *, connected: bool) -> str:
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"cannot connect to the proxy {error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientResponseError):
        too_long = isinstance(error.__cause__, LineTooLong) or _TOO_LONG in error.message
        return f"the server's {'headers are too long' if too_long else 'answer is not HTTP'}"
    if isinstance(error, (aiohttp.ClientPayloadError, DamagedAnswer)):
        return "the answer is incomplete or damaged"
    return "connection lost" if connected else "cannot connect"


def origin_of(address: str) -> str | None:
    """Scheme, host and port of an address; ``None`` where it names no host of its own, or cannot be read."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    return f"{parts.scheme or 'https'}://{host}" + (f":{port}" if port is not None else "")


def _refused_by_proxy(error: aiohttp.ClientHttpProxyError, redact: Callable[[str], str]) -> Reason:
    """A proxy that refuses will refuse again; one that cannot reach the server may be able to soon."""
    what = f"{error.status} from the proxy: {_shortened(redact(error.message)) or 'no reason given'}"
    if error.status == 407:
        return Reason(
            what, "give the proxy's user and password: proxy='http://user:password@host:port'", permanent=True
        )
    if 400 <= error.status < 500:
        return Reason(what, "let the proxy allow this host, or give another proxy", permanent=True)
    return Reason(what)


def _certificate_error(error: Exception) -> ssl.SSLCertVerificationError | None:
    causes: tuple[BaseException | None, ...] = (error, error.__cause__)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        causes = (error.certificate_error,)
    return next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)


def _text(error: Exception, redact: Callable[[str], str]) -> str:
    """The library's text, and its class, for the text alone may say too little. Never the request that it holds."""
    told = error.message if isinstance(error, aiohttp.ClientResponseError) else _HOW_IT_VERIFIES.sub("", str(error))
    text = _shortened(redact(told))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}…"
