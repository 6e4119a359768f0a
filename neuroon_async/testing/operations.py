"""What each endpoint does with a request that was admitted: which operation of the shop, and how it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bodies import EmulatedResponse, Refusal, json_response
from .headers import check_media_type

if TYPE_CHECKING:
    from .conditions import Conditions
    from .recording import RecordedRequest
    from .routing import Route
    from .shop import EmulatedShop

__all__ = ["perform"]

_NEEDS_VERIFIED_DOMAIN = frozenset({"sync_products", "delete_product", "track_conversion"})


def perform(
    route: Route, body: bytes, record: RecordedRequest, *, shop: EmulatedShop, conditions: Conditions
) -> EmulatedResponse:
    """Let the shop do what was asked. Raises `Refusal`."""
    name = route.endpoint.name
    if conditions.require_verified and shop.verified_at is None and name in _NEEDS_VERIFIED_DOMAIN:
        raise Refusal(403, "Domain is not verified")
    if route.endpoint.method == "POST":
        check_media_type(record.headers)
    document: dict[str, Any] | None = None
    status = 200
    match name:
        case "shop":
            document = shop.describe(url=conditions.shop_url)
        case "sync_products":
            document, record.replayed = shop.sync(body, record.idempotency_key)
        case "delete_product":
            shop.delete(route.params["external_id"])
            document = {"deleted": True} if conditions.readings.answers == "older" else None
        case "verify_domain":
            document = shop.verify(body, url=conditions.shop_url)
        case "verification_data":
            document = shop.verification_data()
        case "unverify_domain":
            shop.unverify()
        case "track_conversion":
            document = shop.track(body)
            status = conditions.readings.conversion_status
        case _:
            document = {"status": "UP"}
    return EmulatedResponse(204) if document is None or status == 204 else json_response(status, document)
