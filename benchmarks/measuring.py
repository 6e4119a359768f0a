"""What the benchmarks measure with: a run in a process of its own on one processor, medians, and goals told."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

GOAL = "GOAL"
"""Begins the lines that `run.py` collects into the table at the top of RESULTS.md."""


def pin_client() -> None:
    """Keep this process on the first processor; the sink is on the last one."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])


def resident() -> int:
    """Bytes of memory in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measured(work: Callable[[], object], count: int) -> dict[str, float]:
    """Run this once: items a second, µs of processor time an item, and MB by which memory grew at its peak.

    The peak is that of the whole process, so this is the last thing that a process is started for.
    """
    before, cpu, started = resident(), time.process_time(), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "rate": count / seconds,
        "cpu": (time.process_time() - cpu) / count * 1e6,
        "memory": (max(peak, resident()) - before) / 2**20,
    }


def in_own_process(script: str, *arguments: str) -> dict[str, float]:
    """The figures that this script prints as JSON when it is run with these arguments."""
    command = [sys.executable, script, *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def middle(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def ratios(runs: Iterable[dict[str, float]], others: Iterable[dict[str, float]], name: str = "rate") -> list[float]:
    """A figure of each run over that of the run which took turns with it."""
    return [one[name] / other[name] for one, other in zip(runs, others, strict=True)]


def pairs(found: Sequence[float]) -> str:
    """The median ratio, and the pairs that it is made of."""
    return f"{statistics.median(found):.2f} ({', '.join(f'{ratio:.2f}' for ratio in found)})"


def say(text: str) -> None:
    """Tell how far it is, beside the output."""
    print(text, file=sys.stderr, flush=True)


def goal(what: str, wanted: Any, figure: Any, runs: int) -> None:
    """Say what was to be reached, and what was."""
    print(f"{GOAL}|{what}|{wanted}|{figure}|{runs}")
