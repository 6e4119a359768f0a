"""What a failed request says: what happened and what to do, without the library's objects and classes in it."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import LineTooLong, PayloadEncodingError

from neuroon_async.transport.failures import (
    ConnectionLost,
    certificate_reason,
    explain,
    loss_of,
    origin_of,
    proxy_reason,
    system_words,
)
from neuroon_async.transport.unpacking import DamagedAnswer

REFUSED = os.strerror(errno.ECONNREFUSED)


def key_of_connection(*, verifies=True):
    return ConnectionKey(
        "shop.example", 443, is_ssl=True, ssl=verifies, proxy=None, proxy_auth=None, proxy_headers_hash=None
    )


def connecting_failed(error, *, verifies=True, kind=aiohttp.ClientConnectorError):
    return explain(kind(key_of_connection(verifies=verifies), error), str, connected=False)


def answered(kind=aiohttp.ClientResponseError, cause=None, **known):
    """An error of aiohttp's about an answer; the request that it belongs to is of no interest."""
    error = kind(None, (), **known)
    error.__cause__ = cause
    return error


def untrusted(code=18, message="what is wrong"):
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] it failed")
    error.verify_code, error.verify_message = code, message
    return error


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
            lambda: connecting_failed(
                socket.gaierror(-2, "Name or service not known"), kind=aiohttp.ClientConnectorDNSError
            ),
            (
                "cannot find the host shop.example: Name or service not known; check the address and this machine's "
                "network; where only a proxy leads out, name it: proxy='http://host:port'"
            ),
        ),
        (
            lambda: connecting_failed(OSError(errno.ENETUNREACH, "x"), kind=aiohttp.ClientProxyConnectionError),
            f"cannot connect to the proxy shop.example:443: {os.strerror(errno.ENETUNREACH)}; check proxy",
        ),
        (
            lambda: connecting_failed(
                tls_error(ssl.SSLError, "WRONG_VERSION_NUMBER"), kind=aiohttp.ClientConnectorSSLError
            ),
            (
                "no secure connection to shop.example:443: wrong version number; "
                "what answers there does not speak TLS: check base_url"
            ),
        ),
        (
            lambda: connecting_failed(tls_error(ssl.SSLError, "TLSV1_ALERT"), kind=aiohttp.ClientConnectorSSLError),
            "no secure connection to shop.example:443: tlsv1 alert",
        ),
        (
            lambda: explain(loss_of(aiohttp.ServerDisconnectedError()), str, connected=True),
            "connection lost: it was closed without an answer",
        ),
        (
            lambda: explain(loss_of(aiohttp.ClientOSError(errno.ECONNRESET, "reset")), str, connected=True),
            f"connection lost: {os.strerror(errno.ECONNRESET)}",
        ),
        (
            lambda: explain(aiohttp.ClientPayloadError("Response payload is not completed"), str, connected=True),
            "the answer is incomplete or damaged: ClientPayloadError",
        ),
        (
            lambda: explain(LookupError("no such proxy"), str, connected=False),
            "cannot connect: LookupError: no such proxy",
        ),
        (
            lambda: proxy_reason(407, "Authenticate"),
            (
                "407 from the proxy: Authenticate; "
                "give the proxy's user and password: proxy='http://user:password@host:port'"
            ),
        ),
        (lambda: proxy_reason(502, ""), "502 from the proxy: no reason given"),
        (lambda: proxy_reason(302, "Found"), "302 from the proxy: Found; check proxy"),
        (
            lambda: connecting_failed(ConnectionResetError(), kind=aiohttp.ClientConnectorError),
            f"cannot connect to shop.example:443: {os.strerror(errno.ECONNRESET)}",
        ),
        (
            lambda: connecting_failed(InterruptedError(), kind=aiohttp.ClientConnectorError),
            "cannot connect to shop.example:443: InterruptedError",
        ),
    ],
)
def test_the_words(reason, text):
    assert told(reason()) == text.replace("ClientPayloadError", "Response payload is not completed")


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
        (10, "check this machine's clock"),
        (9, "check this machine's clock"),
        (62, "another server answers at this address: check base_url, or"),
        (63, "another server answers at this address: check base_url, or"),
        (64, "another server answers at this address: check base_url, or"),
        (18, "where a proxy of your network reads TLS, give its certificate authority: ssl='/path/to/ca.pem'"),
        (20, "where a proxy of your network reads TLS, give its certificate authority: ssl='/path/to/ca.pem'"),
    ],
)
def test_what_to_do_about_a_certificate_depends_on_what_is_wrong_with_it(code, advice):
    reason = certificate_reason(untrusted(code))
    assert reason.what == "the server's certificate is not trusted: what is wrong"
    assert str(reason.advice).startswith(advice)
    assert reason.permanent


def test_the_command_names_its_own_options():
    option = lambda name, value: f"--{name}" if value is ... else f"--{name} {value}"  # noqa: E731
    assert proxy_reason(407, "").advice.naming(option).endswith("--proxy http://user:password@host:port")
    assert proxy_reason(403, "").advice.naming(option).endswith("name another one with --proxy")


def test_words_of_the_system_are_without_numbers_and_tuples():
    assert system_words(OSError("no number at all")) == "no number at all"
    both = f"[Errno {errno.ECONNREFUSED}] ('::1', 1), [Errno {errno.EHOSTUNREACH}] ('10.0.0.1', 1)"
    assert system_words(OSError(both)) == f"{REFUSED} / {os.strerror(errno.EHOSTUNREACH)}"


