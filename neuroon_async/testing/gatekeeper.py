"""What a request's headers decide at the moment of its arrival: the operation, the key, the shop, the site, the limit.

In this order. Only who has the key is told which paths there are, and a request that is refused before the limit spends
nothing of it. Knows neither bodies nor what the operations do.
"""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import TYPE_CHECKING

from ..api.arguments import read_clock
from ..api.contract import HEALTH, PREFIX, RATE_LIMIT_HEADER, RATE_REMAINING_HEADER, RETRY_AFTER_HEADER
from .bodies import EmulatedResponse, ErrorShape, Refusal, rate_limited_response
from .headers import check_key, check_site
from .routing import Route, find_route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.contract import RateLimit
    from .conditions import Conditions
    from .limits import EndpointLimits
    from .recording import RecordedRequest

__all__ = ["Gatekeeper"]


class Gatekeeper:
    """Decides on requests by their headers.

    Args:
        conditions: The key, the shop, and how answers of 429 look.
        limits: What counts the requests.
    """

    def __init__(self, conditions: Conditions, limits: EndpointLimits) -> None:
        self._conditions = conditions
        self._limits = limits

    def admit(self, record: RecordedRequest, rate_headers: dict[str, str]) -> Route:
        """The operation that a request means. Raises `Refusal`. Adds the headers that tell of the limit."""
        route = self._find(record)
        record.endpoint = route.endpoint.name
        if route.endpoint is not HEALTH:
            self._authorize(route, record)
        self._count(route, record, rate_headers)
        return route

    def _find(self, record: RecordedRequest) -> Route:
        try:
            return find_route(record.method, record.raw_path, verify_path=self._conditions.readings.verify_path)
        except Refusal:
            if record.raw_path.startswith(PREFIX):
                check_key(record.headers, self._conditions.api_key)
            raise

    def _authorize(self, route: Route, record: RecordedRequest) -> None:
        conditions = self._conditions
        check_key(record.headers, conditions.api_key)
        if route.params.get("shop_id", conditions.shop_id) != conditions.shop_id:
            raise Refusal(conditions.readings.foreign_shop, "API Key does not belong to this shop")
        if conditions.shop_url is not None:
            check_site(record.headers, conditions.shop_url, referer=conditions.readings.referer == "checked")

    def _count(self, route: Route, record: RecordedRequest, rate_headers: dict[str, str]) -> None:
        conditions = self._conditions
        counted = self._limits.take(route.endpoint.name, record.arrived)
        if counted is None:
            return
        if conditions.rate_headers and conditions.readings.rate_headers == "sent":
            rate_headers[RATE_LIMIT_HEADER] = str(counted.limit.requests)
            rate_headers[RATE_REMAINING_HEADER] = str(counted.remaining)
        if not counted.admitted and conditions.readings.limits == "enforced":
            raise self._too_many(counted.limit, rate_headers)

    def _too_many(self, limit: RateLimit, rate_headers: dict[str, str]) -> TooManyRequests:
        asked = self._conditions.retry_after
        seconds: float = math.ceil(limit.per)
        headers = dict(rate_headers)
        if asked == "date":
            now = read_clock("wall_clock", self._conditions.wall_clock)
            headers[RETRY_AFTER_HEADER] = formatdate(now + seconds, usegmt=True)
        elif asked is not False:
            seconds = seconds if asked is True else asked
            headers[RETRY_AFTER_HEADER] = f"{seconds:g}"
        return TooManyRequests(limit.requests, seconds, headers)


class TooManyRequests(Refusal):
    """A refusal that has a body of its own, unless all errors are to have one shape."""

    def __init__(self, limit: int, seconds: float, headers: Mapping[str, str]) -> None:
        super().__init__(429, headers=headers)
        self._limit = limit
        self._seconds = seconds

    def response(self, path: str, *, shape: ErrorShape | None = None, with_offset: bool = True) -> EmulatedResponse:
        if shape is not None:
            return super().response(path, shape=shape, with_offset=with_offset)
        return rate_limited_response(
            limit=self._limit, retry_after=self._seconds, headers=self.headers, with_offset=with_offset
        )
