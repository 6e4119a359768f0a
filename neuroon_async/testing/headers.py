"""The documented rules for a request's headers. Pure: knows neither the shop's state nor sockets."""

from __future__ import annotations

import re
from hmac import compare_digest
from typing import TYPE_CHECKING

from ..api.contract import API_KEY_HEADER, Locale
from .bodies import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_key", "check_media_type", "check_site", "locale_of", "site_of"]

_LOCALES = frozenset(Locale)


def check_key(headers: Mapping[str, str], api_key: str) -> None:
    """Raise `Refusal` with 401 unless the request has the key."""
    key = headers.get(API_KEY_HEADER, "")
    if not compare_digest(key.encode("utf-8", "surrogateescape"), api_key.encode()):
        raise Refusal(401, "Invalid or missing API Key")


def check_site(headers: Mapping[str, str], shop_url: str, *, referer: bool) -> None:
    """Raise `Refusal` with 403 where the request comes from another site than the shop's.

    ``Origin`` decides; where it is absent, ``Referer`` does if ``referer`` says so. Neither has to be there.
    """
    source = headers.get("Origin")
    if source is None and referer:
        source = headers.get("Referer")
        if source is not None:
            source = re.sub(r"^([a-zA-Z]+://[^/?#]*).*", r"\1", source.strip(), flags=re.DOTALL)
    if source is not None and site_of(source) != site_of(shop_url):
        raise Refusal(403, "Origin mismatch — API Key cannot be used from this domain")


def check_media_type(headers: Mapping[str, str]) -> None:
    """Raise `Refusal` with 415 unless the body is announced as JSON in UTF-8, not compressed."""
    media_type, *parameters = headers.get("Content-Type", "").lower().replace(" ", "").split(";")
    charsets = [value.strip('"') for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    if media_type != "application/json" or charsets not in ([], ["utf-8"]):
        raise Refusal(415)
    if headers.get("Content-Encoding", "identity") != "identity":
        raise Refusal(415)


def locale_of(headers: Mapping[str, str]) -> Locale:
    """The language that the API would answer in: a known one, with or without a region; else Spanish."""
    language = headers.get("Accept-Language", "").strip().lower().partition("-")[0]
    return Locale(language) if language in _LOCALES else Locale.ES


def site_of(url: str) -> str:
    """A URL as the origin rule compares it: without protocol, ``www.`` and trailing slash."""
    return re.sub(r"^[a-z]+://", "", url.strip().lower()).removeprefix("www.").removesuffix("/")
