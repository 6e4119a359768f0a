"""What a failed attempt died of, in words: one reading of the many exceptions that aiohttp and a resolver raise.

Pure: it is given an exception, and says what happened and what to do where that is known. No class of a library is
named, unless nothing else is known of an exception.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import LineTooLong, PayloadEncodingError

from ..advice import Advice
from .unpacking import DamagedAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CHECK_PROXY",
    "NO_SUCH_NAME",
    "ConnectionLost",
    "Reason",
    "certificate_reason",
    "explain",
    "loss_of",
    "origin_of",
    "proxy_reason",
    "system_words",
]

_LONGEST_TEXT = 300
_ERROR_NUMBER = re.compile(r"\[Errno (\d+)\]")
_TOO_LONG = "Got more than"
"""How aiohttp's two parsers tell of headers over their limit: one by a class, the other in words alone."""
_KINDS = {
    ConnectionResetError: errno.ECONNRESET,
    ConnectionAbortedError: errno.ECONNABORTED,
    ConnectionRefusedError: errno.ECONNREFUSED,
    BrokenPipeError: errno.EPIPE,
}
_PROXY_IS_BUSY = {408, 425, 429}
CHECK_PROXY = Advice("check {proxy}", {"proxy": ...})
NO_SUCH_NAME = Advice(
    "check the address and this machine's network; where only a proxy leads out, name it: {proxy}",
    {"proxy": "http://host:port"},
)
_OWN_AUTHORITY = Advice(
    "where a proxy of your network reads TLS, give its certificate authority: {ssl}", {"ssl": "/path/to/ca.pem"}
)
_OTHER_HOST = Advice(
    "another server answers at this address: check {base_url}, or whether a proxy or a login page of your network "
    "stands between",
    {"base_url": ...},
)
_CLOCK = Advice("check this machine's clock; if it is right, only the server's owner can renew the certificate")
_CERTIFICATE_ADVICE = {9: _CLOCK, 10: _CLOCK, 62: _OTHER_HOST, 63: _OTHER_HOST, 64: _OTHER_HOST}
"""By OpenSSL's code of what was found: not yet valid, expired, and three kinds of another host's."""
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
"""What OpenSSL says where the other side answers in plain text."""


class ConnectionLost(aiohttp.ClientConnectionError):
    """What aiohttp has two names for, under a third one that it does not answer with a request of its own."""


@dataclass(frozen=True, slots=True)
class Reason:
    """``permanent``: trying again cannot help before something is changed."""

    what: str
    advice: Advice | None = None
    permanent: bool = False


