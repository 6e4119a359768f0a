import copy
import inspect
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from neuroon_async import errors
from neuroon_async.advice import Advice
from neuroon_async.api.contract import (
    DELETE_PRODUCT,
    ENDPOINTS,
    HEALTH,
    SYNC_PRODUCTS,
    TRACK_CONVERSION,
    VERIFY_DOMAIN_SHORT,
)
from neuroon_async.api.responses import (
    RateLimitHeaders,
    Response,
    decode_response,
    read_error,
    read_retry_after,
    read_success,
)
from neuroon_async.api.results import BatchResult
from neuroon_async.errors import APIError, RateLimited, ServerError
from neuroon_async.report import ProductFailure, SyncReport

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLASSES = {
    400: errors.ValidationFailed,
    401: errors.AuthenticationFailed,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    405: APIError,
    409: errors.Conflict,
    415: APIError,
    418: APIError,
    422: errors.UnprocessableEntity,
    429: RateLimited,
    500: ServerError,
    502: ServerError,
    503: ServerError,
    599: ServerError,
    302: APIError,
}


def read(status, body=b"", headers=()):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_error(status, CIMultiDict(headers), raw, now=NOW)


def uniform(status, error, message=None, path="/api/plugin/shops/me"):
    body = {"timestamp": "2026-03-01T11:59:58Z", "status": status, "error": error, "path": path}
    return body if message is None else body | {"message": message}


@pytest.mark.parametrize(("status", "kind"), CLASSES.items())
def test_every_status_has_its_class(status, kind):
    error = read(status, uniform(status, "Something", "went wrong"), [("x-request-id", "req-1")])
    assert type(error) is kind
    assert error.status == status
    assert error.request_id == "req-1"
    assert error.message == "went wrong"
    assert error.path == "/api/plugin/shops/me"
    assert error.timestamp == datetime(2026, 3, 1, 11, 59, 58, tzinfo=UTC)
    assert "req-1" in str(error)
    assert "went wrong" in repr(error)
    assert type(error).__name__ in repr(error)


@pytest.mark.parametrize(
    ("message", "field_errors"),
    [
        (
            "externalId: External ID is required, name: Product name is required",
            {"externalId": "External ID is required", "name": "Product name is required"},
        ),
        ("price: Price must be positive", {"price": "Price must be positive"}),
        (
            "description: size must be between 0 and 5000, currency: size must be between 0 and 3",
            {"description": "size must be between 0 and 5000", "currency": "size must be between 0 and 3"},
        ),
        ("rating: must be less than or equal to 5.0", {"rating": "must be less than or equal to 5.0"}),
        (
            "products: Must provide between 1 and 500 products per batch",
            {"products": "Must provide between 1 and 500 products per batch"},
        ),
        ("products[3].price: must be positive", {"products[3].price": "must be positive"}),
        ("name: too long, or blank, price: bad", {"name": "too long, or blank", "price": "bad"}),
        ("name: bad, name: bad, name: worse", {"name": "bad; worse"}),
        ("name: bad, price: low, name: worse, name: bad", {"name": "bad; worse", "price": "low"}),
        ("parentExternalId 'X' not found", {}),
        ("Origin mismatch — API Key cannot be used from this domain", {}),
        ("", {}),
    ],
)
def test_field_errors_are_taken_apart(message, field_errors):
    error = read(400, uniform(400, "Bad Request", message))
    assert error.field_errors == field_errors
    assert error.message == (message or "Bad Request")


def test_a_message_of_a_megabyte_is_read_in_the_time_that_it_takes_to_go_through_it():
    message = "name: x" + ", y" * 500_000
    started = process_time()
    assert read(400, uniform(400, "Bad Request", message)).field_errors.keys() == {"name"}
    assert process_time() - started < 5  # copied anew for each comma, it takes several times as long


@pytest.mark.parametrize("status", [405, 409, 415])
def test_the_uniform_body_without_a_message_shows_its_error(status):
    error = read(status, uniform(status, "Not This Way"))
    assert (error.message, error.code) == ("Not This Way", "Not This Way")


