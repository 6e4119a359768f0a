"""What a target is, and the key that must appear nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neuroon_async.settings import Secret

__all__ = ["KEY", "SECRET", "Target", "assert_no_key"]

KEY = "sk_5ec2e7fedcba98765432100123456789"
SECRET = Secret(KEY)


@dataclass(frozen=True, slots=True)
class Target:
    """One parser. ``check`` takes any bytes and raises where something is promised and not kept.

    ``weight`` is its share of the time. ``tokens`` are pieces of text that chance alone would not find. ``seeds`` are
    inputs to begin with, beside the committed corpus.
    """

    name: str
    check: Callable[[bytes], None]
    weight: float = 1.0
    tokens: tuple[bytes, ...] = ()
    seeds: Callable[[], list[bytes]] = list
    longest: int = 4_096


def assert_no_key(*texts: object) -> None:
    """Eight digits of the key are as many as a text may hold by chance."""
    for text in texts:
        assert KEY[:11] not in str(text), f"the API key, or its beginning, is in {str(text)[:500]!r}"
