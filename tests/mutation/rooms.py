"""Which files are mutated together, and the tests that are to notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOMS", "Room"]

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "neuroon_async"


@dataclass(frozen=True, slots=True)
class Room:
    """``files`` of the package, and ``tests``, both relative to their folders."""

    files: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def paths(self) -> list[Path]:
        return [PACKAGE / file for file in self.files]


ROOMS = {
    "limits": Room(("limits/policy.py", "limits/local.py", "limits/tables.py", "limits/callers.py"), ("limits",)),
    "retries": Room(
        ("transport/retries.py", "transport/time_limit.py"),
        ("transport/test_retries.py", "transport/test_transport.py"),
    ),
    "transport": Room(
        (
            "transport/transport.py",
            "transport/admission.py",
            "transport/exchange.py",
            "transport/places.py",
            "transport/open_calls.py",
            "transport/unpacking.py",
            "transport/failures.py",
        ),
        ("transport", "test_cancellation.py", "test_client.py"),
    ),
    "validation": Room(
        ("api/validation.py", "api/fast_lane.py", "api/addresses.py", "api/values.py"),
        (
            "api/test_validation.py",
            "api/test_fast_lane.py",
            "api/test_addresses.py",
            "api/test_items.py",
            "api/test_models.py",
        ),
    ),
    "queue": Room(("sync/queue.py", "sync/in_flight.py"), ("sync/test_sync_parts.py", "sync/test_sync_run.py")),
    "bisection": Room(("sync/bisection.py",), ("sync",)),
    "variants": Room(("sync/variants.py", "sync/deferred.py"), ("sync",)),
    "ledger": Room(
        (
            "ledger/pages.py",
            "ledger/journal.py",
            "ledger/missing.py",
            "ledger/rows.py",
            "ledger/sqlite_run.py",
            "ledger/sqlite.py",
        ),
        ("ledger",),
    ),
    "money": Room(
        (
            "catalogs/values/numbers.py",
            "catalogs/values/parsing.py",
            "catalogs/values/prices.py",
            "catalogs/values/currencies.py",
        ),
        ("catalogs",),
    ),
}
