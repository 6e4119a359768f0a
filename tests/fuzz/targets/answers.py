"""What a server, or anything before it, may answer: error bodies, successes, headers, packed bodies."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec
from multidict import CIMultiDict

from fuzz.targets.target import KEY, SECRET, Target, assert_no_key
from neuroon_async.api.contract import SYNC_PRODUCTS, TRACK_CONVERSION, VERIFY_DOMAIN, RateLimit
from neuroon_async.api.responses import RateLimitHeaders, Response, decode_response, read_error, read_success
from neuroon_async.api.results import Answer, BatchResult, Health, Shop, Verification, VerificationData
from neuroon_async.errors import APIError, ResponseDecodeError
from neuroon_async.limits.policy import Admission, EffectiveLimit, counted_by_server
from neuroon_async.transport.unpacking import MAX_ANSWER_BYTES, DamagedAnswer, UnpackedAnswer, UnreadableAnswer

__all__ = ["TARGETS"]

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ENDPOINTS = (SYNC_PRODUCTS, TRACK_CONVERSION, VERIFY_DOMAIN)
KINDS: tuple[type[Answer], ...] = (BatchResult, Shop, Health, Verification, VerificationData)
STATUSES = (200, 201, 204, 302, 400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504, 599)


def taken_apart(data: bytes) -> tuple[int, CIMultiDict[str], bytes]:
    """An answer as it looks on the wire: a status, headers, an empty line, the body."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("utf-8", "replace").split("\n")
    status = int(first) if first.isascii() and first.isdigit() and 100 <= int(first[:4]) <= 599 else 500
    pairs = (line.partition(":") for line in lines)
    return status, CIMultiDict((name.strip(), value.strip()) for name, _, value in pairs), body


def check_error(data: bytes) -> None:
    status, headers, body = taken_apart(data)
    error = read_error(status, headers, body, now=NOW, redact=SECRET.redact)
    assert type(error) is not APIError or status not in {400, 401, 403, 404, 409, 422, 429}
    assert_no_key(error, repr(error), error.message, error.code, error.path, error.request_id, error.field_errors)
    assert error.timestamp is None or error.timestamp.tzinfo is not None
    retry_after = getattr(error, "retry_after", None)
    assert retry_after is None or 0 < retry_after < math.inf


def check_success(data: bytes) -> None:
    status, headers, body = taken_apart(data)
    for endpoint in ENDPOINTS:
        read = read_success(endpoint, status, headers, body, redact=SECRET.redact)
        assert isinstance(read, (Response, ResponseDecodeError))
        assert_no_key(read if isinstance(read, ResponseDecodeError) else repr(read), read.request_id)
    for kind in KINDS:
        try:
            answer = decode_response(body, kind, redact=SECRET.redact)
        except msgspec.MsgspecError:
            continue
        assert_no_key(repr(answer))


def check_headers(data: bytes) -> None:
    """Several answers in a row: what their headers say never stops an endpoint for ever, nor raises its limit."""
    limit = RateLimit(20, 10.0)
    admission, effective = Admission(limit), EffectiveLimit(limit)
    now = 100.0
    for piece in data.split(b"\n\n")[:20]:
        _, headers, _ = taken_apart(b"429\n" + piece + b"\n\n")
        told = RateLimitHeaders.of(headers, now=NOW)
        assert told.retry_after is None or 0 < told.retry_after < math.inf
        assert told.limit is None or told.limit >= 0
        assert told.remaining is None or told.remaining >= 0
        moment = admission.next_admission(now, bulk=False)
        assert moment is not None, "nothing is in flight, so time alone decides"
        assert moment - now <= 3 * limit.per, f"the next request waits {moment - now} s"
        now = max(now, moment)
        stamp = admission.take(now, bulk=False)
        assert stamp is not None, "the moment that was foretold has come"
        if effective.observe(told, effective.generation):
            admission.set_requests(effective.requests)
        assert 0 < admission.requests <= limit.requests
        admission.answered(now, stamp=stamp, counted=counted_by_server(told, admission.requests))
        if told.retry_after is not None:
            admission.pause(now + min(told.retry_after, limit.per))


