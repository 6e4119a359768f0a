"""A dry run: the same engine and the same batches, with a transport that sends nothing and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contract import DOCUMENTED_RATE_LIMITS, SYNC_PRODUCTS
from ..retries import RetryPolicy
from ..settings import Secret, Settings
from ..transport import Answer, CallStats, SessionHolder, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..contract import Endpoint

__all__ = ["Rehearsal", "shortest_time"]


class Rehearsal(Transport):
    """Takes every request as answered. Needs no credentials and no network."""

    def __init__(self) -> None:
        settings = Settings(shop_id="dry-run", api_key=Secret("sk_" + "0" * 32))
        super().__init__(settings, SessionHolder(None), None, RetryPolicy(), 30.0)
        self.bytes = 0

    async def call(
        self,
        endpoint: Endpoint,  # noqa: ARG002 - the signature is the transport's
        *,
        params: Mapping[str, str] | None = None,  # noqa: ARG002
        body: bytes | None = None,
        idempotency_key: str | None = None,  # noqa: ARG002
        bulk: bool = False,  # noqa: ARG002
        stats: CallStats | None = None,
    ) -> Answer:
        if stats is not None:
            stats.requests += 1
        self.bytes += len(body or b"")
        return Answer(200, b"{}", None)


def shortest_time(requests: int) -> float:
    """Seconds before the last of so many sync requests may leave, by the documented limit."""
    limit = DOCUMENTED_RATE_LIMITS[SYNC_PRODUCTS.name]
    return max(0, requests - 1) // limit.requests * limit.per