def test_the_body_with_a_code_and_details():
    error = read(
        422,
        {
            "code": "PRODUCT_RULE",
            "message": "Two rules broken",
            "details": [
                {"field": "price", "message": "currency mismatch"},
                {"field": "sku", "reason": "twice"},
                "name: too long",
                "something general",
                {"field": "", "message": "nameless"},
                7,
            ],
        },
    )
    assert (error.code, error.message) == ("PRODUCT_RULE", "Two rules broken")
    assert error.field_errors == {"price": "currency mismatch", "sku": "twice", "name": "too long"}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"type": "about:blank", "title": "Bad", "status": 400, "detail": "price is below 0"}, "price is below 0"),
        ({"type": "about:blank", "title": "Price is below 0", "status": 400}, "Price is below 0"),
        ({"errors": {"name": ["is too long"]}}, '"name": ["is too long"]'),
        ({"error": "Bad Request", "errors": [{"field": "name"}]}, '"errors": [{"field": "name"}]'),
        ({"detail": [{"loc": ["body", "price"], "msg": "missing"}]}, '"msg": "missing"'),
        ({"message": ["one", "two"]}, '["one", "two"]'),
        ({"message": 42, "status": 400}, '"message": 42'),
        ({"status": 400, "error": "Bad Request", "traceId": "t-1", "path": "/x"}, "Bad Request"),
    ],
)
def test_an_error_in_a_shape_that_nobody_documents_still_says_what_it_says(document, says):
    assert says in read(400, document).message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html><title>404 Not Found</title>nginx</html>"),
        (403, b"\xef\xbb\xbf <!DOCTYPE html>"),
        (404, b"default backend - 404"),
        (404, b"404 page not found\n"),
        (404, b'{"message": "<html> is not allowed"}'),
        (404, b'{"message": "no Route matched with those values", "request_id": "a1"}'),
        (404, b'{"error_msg": "404 Route Not Found"}'),
        (404, b'{"code": 5, "message": "Method does not exist.", "details": []}'),
        (404, b'{"statusCode": 404, "message": "Resource not found"}'),
        (404, b'{"detail": "Not Found"}'),
        (404, b'["404"]'),
        (400, b"Bad Request"),
        (404, b""),
    ],
)
def test_what_is_not_in_a_documented_shape_may_not_be_the_apis_own_word(status, body):
    error = read(status, body)
    assert error.documented is False
    assert "base_url may be wrong" in str(error)
    assert "key may belong" not in str(error)


@pytest.mark.parametrize("status", CLASSES)
@pytest.mark.parametrize(
    "shape",
    [
        lambda status: uniform(status, "Error", "name: is odd"),
        lambda status: uniform(status, "Error"),
        lambda _: {"code": "PRODUCT_RULE", "message": "One rule broken", "details": []},
        lambda _: {"error": "rate_limit_exceeded", "message": "Slow down", "retryAfter": 60, "limit": 100},
        lambda _: {"error": {"code": "RATE_LIMIT", "message": "Slow down", "retryAfter": 60}},
    ],
    ids=["uniform", "without a message", "code", "429", "nested"],
)
def test_every_documented_shape_is_the_apis_own_word(status, shape):
    error = read(status, shape(status))
    assert error.documented is True
    assert "base_url may be wrong" not in str(error)


def test_an_empty_answer_is_the_apis_own_where_it_counts_the_call():
    assert read(404, b"", {"X-RateLimit-Limit": "100"}).documented is True
    assert read(404, b"", {"X-Request-ID": "a1"}).documented is False, "proxies give out ids, too"
    assert read(404, b"not found", {"X-RateLimit-Limit": "100"}).documented is False


def test_an_answer_that_cannot_be_unpacked_is_nobodys_word():
    error = read_error(404, CIMultiDict(), b"", problem="Content-Encoding br cannot be read")
    assert (error.documented, error.message) == (False, "Content-Encoding br cannot be read")


def test_details_stand_in_for_an_absent_message():
    assert read(400, {"code": "X", "details": ["one", "two", 3]}).message == "one; two"
    assert read(400, {"code": "X", "details": []}).message == "X"


def test_the_429_body():
    error = read(
        429,
        {
            "error": "rate_limit_exceeded",
            "message": "Too many requests",
            "retryAfter": 60,
            "limit": 100,
            "remaining": 0,
            "timestamp": "2026-03-01T11:59:58",
        },
    )
    assert type(error) is RateLimited
    assert (error.code, error.message) == ("rate_limit_exceeded", "Too many requests")
    assert (error.retry_after, error.limit, error.remaining) == (60.0, 100, 0)
    assert error.timestamp == datetime(2026, 3, 1, 11, 59, 58, tzinfo=UTC)