def check_packed(data: bytes) -> None:
    """The first byte says how it is packed and how it arrives."""
    kinds = ("gzip", "deflate", "x-gzip", "identity", None, "br", "GZIP ", "")
    how, body = data[:1] or b"\0", data[1:]
    answer = UnpackedAnswer(kinds[how[0] % len(kinds)])
    piece = 1 + how[0] // len(kinds) * 7
    try:
        for start in range(0, len(body), piece):
            answer.feed(body[start : start + piece])
        whole = answer.whole()
    except (DamagedAnswer, UnreadableAnswer):
        return
    assert len(whole) <= MAX_ANSWER_BYTES


_JSON = tuple(
    token.encode()
    for token in (
        *('"code"', '"message"', '"details"', '"error"', '"status"', '"timestamp"', '"path"', '"retryAfter"'),
        *('"limit"', '"remaining"', '"field"', '"reason"', '"errors"', '"newProducts"', '"failed"', '"externalId"'),
        *('"maxProducts"', '"verifiedAt"', '"verified"', "NaN", "1e999", "null", "true", "<html>", "\ufeff"),
        *(KEY, KEY[:12], "\\u0073k_5ec2e7fe", "2026-11-26T12:00:00Z", "name: must not be blank, price: bad"),
    )
)
_HEADERS = tuple(
    token.encode()
    for token in (
        *("Retry-After:", "Date:", "X-RateLimit-Limit:", "X-RateLimit-Remaining:", "X-Request-ID:", "Content-Type:"),
        *("text/html", "application/json", "Thu, 26 Nov 2026 12:00:30 GMT", "Thursday, 26-Nov-26 12:00:30 GMT"),
        *("-0000", "+9999", "Feb 30", "1e400", "inf", "nan", "120", "-1", "0"),
    )
)


def error_seeds() -> list[bytes]:
    bodies = (
        '{"timestamp":"2026-11-26T12:00:00.000+00:00","status":400,"error":"Bad Request","path":"/api"}',
        '{"code":"VALIDATION_ERROR","message":"products[0].name: must not be blank, price: must be, well, 0 or more"}',
        '{"error":{"code":"RATE_LIMITED","message":"slow down","retryAfter":12,"limit":100,"remaining":0}}',
        '{"details":[{"field":"price","message":"is bad"},"name: too long","x"],"message":""}',
        f"<html><body><h1>502</h1> {KEY} </body></html>",
        "",
    )
    return [
        f"{status}\nRetry-After: 3\nX-Request-ID: r-1\n\n{body}".encode()
        for status in (400, 429, 503)
        for body in bodies
    ]


def success_seeds() -> list[bytes]:
    bodies = (
        '{"newProducts":1,"updatedProducts":"2","failed":0,"productsCount":3,"remainingProducts":97.0,"errors":[]}',
        '{"errors":[{"externalId":"a","error":"bad"}],"failed":["a",{"externalId":1}]}',
        '{"errors":{"a":"bad"},"maxProducts":100,"status":"UP","domain":"x","verifiedAt":"2026-11-26T12:00:00"}',
        '{"shopId":"s","verificationCode":"c","verified":"true"}',
        f'{{"message":"{KEY}","code":"BAD"}}',
    )
    return [f"200\nContent-Type: application/json\n\n{body}".encode() for body in bodies]


def header_seeds() -> list[bytes]:
    blocks = (
        "Retry-After: 5",
        "Retry-After: Thu, 26 Nov 2026 12:00:30 GMT\nDate: Thu, 26 Nov 2026 12:00:00 GMT",
        "X-RateLimit-Limit: 10\nX-RateLimit-Remaining: 3",
        "X-RateLimit-Limit: 0\nX-RateLimit-Remaining: 0",
    )
    return ["\n\n".join(blocks).encode(), *(block.encode() for block in blocks)]


def packed_seeds() -> list[bytes]:
    import gzip  # noqa: PLC0415 - for seeds alone
    import zlib  # noqa: PLC0415 - likewise

    body = b'{"newProducts":1}'
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bodies = [gzip.compress(body, mtime=0), zlib.compress(body), bare.compress(body) + bare.flush(), body]
    bodies += [gzip.compress(body, mtime=0) * 2, gzip.compress(bytes(200_000), mtime=0)]
    return [bytes([how]) + packed for how, packed in enumerate(bodies)]


TARGETS = (
    Target("answer-error", check_error, 1.0, _JSON + _HEADERS, error_seeds),
    Target("answer-success", check_success, 1.0, _JSON + _HEADERS, success_seeds),
    Target("answer-headers", check_headers, 1.0, _HEADERS, header_seeds, longest=1_024),
    Target("answer-packed", check_packed, 0.5, (b"\x1f\x8b\x08",), packed_seeds),
)
