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


def _in(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}.py" for name in names)


_TRANSPORT_TESTS = "transport", "instrumentation", "resources", "test_cancellation.py", "test_client.py"
ROOMS = {
    "limits": Room(_in("limits", "policy", "local", "tables", "callers"), ("limits",)),
    "retries": Room(_in("transport", "retries", "time_limit"), (*_TRANSPORT_TESTS, "test_wrong_arguments.py")),
    "transport": Room(
        _in("transport", "transport", "admission", "exchange", "places", "open_calls", "unpacking", "failures"),
        (*_TRANSPORT_TESTS, "test_wrong_arguments.py"),
    ),
    "validation": Room(_in("api", "validation", "fast_lane", "columns", "addresses", "values"), ("api",)),
    "queue": Room(_in("sync", "queue", "in_flight"), ("sync",)),
    "bisection": Room(_in("sync", "bisection"), ("sync",)),
    "variants": Room(_in("sync", "variants", "deferred"), ("sync",)),
    "ledger": Room(
        _in(
            "ledger",
            *("pages", "steps", "journal", "missing", "recovery", "rows", "statements", "sqlite_run", "sqlite"),
        ),
        ("ledger", "test_wrong_arguments.py"),
    ),
    "money": Room(_in("catalogs/values", "numbers", "parsing", "prices", "currencies"), ("catalogs",)),
}
