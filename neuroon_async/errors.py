"""The exception tree. No exception ever holds the API key."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from .report import SyncReport

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


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "error"
