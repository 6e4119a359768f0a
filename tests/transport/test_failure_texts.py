"""What a failed request says: what happened and what to do, without the library's objects and classes in it."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import PayloadEncodingError

from neuroon_async.transport.failures import certificate_reason, explain, loss_of, proxy_reason, system_words

REFUSED = os.strerror(errno.ECONNREFUSED)


def connecting_failed(error, *, verifies=True, kind=aiohttp.ClientConnectorError):
    key = ConnectionKey(
        "shop.example", 443, is_ssl=True, ssl=verifies, proxy=None, proxy_auth=None, proxy_headers_hash=None
    )
    return explain(kind(key, error), str, connected=False)


def told(reason):
    return f"{reason.what}; {reason.advice}" if reason.advice else reason.what


def tls_error(kind, reason):
    error = kind(1, f"[SSL: {reason}] something (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize("verifies", [True, False, ssl.create_default_context()])
@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 443)"),
        OSError(
            f"Multiple exceptions: [Errno {errno.ECONNREFUSED}] Connect call failed ('::1', 443, 0, 0), "
            f"[Errno {errno.ECONNREFUSED}] Connect call failed ('127.0.0.1', 443)"
        ),
    ],
    ids=["one address", "several"],
)
def test_a_refused_connection_is_told_in_words(error, verifies):
    reason = connecting_failed(error, verifies=verifies)
    assert reason.what == f"cannot connect to shop.example:443: {REFUSED}"
    assert str(reason.advice) == "nothing answers at this port: check base_url, and whether the server runs"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (
            connecting_failed(socket.gaierror(-2, "Name or service not known"), kind=aiohttp.ClientConnectorDNSError),
            (
                "cannot find the host shop.example: Name or service not known; check the address and this machine's "
                "network; where only a proxy leads out, name it: proxy='http://host:port'"
            ),
        ),
        (
            connecting_failed(OSError(errno.ENETUNREACH, "x"), kind=aiohttp.ClientProxyConnectionError),
            f"cannot connect to the proxy shop.example:443: {os.strerror(errno.ENETUNREACH)}; check proxy",
        ),
        (
            connecting_failed(tls_error(ssl.SSLError, "WRONG_VERSION_NUMBER"), kind=aiohttp.ClientConnectorSSLError),
            (
                "no secure connection to shop.example:443: wrong version number; "
                "what answers there does not speak TLS: check base_url"
            ),
        ),
        (
            connecting_failed(tls_error(ssl.SSLError, "TLSV1_ALERT"), kind=aiohttp.ClientConnectorSSLError),
            "no secure connection to shop.example:443: tlsv1 alert",
        ),
        (
            explain(loss_of(aiohttp.ServerDisconnectedError()), str, connected=True),
            "connection lost: it was closed without an answer",
        ),
        (
            explain(loss_of(aiohttp.ClientOSError(errno.ECONNRESET, "reset")), str, connected=True),
            f"connection lost: {os.strerror(errno.ECONNRESET)}",
        ),
        (
            explain(aiohttp.ClientPayloadError("Response payload is not completed"), str, connected=True),
            "the answer is incomplete or damaged: ClientPayloadError",
        ),
        (explain(LookupError("no such proxy"), str, connected=False), "cannot connect: LookupError: no such proxy"),
        (
            proxy_reason(407, "Authenticate"),
            (
                "407 from the proxy: Authenticate; "
                "give the proxy's user and password: proxy='http://user:password@host:port'"
            ),
        ),
        (proxy_reason(502, ""), "502 from the proxy: no reason given"),
        (proxy_reason(302, "Found"), "302 from the proxy: Found; check proxy"),
        (
            connecting_failed(ConnectionResetError(), kind=aiohttp.ClientConnectorError),
            f"cannot connect to shop.example:443: {os.strerror(errno.ECONNRESET)}",
        ),
        (
            connecting_failed(InterruptedError(), kind=aiohttp.ClientConnectorError),
            "cannot connect to shop.example:443: InterruptedError",
        ),
    ],
)
def test_the_words(reason, text):
    assert told(reason) == text.replace("ClientPayloadError", "Response payload is not completed")


def test_an_answer_that_its_sender_cut_short_ends_too_early():
    cut = aiohttp.ClientPayloadError("400, message='Not enough data for satisfy content length header.'")
    cut.__cause__ = PayloadEncodingError("not enough data")
    assert explain(cut, str, connected=True).what == "the answer is incomplete or damaged: it ends too early"


def test_a_name_that_cannot_be_resolved_is_told_without_words_of_the_system_too():
    assert system_words(socket.gaierror()) == "the name cannot be resolved"


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(399, False), (400, True), (407, True), (408, False), (429, False), (499, True), (500, False)],
)
def test_a_proxy_that_refuses_will_refuse_again_and_one_that_fails_need_not(status, permanent):
    assert proxy_reason(status, "no").permanent is permanent


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (10, "clock"),
        (9, "clock"),
        (62, "another server answers"),
        (64, "another server answers"),
        (18, "ssl='/path"),
        (20, "ssl='/path"),
    ],
)
def test_what_to_do_about_a_certificate_depends_on_what_is_wrong_with_it(code, advice):
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] it failed")
    error.verify_code, error.verify_message = code, "what is wrong"
    reason = certificate_reason(error)
    assert reason.what == "the server's certificate is not trusted: what is wrong"
    assert advice in str(reason.advice)
    assert reason.permanent


def test_the_command_names_its_own_options():
    option = lambda name, value: f"--{name}" if value is ... else f"--{name} {value}"  # noqa: E731
    assert proxy_reason(407, "").advice.naming(option).endswith("--proxy http://user:password@host:port")
    assert proxy_reason(403, "").advice.naming(option).endswith("name another one with --proxy")


def test_words_of_the_system_are_without_numbers_and_tuples():
    assert system_words(OSError("no number at all")) == "no number at all"
    both = f"[Errno {errno.ECONNREFUSED}] ('::1', 1), [Errno {errno.EHOSTUNREACH}] ('10.0.0.1', 1)"
    assert system_words(OSError(both)) == f"{REFUSED} / {os.strerror(errno.EHOSTUNREACH)}"
