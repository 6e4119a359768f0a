"""Reading what comes back: successes into structs, every other answer into a typed exception.

Pure: `read_success` and `read_error` take a status, headers and bytes. They never raise, whatever a proxy may have put
into the body. Headers must be looked up case-insensitively. Where text of the server's becomes text of an error, it
passes through ``redact``, which takes the API key out; bodies and decoded answers are never rewritten.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ..errors import (
    APIError,
    AuthenticationFailed,
    Conflict,
    NotFound,
    PermissionDenied,
    RateLimited,
    ResponseDecodeError,
    ServerError,
    UnprocessableEntity,
    ValidationFailed,
)
from .contract import DATE_HEADER, RATE_LIMIT_HEADER, RATE_REMAINING_HEADER, REQUEST_ID_HEADER, RETRY_AFTER_HEADER
from .pages import BYTE_ORDER_MARK, content_of, excerpt_of, is_page
from .results import Answer, as_utc, read_count, read_timestamp
from .shapes import is_list, is_object, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from .contract import Endpoint

__all__ = [
    "RateLimitHeaders",
    "Response",
    "decode_response",
    "no_success",
    "read_error",
    "read_json",
    "read_retry_after",
    "read_success",
]

A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, slots=True)
class Response:
    """A success: 2xx, or the error that on a retry only says that the first try had worked (then no body)."""

    status: int
    body: bytes = field(repr=False)  # what a server echoes may hold the key
    request_id: str | None


_BY_STATUS: dict[int, type[APIError]] = {
    400: ValidationFailed,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    422: UnprocessableEntity,
}

_FIELD_ERROR = re.compile(r"(?P<field>[A-Za-z_][\w.\[\]-]*): (?P<reason>.+)", re.DOTALL)
_GOOD_CODES = {"OK", "SUCCESS", "SUCCESSFUL", "CREATED", "ACCEPTED"}
_FIGURES = ("limit", "remaining")
_DOCUMENTED = {"error", "details"}
"""The fields of documented errors that hold lists or objects."""


@dataclass(frozen=True, slots=True)
class RateLimitHeaders:
    """What an answer's headers say about the rate limit. What they do not say, or not readably, is ``None``."""

    limit: int | None = None
    """Requests that one window holds."""
    remaining: int | None = None
    """Requests that are left of them."""
    retry_after: float | None = None
    """Seconds to wait before the next request."""

    @classmethod
    def of(cls, headers: Mapping[str, str], *, now: datetime | None = None) -> RateLimitHeaders:
        """Read them. ``now``: see `read_retry_after`."""
        retry_after = _said(headers, RETRY_AFTER_HEADER)
        return cls(
            limit=_header_count(_said(headers, RATE_LIMIT_HEADER)),
            remaining=_header_count(_said(headers, RATE_REMAINING_HEADER)),
            retry_after=read_retry_after(retry_after, date=headers.get(DATE_HEADER), now=now) if retry_after else None,
        )


