"""Reading the shopper's ``neuroon_clicks`` cookie. Pure; the cookie is hostile input and never raises."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from ..errors import UsageError
from .contract import CLICKS_COOKIE
from .shapes import class_of, is_bytes, is_mapping, is_object, is_text
from .values import plain_id

__all__ = ["ClickLog"]

_STRING = r'"(?:[^"\\]|\\.)*"'
_ENTRY = re.compile(rf"\s*(?P<key>{_STRING})\s*:\s*(?P<value>{_STRING})\s*(?P<end>[,}}]|$)", re.DOTALL)
_OBJECT = re.compile(r'\{\s*(?:["}]|$)')
_CUT_ESCAPE = re.compile(r"%[0-9A-Fa-f]?\Z")
_COOKIE_QUOTED = re.compile(r'"(?P<inside>(?:[^"\\]|\\.)*)', re.DOTALL)
_COOKIE_ESCAPE = re.compile(r"\\(?:(?P<octal>[0-3][0-7]{2})|(?P<character>.))", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ClickLog:
    """Which search led the shopper to which product: ``external_id`` → ``searchLogId``.

    The browser cuts the cookie off at 4096 bytes, so its end may be missing; every entry before the cut counts.

    >>> ClickLog.parse('%7B%22SKU-1%22%3A%22log-1%22%2C%22SKU-2%22%3A%22lo').get("SKU-1")
    'log-1'
    """

    entries: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not is_mapping(self.entries):
            raise UsageError("must be a mapping; ClickLog.parse reads the cookie", where="entries")

    @classmethod
    def parse(cls, cookie: str | bytes | None) -> ClickLog:
        """Read the cookie's value: plain or percent-encoded JSON, whole or cut off. Junk gives an empty log.

        Raises `UsageError` for what is no text, such as a whole jar of cookies.
        """
        if cookie is not None and not is_text(cookie) and not is_bytes(cookie):
            raise UsageError(f"must be the value of {CLICKS_COOKIE}, got {class_of(cookie).__name__}", where="cookie")
        text = cookie.decode("utf-8", "replace") if isinstance(cookie, bytes) else cookie or ""
        text = _unquoted(text.strip().lstrip("\ufeff"))
        whole = _whole_object(text)
        if whole is not None:
            return cls(MappingProxyType(whole))
        entries: dict[str, str] = {}
        position = 1
        while text.startswith("{") and (match := _ENTRY.match(text, position)):
            key, value = _json_string(match["key"]), _json_string(match["value"])
            if key and value:
                entries[key] = value
            if match["end"] != ",":
                break
            position = match.end()
        return cls(MappingProxyType(entries))

    def __reduce__(self) -> tuple[Any, ...]:
        return _click_log, (dict(self.entries),)  # a view of a dict is not pickled

    def get(self, external_id: str) -> str | None:
        """The search that led to this product, or ``None``."""
        found = self.lead(external_id)
        return None if found is None else found[1]

    def lead(self, external_id: str) -> tuple[str, str] | None:
        """The product's id, as the cookie holds it, and the search that led to it; or ``None``.

        An id is read as `products.sync` reads it: a whole number or a UUID, as databases have them, is text.
        """
        plain = plain_id(external_id)
        search_log_id = self.entries.get(plain) if is_text(plain) else None
        return None if search_log_id is None else (plain, search_log_id)

    def __contains__(self, external_id: object) -> bool:
        plain = plain_id(external_id)
        return is_text(plain) and plain in self.entries

    def __len__(self) -> int:
        return len(self.entries)


def _click_log(entries: dict[str, str]) -> ClickLog:
    return ClickLog(MappingProxyType(entries))


def _unquoted(text: str) -> str:
    """Undo cookie quoting and percent-encoding (twice where a framework encoded the cookie once more).

    Some libraries leave braces and colons as they are and encode only the quotes: ``{%22SKU-1%22:…``.
    """
    for _ in range(3):
        if quoted := _COOKIE_QUOTED.match(text):
            text = _COOKIE_ESCAPE.sub(_unescaped, quoted["inside"])
        if _OBJECT.match(text):
            break
        text = unquote(_CUT_ESCAPE.sub("", text), errors="replace").strip()
    return text


def _unescaped(escape: re.Match[str]) -> str:
    octal: str | None = escape["octal"]
    return escape["character"] if octal is None else chr(int(octal, 8))


def _whole_object(text: str) -> dict[str, str] | None:
    """The entries of a cookie that was not cut off; values that are no text lead nowhere."""
    try:
        document = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    if not is_object(document):
        return None
    return {key: value for key, value in document.items() if key and _sendable(key) and value and _sendable(value)}


def _sendable(value: object) -> bool:
    """Text, without a lone surrogate: that could not travel on to the API."""
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False


def _json_string(literal: str) -> str | None:
    try:
        value = json.loads(literal, strict=False)
    except ValueError:
        return None
    return value if _sendable(value) else None
