"""Faults on demand: what can go wrong between a client and the server.

Pure data. `fault_rules` decides which requests a fault strikes; `server` carries it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, get_args

from ..api.arguments import check_callback, check_choice, check_count, check_flag, check_seconds, check_text, shown
from ..api.shapes import is_bytes, is_mapping, is_text
from ..errors import UsageError
from .bodies import EmulatedResponse, ErrorShape, encode_json, error_response, json_response, rate_limited_response

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ending", "Fault"]


class Ending(Enum):
    """How the exchange ends on the wire."""

    ANSWER = auto()
    ANSWER_THEN_CLOSE = auto()
    TRUNCATE = auto()
    DROP = auto()
    RESET = auto()
    HANG = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a request. Make one by the constructors below. All raise `UsageError` for what cannot be sent.

    ``processed`` tells whether the shop acts on the request before the fault shows: after a timeout or a lost
    connection a client cannot know, so both must be tried.
    """

    ending: Ending = Ending.ANSWER
    processed: bool = True
    delay: float = 0.0
    scripted: Callable[[str], EmulatedResponse] | None = field(default=None, repr=False)
    """Makes the answer that replaces the shop's own, given the request's path."""

    def __post_init__(self) -> None:
        if not any(self.ending is known for known in Ending):
            raise UsageError(f"must be an Ending, got {shown(self.ending)}", where="ending")
        check_flag("processed", self.processed)
        check_seconds("delay", self.delay, zero=True)
        check_callback("scripted", self.scripted)

    @staticmethod
    def status(
        status: int,
        message: str = "",
        *,
        shape: ErrorShape | None = None,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        processed: bool = False,
    ) -> Fault:
        """An error status with one of the documented bodies (``shape``), or with exactly ``body``.

        Args:
            status: 200 to 599.
            message: The server's words, for a documented body.
            shape: One of the documented bodies; by default the one that belongs to the status.
            body: Bytes, or what becomes a JSON object.
            headers: Further headers, each on one line.
            processed: Does the shop act on the request?
        """
        check_count("status", status, 599, least=200)
        check_text("message", message, empty=True)
        check_choice("shape", shape, (None, *get_args(ErrorShape)))
        _check_headers(headers)
        if body is not None and not is_bytes(body):
            _check_document(body)

        def scripted(path: str) -> EmulatedResponse:
            if isinstance(body, bytes):
                return EmulatedResponse(status, body, headers or {})
            if body is not None:
                return json_response(status, body, headers)
            return error_response(status, message, path=path, shape=shape, headers=headers)

        return Fault(processed=processed, scripted=scripted)

    @staticmethod
    def too_many_requests(retry_after: float | str | None = None) -> Fault:
        """A 429 with this ``Retry-After``: seconds, any text (an HTTP date), or none at all.

        Seconds go into the body too, as documented.
        """
        if is_text(retry_after):
            _check_line("retry_after", retry_after)
        elif retry_after is not None:
            check_seconds("retry_after", retry_after, zero=True)
        seconds = float(retry_after) if isinstance(retry_after, (int, float)) else 60.0
        text = f"{retry_after:g}" if isinstance(retry_after, (int, float)) else retry_after

        def scripted(_path: str) -> EmulatedResponse:
            if text is None:
                return json_response(429, {"error": "rate_limit_exceeded", "message": "Too many requests."})
            return rate_limited_response(limit=None, retry_after=seconds, headers={"Retry-After": text})

        return Fault(processed=False, scripted=scripted)

    @staticmethod
    def html(status: int = 502, *, processed: bool = False) -> Fault:
        """A proxy's HTML page."""
        return Fault.status(status, shape="html", processed=processed)

    @staticmethod
    def garbage(body: bytes = b"<p>OK</p>", *, processed: bool = True) -> Fault:
        """A 200 whose body is not the documented JSON."""
        if not is_bytes(body):
            raise UsageError(f"must be bytes, got {shown(body)}", where="body")
        return Fault(processed=processed, scripted=lambda _: EmulatedResponse(200, body, {"Content-Type": "text/html"}))

    @staticmethod
    def drop(*, processed: bool = False) -> Fault:
        """The connection closes without an answer."""
        return Fault(Ending.DROP, processed)

    @staticmethod
    def reset(*, processed: bool = False) -> Fault:
        """The connection is reset (TCP RST) without an answer."""
        return Fault(Ending.RESET, processed)

    @staticmethod
    def truncated(*, processed: bool = True) -> Fault:
        """The answer promises more bytes than it sends; then the connection closes."""
        return Fault(Ending.TRUNCATE, processed)

    @staticmethod
    def hang(*, processed: bool = False) -> Fault:
        """No answer until the client goes away or the emulator closes."""
        return Fault(Ending.HANG, processed)

    @staticmethod
    def slow(seconds: float) -> Fault:
        """The right answer, this many seconds later than usual."""
        check_seconds("seconds", seconds, zero=True)
        return Fault(delay=seconds)

    @staticmethod
    def close_after() -> Fault:
        """The right answer; then the kept-alive connection closes unannounced."""
        return Fault(Ending.ANSWER_THEN_CLOSE)


def _check_headers(headers: object) -> None:
    if headers is None:
        return
    if not is_mapping(headers):
        raise UsageError(f"must map names to texts, got {shown(headers)}", where="headers")
    for name, value in headers.items():
        _check_line("headers", name)
        _check_line(f"headers[{name!r}]", value)


def _check_line(name: str, value: object) -> None:
    if not is_text(value) or not value.isprintable():
        raise UsageError(f"must be text of one line: it becomes a header; got {shown(value)}", where=name)


def _check_document(body: object) -> None:
    if not is_mapping(body):
        raise UsageError(f"must be bytes, a mapping or None, got {shown(body)}", where="body")
    try:
        encode_json(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"cannot be written as JSON: {error}", where="body", advice="give its bytes") from None