def test_the_nested_body():
    error = read(429, {"error": {"code": "RATE_LIMITED", "message": "Slow down", "retryAfter": 12}})
    assert (error.code, error.message, error.retry_after) == ("RATE_LIMITED", "Slow down", 12.0)
    error = read(503, {"error": {"code": "CIRCUIT_OPEN", "message": "Later", "retryAfter": 5}})
    assert (type(error), error.code, error.retry_after) == (ServerError, "CIRCUIT_OPEN", 5.0)


def test_headers_speak_before_the_body_on_retry_after_and_in_its_absence_on_limits():
    headers = [("Retry-After", "30"), ("X-RateLimit-Limit", "100"), ("X-RateLimit-Remaining", "0")]
    error = read(429, {"error": "rate_limit_exceeded", "retryAfter": 60}, headers)
    assert (error.retry_after, error.limit, error.remaining) == (30.0, 100, 0)
    assert read(429, b"", headers).retry_after == 30.0
    assert read(503, b"", headers).retry_after == 30.0


@pytest.mark.parametrize("figure", ["ten", "", "-1", "1.5", "9" * 5000, "²", None, True, [], {}])
def test_absurd_limits_are_no_limits(figure):
    assert read(429, {"limit": figure, "remaining": figure}).limit is None
    if isinstance(figure, str):
        assert read(429, b"", [("X-RateLimit-Remaining", figure)]).remaining is None


def test_a_page_of_a_proxy_is_shown_in_short():
    page = b"<html>\n<head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
    error = read(502, page)
    assert type(error) is ServerError
    assert error.message == "502 Bad Gateway nginx"
    assert str(error) == "502 Bad Gateway: 502 Bad Gateway nginx"
    assert len(read(502, b"\xff" * 1_000_000).message) <= 301


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b"  ", b"\x00"])
def test_a_body_that_says_nothing_still_makes_an_error(body):
    error = read(404, body)
    assert type(error) is errors.NotFound
    assert str(error).startswith("404 Not Found")
    assert error.field_errors == {}


def test_a_status_without_a_name_still_reads():
    assert str(read(599)) == "599 error"


@pytest.mark.parametrize("when", ["", "yesterday", "2026-13-01T00:00:00", 1772366398, None, []])
def test_an_unreadable_timestamp_is_none(when):
    assert read(400, {"message": "bad", "timestamp": when}).timestamp is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("timestamp", "status", "error", "message", "path", "code", "details", "retryAfter", "limit", "remaining")
DOCUMENTS = st.dictionaries(st.sampled_from(FIELDS), JSON | st.dictionaries(st.sampled_from(FIELDS), JSON))
HEADERS = st.fixed_dictionaries(
    {},
    optional={name: st.text() for name in ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining")}
    | {"X-Request-ID": st.just("req-1")},
)


@given(st.sampled_from(list(CLASSES)), st.binary() | DOCUMENTS.map(lambda d: json.dumps(d).encode()), HEADERS)
@example(429, b'{"retryAfter": ' + b"9" * 5000 + b"}", {})
@example(429, b'{"retryAfter": 1e400}', {})
@example(500, b"[" * 100_000, {})
@example(500, b'{"error":' * 5_000, {})
@example(400, b'{"message": "\\ud800"}', {})
@example(400, b'{"message": "\xff"}', {})
@example(400, b'{"timestamp": "0001-01-01T00:00:00+23:59"}', {})
def test_no_answer_whatever_makes_the_reading_fail(status, body, headers):
    error = read(status, body, headers.items())
    assert type(error) is CLASSES[status]
    assert error.request_id == headers.get("X-Request-ID")
    assert isinstance(error.message, str)
    assert str(error).startswith(str(status))
    repr(error)
    assert error.timestamp is None or error.timestamp.tzinfo is not None
    if isinstance(error, (RateLimited, ServerError)) and error.retry_after is not None:
        assert 0 < error.retry_after < float("inf")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60.0),
        (" 1 ", 1.0),
        ("0.5", 0.5),
        (None, None),
        ("", None),
        ("0", None),
        ("-5", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("5, 60", 60.0),
        ("60, soon", 60.0),
        ("1_0", None),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90.0),
        ("Sun, 01 Mar 2026 12:01:30", 90.0),
        ("Sun, 01 Mar 2026 14:01:30 +0200", 90.0),
        ("Sun, 01 Mar 2026 11:59:00 GMT", None),
        ("Sun, 99 Mar 2026 12:01:30 GMT", None),
        ("Sun, 01 Mar 99999 12:01:30 GMT", None),
    ],
)
def test_retry_after(value, seconds):
    assert read_retry_after(value, now=NOW) == seconds


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(-14, 14))  # noqa: DTZ001
def test_retry_after_as_any_date(moment, hours):
    date = moment.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    ahead = (date - NOW).total_seconds()
    assert read_retry_after(format_datetime(date), now=NOW) == (ahead if ahead > 0 else None)


