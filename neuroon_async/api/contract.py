"""The Plugin API as data: every endpoint, limit, size and locale, each stated once.

Everything else in the package reads these facts from here. This module knows nothing of HTTP
clients, clocks or credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import UsageError
from .arguments import check_count, check_seconds, shown
from .shapes import is_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..errors import APIError

__all__ = [
    "DELETE_PRODUCT",
    "DOCUMENTED_RATE_LIMITS",
    "ENDPOINTS",
    "HEALTH",
    "SHOP",
    "SYNC_PRODUCTS",
    "TRACK_CONVERSION",
    "UNVERIFY_DOMAIN",
    "VERIFICATION_DATA",
    "VERIFY_DOMAIN",
    "VERIFY_DOMAIN_SHORT",
    "Endpoint",
    "Environment",
    "Locale",
    "RateLimit",
    "SyncMode",
    "as_locale",
]


class Environment(StrEnum):
    """The two hosted environments. Keys and tokens of one do not work in the other."""

    PRODUCTION = "https://api.neuroon.ai"
    DEVELOPMENT = "https://dev-api.neuroon.ai"


class Locale(StrEnum):
    """The languages the API answers in. Anything else makes the server fall back to Spanish."""

    ES = "es"
    EN = "en"
    FR = "fr"
    DE = "de"
    IT = "it"
    PT = "pt"
    CA = "ca"
    EU = "eu"
    GL = "gl"


_LANGUAGE_AND_REGION = re.compile(r"(?P<language>[A-Za-z]{2})(?:[-_][A-Za-z0-9]{2,8})*")


def as_locale(text: str) -> str | None:
    """A locale as the API writes it, with or without a region; ``None`` where it has no such language.

    >>> as_locale("es"), as_locale("en_GB"), as_locale("ja")
    ('es', 'en-GB', None)
    """
    match = _LANGUAGE_AND_REGION.fullmatch(text)
    if match is None or match["language"].lower() not in {known.value for known in Locale}:
        return None
    return str(text).replace("_", "-")


class SyncMode(StrEnum):
    """What a sync does with products that it does not mention.

    ``INCREMENTAL`` leaves them alone. ``FULL`` removes them from the index; how a FULL sync in
    several requests is delimited is documented nowhere, so only one request (500 products) is safe.
    """

    INCREMENTAL = "INCREMENTAL"
    FULL = "FULL"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``requests`` in any interval of ``per`` seconds.

    Args:
        requests: How many, 1 or more.
        per: The interval in seconds, above 0.
        burst: How many of them may leave at once. ``None``, the default, lets the whole allowance go as fast as it is
            asked for.

    Raises:
        UsageError: For numbers that no limit can have.

    >>> RateLimit(100, per=60.0).share_of(4)
    RateLimit(requests=25, per=60.0, burst=None)
    """

    requests: int
    per: float
    burst: int | None = None

    def __post_init__(self) -> None:
        check_count("RateLimit.requests", self.requests)
        check_seconds("RateLimit.per", self.per)
        check_count("RateLimit.burst", self.burst, self.requests, none=True)

    def share_of(self, workers: int) -> RateLimit:
        """The part of this limit that one of ``workers`` equal processes may use.

        The shares of all workers add up to no more than the whole. Raises `UsageError`
        where there are more workers than requests: such a limit needs a shared limiter.
        """
        check_count("workers", workers)
        share = self.requests // workers
        if share < 1:
            raise UsageError(
                f"{self.requests} requests cannot be split among {workers} workers",
                advice="give the workers one shared limiter instead",
            )
        return RateLimit(share, self.per, None if self.burst is None else max(1, self.burst // workers))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One documented operation: where it is, what it may cost, and whether it may be repeated."""

    name: str
    method: str
    path: str
    limit: RateLimit | None
    repeat_safe: bool
    """May a request that the server perhaps processed be sent again?"""
    done_on_retry: int | None = None
    """The error status which, on a retry, only says that an earlier attempt had worked."""
    success_fields: frozenset[str] = frozenset()
    """Fields that only a success holds, where the API documents an answer; empty where it documents none."""
    doubt: str = "the server may or may not have acted"
    """What stays unknown where a 2xx answer turns out to be no answer of the API."""

    @property
    def documents_answer(self) -> bool:
        """Does the API document a JSON answer? Elsewhere any 2xx is one."""
        return bool(self.success_fields)

    def finds_done(self, error: APIError) -> bool:
        """Does this error find the work done already? A router's own 404 is of an address, not of a product."""
        return error.status == self.done_on_retry and error.documented

    def path_for(self, **params: str) -> str:
        """The path with every parameter as exactly one percent-encoded segment."""
        return self.path.format_map({name: encode_segment(name, value) for name, value in params.items()})


def encode_segment(name: str, value: object) -> str:
    """One path segment for any text. Dots alone would be read as "here" and "up", so they are encoded too."""
    if not is_text(value) or not value:
        raise UsageError(f"must be text and not empty, got {shown(value)}", where=name)
    try:
        return _percent_encoded(value)
    except UnicodeEncodeError:
        raise UsageError(f"{shown(value)} holds a lone surrogate, which UTF-8 cannot express", where=name) from None


@lru_cache(maxsize=64)  # every call of a shop has its id in the path
def _percent_encoded(segment: str) -> str:
    encoded = quote(segment, safe="")
    return encoded.replace(".", "%2E") if encoded in {".", ".."} else encoded


PREFIX = "/api/plugin/shops"
_OTHER_ENDPOINTS = RateLimit(100, per=60.0)

_VERIFICATION_FIELDS = frozenset({"shopId", "verificationCode", "domain", "name"})
_NOTHING_CHANGED = "nothing was changed"

SHOP = Endpoint(
    "shop",
    "GET",
    f"{PREFIX}/me",
    RateLimit(60, per=60.0),
    repeat_safe=True,
    success_fields=frozenset({"maxProducts", "maxSearchesPerMonth"}),
    doubt=_NOTHING_CHANGED,
)
SYNC_PRODUCTS = Endpoint(
    # Safe because the server upserts by externalId and the idempotency key stays the same.
    "sync_products",
    "POST",
    f"{PREFIX}/{{shop_id}}/products/sync",
    RateLimit(100, per=60.0),
    repeat_safe=True,
    success_fields=frozenset(
        {
            *("newProducts", "updatedProducts", "failed", "productsCount", "remainingProducts"),
            *("synced", "created", "updated"),  # by an older page
        }
    ),
    doubt="the server may or may not have taken the products",
)
DELETE_PRODUCT = Endpoint(
    "delete_product",
    "DELETE",
    f"{PREFIX}/{{shop_id}}/products/{{external_id}}",
    _OTHER_ENDPOINTS,
    repeat_safe=True,
    done_on_retry=404,
    doubt="the product may still be there",
)
VERIFY_DOMAIN = Endpoint(
    "verify_domain",
    "POST",
    f"{PREFIX}/{{shop_id}}/verify",
    RateLimit(5, per=300.0),
    repeat_safe=False,
    done_on_retry=409,
    success_fields=_VERIFICATION_FIELDS,
    doubt="the verification may or may not have begun",
)
VERIFY_DOMAIN_SHORT = Endpoint(
    # The same operation under the path that one family of the vendor's pages gives.
    "verify_domain",
    "POST",
    f"{PREFIX}/verify",
    VERIFY_DOMAIN.limit,
    repeat_safe=False,
    done_on_retry=409,
    success_fields=_VERIFICATION_FIELDS,
    doubt="the verification may or may not have begun",
)
VERIFICATION_DATA = Endpoint(
    "verification_data",
    "GET",
    f"{PREFIX}/{{shop_id}}/verification-data",
    RateLimit(20, per=60.0),
    repeat_safe=True,
    success_fields=_VERIFICATION_FIELDS | {"instructions", "verified", "verifiedAt"},
    doubt=_NOTHING_CHANGED,
)
UNVERIFY_DOMAIN = Endpoint(
    "unverify_domain",
    "DELETE",
    f"{PREFIX}/{{shop_id}}/verify",
    RateLimit(5, per=300.0),
    repeat_safe=True,
    doubt="the domain may still be verified",
)
TRACK_CONVERSION = Endpoint(
    # Safe because the server counts an orderId once.
    "track_conversion",
    "POST",
    f"{PREFIX}/{{shop_id}}/track/conversion",
    _OTHER_ENDPOINTS,
    repeat_safe=True,
    doubt="the order may not have been counted",
)
HEALTH = Endpoint(
    "health",
    "GET",
    "/actuator/health",
    None,
    repeat_safe=True,
    success_fields=frozenset({"status"}),
    doubt=_NOTHING_CHANGED,
)

ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType(
    {
        endpoint.name: endpoint
        for endpoint in (
            SHOP,
            SYNC_PRODUCTS,
            DELETE_PRODUCT,
            VERIFY_DOMAIN,
            VERIFICATION_DATA,
            UNVERIFY_DOMAIN,
            TRACK_CONVERSION,
        )
    }
)
"""The seven rate-limited endpoints by name. The names are the keys of ``rate_limits``."""

DOCUMENTED_RATE_LIMITS: Mapping[str, RateLimit] = MappingProxyType(
    {endpoint.name: endpoint.limit for endpoint in ENDPOINTS.values() if endpoint.limit is not None}
)
"""The vendor's table: requests per window, counted per shop and endpoint over all processes."""

LONGEST_WINDOW = max(limit.per for limit in DOCUMENTED_RATE_LIMITS.values())
"""Seconds. ``Retry-After`` equals the whole window, so a longer one is no answer of this API."""

# Header names.
API_KEY_HEADER = "X-Shop-API-Key"
IDEMPOTENCY_KEY_HEADER = "X-Idempotency-Key"
REQUEST_ID_HEADER = "X-Request-ID"
RATE_LIMIT_HEADER = "X-RateLimit-Limit"
RATE_REMAINING_HEADER = "X-RateLimit-Remaining"
RETRY_AFTER_HEADER = "Retry-After"
DATE_HEADER = "Date"
JSON_CONTENT_TYPE = "application/json; charset=utf-8"

# Sizes of a sync request.
MAX_BATCH_PRODUCTS = 500
DEFAULT_MAX_BATCH_BYTES = 1_000_000
"""Bytes of one sync body. The vendor documents no limit; proxies commonly refuse bodies over 1 MB."""

# Sizes of product fields.
MAX_NAME_LENGTH = 512
MAX_DESCRIPTION_LENGTH = 5000
MAX_CURRENCY_LENGTH = 3
MAX_RATING = 5

# Conversions.
CLICKS_COOKIE = "neuroon_clicks"
MAX_CLICKS_COOKIE_BYTES = 4096

# Widget.
WIDGET_SCRIPT_URL = "https://cdn.neuroon.ai/widget.js"
PINNED_WIDGET_SCRIPT_URL = "https://cdn.neuroon.ai/widget@{version}/widget.js"
"""One version of the script; https://cdn.neuroon.ai/versions.json lists them."""
WIDGET_THEMES = ("auto", "light", "dark")
WIDGET_POSITIONS = ("inline", "floating")
WIDGET_TOKEN_LIFETIME = 24 * 3600
"""Seconds a widget token is valid, counted from the second it was signed in."""
WIDGET_TOKEN_RENEWAL = 5 * 60
"""Seconds before the end of its life at which a token is signed again."""

# Environment variables.
API_URL_VARIABLE = "NEUROON_API_URL"
API_KEY_VARIABLE = "NEUROON_API_KEY"
SHOP_ID_VARIABLE = "NEUROON_SHOP_ID"
