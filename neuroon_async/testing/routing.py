"""Which operation a request means: the raw path taken apart exactly as it came over the wire.

Pure. Each segment is decoded on its own, after the split, so an external id with ``/``, ``?``, ``#``, ``%`` or
``..`` in it is one segment if and only if the client encoded it as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from ..api.arguments import shown
from ..api.contract import ENDPOINTS, HEALTH, VERIFY_DOMAIN, VERIFY_DOMAIN_SHORT, Endpoint
from ..errors import UsageError
from .bodies import Refusal

__all__ = ["Route", "VerifyPath", "check_endpoint", "find_route"]


@dataclass(frozen=True, slots=True)
class Route:
    """An operation and its path parameters, decoded."""

    endpoint: Endpoint
    params: dict[str, str]


VerifyPath = Literal["both", "with_shop_id", "without_shop_id"]
_ABSENT: dict[VerifyPath, Endpoint | None] = {
    "both": None,
    "with_shop_id": VERIFY_DOMAIN_SHORT,
    "without_shop_id": VERIFY_DOMAIN,
}

_PATTERNS = [
    (endpoint, endpoint.path.split("/")[1:]) for endpoint in (*ENDPOINTS.values(), VERIFY_DOMAIN_SHORT, HEALTH)
]


def check_endpoint(name: str, *, health: bool = False) -> None:
    """Raise `UsageError` unless this is an endpoint's name. ``health``: may it be the health check's?"""
    known = [*ENDPOINTS, HEALTH.name] if health else list(ENDPOINTS)
    if name not in known:
        raise UsageError(f"unknown endpoint {shown(name)}; known are {', '.join(known)}")


def find_route(method: str, raw_path: str, *, verify_path: VerifyPath = "both") -> Route:
    """The operation that a request means. ``verify_path`` says under which paths domains are verified.

    Raises `Refusal`: 404 for a path that does not exist, 405 for a method it does not take, 400 for bad UTF-8.
    """
    first, *raw_segments = raw_path.partition("?")[0].split("/")
    # Servers and proxies resolve bare dots before they look the path up; an id of dots must come encoded.
    if first or any(segment in {"", ".", ".."} for segment in raw_segments):
        raise Refusal(404, "Not found")
    try:
        segments = [unquote(segment, errors="strict") for segment in raw_segments]
    except UnicodeDecodeError:
        raise Refusal(400, "The path is not valid UTF-8") from None
    allowed: list[str] = []
    for endpoint, pattern in _PATTERNS:
        params = _match(pattern, segments)
        if params is None or endpoint is _ABSENT[verify_path]:
            continue
        if endpoint.method == method:
            return Route(endpoint, params)
        allowed.append(endpoint.method)
    raise Refusal(405, headers={"Allow": ", ".join(allowed)}) if allowed else Refusal(404, "Not found")


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    params: dict[str, str] = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            params[expected[1:-1]] = segment
        elif expected != segment:
            return None
    return params
