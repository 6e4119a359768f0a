"""What the sandbox's page shows, as plain documents of bounded size. Knows the emulator, and nothing of HTTP."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..api.contract import ENDPOINTS
from .faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from .emulator import Emulator
    from .fault_rules import FaultRule
    from .recording import RecordedRequest
    from .shop import ReceivedConversion

__all__ = ["HOW_OFTEN", "TROUBLES", "SandboxView"]

_BARS = 60
"""Bars in the chart of a limit's window."""
_UNLIMITED_WINDOW = 60.0
"""Seconds that the chart shows where there is no limit."""
_REQUESTS = 80
_PRODUCTS = 48
_VARIANTS = 8
_CONVERSIONS = 20
_OWN_PATHS = ("/widget", "/openapi.json", "/favicon.ico")
"""Not requests to the API: the page's own, and others that browsers make."""
_SHOWN = ("externalId", "name", "price", "salePrice", "currency", "imageUrl", "inStock", "isActive")

TROUBLES: dict[str, tuple[str, str, Callable[[], Fault]]] = {
    "unavailable": ("503", "The service is down", lambda: Fault.status(503)),
    "throttled": ("429", "Too many requests, back in 2 s", lambda: Fault.too_many_requests(2)),
    "lost": ("Lost answer", "Processed; then the connection drops", lambda: Fault.drop(processed=True)),
    "reset": ("Reset", "The connection breaks before anything happens", Fault.reset),
    "cut": ("Cut off", "Half an answer", Fault.truncated),
    "slow": ("Slow", "The right answer, 3 s later", lambda: Fault.slow(3)),
    "hang": ("Silence", "No answer at all", Fault.hang),
    "proxy": ("Proxy page", "HTML with 502 instead of JSON", Fault.html),
}
"""The faults to switch on: label, explanation, fault."""

HOW_OFTEN: dict[str, tuple[str, int | None, int]] = {
    "once": ("The next request", 1, 1),
    "third": ("Every third", None, 3),
    "always": ("All", None, 1),
}
"""Which requests a fault strikes: label, times, every."""


