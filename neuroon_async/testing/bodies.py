"""The emulator's bodies: JSON requests read exactly, answers written in every documented shape.

Pure; knows nothing of sockets or of the shop's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Literal, TypeGuard

import msgspec

__all__ = [
    "EmulatedResponse",
    "ErrorShape",
    "Refusal",
    "decode_json",
    "encode_json",
    "error_response",
    "is_array",
    "is_object",
    "json_response",
    "rate_limited_response",
]

ErrorShape = Literal["standard", "bare", "coded", "nested", "html", "empty"]
"""The documented error bodies: ``{timestamp, status, error, message, path}``; the same without ``message``;
``{code, message, details}``; ``{"error": {…}}``; a proxy's page; nothing at all."""

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

_WITHOUT_MESSAGE = frozenset({405, 409, 415})


@dataclass(frozen=True, slots=True)
class EmulatedResponse:
    """A status, a body and its headers, ready to be sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Refusal(Exception):
    """The shop will not do what was asked. ``message`` is what the documentation says the server says."""

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        shape: ErrorShape | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.shape: ErrorShape | None = shape
        self.headers = headers

    def response(self, path: str, *, shape: ErrorShape | None = None, with_offset: bool = True) -> EmulatedResponse:
        """The refusal as an answer. ``shape`` is used where the refusal has none of its own."""
        return error_response(
            self.status,
            self.message,
            path=path,
            shape=self.shape or shape,
            headers=self.headers,
            with_offset=with_offset,
        )


def decode_json(body: bytes) -> Any:
    """JSON with every fraction as the exact `Decimal` that was written.

    Raises `ValueError` on anything that is not one JSON document in UTF-8.
    """
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:  # no ValueError before msgspec 0.21
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    except ArithmeticError:
        raise ValueError("a number is out of range") from None


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Is this a JSON object?"""
    return type(value) is dict


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Is this a JSON array?"""
    return type(value) is list


def encode_json(document: Any) -> bytes:
    """JSON in UTF-8; a `Decimal` is written as the number it is."""
    return _encoder.encode(document)


def json_response(status: int, document: Any, headers: Mapping[str, str] | None = None) -> EmulatedResponse:
    """An answer with a JSON body; a `Decimal` is written as the number it is."""
    return EmulatedResponse(status, encode_json(document), {"Content-Type": "application/json", **(headers or {})})


def error_response(
    status: int,
    message: str = "",
    *,
    path: str,
    shape: ErrorShape | None = None,
    headers: Mapping[str, str] | None = None,
    with_offset: bool = True,
) -> EmulatedResponse:
    """An error in one of the documented shapes; by default the one that belongs to the status.

    405, 409 and 415 come without a ``message``, all others with one.
    """
    shape = shape or ("bare" if status in _WITHOUT_MESSAGE else "standard")
    phrase = _phrase(status)
    message = message or phrase
    if shape == "empty":
        return EmulatedResponse(status, b"", headers or {})
    if shape == "html":
        page = f"<html><head><title>{status} {phrase}</title></head><body><h1>{status} {phrase}</h1></body></html>"
        return EmulatedResponse(status, page.encode(), {"Content-Type": "text/html", **(headers or {})})
    code = phrase.upper().replace(" ", "_").replace("-", "_")
    document: dict[str, Any]
    if shape == "coded":
        document = {"code": code, "message": message, "details": []}
    elif shape == "nested":
        document = {"error": {"code": code, "message": message}}
        if headers and "Retry-After" in headers:
            document["error"]["retryAfter"] = _number_or_text(headers["Retry-After"])
    else:
        document = {
            "timestamp": timestamp(with_offset=with_offset),
            "status": status,
            "error": phrase,
            "message": message,
            "path": path,
        }
        if shape == "bare":
            del document["message"]
    return json_response(status, document, headers)


def rate_limited_response(
    *, limit: int | None, retry_after: float, headers: Mapping[str, str] | None = None, with_offset: bool = True
) -> EmulatedResponse:
    """The documented 429 body. ``retry_after`` is in seconds; the header of that name is the caller's affair."""
    document = {
        "error": "rate_limit_exceeded",
        "message": f"Too many requests. Try again in {retry_after:g} seconds.",
        "retryAfter": retry_after,
        "limit": limit,
        "remaining": 0,
        "timestamp": timestamp(with_offset=with_offset),
    }
    return json_response(429, document, headers)


def timestamp(*, with_offset: bool = True) -> str:
    """The present moment in UTC, ending in ``Z`` or without an offset."""
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{now}Z" if with_offset else now


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _number_or_text(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdigit() else value
