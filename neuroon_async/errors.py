"""The exception tree. No exception ever holds the API key.

Each error keeps apart *where* it happened, *what* is wrong and what to do about it (*advice*). Its text joins the
three; a program that has other names for the arguments of this package, as a command line has, puts its own together.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

from .advice import NOT_THE_API, Advice, as_argument
from .report import SyncReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

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
    "SyncFailed",
    "TransportError",
    "UnprocessableEntity",
    "UnsafeDeletion",
    "UnsafeFullSync",
    "UsageError",
    "ValidationFailed",
]


class _More(TypedDict, total=False):
    """What any error may be given beside its own arguments."""

    where: str | None
    advice: Advice | str | None


class NeuroonError(Exception):
    """The base of everything that this package raises on purpose.

    ``what`` is what went wrong, in words. ``where`` is the argument, product, record or request that it is about.
    ``advice`` is what to do. Each may be absent: ``where`` and ``advice`` are then ``None``.
    """

    report: SyncReport | None = None
    """What a bulk run had done before this error ended it; ``None`` outside of bulk runs."""

    shop_id: str | None = None
    """The shop whose call failed; ``None`` where no call was made."""

    joint: ClassVar[str] = ": "
    """What stands between ``where`` and ``what`` in the error's text."""

    def __init__(self, what: str = "", *, where: str | None = None, advice: Advice | str | None = None) -> None:
        super().__init__(what)
        self.what: str = what
        self.where: str | None = where
        self.advice: Advice | None = Advice(advice) if isinstance(advice, str) else advice

    def naming(self, name_argument: Callable[[str, Any], str]) -> str:
        """The error's text with every argument written as ``name_argument(name, value)`` writes it.

        ``value`` is ``...`` where only the argument itself is meant.

        >>> error = UsageError("must be 1 or more, got 0", where="batch_size")
        >>> str(error)
        'batch_size must be 1 or more, got 0'
        >>> error.naming(lambda name, value: "--" + name.replace("_", "-"))
        '--batch-size must be 1 or more, got 0'
        """
        text = self.what if self.where is None else f"{self._place(name_argument)}{self.joint}{self.what}"
        return text if self.advice is None else f"{text}; {self.advice.naming(name_argument)}"

    def _place(self, _name_argument: Callable[[str, Any], str]) -> str | None:
        return self.where

    def __str__(self) -> str:
        return self.naming(as_argument)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    """Make errors survive pickling, as task queues and process pools need."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(NeuroonError, ValueError):
    """The client was set up in a way that cannot work. Nothing was sent. ``where`` is the argument or variable."""

    joint = " "

    def _place(self, name_argument: Callable[[str, Any], str]) -> str | None:
        return self.where if self.where is None else name_argument(self.where, ...)


class UsageError(ConfigurationError):
    """A call that cannot work, such as one with an argument out of its range. Nothing was sent."""


class ClientClosed(UsageError):
    """The client was used after ``aclose()``, or closed while a call was under way.

    ``maybe_processed`` tells whether the server may have acted on that call nevertheless.
    """

    def __init__(
        self, what: str = "this client was closed", *, maybe_processed: bool = False, **more: Unpack[_More]
    ) -> None:
        super().__init__(what, **more)
        self.maybe_processed = maybe_processed


class _BrokenRules(NeuroonError, ValueError):
    """What breaks documented rules: every one of them as ``(field, rule)``, and the first one apart."""

    def __init__(
        self,
        name: str | None,
        violations: Sequence[tuple[str, str]],
        where: str,
        advice: Advice | str | None,
    ) -> None:
        self.violations: tuple[tuple[str, str], ...] = tuple(violations)
        self.field: str = self.violations[0][0]
        self.rule: str = self.violations[0][1]
        super().__init__("; ".join(f"{field}: {rule}" for field, rule in self.violations), where=where, advice=advice)
        self.args: tuple[Any, ...] = (name, self.violations)

    @property
    def reason(self) -> str:
        """Every broken rule, in words."""
        return self.what


class InvalidProduct(_BrokenRules):
    """A product breaks a documented rule. Nothing was sent.

    ``violations`` holds every broken rule as ``(field, rule)``; ``field`` and ``rule`` are the first of them.
    ``field`` is the name on the wire (camelCase). ``external_id`` is ``None`` where the product has no usable one.
    """

    def __init__(
        self, external_id: str | None, violations: Sequence[tuple[str, str]], *, advice: Advice | str | None = None
    ) -> None:
        self.external_id = external_id
        who = "product without a usable externalId" if external_id is None else f"product {external_id!r}"
        super().__init__(external_id, violations, who, advice)


class InvalidConversion(_BrokenRules):
    """A conversion breaks a documented rule. Nothing was sent. The same fields as `InvalidProduct`, for an order."""

    def __init__(
        self, order_id: str | None, violations: Sequence[tuple[str, str]], *, advice: Advice | str | None = None
    ) -> None:
        self.order_id = order_id
        super().__init__(order_id, violations, f"conversion of order {order_id!r}", advice)


class InvalidBatch(NeuroonError, ValueError):
    """A batch that no single request can carry: empty, or over 500 products. Nothing was sent."""


class SyncFailed(NeuroonError):
    """A bulk run reached its end, and some products did not reach the catalog. ``report`` says which, and why.

    Raised by `SyncReport.raise_for_failures` alone: a run itself returns its report.
    """

    def __init__(self, report: SyncReport) -> None:
        first = f"; the first one: {report.failures[0]}" if report.failures else ""
        super().__init__(f"{report.failed:,} of {report.received:,} products failed{first}")
        self.report: SyncReport | None = report


SyncReport.error_type = SyncFailed


class UnsafeFullSync(NeuroonError):
    """A FULL sync that may erase products which should stay. Nothing was sent.

    The vendor's pages contradict each other on FULL: one deletes the index and reinserts what the request
    holds, another removes what is absent from "the accumulated batch", and none says how several requests
    make one batch. So a FULL sync in several requests may erase most of the catalog, and one whose source
    holds products that cannot be sent erases those.

    ``unsendable``: how many products cannot be sent, as ``report.failures`` tells; 0 where several requests are needed.
    """

    def __init__(self, what: str, *, unsendable: int = 0, advice: Advice | str | None = None) -> None:
        super().__init__(what, advice=advice)
        self.unsendable = unsendable


class UnsafeDeletion(NeuroonError):
    """Deleting what the source no longer has would remove suspiciously much. Nothing was deleted.

    ``missing`` of the ``held`` products in the ledger would have gone. ``max_fraction`` is the part that the call
    allows (``max_delete_fraction``); ``None`` where the refusal has another reason.
    """

    def __init__(
        self,
        what: str,
        missing: int,
        held: int,
        *,
        max_fraction: float | None = None,
        advice: Advice | str | None = None,
    ) -> None:
        super().__init__(what, advice=advice)
        self.args: tuple[Any, ...] = (what, missing, held)
        self.missing = missing
        self.held = held
        self.max_fraction = max_fraction


class TransportError(NeuroonError):
    """No complete answer arrived. ``maybe_processed`` tells whether the server may have acted nevertheless.

    ``permanent``: trying again cannot help before something is changed, such as an untrusted certificate.
    """

    def __init__(self, what: str, *, maybe_processed: bool, permanent: bool = False, **more: Unpack[_More]) -> None:
        super().__init__(what, **more)
        self.maybe_processed = maybe_processed
        self.permanent = permanent


class ConnectionFailed(TransportError):
    """The connection could not be made, or broke before the whole answer had arrived."""


class RequestTimeout(TransportError):
    """No answer within the time allowed for one attempt, or for the whole call."""


class ResponseDecodeError(NeuroonError):
    """The server answered with success, but not as the API documents. It may have acted.

    ``status`` is the HTTP status, ``request_id`` what the vendor's support asks for.
    """

    def __init__(self, what: str, *, status: int, request_id: str | None, **more: Unpack[_More]) -> None:
        super().__init__(what, **more)
        self.status = status
        self.request_id = request_id


class APIError(NeuroonError):
    """The server answered with an error.

    ``status`` is the HTTP status; ``message`` the server's own words, ``code`` its name for the error.
    ``field_errors`` maps the wire name of each field that the server complained of to its reasons.
    ``path`` and ``timestamp`` are as the server gave them. ``request_id`` is what the vendor's support asks for.
    ``documented``: the answer is one that the API documents. Else a proxy, router or firewall may have answered.
    """

    hint: ClassVar[str] = ""
    """What such an answer usually comes from."""

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
        documented: bool = True,
    ) -> None:
        foreign = not documented and status < 500
        super().__init__(message, where=path, advice=NOT_THE_API if foreign else self.hint or None)
        self.status = status
        self.code = code
        self.message = message
        self.field_errors: dict[str, str] = dict(field_errors or {})
        self.path = path
        self.timestamp = timestamp
        self.request_id = request_id
        self.documented = documented

    def naming(self, name_argument: Callable[[str, Any], str]) -> str:
        text = f"{self.status} {_phrase(self.status)}"
        if self.message and self.message != _phrase(self.status):
            text += f": {self.message}"
        marks = (self.shop_id and f"shop {self.shop_id}", self.request_id and f"request {self.request_id}")
        if any(marks):
            text += f" [{', '.join(filter(None, marks))}]"
        if self.advice:
            text += f" ({self.advice.naming(name_argument)})"
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


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
    """429: too many requests.

    ``retry_after`` is in seconds, ``None`` where the server did not say; ``limit`` and ``remaining`` as the server
    gave them. ``local`` is true where no request was sent: the SDK's own limiter refused at once, because the wait
    would exceed the call's deadline. ``retry_after`` then says when to come back.
    """

    hint = "something else may be using the same key: limits count per shop over all processes"

    def __init__(
        self,
        status: int = 429,
        *,
        retry_after: float | None = None,
        limit: int | None = None,
        remaining: int | None = None,
        local: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(status, **details)
        self.retry_after = retry_after
        self.limit = limit
        self.remaining = remaining
        self.local = local
        if local:
            self.advice: Advice | None = None if retry_after is None else Advice(f"come back in {retry_after:.1f} s")

    def naming(self, name_argument: Callable[[str, Any], str]) -> str:
        if not self.local:
            return super().naming(name_argument)
        text = self.message or "not sent: the wait for the rate limit would exceed the deadline"
        return f"{text}; {self.advice.naming(name_argument)}" if self.advice else text


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