def read_json(body: bytes) -> Any:
    """The JSON document in ``body``, after a byte order mark or without one. Raises `msgspec.DecodeError`.

    What only some of JSON's readers take is read too, because one odd figure must not cost the whole answer: ``NaN``,
    numbers out of range, bytes that are not UTF-8, halves of surrogate pairs.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None
    try:
        document = _lenient_json(body.decode("utf-8", "replace"))
        whole_text = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace").decode()
        return _lenient_json(whole_text)
    except json.JSONDecodeError as error:
        raise msgspec.DecodeError(f"JSON is malformed: {error}") from None
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None


def _lenient_json(text: str) -> Any:
    return json.loads(
        text, parse_constant=lambda _: None, parse_int=lambda digits: int(digits) if len(digits) < 300 else None
    )


def decode_response(body: bytes, kind: type[A], *, redact: Callable[[str], str] = str) -> A:
    """The struct that an answer documents. Raises `msgspec.DecodeError` where it holds something else.

    Its fields are the server's, unchanged; its ``repr`` shows them through ``redact``.
    """
    answer = kind.from_answer(read_json(content_of(body)))
    answer.shown_through(redact)
    return answer


def read_success(
    endpoint: Endpoint,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    redact: Callable[[str], str] = str,
) -> Response | ResponseDecodeError:
    """A 2xx answer: the response, or the error that says why it is no success of this endpoint."""
    request_id = headers.get(REQUEST_ID_HEADER)
    request_id = request_id and redact(request_id)
    problem = no_success(endpoint, headers.get("Content-Type"), body, redact=redact)
    if problem is None:
        return Response(status, body, request_id)
    return ResponseDecodeError(
        f"{problem}; {endpoint.doubt}",
        where=endpoint.name,
        status=status,
        request_id=request_id,
    )


def no_success(
    endpoint: Endpoint, content_type: str | None, body: bytes, *, redact: Callable[[str], str] = str
) -> str | None:
    """Why a 2xx answer is no success of this endpoint, in words; ``None`` where it is one.

    - A web page is none, on any endpoint: a proxy, a login page or a firewall answered.
    - Nor is JSON in a shape that the API documents for errors, unless a field of a success is with it.
    - Where the API documents an answer, only JSON is one, and none that denies it (``"success": false``). Elsewhere an
      empty body or any other text will do, and what a field means that nobody documents is not guessed.
    """
    content = content_of(body)
    try:
        document = read_json(content) if content else None
    except msgspec.DecodeError as error:
        if is_page(content_type, content):
            return f"a web page answered instead of the API: {excerpt_of(content, redact)!r}"
        if not endpoint.documents_answer:
            return None
        # Redacted before it is cut: half a key would not be recognised.
        excerpt = redact(content[:4096].decode("utf-8", "replace"))[:200]
        return f"the answer is not JSON ({error}); it begins {excerpt!r}"
    if not content:
        return "the answer is empty" if endpoint.documents_answer else None
    if (
        is_object(document)
        and endpoint.success_fields.isdisjoint(document)
        and (_is_error(document) or (endpoint.documents_answer and document.get("success") is False))
    ):
        message = _text(_nested(document).get("message")) or _text(document.get("message")) or _error_code(document)
        return f"the answer is an error in spite of its status: {redact(message or 'without a message')}"
    return None


def _is_error(document: Mapping[str, Any]) -> bool:
    """Is this one of the documented error bodies?"""
    if document.get("error") or (read_count(document.get("status")) or 0) >= 400:
        return True
    code = _text(document.get("code"))
    return code is not None and code.upper() not in _GOOD_CODES and ("message" in document or "details" in document)


def _nested(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The error itself, where the body holds it one level down."""
    error = document.get("error")
    return error if is_object(error) else document


def _error_code(document: Mapping[str, Any]) -> str | None:
    return _text(_nested(document).get("code")) or _text(document.get("code")) or _text(document.get("error"))


def read_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    problem: str | None = None,
    now: datetime | None = None,
    redact: Callable[[str], str] = str,
) -> APIError:
    """The typed exception for any answer that is not a success.

    Reads all documented bodies: ``{timestamp, status, error, message, path}`` with and without ``message``,
    ``{code, message, details}``, the 429 body, the nested ``{"error": {…}}``, and HTML or nothing from a proxy.
    ``problem``: why its body is not known. ``now``: see `read_retry_after`.
    """
    body = body if problem is None else problem.encode()
    document = _json_object(body)
    inner = _nested(document)
    details: dict[str, Any] = _details(document, inner, body, redact)
    request_id = headers.get(REQUEST_ID_HEADER)
    details["request_id"] = request_id and redact(request_id)
    # A server that says no more than a status still counts the call; what knows no limits is a proxy.
    details["documented"] = _is_error(document) or (not body.strip() and RATE_LIMIT_HEADER in headers)
    if status != 429 and status < 500:
        return _BY_STATUS.get(status, APIError)(status, **details)
    said = RateLimitHeaders.of(headers, now=now)
    retry_after = said.retry_after or _positive(inner.get("retryAfter", document.get("retryAfter")))
    if status >= 500:
        return ServerError(status, retry_after=retry_after, **details)
    limit, remaining = (_first(_integer(inner.get(name)), _integer(document.get(name))) for name in _FIGURES)
    return RateLimited(
        status,
        retry_after=retry_after,
        limit=_first(limit, said.limit),
        remaining=_first(remaining, said.remaining),
        **details,
    )


