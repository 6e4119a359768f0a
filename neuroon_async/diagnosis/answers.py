"""Reading of answers' bodies as far as a diagnosis needs it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import DecodeError

from ..api.responses import read_json
from ..api.shapes import is_object

if TYPE_CHECKING:
    from .observations import Exchange

__all__ = ["field_of", "object_of"]


def object_of(answer: Exchange) -> dict[str, Any] | None:
    """The JSON object that an answer holds; ``None`` where it holds something else."""
    try:
        document = read_json(answer.body.encode("utf-8", "replace"))
    except DecodeError:
        return None
    return document if is_object(document) else None


def field_of(answer: Exchange, name: str) -> Any:
    """One field of it; ``None`` where it is absent."""
    return (object_of(answer) or {}).get(name)