@given(st.text() | st.text(st.sampled_from("0123456789 :,+-GMTSunMar")))
def test_retry_after_never_raises(value):
    seconds = read_retry_after(value, now=NOW)
    assert seconds is None or 0 < seconds < float("inf")


def test_the_tree():
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.NeuroonError)
    assert issubclass(errors.InvalidProduct, ValueError)
    assert issubclass(errors.ConfigurationError, ValueError)
    assert not issubclass(errors.ResponseDecodeError, APIError)


EXAMPLES = [
    errors.NeuroonError("plain"),
    errors.ConfigurationError("bad setting"),
    errors.ConfigurationError("must be '.' or ','", where="decimal", advice=Advice("give {decimal}", {"decimal": "."})),
    errors.UsageError("must be 1 or more, got 0", where="batch_size"),
    errors.ClientClosed("closed"),
    errors.ClientClosed("closed while the call was in flight", maybe_processed=True),
    errors.InvalidProduct("SKU-1", [("price", "must be 0 or more"), ("name", "is required")]),
    errors.InvalidProduct(None, [("externalId", "is required")]),
    errors.InvalidConversion("order-1", [("currency", "must be text")]),
    errors.InvalidBatch("empty"),
    errors.SyncFailed(SyncReport(received=1, failed=1, failures=[ProductFailure("A", "bad", "local")])),
    errors.UnsafeFullSync("too many"),
    errors.UnsafeFullSync("two cannot be sent", unsendable=2, advice="mend them"),
    errors.UnsafeDeletion("900 of 1,000 are missing", 900, 1000),
    errors.UnsafeDeletion("900 of 1,000 are missing", 900, 1000, max_fraction=0.2, advice="check the source"),
    errors.TransportError("lost", maybe_processed=True),
    errors.ConnectionFailed("refused", maybe_processed=False),
    errors.RequestTimeout("slow", maybe_processed=True),
    errors.ResponseDecodeError("no JSON", status=200, request_id="req-1"),
    *(read(status, uniform(status, "E", "name: bad"), [("X-Request-ID", "req-1")]) for status in CLASSES),
    read(429, {"retryAfter": 60, "limit": 100, "remaining": 0}),
    RateLimited(retry_after=12.5, local=True),
]


def test_every_exception_has_an_example_below():
    public = [kind for name, kind in inspect.getmembers(errors, inspect.isclass) if not name.startswith("_")]
    kinds = {kind for kind in public if issubclass(kind, errors.NeuroonError)}
    assert {type(error) for error in EXAMPLES} >= kinds


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: f"{type(error).__name__}-{error}"[:40])
def test_errors_cross_processes_with_all_they_know(error):
    error.report = SyncReport(received=3)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert repr(twin) == repr(error)
        assert vars(twin) == vars(error)


def test_an_invalid_product_names_id_field_and_rule():
    error = errors.InvalidProduct("SKU-1", [("price", "must be 0 or more"), ("name", "is required")])
    assert str(error) == "product 'SKU-1': price: must be 0 or more; name: is required"
    assert (error.field, error.rule) == ("price", "must be 0 or more")
    assert error.violations == (("price", "must be 0 or more"), ("name", "is required"))
    assert "without a usable externalId" in str(errors.InvalidProduct(None, [("externalId", "is required")]))


def test_an_invalid_conversion_names_order_field_and_rule():
    error = errors.InvalidConversion("order-1", [("currency", "must be text")])
    assert str(error) == "conversion of order 'order-1': currency: must be text"
    assert (error.field, error.rule) == ("currency", "must be text")