def _details(
    document: Mapping[str, Any], inner: Mapping[str, Any], body: bytes, redact: Callable[[str], str]
) -> dict[str, Any]:
    def said(value: object) -> str | None:
        text = _text(value)
        return text and redact(text)

    message = said(inner.get("message")) or said(document.get("message"))
    code = said(_error_code(document))
    field_errors = _field_errors(message)
    for name, reason in _detail_errors(document.get("details", inner.get("details"))):
        field_errors.setdefault(redact(name), redact(reason))
    listed = redact(_list_of_texts(document.get("details", inner.get("details"))))
    return {
        "code": code,
        "message": message or listed or _undocumented_words(document, code, body, redact),
        "field_errors": field_errors,
        "path": said(document.get("path")),
        "timestamp": read_timestamp(document.get("timestamp")),
    }


def _undocumented_words(
    document: Mapping[str, Any], code: str | None, body: bytes, redact: Callable[[str], str]
) -> str:
    """What an error says where no documented field says it: as RFC 9457 has it, or the beginning of what came.

    What stands in lists and objects that nobody documents is what the other fields leave out.
    """
    standard = _text(document.get("detail")) or _text(document.get("title"))
    if standard is not None:
        return redact(standard)
    says_more = any(
        value and name not in _DOCUMENTED and isinstance(value, (list, dict)) for name, value in document.items()
    )
    return excerpt_of(body, redact) if code is None or says_more else code


def read_retry_after(value: str | None, *, date: str | None = None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header: a number of seconds or an HTTP date.

    Of several numbers, as two proxies may leave them, the longest counts. A date is compared with the answer's own
    ``Date`` header (``date``), so that a wrong clock on either side does not matter, and with ``now`` where that is
    missing. ``None`` where the value is absent, unreadable, or not in the future: such a value is no guidance.
    """
    if value is None:
        return None
    waits = [wait for part in value.split(",") if (wait := _positive(part.strip())) is not None]
    if waits:
        return max(waits)
    until = _http_date(value)
    answered = _http_date(date) or now
    if until is None or answered is None:
        return None
    return _positive((until - answered).total_seconds())


def _http_date(value: str | None) -> datetime | None:
    try:
        return as_utc(parsedate_to_datetime(value)) if value else None
    except (ValueError, OverflowError):
        return None


def _said(headers: Mapping[str, str], name: str) -> str | None:
    """What a header says, with commas between the lines where it has several, as of two proxies."""
    every: Callable[[str, list[str]], list[str]] | None = getattr(headers, "getall", None)
    return headers.get(name) if every is None else ", ".join(every(name, [])) or None


def _header_count(text: str | None) -> int | None:
    """A header's whole number; of several ones the least, which no sender's rule breaks."""
    found = [_digits(part.strip()) for part in (text or "").split(",")]
    return None if None in found else min(count for count in found if count is not None)


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = read_json(body)
    except msgspec.DecodeError:
        return {}
    return document if is_object(document) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _integer(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or (isinstance(value, str) and "_" in value):
        return None  # Python's own underscores are no digits elsewhere
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def _field_errors(message: str | None) -> dict[str, str]:
    """Take ``name: reason, price: reason`` apart. A reason may itself hold a comma."""
    found: list[tuple[str, list[str]]] = []
    for piece in (message or "").split(", "):
        match = _FIELD_ERROR.fullmatch(piece)
        if match:
            found.append((match["field"], [match["reason"]]))
        elif found:
            found[-1][1].append(piece)
        else:
            return {}
    reasons: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for name, pieces in found:
        reasons[name][", ".join(pieces)] = None
    return {name: "; ".join(said) for name, said in reasons.items()}


def _detail_errors(details: object) -> list[tuple[str, str]]:
    errors: list[tuple[str, str]] = []
    for detail in details if is_list(details) else ():
        if is_object(detail):
            field, reason = _text(detail.get("field")), _text(detail.get("message")) or _text(detail.get("reason"))
            if field and reason:
                errors.append((field, reason))
        elif isinstance(detail, str):
            errors.extend(_field_errors(detail).items())
    return errors


def _list_of_texts(details: object) -> str:
    return "; ".join(item for item in details if is_text(item)) if is_list(details) else ""
