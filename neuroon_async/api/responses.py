"""Reading what comes back: successes into structs, every other answer into a typed exception.

Pure: `read_error` takes a status, headers and bytes and returns an exception. It never raises, whatever a proxy may
have put into the body.
"""

from __future__ import annotations

import math
import re
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
    ServerError,
    UnprocessableEntity,
    ValidationFailed,
)
from .contract import RATE_LIMIT_HEADER, RATE_REMAINING_HEADER, REQUEST_ID_HEADER, RETRY_AFTER_HEADER
from .models import as_utc, read_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Response", "decode_response", "read_error", "read_retry_after"]

T = TypeVar("T")


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
_MARKUP = re.compile(r"<[^>]*>")
_LONGEST_EXCERPT = 300


def decode_response(body: bytes, kind: type[T]) -> T:
    """Decode a response. Numbers in strings are accepted: field types are inferred from the vendor's samples."""
    return msgspec.json.decode(body, type=kind, strict=False)


def read_error(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> APIError:
    """The typed exception for any answer that is not a success.

    Reads all documented bodies: ``{timestamp, status, error, message, path}`` with and without ``message``,
    ``{code, message, details}``, the 429 body, the nested ``{"error": {…}}``, and HTML or nothing from a proxy.
    ``headers`` must look names up case-insensitively. ``now`` is needed where ``Retry-After`` is a date.
    """
    document = _json_object(body)
    nested = document.get("error")
    inner: dict[str, Any] = nested if isinstance(nested, dict) else document

    message = _text(inner.get("message")) or _text(document.get("message"))
    code = _text(inner.get("code")) or _text(document.get("code")) or _text(document.get("error"))
    field_errors = _field_errors(message)
    for name, reason in _detail_errors(document.get("details")):
        field_errors.setdefault(name, reason)
    details: dict[str, Any] = {
        "code": code,
        "message": message or _list_of_texts(document.get("details")) or (code or "" if document else _excerpt(body)),
        "field_errors": field_errors,
        "path": _text(document.get("path")),
        "timestamp": read_timestamp(document.get("timestamp")),
        "request_id": headers.get(REQUEST_ID_HEADER),
    }
    if status == 429 or status >= 500:
        retry_after = read_retry_after(headers.get(RETRY_AFTER_HEADER), now=now)
        if retry_after is None:
            retry_after = _positive(inner.get("retryAfter", document.get("retryAfter")))
        if status >= 500:
            return ServerError(status, retry_after=retry_after, **details)
        return RateLimited(
            status,
            retry_after=retry_after,
            limit=_integer(document.get("limit", headers.get(RATE_LIMIT_HEADER))),
            remaining=_integer(document.get("remaining", headers.get(RATE_REMAINING_HEADER))),
            **details,
        )
    return _BY_STATUS.get(status, APIError)(status, **details)


def read_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Seconds to wait by a ``Retry-After`` header: a number of seconds or an HTTP date.

    ``None`` where it is absent, unreadable, or not in the future: such a value is no guidance.
    """
    if value is None:
        return None
    seconds = _positive(value.strip())
    if seconds is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return _positive((as_utc(date) - now).total_seconds())


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _integer(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def _field_errors(message: str | None) -> dict[str, str]:
    """Take ``name: reason, price: reason`` apart. A reason may itself hold a comma."""
    found: list[tuple[str, str]] = []
    for piece in (message or "").split(", "):
        match = _FIELD_ERROR.fullmatch(piece)
        if match:
            found.append((match["field"], match["reason"]))
        elif found:
            field, reason = found[-1]
            found[-1] = (field, f"{reason}, {piece}")
        else:
            return {}
    errors: dict[str, str] = {}
    for field, reason in found:
        known = errors.get(field)
        errors[field] = reason if known is None or known == reason else f"{known}; {reason}"
    return errors


def _detail_errors(details: object) -> list[tuple[str, str]]:
    errors: list[tuple[str, str]] = []
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            field, reason = _text(detail.get("field")), _text(detail.get("message")) or _text(detail.get("reason"))
            if field and reason:
                errors.append((field, reason))
        elif isinstance(detail, str):
            errors.extend(_field_errors(detail).items())
    return errors


def _list_of_texts(details: object) -> str:
    return "; ".join(item for item in details if isinstance(item, str)) if isinstance(details, list) else ""


def _excerpt(body: bytes) -> str:
    """The readable part of a proxy's page, short enough for a log line."""
    text = " ".join(_MARKUP.sub(" ", body[:4096].decode("utf-8", "replace")).split())
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}…"
