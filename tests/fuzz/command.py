"""Fuzz every target in turn, each in a process of its own, and show a table of what came of it.

What a search finds goes on from run to run in ``build/fuzz``. An input that breaks something belongs into the committed
corpus once it is mended: ``--replay`` runs that, and nothing else.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.engine import Judge, load, search

if TYPE_CHECKING:
    from fuzz.targets import Target

__all__ = ["corpus_of", "main", "replay"]

TESTS = Path(__file__).parents[1]
CORPUS = Path(__file__).with_name("corpus")
WORK = TESTS.parent / "build" / "fuzz"
TURN = 60.0
"""Seconds of one turn of a target of weight 1."""
_STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)")
_KEPT = re.compile(r"^(broken|crash|timeout|oom|leak)-(?!.*\.txt$)")


def corpus_of(name: str) -> list[Path]:
    """The committed inputs of a target."""
    folder = CORPUS / name
    return sorted(folder.iterdir()) if folder.is_dir() else []


def replay(target: Target) -> list[str]:
    """What is wrong with the committed inputs and the seeds of a target, each by its name."""
    name = target.name
    judge = Judge(target, WORK / name)
    inputs = {path.name: path.read_bytes() for path in corpus_of(name)}
    inputs |= {f"seed {number}": data for number, data in enumerate(target.seeds())}
    problems = {label: judge.problem_of(data) for label, data in inputs.items()}
    return [f"{name}/{label}: {problem}" for label, problem in problems.items() if problem]


@dataclass(slots=True)
class Tally:
    """What one target has gone through, in all turns."""

    executions: int = 0
    edges: int = 0
    inputs: int = 0
    processor: float = 0.0


class Fuzzing:
    """Turns of targets, and their tallies, which a file keeps from run to run."""

    def __init__(self, work: Path, seed: int, runs: int | None) -> None:
        self._work = work
        self._seed = seed
        self._runs = runs
        self.tallies: dict[str, Tally] = {}
        self._state = work / "tallies.json"
        if self._state.exists():
            kept = json.loads(self._state.read_text())
            self.tallies = {name: Tally(**values) for name, values in kept.items()}

    def turn(self, target: Target, seconds: float) -> None:
        folder = self._work / target.name
        folder.mkdir(parents=True, exist_ok=True)
        limit = f"-runs={self._runs}" if self._runs else f"-max_total_time={max(1, int(seconds))}"
        options = [
            limit,
            f"-seed={self._seed}",
            "-timeout=600",
            "-rss_limit_mb=1500",
            "-report_slow_units=100000",
            "-reload=0",
            "-len_control=20",
        ]
        done = search(target, folder, CORPUS / target.name, options)
        tally = self.tallies.setdefault(target.name, Tally())
        tally.processor += done.processor
        if statuses := _STATUS.findall(done.said):
            tally.executions += int(statuses[-1][0])
            tally.edges = max(tally.edges, int(statuses[-1][1]))
            tally.inputs = int(statuses[-1][2])
        elif done.status:
            raise SystemExit(f"{target.name} could not be run:\n{done.said[-4000:]}")
        self._seed += 1
        self._state.write_text(json.dumps({name: _as_dict(each) for name, each in self.tallies.items()}))

    def broken(self, name: str) -> list[Path]:
        folder = self._work / name
        return sorted(path for path in folder.iterdir() if _KEPT.match(path.name)) if folder.is_dir() else []

    def table(self) -> str:
        lines = [f"{'target':<26} {'executions':>12} {'edges':>7} {'inputs':>7} {'minutes':>8} {'broken':>7}"]
        for name, tally in self.tallies.items():
            lines.append(
                f"{name:<26} {tally.executions:>12,} {tally.edges:>7,} {tally.inputs:>7,} {tally.processor / 60:>8.1f} "
                f"{len(self.broken(name)):>7}"
            )
        executions = sum(tally.executions for tally in self.tallies.values())
        hours = sum(tally.processor for tally in self.tallies.values()) / 3600
        lines.append(f"{executions:,} executions in {hours:.2f} hours of processor time")
        return "\n".join(lines)


def _as_dict(tally: Tally) -> dict[str, float]:
    return {name: getattr(tally, name) for name in Tally.__slots__}


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long in all (default 300)")
    parser.add_argument("--runs", type=int, help="instead of a time: so many inputs a target")
    parser.add_argument("--seed", type=int, help="of the search (default: a fresh one)")
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--work", type=Path, default=WORK, help="where the search keeps what it found")
    parser.add_argument("--replay", action="store_true", help="only the committed corpus")
    parser.add_argument("--table", action="store_true", help="only what the searches until now came to")
    options = parser.parse_args()
    if not options.replay and importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: it has wheels for Linux on x86-64 only; --replay works without it")
    targets = load(followed=not (options.replay or options.table))
    if unknown := set(options.target or ()) - targets.keys():
        parser.error(f"no target {min(unknown)!r}; there are {', '.join(targets)}")
    chosen = [target for name, target in targets.items() if not options.target or name in options.target]
    if options.replay:
        problems = [problem for target in chosen for problem in replay(target)]
        print("\n".join(problems) or f"the corpus of {len(chosen)} targets breaks nothing")
        return 1 if problems else 0
    seed = int.from_bytes(os.urandom(3), "big") + 1 if options.seed is None else options.seed
    fuzzing = Fuzzing(options.work, seed, options.runs)
    if not options.table:
        _search(fuzzing, chosen, options.seconds)
    print(fuzzing.table())
    broken = [path for target in chosen for path in fuzzing.broken(target.name)]
    for path in broken:
        print(f"broken: {path}")
    return 1 if broken else 0


def _search(fuzzing: Fuzzing, targets: list[Target], seconds: float) -> None:
    """Turns by weight, until the time is over. With a number of runs: one turn for each."""
    ends = time.monotonic() + seconds
    turn = min(TURN, seconds / sum(target.weight for target in targets))
    while True:
        for target in targets:
            fuzzing.turn(target, turn * target.weight)
            if fuzzing._runs is None and time.monotonic() >= ends:
                return
        if fuzzing._runs is not None:
            return
