"""What the tests of delta syncs share: a ledger that lives in memory, and what a sync said and sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sync.sync_shop import assert_balanced

from neuroon_async import NeuroonClient
from neuroon_async.ledger.protocols import Ledger, LedgerRun
from neuroon_async.report import SyncReport
from neuroon_async.testing import Emulator


class MemoryLedger:
    """The protocol and nothing else."""

    def __init__(self) -> None:
        self.shops: dict[str, dict[str, bytes | None]] = {}

    @asynccontextmanager
    async def run(self, shop: str) -> AsyncIterator[LedgerRun]:
        yield MemoryRun(self.shops.setdefault(shop, {}))


class MemoryRun:
    def __init__(self, held: dict[str, bytes | None]) -> None:
        self.held = held
        self.unseen = set(held)
        self.held_at_first = len(held)

    async def unchanged(self, digests: Mapping[str, bytes]) -> Collection[str]:
        return [external_id for external_id, digest in digests.items() if self.held.get(external_id) == digest]

    async def invalidate(self, ids: Collection[str]) -> None:
        self.held.update(dict.fromkeys(ids))

    async def record(self, digests: Mapping[str, bytes]) -> None:
        self.held.update(digests)

    async def forget(self, ids: Collection[str]) -> None:
        for external_id in ids:
            self.held.pop(external_id, None)

    async def seen(self, ids: Collection[str]) -> None:
        self.unseen.difference_update(ids)

    async def missing(self) -> tuple[int, int]:
        return len(self.unseen), self.held_at_first

    async def missing_ids(self) -> AsyncIterator[str]:
        for external_id in sorted(self.unseen):
            yield external_id


def sent(emulator: Emulator) -> list[list[str]]:
    """The ids of each sync request, sorted within it."""
    requests = emulator.requests_to("sync_products")
    return [sorted(product["externalId"] for product in request.parsed["products"]) for request in requests]


async def sync(client: NeuroonClient, source: Iterable[Any] | Any, ledger: Ledger, **options: Any) -> SyncReport:
    report = await client.products.sync(source, ledger=ledger, **options)
    assert_balanced(report)
    return report