class _Traffic:
    """The requests to one endpoint in the last window, in bars of equal length."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._bars: deque[tuple[int, list[int]]] = deque()

    @property
    def _length(self) -> float:
        return self.window / _BARS

    def count(self, now: float, *, refused: bool) -> None:
        bar = int(now / self._length)
        if not self._bars or self._bars[-1][0] != bar:
            self._bars.append((bar, [0, 0]))
        self._bars[-1][1][refused] += 1
        self._forget(bar)

    def columns(self, now: float) -> tuple[list[int], list[int]]:
        """Requests let through, and requests refused with 429, for each bar; the newest last."""
        last = int(now / self._length)
        self._forget(last)
        answered, refused = [0] * _BARS, [0] * _BARS
        for bar, (good, bad) in self._bars:
            answered[bar - last - 1], refused[bar - last - 1] = good, bad
        return answered, refused

    def _forget(self, last: int) -> None:
        while self._bars and self._bars[0][0] <= last - _BARS:
            self._bars.popleft()


class SandboxView:
    """Follows an emulator from its construction on.

    Args:
        emulator: What to follow. Only one view can follow its products.
        clock: Gives the time in seconds, on the clock that the emulator's requests are recorded by.
    """

    def __init__(self, emulator: Emulator, *, clock: Callable[[], float]) -> None:
        self._emulator = emulator
        self._clock = clock
        self._requests: deque[RecordedRequest] = deque(maxlen=_REQUESTS)
        self._arrived = self._throttled = 0
        self._traffic: dict[str, _Traffic] = {}
        self._recent: dict[str, None] = {}
        self._parents: dict[str, str] = {}
        self._variants: dict[str, dict[str, None]] = {}
        self._rules: dict[str, tuple[str, FaultRule]] = {}
        emulator.watchers.append(self._see_request)
        emulator.shop.on_change = self._see_product
        for external_id in emulator.products:
            self._see_product(external_id)

    def sections(self) -> dict[str, Any]:
        """The parts of the page by name."""
        return {
            "shop": self._shop(),
            "limits": [self._limit(name) for name in ENDPOINTS],
            "products": [self._card(external_id) for external_id in reversed(self._recent)],
            "requests": [self._request(record) for record in reversed(self._requests)],
            "conversions": [
                _order(order_id, self._emulator.conversions[order_id])
                for order_id in islice(reversed(self._emulator.conversions), _CONVERSIONS)
            ],
            "faults": self.faults_on(),
        }

    # Faults

    def switch(self, trouble: str, how_often: str | None) -> None:
        """Switch a fault on, so often, or off (``None``). Raises `KeyError` for names that do not exist."""
        make = TROUBLES[trouble][2]
        if trouble in self._rules:
            _, rule = self._rules.pop(trouble)
            if rule in self._emulator.faults:
                self._emulator.faults.remove(rule)
        if how_often is not None:
            _, times, every = HOW_OFTEN[how_often]
            self._rules[trouble] = how_often, self._emulator.fail(None, make(), times=times, every=every)

    def faults_on(self) -> dict[str, Any]:
        """The faults that are on: which requests they strike, and how many they have struck."""
        for trouble, (_, rule) in list(self._rules.items()):
            if rule not in self._emulator.faults or rule.fired == rule.times:
                self.switch(trouble, None)
        return {name: {"often": often, "fired": rule.fired} for name, (often, rule) in self._rules.items()}

    # What happens

    def _see_request(self, record: RecordedRequest) -> None:
        if record.raw_path.startswith(_OWN_PATHS):
            return
        if record.finished is None:
            self._arrived += 1
            self._requests.append(record)
            return
        self._throttled += record.status == 429
        if record.endpoint is not None and record.endpoint in ENDPOINTS:
            self._traffic_to(record.endpoint).count(self._clock(), refused=record.status == 429)

    def _traffic_to(self, endpoint: str) -> _Traffic:
        """What is counted in the endpoint's present window; a new window begins with nothing."""
        limit = self._emulator.limit(endpoint)
        window = _UNLIMITED_WINDOW if limit is None else limit.per
        if endpoint not in self._traffic or self._traffic[endpoint].window != window:
            self._traffic[endpoint] = _Traffic(window)
        return self._traffic[endpoint]

    def _see_product(self, external_id: str) -> None:
        product = self._emulator.shop.products.get(external_id)
        parent = None if product is None else product.get("parentExternalId")
        before = self._parents.pop(external_id, None)
        if before is not None and before != parent:
            self._variants[before].pop(external_id, None)
        if parent:
            self._parents[external_id] = parent
            self._variants.setdefault(parent, {})[external_id] = None
        self._recent.pop(external_id, None)
        card = parent or external_id
        self._recent.pop(card, None)
        if card in self._emulator.shop.products:
            self._recent[card] = None
            if len(self._recent) > _PRODUCTS:
                del self._recent[next(iter(self._recent))]

    # The documents

    def _shop(self) -> dict[str, Any]:
        emulator = self._emulator
        return {
            "products": len(emulator.products),
            "requests": self._arrived,
            "throttled": self._throttled,
            "conversions": len(emulator.conversions),
            "verified": emulator.domain if emulator.verified else None,
        }

    def _limit(self, name: str) -> dict[str, Any]:
        limit, remaining = self._emulator.limit(name), self._emulator.remaining(name)
        traffic = self._traffic_to(name)
        answered, refused = traffic.columns(self._clock())
        return {
            "name": name,
            "requests": None if limit is None else limit.requests,
            "window": traffic.window,
            "used": None if limit is None or remaining is None else limit.requests - remaining,
            "answered": answered,
            "refused": refused,
        }

    def _card(self, external_id: str) -> dict[str, Any]:
        products = self._emulator.shop.products
        variants = [products[variant] for variant in self._variants.get(external_id, ()) if variant in products]
        return {
            **_shown(products.get(external_id, {"externalId": external_id})),
            "variants": [_shown(variant) for variant in variants[:_VARIANTS]],
            "variantCount": len(variants),
        }

    def _request(self, record: RecordedRequest) -> dict[str, Any]:
        ended = self._clock() if record.finished is None else record.finished
        return {
            "number": record.number,
            "endpoint": record.endpoint,
            "method": record.method,
            "path": record.raw_path[:300],
            "status": record.status,
            "ended": record.finished is not None,
            "ms": None if record.finished is None else round((ended - record.arrived) * 1000),
            "bytes": record.body_size,
            "fault": record.fault is not None,
            "replayed": record.replayed,
        }


def _shown(product: dict[str, Any]) -> dict[str, Any]:
    return {field: product[field] for field in _SHOWN if field in product}


def _order(order_id: str, order: ReceivedConversion) -> dict[str, Any]:
    return {
        "orderId": order_id,
        "value": order.body["orderValue"],
        "currency": order.body["currency"],
        "lines": len(order.body["conversions"]),
        "attributed": order.attributed,
        "deliveries": order.deliveries,
    }
