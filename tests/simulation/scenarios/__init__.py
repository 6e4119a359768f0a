"""Every scenario by its name, which is part of the token that replays a failure."""

from __future__ import annotations

from simulation.scenarios import bulk, callbacks, cancellation, deletion, full, ledger, limits, outbox
from simulation.simulator import Scenario

__all__ = ["KNOWN", "SCENARIOS"]

SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for module in (bulk, callbacks, cancellation, deletion, full, ledger, limits, outbox)
    for scenario in module.SCENARIOS
}
"""Those that must hold in every run."""
KNOWN: dict[str, Scenario] = {scenario.__name__: scenario for scenario in cancellation.KNOWN}
"""Those that show a weakness which is known and not mended. They run where they are named, not by themselves."""
