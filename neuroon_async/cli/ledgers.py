"""``neuroon ledger``: what a ledger file holds, by shop. Never makes a file, nor turns an empty one into a ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..ledger.sqlite import SQLiteLedger

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["LedgerShop", "forget_shops", "shops_in"]


@dataclass(frozen=True, slots=True, order=True)
class LedgerShop:
    """A shop as a ledger names it: the same id at another address is another shop."""

    address: str
    shop_id: str

    @property
    def name(self) -> str:
        return f"{self.address} {self.shop_id}"


async def shops_in(path: Path) -> dict[LedgerShop, int]:
    """How many products it holds of each shop. Raises `LedgerError`, or `OSError` for a file that is not there."""
    shops = await SQLiteLedger(path).shops() if _has_content(path) else {}
    return {LedgerShop(*name.split(" ", 1)): shops[name] for name in sorted(shops)}


def _has_content(path: Path) -> bool:
    return path.stat().st_size > 0


async def forget_shops(path: Path, shops: Iterable[LedgerShop]) -> int:
    """Forget all of these shops. Returns how many products that were. Raises `LedgerError`."""
    ledger = SQLiteLedger(path)
    return sum([await ledger.forget_shop(shop.name) for shop in shops])
