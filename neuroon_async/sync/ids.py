"""Ids of products, as a source gives them."""

from __future__ import annotations

from typing import Any

from ..api.validation import id_problem
from ..api.values import plain_id

__all__ = ["id_of"]


def id_of(given: object) -> tuple[Any, str | None]:
    """The id that this stands for, and why it cannot be one."""
    try:
        plain = plain_id(given)
        return plain, id_problem(plain)
    except Exception as error:  # noqa: BLE001 - whatever an object of the user's raises costs that item
        return None, f"cannot be read: {type(error).__name__}"
