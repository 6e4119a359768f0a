"""A dry run: the same engine and the same batches, over an exchange that sends nothing and counts what it would cost.

With a ledger it works on a copy of it, so that every decision is the real run's and the ledger stays as it is.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..api.contract import DELETE_PRODUCT, DOCUMENTED_RATE_LIMITS, SYNC_PRODUCTS, Environment
from ..api.responses import Response
from ..ledger.sqlite import SQLiteLedger
from ..limits.policy import shortest_time
from ..settings import Secret, Settings
from ..transport.exchange import ExchangeResult
from ..transport.retries import RetryPolicy
from ..transport.transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping

    from ..catalogs.relations import Relations
    from ..ledger.protocols import LedgerRun
    from ..transport.calls import Call

__all__ = ["DryRunCost", "DryRunExchange", "LedgerCopy", "dry_run_transport", "missing_parents"]

_AT_ONCE = 1_000


@dataclass(slots=True)
class DryRunCost:
    """What the requests of a run would cost."""

    requests: Counter[str] = field(default_factory=Counter[str])
    """By endpoint name."""
    bytes: int = 0

    @property
    def sync_requests(self) -> int:
        return self.requests[SYNC_PRODUCTS.name]

    @property
    def delete_requests(self) -> int:
        return self.requests[DELETE_PRODUCT.name]

    @property
    def seconds(self) -> float:
        """How long the documented limits stretch the run at least: deletions begin when everything was sent."""
        return sum(shortest_time(count, DOCUMENTED_RATE_LIMITS[name]) for name, count in self.requests.items())


class DryRunExchange:
    """Takes every request as answered, and counts it."""

    def __init__(self) -> None:
        self.cost: DryRunCost = DryRunCost()

    def ready(self) -> None:
        """It always is."""

    async def send(self, call: Call, more_headers: Mapping[str, str] | None = None) -> ExchangeResult:  # noqa: ARG002 - an exchange's signature
        self.cost.requests[call.endpoint.name] += 1
        self.cost.bytes += len(call.body or b"")
        return ExchangeResult(Response(200, b"{}", None))


def dry_run_transport(
    exchange: DryRunExchange, shop_id: str = "dry-run", base_url: str = Environment.PRODUCTION
) -> Transport:
    """A transport for a run that needs no API key, no network and no patience."""
    settings = Settings(shop_id=shop_id, api_key=Secret("sk_" + "0" * 32), base_url=base_url)
    return Transport(settings, exchange, None, RetryPolicy(), 30.0)


class LedgerCopy:
    """A ledger file as it is now, copied for one run: what the run remembers ends with it.

    A file that is not there counts as empty, and is not made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shop: str | None = None

    @asynccontextmanager
    async def run(self, shop: str) -> AsyncGenerator[LedgerRun]:
        """Raises `LedgerError` where the file is in use, damaged, or not a ledger."""
        self._shop = shop
        with TemporaryDirectory(prefix="neuroon-") as folder:
            copy = Path(folder, "dry-run.ledger")
            if self.path.exists() and self.path.stat().st_size:
                await SQLiteLedger(self.path).shops()  # complains about the file by its own name
                await asyncio.to_thread(shutil.copyfile, self.path, copy)
            async with SQLiteLedger(copy).run(shop) as run:
                yield run

    async def held(self, ids: Collection[str]) -> set[str]:
        """Those of these ids that the ledger had of the run's shop before it."""
        if self._shop is None or not self.path.exists() or not self.path.stat().st_size:
            return set()
        return await SQLiteLedger(self.path).held(self._shop, ids)


async def missing_parents(
    relations: Relations, ledger: LedgerCopy | None, most: int
) -> tuple[list[tuple[str, str]], int]:
    """``(id, parent)`` of variants whose parent is in neither the catalog nor the ledger: the first, and how many."""
    found: list[tuple[str, str]] = []
    count = 0
    pairs = relations.missing_parents()
    while some := list(islice(pairs, _AT_ONCE)):
        held = await ledger.held({parent for _, parent in some}) if ledger is not None else set[str]()
        missing = [pair for pair in some if pair[1] not in held]
        count += len(missing)
        found += missing[: most - len(found)]
    return found, count
