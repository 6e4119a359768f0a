"""The pure parts of a diagnosis, without a server."""

from __future__ import annotations

import datetime as dt
import ssl

import pytest
import trustme

from neuroon_async.api.contract import SHOP
from neuroon_async.api.responses import Response
from neuroon_async.diagnosis.certificates import read_certificate
from neuroon_async.diagnosis.clock import skew_of
from neuroon_async.diagnosis.observations import Exchange
from neuroon_async.diagnosis.readings import error_shape

NOON = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC).timestamp()
DATE = "Thu, 26 Nov 2026 12:00:00 GMT"


def exchange(sent=0.0, came=0.0, headers=None, body=""):
    headers = {"Date": DATE} if headers is None else headers
    return Exchange(SHOP, "https://x", Response(200, b"", None), NOON + sent, NOON + came, headers, body)


@pytest.mark.parametrize(
    ("exchanges", "seconds"),
    [
        ([exchange(0.2, 0.9)], 0),
        ([exchange(-0.4, 0.1)], 0),
        ([exchange(60, 60.5)], 59),
        ([exchange(-60, -59.5)], -59.5),
        ([exchange(0, 30)], 0),  # a slow answer tells little
        ([exchange(0, 30), exchange(20, 20.1)], 19),  # and takes nothing from a quick one
        ([exchange(20, 20.1), exchange(90, 90.1)], 19),  # servers that disagree: the first one's word
        ([exchange(60, 60.1, {"Date": DATE, "Age": "60"})], 0),
        ([exchange(60, 60.1, {"Date": DATE, "Age": "old"}), exchange(10, 10.1)], 9),
        ([exchange(60, 60.1, {"Date": "today"}), exchange(10, 10.1, {}), exchange(20, 20.1)], 19),
    ],
)
def test_how_far_the_clock_is_off(exchanges, seconds):
    assert skew_of(exchanges).seconds == pytest.approx(seconds, abs=0.01)


def test_without_dates_nothing_is_known_of_the_clock():
    assert skew_of([]) is skew_of([exchange(headers={})]) is None


def der_of(**options):
    names = options.pop("names", ["shop.test", "127.0.0.1", "::1"])
    issued = trustme.CA(organization_name="The office").issue_cert(*names, **options)
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


@pytest.mark.parametrize("year", [2031, 2049, 2050, 2099])  # another encoding begins in 2050
@pytest.mark.parametrize("key_type", list(trustme.KeyType))
def test_a_certificate_is_read(year, key_type):
    ends = dt.datetime(year, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
    certificate = read_certificate(der_of(not_after=ends, common_name="shop.test", key_type=key_type))
    assert certificate.ends == ends
    assert certificate.begins < ends
    assert certificate.issuer == "The office"
    assert certificate.subject.startswith("shop.test")
    assert certificate.names == ("shop.test", "127.0.0.1", "::1")
    assert not certificate.self_signed


def test_what_is_no_certificate_is_none():
    whole = der_of()
    assert [length for length in range(len(whole)) if read_certificate(whole[:length]) is not None] == []
    for junk in (b"", b"\x30\x80", b"\x30\x03\x02\x01\x01", bytes(300), b"\xff" * 300, b"\x30\x84\xff\xff\xff\xff"):
        assert read_certificate(junk) is None


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("<html>", "a web page"),
        ("[1]", "unknown: no JSON object"),
        ('{"oops": 1}', "unknown: {oops}"),
        ('{"error": "rate_limit_exceeded", "message": "m", "retryAfter": 60}', "{error, message, retryAfter, …}"),
        ('{"error": {"code": "X", "retryAfter": 5}, "status": 429}', "nested {error: {code, message}}"),
        ('{"status": 405, "error": "E", "path": "/"}', "{timestamp, status, error, path}"),
    ],
)
def test_the_shapes_of_errors(body, shape):
    assert error_shape(exchange(body=body)) == shape
