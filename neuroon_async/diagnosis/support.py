"""The block to paste into a support request: what the vendor asks for, and no key. Pure.

That is: environment, shop id, request id, the error body's timestamp, the full endpoint, the payload (a diagnosis sends
none), and the headers about limits.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from ..api.contract import (
    DATE_HEADER,
    RATE_LIMIT_HEADER,
    RATE_REMAINING_HEADER,
    REQUEST_ID_HEADER,
    RETRY_AFTER_HEADER,
    Environment,
)
from ..errors import APIError, NeuroonError
from ..settings import package_version
from .answers import field_of
from .clock import skew_of
from .observations import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .observations import Exchange, Observations

__all__ = ["support_block"]

_ON_PURPOSE = {Probe.FOREIGN_SHOP, Probe.UNKNOWN_PATH, Probe.WRONG_METHOD, Probe.REFERER}
_HEADERS = (REQUEST_ID_HEADER, RATE_LIMIT_HEADER, RATE_REMAINING_HEADER, RETRY_AFTER_HEADER, DATE_HEADER)


def support_block(seen: Observations) -> str:
    """Plain text, one fact a line."""
    return "\n".join(_lines(seen))


def _lines(seen: Observations) -> Iterator[str]:
    setup = seen.setup
    name = next((known.name.title() for known in Environment if known == setup.base_url), "another address")
    yield f"Environment: {name}, {setup.base_url}"
    yield f"Shop: {setup.shop_id or 'not given'}"
    yield f"API key: {setup.key}"
    yield f"Client: neuroon-async {package_version()}, Python {platform.python_version()}, {platform.system()}"
    yield f"Time: {seen.at.isoformat(timespec='seconds')}{_skew(seen)}"
    if setup.proxy is not None:
        yield f"Proxy: {setup.proxy}"
    if seen.connection is not None and seen.connection.problem is not None:
        yield f"Connection: {seen.connection.problem.what}"
    if seen.exchanges:
        yield "Payload: none, for all requests only read"
    for probe, exchange in seen.exchanges.items():
        yield ""
        yield from _exchange(probe, exchange)


def _skew(seen: Observations) -> str:
    skew = skew_of(seen.exchanges.values())
    return "" if skew is None or abs(skew.seconds) < 1 else f" (this clock is {skew.seconds:+.0f} s off the server's)"


def _exchange(probe: Probe, it: Exchange) -> Iterator[str]:
    came = str(it.status) if it.status is not None else "no answer"
    purpose = f" (asked on purpose: {probe})" if probe in _ON_PURPOSE else ""
    yield f"{it.endpoint.method} {it.url} -> {came} in {it.seconds * 1_000:,.0f} ms{purpose}"
    for name in _HEADERS:
        if name in it.headers:
            yield f"   {name}: {it.headers[name]}"
    outcome = it.outcome
    if isinstance(outcome, NeuroonError):
        timestamp = field_of(it, "timestamp")
        if isinstance(timestamp, str):
            yield f"   timestamp: {timestamp}"
        words = outcome.message if isinstance(outcome, APIError) else outcome.what
        if words:
            yield f"   message: {' '.join(words.split())[:300]}"
