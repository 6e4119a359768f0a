"""Where the vendor's pages disagree or are silent: what this server does, as far as reading alone can tell. Pure.

The SDK works under every documented reading, so nothing reported here is an error. What no page documents is
worth a word to the vendor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..api.contract import RATE_LIMIT_HEADER, RATE_REMAINING_HEADER, REQUEST_ID_HEADER, RETRY_AFTER_HEADER, SHOP
from ..api.shapes import is_object
from ..errors import TransportError
from .answers import object_of
from .observations import Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .observations import Exchange, Observations

__all__ = ["NOT_ASKED", "Reading", "error_shape", "read"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One point of the documentation, and what was seen. ``documented``: does some page tell it so?"""

    point: str
    seen: str
    documented: bool = True


NOT_ASKED = {
    "answers to a sync and a deletion": "they would have to be sent",
    "what one bad product does to its batch": "it would have to be sent",
    "FULL syncs, prices of 0, idempotency keys": "they would have to be sent",
    "conversion lines without searchLogId": "they would have to be sent",
    "what verifies a domain, and at which of two paths": "5 requests in 300 s are too few to spend one",
    "whether limits are enforced": "they would have to be exceeded",
}
"""Points that reading alone cannot tell, and why."""

_OFFSET = re.compile(r"(?:Z|[+-]\d\d:?\d\d)\Z")


def read(seen: Observations) -> list[Reading]:
    """Every point that the answers tell something about."""
    return list(_read({probe: it for probe, it in seen.exchanges.items() if it.status is not None}))


def _read(answers: dict[Probe, Exchange]) -> Iterator[Reading]:
    here: dict[Probe, Exchange] = {probe: it for probe, it in answers.items() if probe is not Probe.ELSEWHERE}
    api = [it for probe, it in here.items() if probe is not Probe.HEALTH]
    if api:
        yield _headers("rate-limit headers", api, RATE_LIMIT_HEADER, RATE_REMAINING_HEADER)
        yield _headers("request id", api, REQUEST_ID_HEADER)
    yield from _retry_after(api)
    yield from _errors(here)
    yield from _times(api)
    yield from _foreign_shop(here)
    yield from _referer(here)
    yield from _verification_data(here)
    yield from _shop_fields(here)
    yield from _health(here)


def _headers(point: str, answers: Iterable[Exchange], *names: str) -> Reading:
    sent = [name for name in names if any(name in it.headers for it in answers)]
    return Reading(point, f"sent ({', '.join(sent)})" if sent else "not sent")


def _retry_after(answers: Iterable[Exchange]) -> Iterator[Reading]:
    for it in answers:
        if it.status == 429:
            value = it.headers.get(RETRY_AFTER_HEADER)
            how = "not sent" if value is None else "in seconds" if value.strip().isdigit() else "an HTTP date"
            yield Reading("Retry-After of a 429", how)
            return


def _errors(answers: dict[Probe, Exchange]) -> Iterator[Reading]:
    shapes = dict[str, list[int]]()
    for it in answers.values():
        if it.status is not None and it.status >= 400:
            statuses = shapes.setdefault(error_shape(it), [])
            if it.status not in statuses:
                statuses.append(it.status)
    if shapes:
        told = "; ".join(f"{shape} ({', '.join(map(str, sorted(codes)))})" for shape, codes in shapes.items())
        yield Reading("error bodies", told, documented=not any(shape.startswith("unknown") for shape in shapes))


def error_shape(answer: Exchange) -> str:
    """Which of the documented bodies an error has, by its fields."""
    document = object_of(answer)
    if document is None:
        page = "a web page" if "<" in answer.body else "unknown: no JSON object"
        return page if answer.body.strip() else "empty"
    shapes = (
        ("nested {error: {code, message}}", is_object(document.get("error"))),
        ("{error, message, retryAfter, …}", "retryAfter" in document),
        ("{timestamp, status, error, message, path}", {"status", "error", "message"} <= document.keys()),
        ("{timestamp, status, error, path}", {"status", "error"} <= document.keys()),
        ("{code, message, details}", "code" in document),
    )
    unknown = f"unknown: {{{', '.join(sorted(document)[:8])}}}"
    return next((shape for shape, fits in shapes if fits), unknown)


def _times(answers: Iterable[Exchange]) -> Iterator[Reading]:
    for it in answers:
        document = object_of(it) or {}
        for name in ("timestamp", "verifiedAt"):
            value = document.get(name)
            if isinstance(value, str):
                yield Reading("times", "with an offset or Z" if _OFFSET.search(value) else "without an offset: UTC")
                return


def _foreign_shop(answers: dict[Probe, Exchange]) -> Iterator[Reading]:
    it = answers.get(Probe.FOREIGN_SHOP)
    if it is not None and it.status is not None and it.status < 500 and it.status != 429:
        yield Reading("a key at another shop's path", str(it.status), documented=it.status in {401, 403, 404})


def _referer(answers: dict[Probe, Exchange]) -> Iterator[Reading]:
    it = answers.get(Probe.REFERER)
    if it is not None and it.status in {200, 403}:
        seen = "ignored" if it.status == 200 else "checked: a gateway must not add one"
        yield Reading("Referer, where there is no Origin", seen)


def _verification_data(answers: dict[Probe, Exchange]) -> Iterator[Reading]:
    it = answers.get(Probe.VERIFICATION_DATA)
    if it is None or it.status != 200:
        return
    fields = set(object_of(it) or {})
    if fields & {"instructions", "verified"}:
        yield Reading("verification data", "{verificationCode, instructions, verified}")
    elif fields & {"domain", "verifiedAt"}:
        yield Reading("verification data", "{domain, verificationCode, verifiedAt}")
    else:
        yield Reading("verification data", f"unknown: {{{', '.join(sorted(fields)[:8])}}}", documented=False)


def _shop_fields(answers: dict[Probe, Exchange]) -> Iterator[Reading]:
    it = answers.get(Probe.SHOP)
    if it is None or it.status != 200:
        return
    fields = set(object_of(it) or {})
    missing = sorted(SHOP.success_fields - fields)
    more = sorted(fields - SHOP.success_fields)
    told = "the documented fields" if not missing else f"without {', '.join(missing)}"
    yield Reading("fields of /me", told + (f"; and {', '.join(more[:12])}" if more else ""), documented=not missing)


def _health(answers: dict[Probe, Exchange]) -> Iterator[Reading]:
    it = answers.get(Probe.HEALTH)
    if it is not None and not isinstance(it.outcome, TransportError):
        status = (object_of(it) or {}).get("status") if it.status == 200 else None
        told = f'{it.status} {{"status": "{status}"}}' if status is not None else str(it.status)
        yield Reading("health", told, documented=it.status == 200 and status is not None)
