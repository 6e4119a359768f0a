"""The exception tree, and the reading of every documented error body.

Pure: `read_error` takes a status, headers and bytes and returns an exception; it never raises, whatever
a proxy may have put in the body. No exception here ever holds the API key.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .sync.report import SyncReport

__all__ = [
    "APIError",
    "AuthenticationFailed",
    "ClientClosed",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "InvalidBatch",
    "InvalidConversion",
    "InvalidProduct",
    "NeuroonError",
    "NotFound",
    "PermissionDenied",
    "RateLimited",
    "RequestTimeout",
    "ResponseDecodeError",
    "ServerError",
    "TransportError",
    "UnprocessableEntity",
    "UnsafeDeletion",
    "UnsafeFullSync",
    "ValidationFailed",
]


class NeuroonError(Exception):
    """Everything this package raises on purpose."""

    report: SyncReport | None = None
    """What a bulk run had done before this error ended it; ``None`` outside of bulk runs."""


class ConfigurationError(NeuroonError, ValueError):
    """The client was set up, or called, in a way that cannot work. Nothing was sent."""


class ClientClosed(ConfigurationError):
    """The client was used after ``aclose()``."""


class InvalidProduct(NeuroonError, ValueError):
    """A product breaks a documented rule. Nothing was sent.

    ``violations`` holds every broken rule as ``(field, rule)``; ``field`` and ``rule`` are the first of them.
    ``field`` is the name on the wire (camelCase).
    """

    def __init__(self, external_id: str | None, violations: Sequence[tuple[str, str]]) -> None:
        self.external_id = external_id
        self.violations = tuple(violations)
        self.field, self.rule = self.violations[0]
        super().__init__(external_id, self.violations)

    @property
    def reason(self) -> str:
        return "; ".join(f"{field}: {rule}" for field, rule in self.violations)

    def __str__(self) -> str:
        who = "product without a usable externalId" if self.external_id is None else f"product {self.external_id!r}"
        return f"{who}: {self.reason}"


class InvalidConversion(NeuroonError, ValueError):
    """A conversion breaks a documented rule. Nothing was sent."""

    def __init__(self, order_id: str | None, violations: Sequence[tuple[str, str]]) -> None:
        self.order_id = order_id
        self.violations = tuple(violations)
        self.field, self.rule = self.violations[0]
        super().__init__(order_id, self.violations)

    def __str__(self) -> str:
        reason = "; ".join(f"{field}: {rule}" for field, rule in self.violations)
        return f"conversion of order {self.order_id!r}: {reason}"


class InvalidBatch(NeuroonError, ValueError):
    """A batch that no single request can carry: empty, or over 500 products. Nothing was sent."""


class UnsafeFullSync(NeuroonError):
    """A FULL sync that would need several requests. Nothing was sent.

    The vendor's pages contradict each other on FULL: one deletes the index and reinserts what the request
    holds, another removes what is absent from "the accumulated batch", and none says how several requests
    make one batch. So a FULL sync in several requests may erase most of the catalog.
    """


class UnsafeDeletion(NeuroonError):
    """Deleting what the source no longer has would remove suspiciously much. Nothing was deleted.

    ``missing`` of the ``held`` products in the ledger would have gone.
    """

    def __init__(self, message: str, missing: int, held: int) -> None:
        super().__init__(message, missing, held)
        self.missing = missing
        self.held = held

    def __str__(self) -> str:
        return str(self.args[0])


class TransportError(NeuroonError):
    """No complete answer arrived. ``maybe_processed`` tells whether the server may have acted all the same."""

    def __init__(self, message: str, *, maybe_processed: bool) -> None:
        super().__init__(message)
        self.maybe_processed = maybe_processed

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConnectionFailed(TransportError):
    """The connection could not be made, or broke before the whole answer had arrived."""


class RequestTimeout(TransportError):
    """No answer within the time allowed for one attempt, or for the whole call."""


class ResponseDecodeError(NeuroonError):
    """The server answered with success, but not with the JSON it documents. It has probably acted."""

    def __init__(self, message: str, *, status: int, request_id: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class APIError(NeuroonError):
    """The server answered with an error.

    ``field_errors`` maps the wire name of each field that the server complained of to its reasons.
    ``request_id`` is what the vendor's support asks for.
    """

    hint = ""

    def __init__(
        self,
        status: int,
        *,
        code: str | None = None,
        message: str = "",
        field_errors: Mapping[str, str] | None = None,
        path: str | None = None,
        timestamp: datetime | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field_errors = dict(field_errors or {})
        self.path = path
        self.timestamp = timestamp
        self.request_id = request_id

    def __str__(self) -> str:
        text = f"{self.status} {_phrase(self.status)}"
        if self.message and self.message != _phrase(self.status):
            text += f": {self.message}"
        if self.request_id:
            text += f" [request {self.request_id}]"
        if self.hint:
            text += f" ({self.hint})"
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    """Make errors survive pickling, as task queues and process pools need."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ValidationFailed(APIError):
    """400: the request broke a rule; ``field_errors`` names the fields."""


