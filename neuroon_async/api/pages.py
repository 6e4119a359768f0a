"""Telling a web page, which a proxy or a firewall answers with, from an answer of the API. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BYTE_ORDER_MARK", "content_of", "excerpt_of", "is_page"]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TAG = re.compile(rb"<[a-z/!]")
_MARKUP = re.compile(r"<[^>]*>")
_LONGEST_EXCERPT = 300


def content_of(body: bytes) -> bytes:
    """A body without what may stand around it."""
    return body.removeprefix(BYTE_ORDER_MARK).strip()


def is_page(content_type: str | None, content: bytes) -> bool:
    """Is this HTML, by what its header says or by what it begins with?"""
    kind = (content_type or "").partition(";")[0].strip().lower()
    start = content[:4096].lower().replace(b"\0", b"")  # of a page in UTF-16, letters remain
    if b"<html" in start or b"<!doctype html" in start:
        return True
    if kind in {"text/html", "application/xhtml+xml"}:
        return _TAG.search(start) is not None  # some servers call any short text HTML
    is_xml = kind.endswith(("/xml", "+xml")) or start.startswith(b"<?xml")
    return start.startswith(b"<") and not is_xml


def excerpt_of(body: bytes, redact: Callable[[str], str]) -> str:
    """The readable part of what came, short enough for a log line."""
    # Redacted before it is cut: half a key would not be recognised.
    text = redact(" ".join(_MARKUP.sub(" ", body[:4096].decode("utf-8", "replace")).split()))
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}…"
