"""A stand-in for the vendor's browser widget, so that a storefront can be tried from end to end.

Checks the widget token as documented, serves a small script with a search box, and answers its searches from the
emulated catalog. The real widget does more; what shop code relies on is the same: the script tag's attributes, the
token, and the ``neuroon_clicks`` cookie.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import urlsafe_b64decode
from hashlib import sha256
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from uuid import uuid4

from ..api.arguments import check_seconds, check_text
from ..settings import check_header_value
from .bodies import EmulatedResponse, error_response, json_response

if TYPE_CHECKING:
    from .shop import EmulatedShop

__all__ = ["InvalidWidgetToken", "verify_widget_token", "widget_response"]

_LIFETIME = 24 * 3600
_MOST_RESULTS = 10
_CORS = {"Access-Control-Allow-Origin": "*"}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = ("externalId", "name", "price", "salePrice", "currency", "url", "imageUrl")


class InvalidWidgetToken(ValueError):
    """The token would not open the widget; the message says why."""


def verify_widget_token(token: str, *, api_key: str, now: float) -> str:
    """The shop id that the token was signed for. ``now`` is in Unix seconds.

    Raises `InvalidWidgetToken` where the token is malformed, signed with another key, or not within the 24 h
    from its signing; `UsageError` for what is no text, key or time at all.
    """
    check_text("token", token, empty=True)
    check_header_value("api_key", api_key)
    check_seconds("now", now, zero=True)
    if not _BASE64URL.fullmatch(token):
        raise InvalidWidgetToken("not base64url without padding")
    try:
        text = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        shop_id, seconds, signature = text.rsplit(":", 2)
        signed_at = int(seconds)
    except (binascii.Error, ValueError):
        raise InvalidWidgetToken("not shopId:unixSeconds:signature") from None
    expected = hmac.new(api_key.encode(), f"{shop_id}:{seconds}".encode(), sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise InvalidWidgetToken("signature mismatch")
    if now < signed_at:
        raise InvalidWidgetToken("signed in the future")
    if now >= signed_at + _LIFETIME:
        raise InvalidWidgetToken("expired")
    return shop_id


def widget_response(raw_path: str, shop: EmulatedShop, *, api_key: str, now: float) -> EmulatedResponse | None:
    """The answer to a GET that belongs to the widget; ``None`` for any other path."""
    path, _, query = raw_path.partition("?")
    if path == "/widget.js":
        script = files("neuroon_async.testing").joinpath("widget.js").read_bytes()
        return EmulatedResponse(200, script, {"Content-Type": "text/javascript; charset=utf-8", **_CORS})
    if path != "/widget/search":
        return None
    parameters = parse_qs(query)
    try:
        shop_id = verify_widget_token(parameters.get("token", [""])[0], api_key=api_key, now=now)
    except InvalidWidgetToken as error:
        return error_response(401, f"Widget token: {error}", path=path, headers=_CORS)
    if shop_id != shop.shop_id:
        return error_response(403, "Widget token belongs to another shop", path=path, headers=_CORS)
    return json_response(200, _search(shop, parameters.get("q", [""])[0]), _CORS)


def _search(shop: EmulatedShop, text: str) -> dict[str, Any]:
    wanted = text.casefold()
    hits = (
        {field: product[field] for field in _SHOWN if field in product}
        for product in shop.products.values()
        if product.get("isActive") is not False and wanted in product["name"].casefold()
    )
    return {"searchLogId": str(uuid4()), "results": list(islice(hits, _MOST_RESULTS))}