def as_option(name, value):
    option = "--" + name.replace("_", "-")
    return option if value is ... else f"{option} {value}"


def test_a_command_names_its_own_options_where_the_text_names_arguments():
    error = errors.ConfigurationError(
        "must be 1 or more, got 0",
        where="batch_size",
        advice=Advice("give {batch_size}, or leave {mode} out {{as it is}}", {"batch_size": 500, "mode": ...}),
    )
    assert str(error) == "batch_size must be 1 or more, got 0; give batch_size=500, or leave mode out {as it is}"
    assert error.naming(as_option) == (
        "--batch-size must be 1 or more, got 0; give --batch-size 500, or leave --mode out {as it is}"
    )
    assert (error.where, error.what, error.advice.arguments["batch_size"]) == (
        "batch_size",
        "must be 1 or more, got 0",
        500,
    )


def test_what_an_error_is_about_is_no_argument_unless_the_set_up_is_wrong():
    assert errors.InvalidProduct("SKU", [("name", "is required")]).naming(as_option) == (
        "product 'SKU': name: is required"
    )
    lost = errors.ConnectionFailed("refused", maybe_processed=False, where="POST https://a.example", advice="go on")
    assert lost.naming(as_option) == str(lost) == "POST https://a.example: refused; go on"


def test_an_error_may_say_no_more_than_what_is_wrong():
    assert str(errors.NeuroonError()) == ""
    error = errors.UnsafeFullSync("too many")
    assert (str(error), error.where, error.advice) == ("too many", None, None)


def test_advice_in_plain_words_may_hold_braces():
    assert str(errors.NeuroonError("bad", advice="write {it} so")) == "bad; write {it} so"


def test_a_refusal_of_our_own_limiter_blames_nobody_and_says_when_to_come_back():
    error = RateLimited(retry_after=12.5, local=True)
    assert "429" not in str(error)
    assert "12.5 s" in str(error)
    assert not RateLimited().local


PAGE = b"<!DOCTYPE html><html><title>Sign in to the network</title></html>"
DOCUMENTED = {"shop", "sync_products", "verify_domain", "verification_data", "health"}
RATE_LIMITED = [*ENDPOINTS.values(), VERIFY_DOMAIN_SHORT]
EVERY_ENDPOINT = [*RATE_LIMITED, HEALTH]


def success(endpoint, body, content_type=None, **options):
    headers = CIMultiDict({"X-Request-ID": "req-1"} | ({"Content-Type": content_type} if content_type else {}))
    return read_success(endpoint, 200, headers, body, **options)


def counts(endpoint, body, content_type=None):
    answer = success(endpoint, body, content_type)
    assert answer.request_id == "req-1"
    assert answer.status == 200
    if isinstance(answer, Response):
        assert answer.body == body
        return True
    assert isinstance(answer, errors.ResponseDecodeError)
    assert endpoint.doubt in str(answer)
    assert str(answer).startswith(endpoint.name)
    return False


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (PAGE, "text/html"),
        (PAGE, "text/plain"),
        (PAGE, "application/json"),
        (PAGE, None),
        (b"  \n<HTML><body>hi", None),
        (b"\xef\xbb\xbf<html>", None),
        (b"<div>Access denied</div>", None),
        (b"<!-- firewall --><p>no</p>", "text/plain"),
        (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN"><html/>', "application/xml"),
        (b"Please <a href=/in>sign in</a>", "Text/HTML; charset=utf-8"),
        (b"warning: <html><body>no</body></html>", "text/plain"),
        ("<html><body>Zugang</body></html>".encode("utf-16"), "text/html"),
        ("<p>no</p>".encode("utf-16-be"), "text/html; charset=utf-16be"),
    ],
)
def test_a_web_page_is_no_success_of_any_endpoint(body, content_type):
    for endpoint in EVERY_ENDPOINT:
        assert not counts(endpoint, body, content_type), endpoint
        assert "web page" in str(success(endpoint, body, content_type)), endpoint


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", None),
        (b"  \r\n", None),
        (b"", "text/html"),
        (b"\xef\xbb\xbf", None),
        (b"OK", "text/plain"),
        (b"OK", "text/html"),
        (b"1 < 2", None),
        (b"\xff\xfe", None),
        (b"<ok/>", "application/xml"),
        (b"<ok/>", "application/problem+xml"),
        (b'<?xml version="1.0"?><ok/>', None),
        (b'{"deleted": tru', None),
    ],
)
def test_no_json_is_a_success_where_no_answer_is_documented(body, content_type):
    for endpoint in EVERY_ENDPOINT:
        assert counts(endpoint, body, content_type) is (endpoint.name not in DOCUMENTED), endpoint


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        "ok",
        7,
        True,
        "<html>",
        {"deleted": True},
        {"message": "done"},
        {"error": None, "message": "done"},
        {"error": "", "success": True},
        {"error": False},
        {"status": 200, "message": "OK"},
        {"status": "UP"},
        {"code": "OK", "message": "done"},
        {"code": "SUCCESS", "message": "done", "details": []},
        {"code": 200, "message": "done"},
        {"code": "X"},
        {"data": {"error": "of long ago"}},
        {"status": "200", "message": "done"},
    ],
    ids=repr,
)
def test_any_json_is_a_success(document):
    body = json.dumps(document).encode()
    for endpoint in EVERY_ENDPOINT:
        assert counts(endpoint, body, "application/json"), endpoint
        assert counts(endpoint, b"\xef\xbb\xbf" + body, "text/html"), endpoint


