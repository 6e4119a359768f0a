"""A dead letter as a store keeps it becomes one that can be shown, whatever is damaged of it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .bodies import UnreadableBody, as_bytes, conversion_of
from .store import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..api.models import Conversion

__all__ = ["dead_letter", "text_of"]

_NO_TIME = datetime.min.replace(tzinfo=UTC)


def dead_letter(row: Sequence[Any]) -> DeadLetter:
    """Of order id, reason, attempts, the two times in Unix seconds, and body."""
    order_id, reason, attempts, enqueued_at, refused_at, body = row
    return DeadLetter(
        text_of(order_id),
        text_of(reason),
        attempts if isinstance(attempts, int) else 0,
        _time(enqueued_at),
        _time(refused_at),
        _conversion(body),
    )


def text_of(value: object) -> str:
    """What stands where text belongs, readable."""
    return "" if value is None else as_bytes(value).decode("utf-8", "backslashreplace")


def _time(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return _NO_TIME


def _conversion(body: object) -> Conversion | None:
    try:
        return conversion_of(as_bytes(body))
    except UnreadableBody:
        return None
