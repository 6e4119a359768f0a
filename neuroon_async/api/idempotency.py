"""The idempotency key of a sync request. Pure."""

from __future__ import annotations

from hashlib import sha256

__all__ = ["idempotency_key"]


def idempotency_key(shop_id: str, body: bytes) -> str:
    """A hash over the shop and the exact body, which holds the sync type: 64 hex digits.

    The same data gives the same key on every retry and after a restart; any difference in the batch gives
    another. (A hash over product ids alone would let a later price change pass for a repetition.)

    >>> idempotency_key("shop_1", b"{}") == idempotency_key("shop_1", b"{}")
    True
    """
    digest = sha256(shop_id.encode())
    digest.update(b"\0")
    digest.update(body)
    return digest.hexdigest()