def explain(error: Exception, redact: Callable[[str], str], *, connected: bool, proxied: bool = False) -> Reason:
    """The reason of a failure. ``connected``: had the request a connection to be sent over?

    ``proxied``: does the way there lead through a proxy? Until it is connected, whatever answers is that one.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(error, redact)
    certificate = _certificate_error(error)
    if certificate is not None:
        return certificate_reason(certificate, redact)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _not_connected(error)
    by_proxy = proxied and not connected
    problem = _problem(error, who="proxy" if by_proxy else "server", connected=connected)
    text = _text(error, redact)
    return Reason(f"{problem}: {text}" if text else problem, CHECK_PROXY if by_proxy else None)


def certificate_reason(error: ssl.SSLCertVerificationError, redact: Callable[[str], str] = str) -> Reason:
    """Why a certificate is not trusted, and what to do: that depends on what is wrong with it."""
    return Reason(
        f"the server's certificate is not trusted: {redact(error.verify_message or str(error))}",
        _CERTIFICATE_ADVICE.get(error.verify_code, _OWN_AUTHORITY),
        permanent=True,
    )


def system_words(error: OSError) -> str:
    """What the operating system says, without the numbers and tuples that Python puts around it.

    >>> system_words(OSError(None, "Multiple exceptions: [Errno 111] ('::1', 9), [Errno 111] ('127.0.0.1', 9)"))
    'Connection refused'
    """
    if isinstance(error, socket.gaierror):
        return error.strerror or "the name cannot be resolved"
    if isinstance(error, ssl.SSLError):
        return (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
    text = str(error.strerror or error)
    numbers = [error.errno] if error.errno else [int(number) for number in _ERROR_NUMBER.findall(text)]
    words = dict.fromkeys(os.strerror(number) for number in numbers)
    return " / ".join(words) or text or _words_of_kind(error)


def _words_of_kind(error: OSError) -> str:
    """asyncio raises some errors without a word, as where a handshake is cut short."""
    number = next((number for kind, number in _KINDS.items() if isinstance(error, kind)), None)
    return type(error).__name__ if number is None else os.strerror(number)


def loss_of(error: aiohttp.ClientError) -> ConnectionLost:
    """The loss of a connection that a request had been given."""
    if isinstance(error, OSError):
        return ConnectionLost(system_words(error))
    return ConnectionLost("it was closed without an answer")


def _not_connected(error: aiohttp.ClientConnectorError) -> Reason:
    where = f"{error.host}:{error.port}"
    words = system_words(error.os_error)
    advice: Advice | None = None
    if isinstance(error.os_error, socket.gaierror):
        return Reason(f"cannot find the host {error.host}: {words}", NO_SUCH_NAME)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return Reason(f"cannot connect to the proxy {where}: {words}", CHECK_PROXY)
    if isinstance(error.os_error, ssl.SSLError):
        if getattr(error.os_error, "reason", None) in _NO_TLS:
            advice = Advice("what answers there does not speak TLS: check {base_url}", {"base_url": ...})
        return Reason(f"no secure connection to {where}: {words}", advice)
    if isinstance(error.os_error, ConnectionRefusedError) or words == os.strerror(errno.ECONNREFUSED):
        advice = Advice(
            "nothing answers at this port: check {base_url}, and whether the server runs", {"base_url": ...}
        )
    return Reason(f"cannot connect to {where}: {words}", advice)


def _problem(error: Exception, *, who: str, connected: bool) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        too_long = isinstance(error.__cause__, LineTooLong) or _TOO_LONG in error.message
        return f"the {who}'s {'headers are too long' if too_long else 'answer is not HTTP'}"
    if isinstance(error, (aiohttp.ClientPayloadError, DamagedAnswer)):
        return "the answer is incomplete or damaged"
    if connected:
        return "connection lost"
    return "cannot connect" if who == "server" else "cannot connect through the proxy"


def origin_of(address: str) -> str | None:
    """Scheme, host and port of an address; ``None`` where it names no host of its own, or cannot be read."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    if ":" in host:  # an IPv6 address, whose brackets are gone
        host = f"[{host}]"
    return f"{parts.scheme or 'https'}://{host}" + (f":{port}" if port is not None else "")


def _refused_by_proxy(error: aiohttp.ClientHttpProxyError, redact: Callable[[str], str]) -> Reason:
    """A proxy that refuses will refuse again; one that cannot reach the server may be able to soon."""
    return proxy_reason(error.status, _shortened(redact(error.message)))


def proxy_reason(status: int, message: str) -> Reason:
    """Why a proxy did not connect, by its answer to CONNECT."""
    what = f"{status} from the proxy: {message or 'no reason given'}"
    if status == 407:
        login = {"proxy": "http://user:password@host:port"}
        return Reason(what, Advice("give the proxy's user and password: {proxy}", login), permanent=True)
    if status < 400:  # no proxy answers so: a login page's server does
        return Reason(what, CHECK_PROXY)
    if status < 500 and status not in _PROXY_IS_BUSY:
        other = Advice("let the proxy allow this host, or name another one with {proxy}", {"proxy": ...})
        return Reason(what, other, permanent=True)
    return Reason(what)


def _certificate_error(error: Exception) -> ssl.SSLCertVerificationError | None:
    causes: tuple[BaseException | None, ...] = (error, error.__cause__)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        causes = (error.certificate_error,)
    return next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)


def _text(error: Exception, redact: Callable[[str], str]) -> str:
    """What is known besides. Never the request that the exception holds."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return (
            "it ends too early" if isinstance(error.__cause__, PayloadEncodingError) else _shortened(redact(str(error)))
        )
    if isinstance(error, aiohttp.ClientResponseError):
        return _shortened(redact(error.message))
    if isinstance(error, OSError):
        return _shortened(redact(system_words(error)))
    text = _shortened(redact(str(error)))
    if isinstance(error, (ConnectionLost, DamagedAnswer)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}…"
