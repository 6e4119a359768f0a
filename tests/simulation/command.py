"""Many simulated runs with a display, or a few by their tokens.

A token is a scenario's name and a seed, such as ``families:1234``.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from memory import MEMORY
from simulation.scenarios import KNOWN, SCENARIOS
from simulation.simulator import Outcome, run_scenario

__all__ = ["main"]

ALL = SCENARIOS | KNOWN
_SILENT = 300.0
"""Seconds between two lines where there is no terminal: a run that is stopped has told how far it came."""


def run_token(token: str) -> Outcome:
    name, _, seed = token.partition(":")
    if name not in ALL or not seed.isdigit():
        sys.exit(f"a token is SCENARIO:SEED with one of {', '.join(ALL)}; got {token!r}")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        return run_scenario(ALL[name], int(seed), Path(folder))


def replay(token: str) -> int:
    outcome = run_token(token)
    print(outcome.details or "clean")
    print(f"{token}: {outcome.problem or 'clean'}; {described(outcome)}")
    return 1 if outcome.problem else 0


def described(outcome: Outcome) -> str:
    return f"{outcome.steps:,} steps, {outcome.virtual_time:,.1f} s simulated, fingerprint {outcome.fingerprint}"


def explore(names: list[str], first: int, *, runs: int, seconds: float, keep_going: bool) -> int:
    logging.disable(logging.CRITICAL)
    print(f"simulation: scenarios {', '.join(names)}; seeds from {first}", flush=True)
    display = Display(runs)
    failed: list[str] = []
    while display.done < runs and display.elapsed < seconds:
        token = f"{names[display.done % len(names)]}:{first + display.done // len(names)}"
        outcome = run_token(token)
        display.count(outcome)
        if outcome.problem:
            failed.append(token)
            print(f"\nFAILED {token}: {outcome.problem}\n{outcome.details}", flush=True)
            print(f"replay it: make simulate TOKEN={token}", flush=True)
            if not keep_going:
                break
    display.end()
    return 1 if failed else 0


class Display:
    """One line that is written over on a terminal, and now and then another one elsewhere."""

    def __init__(self, runs: int) -> None:
        self.done = 0
        self._runs = runs
        self._steps = 0
        self._virtual = 0.0
        self._orders: set[int] = set()
        self._started = time.monotonic()
        self._shown = 0.0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def count(self, outcome: Outcome) -> None:
        self.done += 1
        self._steps += outcome.steps
        self._virtual += outcome.virtual_time
        self._orders.add(outcome.order)
        terminal = sys.stdout.isatty()
        if self.elapsed - self._shown > (0.2 if terminal else _SILENT):
            self._shown = self.elapsed
            print(f"\r{self}" if terminal else self, end="" if terminal else "\n", flush=True)

    def end(self) -> None:
        print(f"\r{self}" if sys.stdout.isatty() else self, flush=True)

    def __str__(self) -> str:
        return (
            f"{self.done:,} of {self._runs:,} runs, {len(self._orders):,} distinct schedules, {self._steps:,} steps, "
            f"{self._virtual / 3600:,.1f} h simulated in {self.elapsed:.0f} s"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("token", nargs="*", help="replay these runs")
    parser.add_argument("--runs", type=int, default=1_000, help="how many (default 1000)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this long")
    parser.add_argument("--seed", type=int, default=None, help="the first seed (default: a fresh one)")
    parser.add_argument("--scenario", action="append", choices=sorted(ALL), help="only these")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    options = parser.parse_args()
    if options.token:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        return max([replay(token) for token in options.token])
    first = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
    names = options.scenario or list(SCENARIOS)
    return explore(names, first, runs=options.runs, seconds=options.seconds, keep_going=options.keep_going)
