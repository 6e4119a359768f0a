"""Web addresses, of products and of sites: which are refused, and which are only doubtful. Pure.

A shop's address is http or https. Any other scheme is refused: ``javascript:`` in a search result would run in the
shopper's browser. An address without a scheme may make sense to the server, so it is sent, and worth one warning.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeGuard
from urllib.parse import urlsplit

from .shapes import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .models import Product

__all__ = [
    "NO_HOST",
    "PLAIN_PREFIXES",
    "all_plain_addresses",
    "can_be_host",
    "foreign_scheme",
    "is_absolute",
    "is_site_address",
    "names_no_host",
    "plain_address",
    "relative_addresses",
]

PLAIN_PREFIXES = ("https://", "http://")
"""What an address most often begins with: unless no host follows, nothing about it needs a closer look."""

NO_HOST = "/?#"
"""What cannot begin a host. As a string, it "holds" the empty text too: the end of an address that stops there."""

plain_address: Callable[[str], re.Match[str] | None] = re.compile(r"https?://[^/?#]").match
"""Truthy for an address that begins as most do, with a host in it: nothing about it needs a closer look."""

_LONGEST_START = len("https://s")
"""What `plain_address` looks at."""


def all_plain_addresses(addresses: Collection[str]) -> bool:
    """Is `plain_address` truthy for each of these?

    Where the first and the last of them in order begin alike, all others begin so, too.

    >>> all_plain_addresses(["https://shop.example/b", "https://shop.example/a"]), all_plain_addresses(["/a"])
    (True, False)
    """
    if not addresses:
        return True
    first = min(addresses)
    if first[:_LONGEST_START] == max(addresses)[:_LONGEST_START]:
        return plain_address(first) is not None
    return None not in map(plain_address, addresses)


_SCHEME = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]+|[a-zA-Z](?=:[/\\])):")
"""No scheme has one letter, but a path on Windows begins so: ``C:\\tea.jpg``."""
_HOST_AND_PORT = re.compile(r"(?:localhost|[^\s/:]+\.[^\s/:]+):\d{1,5}(?:[/?#]|\Z)")
_SKIPPED_BY_BROWSERS = re.compile(r"\A[\x00-\x20]+|[\t\r\n]+")


def foreign_scheme(address: str) -> str | None:
    """The scheme of an address, where it has one that is neither http nor https.

    Read as browsers read it, which skip spaces and control characters before a scheme, and line breaks in it.

    >>> foreign_scheme("javascript:alert(1)"), foreign_scheme("/tea"), foreign_scheme("shop.example:8080/tea")
    ('javascript', None, None)
    """
    if address.startswith(PLAIN_PREFIXES):
        return None
    address = _SKIPPED_BY_BROWSERS.sub("", address)
    match = _SCHEME.match(address)
    if match is None or _HOST_AND_PORT.match(address):
        return None
    scheme = match["scheme"].lower()
    return None if scheme in {"http", "https"} else scheme


def names_no_host(address: str) -> bool:
    """Does an http or https address stop, or go on with its path, where its host should be?

    >>> names_no_host("https://"), names_no_host("http:///tea"), names_no_host("https://shop.example")
    (True, True, False)
    """
    address = _SKIPPED_BY_BROWSERS.sub("", address).lower()
    prefix = next((prefix for prefix in PLAIN_PREFIXES if address.startswith(prefix)), None)
    return prefix is not None and address[len(prefix) :].strip()[:1] in NO_HOST


def is_absolute(address: str) -> bool:
    """Does the address name its scheme and its host?

    >>> is_absolute("https://shop.example/tea"), is_absolute("//shop.example/tea"), is_absolute("tea")
    (True, False, False)
    """
    return address[:8].lower().startswith(PLAIN_PREFIXES)


def relative_addresses(product: Product) -> tuple[str, ...]:
    """The fields (named as on the wire) whose address is not absolute: fit to be sent, and worth a warning."""
    image_url = product.image_url
    if product.url.startswith(PLAIN_PREFIXES) and (
        not isinstance(image_url, str) or not image_url or image_url.startswith(PLAIN_PREFIXES)
    ):
        return ()
    named = (("url", product.url), ("imageUrl", image_url))
    return tuple(name for name, url in named if isinstance(url, str) and url and not is_absolute(url))


_IP6 = r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*(?:%[\w.~-]+)?\](?::\d+)?"
_SITE = re.compile(rf"(?i:https?)://(?:{_IP6}|[^\s\x00-\x1f\x7f@\\/?#\[\]]+(?<!:))(?:/[^\s\x00-\x1f\x7f\\?#]*)?")
"""Scheme, host, perhaps a port and a path, as browsers divide them: a backslash is a slash to them.

Brackets stand around the whole host: `urlsplit` forgets what is before them.
"""
_LABEL = re.compile(r"[A-Za-z0-9_\x80-\U0010ffff](?:[A-Za-z0-9_\x80-\U0010ffff-]{0,61}[A-Za-z0-9_\x80-\U0010ffff])?")
"""A part of a host name. Underscores are none of the domain name system's, but of container networks'."""
_LONGEST_HOST = 254


def is_site_address(address: object) -> TypeGuard[str]:
    """Is it the http or https address of a site, to which a path can be added?

    It holds no user, password, query or fragment, no spaces, and no host or port that cannot exist.

    >>> is_site_address("https://shop.example/es"), is_site_address("shop.example"), is_site_address("https://u:p@shop")
    (True, False, False)
    """
    if not is_text(address) or not _SITE.fullmatch(address):
        return False
    try:
        address.encode()  # a lone surrogate cannot be sent
        parts = urlsplit(address)
        return parts.port != 0 and can_be_host(parts.hostname or "")
    except ValueError:  # brackets without a partner, or a port beyond all ports
        return False


def can_be_host(host: str) -> bool:
    """Is this an IP address, or a name of labels that a resolver could be asked for?

    >>> can_be_host("shop.example"), can_be_host("::1"), can_be_host("shop..example")
    (True, True, False)
    """
    try:
        ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return len(host) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in labels)
    return True