def test_a_certificate_is_found_wherever_a_library_puts_it():
    behind = aiohttp.ClientConnectionError("something else")
    behind.__cause__ = untrusted()
    connecting = aiohttp.ClientConnectorCertificateError(key_of_connection(), untrusted())
    for error in (untrusted(), behind, connecting):
        reason = explain(error, str, connected=False)
        assert (reason.what, reason.permanent) == ("the server's certificate is not trusted: what is wrong", True)
    unsaid = certificate_reason(untrusted(message=""))
    assert "it failed" in unsaid.what


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (answered(message="Got more than 8190 bytes"), "headers are too long: Got more than 8190 bytes"),
        (answered(message="400", cause=LineTooLong(b"X", 8190)), "headers are too long: 400"),
        (answered(message="Bad status line"), "answer is not HTTP: Bad status line"),
    ],
)
def test_until_a_request_is_connected_whatever_answers_is_the_proxy_if_there_is_one(error, text):
    for connected, proxied, who in ((True, False, "server"), (False, False, "server"), (True, True, "server")):
        reason = explain(error, str, connected=connected, proxied=proxied)
        assert (reason.what, reason.advice) == (f"the {who}'s {text}", None)
    reason = explain(error, str, connected=False, proxied=True)
    assert told(reason) == f"the proxy's {text}; check proxy"


def test_a_way_through_a_proxy_that_fails_is_told_as_one():
    lost = ConnectionLost("it was closed without an answer")
    for connected, proxied, text in (
        (False, True, "cannot connect through the proxy: it was closed without an answer; check proxy"),
        (False, False, "cannot connect: it was closed without an answer"),
        (True, True, "connection lost: it was closed without an answer"),
    ):
        assert told(explain(lost, str, connected=connected, proxied=proxied)) == text
    assert explain(DamagedAnswer("it breaks off"), str, connected=True, proxied=True).what == (
        "the answer is incomplete or damaged: it breaks off"
    )


@pytest.mark.parametrize(
    ("status", "advice", "permanent"),
    [
        (407, "give the proxy's user and password: proxy='http://user:password@host:port'", True),
        (403, "let the proxy allow this host, or name another one with proxy", True),
        (425, None, False),
        (502, None, False),
    ],
)
def test_the_refusal_of_a_proxy_is_told_with_its_own_words(status, advice, permanent):
    refused = answered(aiohttp.ClientHttpProxyError, status=status, message="Not \n now")
    reason = explain(refused, str, connected=False, proxied=True)
    assert reason.what == f"{status} from the proxy: Not now"
    assert (reason.advice and str(reason.advice), reason.permanent) == (advice, permanent)


@pytest.mark.parametrize(
    "error",
    [
        answered(aiohttp.ClientHttpProxyError, status=403, message="no sk_1 here"),
        answered(message="bad header: sk_1"),
        aiohttp.ClientPayloadError("chunk of sk_1"),
        OSError("sk_1 is no address"),
        LookupError("sk_1"),
        ConnectionLost("sk_1"),
        untrusted(message="not issued for sk_1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_others_wrote_is_shown_without_the_key(error):
    shown = explain(error, lambda text: text.replace("sk_1", "[API key]"), connected=True).what
    assert "sk_1" not in shown
    assert "[API key]" in shown


def test_what_others_wrote_is_one_line_of_some_length():
    def told_of(text):
        return explain(ConnectionLost(text), str, connected=True).what.removeprefix("connection lost: ")

    assert told_of("one\n\t line ") == "one line"
    assert told_of("x" * 300) == "x" * 300
    assert told_of("x" * 301) == "x" * 300 + "…"


def test_an_error_without_words_is_told_by_its_kind():
    assert explain(LookupError(), str, connected=True).what == "connection lost: LookupError"
    assert explain(ConnectionLost(), str, connected=True).what == "connection lost"
    words = {ConnectionResetError: errno.ECONNRESET, ConnectionAbortedError: errno.ECONNABORTED}
    words |= {ConnectionRefusedError: errno.ECONNREFUSED, BrokenPipeError: errno.EPIPE}
    for kind, number in words.items():
        assert system_words(kind()) == os.strerror(number)
    assert system_words(OSError()) == "OSError"


def test_words_of_tls_are_words():
    assert system_words(ssl.SSLError(1, "[SSL: SOME_REASON] some words")) == "[ssl: some reason] some words"
    assert system_words(tls_error(ssl.SSLError, "NO_SHARED_CIPHER")) == "no shared cipher"


@pytest.mark.parametrize(
    "reason", ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"]
)
def test_what_answers_in_plain_text_is_told_from_other_trouble_with_tls(reason):
    unknown = connecting_failed(ssl.SSLError(1, "some words"), kind=aiohttp.ClientConnectorSSLError)
    assert (unknown.what, unknown.advice) == ("no secure connection to shop.example:443: some words", None)
    found = connecting_failed(tls_error(ssl.SSLError, reason), kind=aiohttp.ClientConnectorSSLError)
    assert str(found.advice) == "what answers there does not speak TLS: check base_url"


def test_a_refusal_is_told_by_its_class_where_the_system_has_other_words_for_it():
    reason = connecting_failed(ConnectionRefusedError("the target machine actively refused it"))
    assert "nothing answers at this port" in str(reason.advice)
    reason = connecting_failed(OSError(errno.ENETUNREACH, "x"))
    assert reason.advice is None


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("http://shop.example/a?b#c", "http://shop.example"),
        ("//shop.example:81/a", "https://shop.example:81"),
        ("https://user:secret@[::1]:0/x", "https://[::1]:0"),
        ("https://[::1]/x", "https://[::1]"),
        ("/login", None),
        ("https://[broken", None),
        ("https://shop.example:port/", None),
    ],
)
def test_where_an_address_leads_is_its_scheme_host_and_port(address, origin):
    assert origin_of(address) == origin
