"""Faults on demand: what can go wrong between a client and the server.

Pure data. `fault_rules` decides which requests a fault strikes; `server` carries it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from ..api.arguments import check_count, check_flag, check_seconds
from .bodies import EmulatedResponse, ErrorShape, error_response, json_response, rate_limited_response

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
    """What happens to a request. Make one by the constructors below.

    ``processed`` tells whether the shop acts on the request before the fault shows: after a timeout or a lost
    connection a client cannot know, so both must be tried.
    """

    ending: Ending = Ending.ANSWER
    processed: bool = True
    delay: float = 0.0
    scripted: Callable[[str], EmulatedResponse] | None = field(default=None, repr=False)
    """Makes the answer that replaces the shop's own, given the request's path."""

    def __post_init__(self) -> None:
        check_flag("processed", self.processed)
        check_seconds("seconds", self.delay, zero=True)

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
        """An error status with one of the documented bodies (``shape``), or with exactly ``body``."""
        check_count("status", status, 599, least=200)

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
        return Fault(delay=seconds)

    @staticmethod
    def close_after() -> Fault:
        """The right answer; then the kept-alive connection closes unannounced."""
        return Fault(Ending.ANSWER_THEN_CLOSE)