@pytest.mark.parametrize(
    "document",
    [
        uniform(400, "Bad Request", "price: Price must be positive"),
        uniform(500, "Internal Server Error"),
        {"code": "PRODUCT_RULE", "message": "Two rules broken", "details": []},
        {"error": "rate_limit_exceeded", "message": "Slow down", "retryAfter": 60, "limit": 100, "remaining": 0},
        {"error": {"code": "RATE_LIMIT", "message": "Slow down", "retryAfter": 60}},
        {"error": "boom"},
        {"status": "503", "message": "Down"},
    ],
    ids=repr,
)
def test_a_documented_error_is_no_success(document):
    body = json.dumps(document).encode()
    inner = document["error"] if isinstance(document.get("error"), dict) else document
    for endpoint in RATE_LIMITED:
        assert not counts(endpoint, body, "application/json"), endpoint
        assert inner.get("message", inner.get("error")) in str(success(endpoint, body)), endpoint


@pytest.mark.parametrize("more", [{}, {"message": "Over quota"}, {"errors": []}])
def test_what_denies_its_success_is_none_where_an_answer_is_documented(more):
    body = json.dumps({"success": False} | more).encode()
    for endpoint in EVERY_ENDPOINT:
        assert counts(endpoint, body, "application/json") is (endpoint.name not in DOCUMENTED), endpoint
        for name in endpoint.success_fields:
            assert counts(endpoint, json.dumps({"success": False, name: 1}).encode()), (endpoint, name)


def test_a_field_of_success_beside_an_error_is_a_success():
    for endpoint in EVERY_ENDPOINT:
        for name in endpoint.success_fields:
            body = json.dumps({"error": "Some failed", "message": "x", name: 1}).encode()
            assert counts(endpoint, body), (endpoint, name)


def test_what_is_unclear_after_a_page_fits_the_endpoint():
    assert "order may not have been counted" in str(success(TRACK_CONVERSION, PAGE))
    assert "product" not in str(success(TRACK_CONVERSION, PAGE))
    assert "product may still be there" in str(success(DELETE_PRODUCT, PAGE))
    assert "taken the products" in str(success(SYNC_PRODUCTS, PAGE))


def test_what_an_error_shows_of_an_answer_is_redacted_before_it_is_cut():
    def redact(text):
        return text.replace("s3cret", "[API key]")

    text = str(success(SYNC_PRODUCTS, b"x" * 196 + b"s3cret", redact=redact))
    assert "s3c" not in text
    echo = b'{"error": "s3cret", "message": "s3cret: s3cret", "path": "/s3cret", "details": ["s3cret: s3cret"]}'
    assert "s3cret" not in str(success(SYNC_PRODUCTS, echo, redact=redact))
    listed = b'{"code": "s3cret", "details": [{"field": "s3cret", "message": "s3cret"}]}'
    for body in (echo, listed, b"x" * 298 + b"s3cret"):
        error = read_error(400, CIMultiDict({"X-Request-ID": "s3cret"}), body, redact=redact)
        assert "s3c" not in f"{error} {vars(error)}"


