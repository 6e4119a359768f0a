"""The way to the server, step by step and without a request: name, connection, proxy, TLS. Asks, and judges nothing.

The API key goes nowhere here. A certificate that is not trusted is looked at over a connection of its own, over which
nothing is sent.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..advice import Advice
from ..transport.failures import CHECK_PROXY, NO_SUCH_NAME, Reason, certificate_reason, proxy_reason, system_words
from .certificates import read_certificate
from .observations import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .certificates import Certificate

__all__ = ["Way", "connect"]

_LONGEST_HEAD = 16_384
_NO_HTTP_PROXY = Reason("the proxy does not answer as an HTTP proxy", CHECK_PROXY)


@dataclass(frozen=True, slots=True)
class Way:
    """Where to, and how. ``proxy`` is its address, credentials included. ``timeout`` is in seconds, for each step."""

    base_url: str
    timeout: float
    context: ssl.SSLContext
    proxy: str | None = None
    own_authorities: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def port(self) -> int:
        return _port_of(self.base_url)

    @property
    def encrypted(self) -> bool:
        return urlsplit(self.base_url).scheme == "https"


class _Failed(Exception):
    """A step that ended the way. ``connection`` is what was seen until then."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.what)
        self.reason = reason


async def connect(way: Way) -> Connection:
    """Go the way to its end, or to the first step that fails."""
    seen = Connection(way.host)
    try:
        seen = replace(seen, addresses=await _look_up(way))
        began = _now()
        async with _stream(way) as (_, writer):
            seen = replace(seen, connect_seconds=_now() - began)
            if not way.encrypted:
                return seen
            began = _now()
            await _secure(way, writer, way.context)
            version, certificate = _shown(writer)
            seen = replace(seen, tls=version, tls_seconds=_now() - began, certificate=certificate)
    except ssl.SSLCertVerificationError as error:
        shown = await _certificate_of(way)
        return replace(seen, certificate=shown, problem=certificate_reason(error))
    except _Failed as failed:
        return replace(seen, problem=failed.reason)
    except TimeoutError:
        return replace(seen, problem=_too_slow(way, seen))
    except OSError as error:
        return replace(seen, problem=_broken(way, error, seen))
    if way.own_authorities:
        seen = replace(seen, trusted_by_system=await _trusted(way))
    return seen


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _look_up(way: Way) -> tuple[str, ...]:
    """Where the first connection goes: to the proxy, where there is one; it then looks the server up by itself."""
    host, port = _first_stop(way)
    try:
        async with asyncio.timeout(way.timeout):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        who = "the proxy" if way.proxy is not None else "the host"
        advice = CHECK_PROXY if way.proxy is not None else NO_SUCH_NAME
        raise _Failed(Reason(f"cannot find {who} {host}: {system_words(error)}", advice)) from None
    except UnicodeError:
        raise _Failed(Reason(f"cannot find the host {host}: it is no name that can exist")) from None
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


def _first_stop(way: Way) -> tuple[str, int]:
    if way.proxy is None:
        return way.host, way.port
    return urlsplit(way.proxy).hostname or "", _port_of(way.proxy)


def _port_of(address: str) -> int:
    parts = urlsplit(address)
    return parts.port or (443 if parts.scheme == "https" else 80)


@asynccontextmanager
async def _stream(way: Way) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that leads to the server, over the proxy where there is one; not yet encrypted."""
    host, port = _first_stop(way)
    behind_tls = way.proxy is not None and urlsplit(way.proxy).scheme == "https"
    async with asyncio.timeout(way.timeout):
        reader, writer = await asyncio.open_connection(host, port, ssl=way.context if behind_tls else None)
    try:
        if way.proxy is not None:
            async with asyncio.timeout(way.timeout):
                await _ask_proxy(way, reader, writer)
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()


async def _ask_proxy(way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    target = f"{f'[{way.host}]' if ':' in way.host else way.host}:{way.port}"
    head = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    parts = urlsplit(way.proxy or "")
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        head.append(f"Proxy-Authorization: Basic {base64.b64encode(credentials).decode()}")
    writer.write("\r\n".join([*head, "", ""]).encode())
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise _Failed(_NO_HTTP_PROXY) from None
    version, _, status = answer[:_LONGEST_HEAD].decode("latin-1").partition("\r\n")[0].partition(" ")
    code, _, words = status.partition(" ")
    if not version.startswith("HTTP/") or not code.isdigit():
        raise _Failed(_NO_HTTP_PROXY)
    if not 200 <= int(code) < 300:
        raise _Failed(proxy_reason(int(code), " ".join(words.split())[:300]))


async def _secure(way: Way, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
    async with asyncio.timeout(way.timeout):
        await writer.start_tls(context, server_hostname=way.host)


def _shown(writer: asyncio.StreamWriter) -> tuple[str | None, Certificate | None]:
    """The version of TLS, and the server's certificate."""
    session: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = session.getpeercert(binary_form=True)
    return session.version(), read_certificate(der) if der else None


async def _certificate_of(way: Way) -> Certificate | None:
    """The certificate that was not trusted. Nothing is sent to whoever shows it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(OSError, TimeoutError, _Failed):
        async with _stream(way) as (_, writer):
            await _secure(way, writer, context)
            return _shown(writer)[1]
    return None


def _system_context() -> ssl.SSLContext | None:
    """What trusts the system's authorities alone: ``SSL_CERT_FILE`` would stand in for them. ``None``: not known."""
    if not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
        return ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if not file.is_file() and not folder.is_dir():
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file if file.is_file() else None, folder if folder.is_dir() else None)
    return context


async def _trusted(way: Way) -> bool | None:
    context = _system_context()
    if context is None:
        return None
    try:
        async with _stream(way) as (_, writer):
            await _secure(way, writer, context)
    except ssl.SSLCertVerificationError:
        return False
    except (OSError, TimeoutError, _Failed):
        return None
    return True


def _too_slow(way: Way, seen: Connection) -> Reason:
    step = "name could not be looked up" if not seen.addresses else "connection was not there"
    if seen.connect_seconds is not None:
        step = "TLS handshake did not end"
    advice = Advice(
        "a firewall may drop what is sent; a longer {timeout} tells whether it is only slow", {"timeout": ...}
    )
    return Reason(f"the {step} within {way.timeout:g} s", advice)


def _broken(way: Way, error: OSError, seen: Connection) -> Reason:
    host, port = _first_stop(way)
    words = system_words(error)
    if seen.connect_seconds is not None or isinstance(error, ssl.SSLError):
        advice = Advice("what answers there may not speak TLS: check {base_url}", {"base_url": ...})
        return Reason(f"no secure connection to {way.host}:{way.port}: {words}", advice)
    who, argument = ("the proxy ", "proxy") if way.proxy is not None else ("", "base_url")
    advice = Advice(f"check {{{argument}}}, and whether a firewall is between", {argument: ...})
    return Reason(f"cannot connect to {who}{host}:{port}: {words}", advice)