class AuthenticationFailed(APIError):
    """401: the API key was not accepted."""

    hint = (
        "check the API key and the environment: a rotated key stops working at once, "
        "and keys of one environment do not work in the other"
    )


class PermissionDenied(APIError):
    """403: origin mismatch, a key of another shop, or a domain that is not verified."""

    hint = "the key may belong to another shop, the Origin may not match the shop's URL, or the domain is not verified"


class NotFound(APIError):
    """404: no such product or shop."""


class Conflict(APIError):
    """409: already verified, a duplicate identity in a FULL sync, or drift during a sync."""

    hint = "the domain is verified already, or the catalog changed during the sync"


class UnprocessableEntity(APIError):
    """422: a business rule, such as a variant whose parent the catalog lacks."""


class RateLimited(APIError):
    """429: too many requests. ``retry_after`` is in seconds, ``None`` where the server did not say."""

    hint = "something else may be using the same key: limits count per shop over all processes"

    def __init__(
        self,
        status: int = 429,
        *,
        retry_after: float | None = None,
        limit: int | None = None,
        remaining: int | None = None,
        **details: Any,
    ) -> None:
        super().__init__(status, **details)
        self.retry_after = retry_after
        self.limit = limit
        self.remaining = remaining


class ServerError(APIError):
    """5xx: the server, or something before it, failed. ``retry_after`` as in `RateLimited`."""

    def __init__(self, status: int, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(status, **details)
        self.retry_after = retry_after


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
    for field, reason in _detail_errors(document.get("details")):
        field_errors.setdefault(field, reason)
    details: dict[str, Any] = {
        "code": code,
        "message": message or _list_of_texts(document.get("details")) or (code or "" if document else _excerpt(body)),
        "field_errors": field_errors,
        "path": _text(document.get("path")),
        "timestamp": read_timestamp(document.get("timestamp")),
        "request_id": headers.get("X-Request-ID"),
    }
    if status == 429 or status >= 500:
        retry_after = read_retry_after(headers.get("Retry-After"), now=now)
        if retry_after is None:
            retry_after = _positive(inner.get("retryAfter", document.get("retryAfter")))
        if status >= 500:
            return ServerError(status, retry_after=retry_after, **details)
        return RateLimited(
            status,
            retry_after=retry_after,
            limit=_integer(document.get("limit", headers.get("X-RateLimit-Limit"))),
            remaining=_integer(document.get("remaining", headers.get("X-RateLimit-Remaining"))),
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
    return _positive((_as_utc(date) - now).total_seconds())


def _as_utc(moment: datetime) -> datetime:
    """A time without an offset means UTC in this API (and in HTTP)."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


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


def read_timestamp(value: object) -> datetime | None:
    """An ISO 8601 time of this API, with an offset always; ``None`` where it is no time."""
    try:
        return _as_utc(datetime.fromisoformat(value)) if isinstance(value, str) else None
    except ValueError:
        return None


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


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "error"
