"""Addresses as catalogs write them: without scheme or host, with spaces, several in one cell. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from .nested import nested_value, without_brackets

if TYPE_CHECKING:
    from ...api.shapes import RawValue

__all__ = ["complete", "first_image", "is_absolute", "is_broken", "is_image_file"]

_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
_IMAGE_ENDINGS = "jpe?g|png|gif|webp|avif|svg|bmp|tiff?|jfif|heic"
_FILE_ENDINGS = f"{_IMAGE_ENDINGS}|x?html?|php[0-9]?|aspx?|jspx?|cgi|pdf|mp4|webm|mov|mpg|txt|xml|json|js|css|zip"
_IMAGE = re.compile(rf"(?i)[^\s].*\.(?:{_IMAGE_ENDINGS})(?:\?\S*)?")
_HOST = rf"(?:[\w-]+\.)+(?!(?:{_FILE_ENDINGS})(?:[/?#:]|$))[A-Za-z]{{2,24}}(?::[0-9]+)?"
_BEGINS_WITH_HOST = re.compile(rf"(?i)(?:www\.{_HOST}(?=[/?#]|$)|{_HOST}(?=/))")
_NEXT_ADDRESS = re.compile(rf"(?i)[\s,;|]+(?=https?:|//\w|{_HOST}/)")
_SPACES = re.compile(r"\s+")
_WITHIN = rf"/|[a-z][a-z0-9+.-]*:|{_HOST}/[^\s,;|%]*https?://"
"""How an address begins that may hold another one in its path."""
_BROKEN = re.compile(rf"(?i)\s*(?:https?:(?!//)|https?//|<|\\\\)|(?!\s*(?:{_WITHIN}))[^?#]*?https?://")
_IN_HTML = re.compile(r"""(?i)<(?:img|source)\b[^<>]*?\bsrc\s*=\s*["']?([^"'\s<>]+)""")
_NO_IMAGE = re.compile(r"(?i)n/?[ad]|n\.\s?[ad]\.?|s/[nd]|\.+|/+")
"""Words that stand for no value, and look like a path or a file."""


def is_absolute(address: str) -> bool:
    """Does it name a scheme?"""
    return _SCHEME.match(address) is not None


def is_broken(address: str) -> bool:
    """Is it an address that was written wrongly (``https:/x``, ``https//x``), or none (markup, a network path)?

    So is one that stands within other text (``[https://shop.example/tea``).
    """
    return _BROKEN.match(address) is not None


def complete(address: str, shop_url: str | None) -> str | None:
    """The address with scheme and host, and spaces encoded.

    ``None`` where the shop's address is needed and unknown, and for one that `is_broken`.

    >>> complete("www.shop.example/año nuevo.jpg", None)
    'https://www.shop.example/año%20nuevo.jpg'
    """
    address = _SPACES.sub("%20", address.strip())
    if address.startswith(("https://", "http://")):
        return address
    if is_broken(address):
        return None
    if not is_absolute(address):
        address = address.replace("\\", "/")
    if is_absolute(address) and not _BEGINS_WITH_HOST.match(address):
        return address
    if address.startswith("//"):
        return f"https:{address}"
    own_host = urlsplit(shop_url).netloc if shop_url else None
    if _BEGINS_WITH_HOST.match(address) or (own_host and re.split("[/?#]", address, maxsplit=1)[0] == own_host):
        return f"https://{address}"
    return urljoin(f"{shop_url}/", address) if shop_url else None


def is_image_file(text: str) -> bool:
    """Does it end as the file of an image does?"""
    return _IMAGE.fullmatch(text) is not None


def first_image(value: RawValue) -> str | None:
    """The first address of a list: a JSON list or object, or a cell in which several stand; ``None`` where none does.

    A cell is split only where an address begins behind the separator, so commas and spaces inside one stay.
    """
    if isinstance(value, (list, tuple)):
        return next((image for item in value if (image := first_image(item))), None)
    if isinstance(value, dict):
        return next((image for name in ("src", "url", "href", "link") if (image := first_image(value.get(name)))), None)
    if not isinstance(value, str):
        return None
    text = value.strip().strip(",;|").strip()
    if text.startswith("<") and (tag := _IN_HTML.search(text)):
        text = tag[1]
    if text.startswith(("[", "{", "(")):
        if isinstance(value := nested_value(text), (list, dict)):
            return first_image(value)
        text = without_brackets(text)
    text = _NEXT_ADDRESS.split(text, maxsplit=1)[0]
    if not is_absolute(text) and not text.startswith("//"):
        for separator in "|;,":
            parts = [part.strip() for part in text.split(separator) if part.strip()]
            if len(parts) > 1 and all(map(is_image_file, parts)):
                return parts[0]
    is_address = "/" in text or "." in text or is_absolute(text)
    return text if is_address and not _NO_IMAGE.fullmatch(text) else None