CONTENT_TYPES = st.none() | st.sampled_from(["text/html", "application/json", "text/plain; charset=x", "", ";", "/xml"])


@given(st.sampled_from(EVERY_ENDPOINT), st.binary() | JSON.map(lambda d: json.dumps(d).encode()), CONTENT_TYPES)
@example(SYNC_PRODUCTS, b"[" * 100_000, None)
@example(SYNC_PRODUCTS, b'{"error": {"message": {}}}', None)
def test_no_success_whatever_makes_the_reading_fail(endpoint, body, content_type):
    counts(endpoint, body, content_type)


@pytest.mark.parametrize("before", [b"\n", b"\xef\xbb\xbf", b" \xef\xbb\xbf", b"\xef\xbb\xbf\f"])
def test_what_counts_as_a_success_can_be_decoded_whatever_stands_before_it(before):
    body = before + b'{"newProducts": 1}'
    assert counts(SYNC_PRODUCTS, body)
    assert decode_response(body, BatchResult).created == 1


def test_a_byte_order_mark_before_an_error_is_skipped():
    assert read(400, b'\xef\xbb\xbf{"message": "name: too long"}').field_errors == {"name": "too long"}


def test_a_nested_error_tells_all_it_knows():
    error = read(429, {"error": {"code": "RATE", "message": "Slow", "retryAfter": 7, "limit": 100, "remaining": 0}})
    assert (error.code, error.message, error.retry_after) == ("RATE", "Slow", 7)
    assert (error.limit, error.remaining) == (100, 0)
    assert read(422, {"error": {"code": "X", "details": [{"field": "price", "message": "bad"}]}}).field_errors == {
        "price": "bad"
    }


DATED = "Sun, 01 Mar 2026 12:01:30 GMT"


@pytest.mark.parametrize(
    ("date", "now", "seconds"),
    [
        ("Sun, 01 Mar 2026 12:01:00 GMT", NOW, 30.0),
        ("Sun, 01 Mar 2026 12:01:00 GMT", None, 30.0),
        ("Sun, 01 Mar 2026 12:02:00 GMT", NOW, None),
        (None, NOW, 90.0),
        ("garbled", NOW, 90.0),
        (None, None, None),
    ],
)
def test_a_date_to_retry_after_is_compared_with_the_answers_own_date(date, now, seconds):
    assert read_retry_after(DATED, date=date, now=now) == seconds
    headers = CIMultiDict({"retry-after": DATED} | ({} if date is None else {"date": date}))
    assert RateLimitHeaders.of(headers, now=now).retry_after == seconds
    error = read_error(429, headers, b"", now=now)
    assert error.retry_after == seconds
    assert read_error(503, headers, b"", now=now).retry_after == seconds


def test_rate_limit_headers_are_read_in_one_place():
    headers = CIMultiDict({"x-ratelimit-limit": "100", "x-ratelimit-remaining": " 0 ", "retry-after": "60"})
    assert RateLimitHeaders.of(headers) == RateLimitHeaders(100, 0, 60.0)
    assert RateLimitHeaders.of(CIMultiDict()) == RateLimitHeaders(None, None, None)


@pytest.mark.parametrize("lines", [("0", "60", "5"), ("60", "soon"), ("0, 60",)])
def test_of_several_lines_the_longest_wait_and_the_lowest_count_hold(lines):
    headers = CIMultiDict([("Retry-After", line) for line in lines])
    headers.extend([("X-RateLimit-Limit", line) for line in ("100", "20, 30")])
    headers.extend([("X-RateLimit-Remaining", line) for line in ("7", "0")])
    assert RateLimitHeaders.of(headers) == RateLimitHeaders(20, 0, 60.0)
    assert read_error(429, headers, b"").retry_after == 60.0
    assert RateLimitHeaders.of({"Retry-After": "0, 60"}).retry_after == 60.0  # of a mapping that holds each name once


@pytest.mark.parametrize("figure", ["ten", "", "-1", "1.5", "9" * 5000, "²", "100, ten", "100,", "100;w=60"])
def test_an_unreadable_rate_limit_header_says_nothing(figure):
    headers = CIMultiDict({"X-RateLimit-Limit": figure, "X-RateLimit-Remaining": figure})
    assert RateLimitHeaders.of(headers) == RateLimitHeaders()
