"""Is it slower than it was? The benchmarks of an earlier commit and of this one, taking turns.

    python benchmarks/before.py REV [--rounds 7] [--only NAME ...]

REV is checked out into a temporary worktree and run by this interpreter, with its own benchmarks: the packages that it
needs are those installed here. One figure of each benchmark is compared, in fresh processes that alternate, and the
ratio is that of the two that took turns. Processor time counts, because other work on the machine changes it least.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
from measuring import pairs, say
from sink import sink

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ALLOWED = 1.05
"""How much dearer it may be before this says so, by the median of the pairs and by the best of each, too: other work on
the machine only adds to a figure, and on a busy one the medians of the same code were 1.10 apart."""


@dataclass(frozen=True)
class Figure:
    """What is measured, and Python code, run beside the benchmarks, whose last line is the figure. Less is better."""

    what: str
    code: str


FIGURES = {
    "bulk": Figure(
        "`bulk.py`: µs a `Product` in a bulk sync",
        "import bulk; print(bulk.measure('sdk', URL, 50_000)['cpu'])",
    ),
    "first run": Figure(
        "`delta.py`: µs a product of a first run with a ledger",
        "import delta, time, asyncio, pathlib\n"
        "async def run(): await delta.sync(URL, pathlib.Path(FOLDER) / 'first', delta.products(20_000))\n"
        "asyncio.run(delta.sync(URL, pathlib.Path(FOLDER) / 'warm', delta.products(2_000)))\n"
        "started = time.process_time(); asyncio.run(run()); print((time.process_time() - started) / 20_000 * 1e6)",
    ),
    "unchanged": Figure(
        "`delta.py`: µs an unchanged product with a ledger",
        "import delta, asyncio, pathlib\n"
        "ledger = pathlib.Path(FOLDER) / 'ledger'\n"
        "asyncio.run(delta.sync(URL, ledger, delta.products(50_000)))\n"
        "print(delta.measure(URL, ledger, 50_000, 0)['cpu'])",
    ),
    "limits": Figure(
        "`limits.py`: µs a call that waits among 10,000",
        "import limits, asyncio, re, io, contextlib\n"
        "told = io.StringIO()\n"
        "with contextlib.redirect_stdout(told): asyncio.run(limits.waiters(10_000))\n"
        "print(re.search(r'once: (\\d+)', told.getvalue())[1])",
    ),
    "shared limit": Figure(
        "`shared_limit.py`: part of the budget that four processes leave unused, in % (+ 1)",
        "import subprocess, sys, re\n"
        "command = [sys.executable, 'shared_limit.py', '--per', '2', '--windows', '3', '--algorithm', 'rolling']\n"
        "told = subprocess.run(command, check=True, capture_output=True, text=True).stdout\n"
        "print(101 - float(re.search(r'([\\d.]+)% of the budget', told)[1]))",
    ),
}


@contextmanager
def checked_out(rev: str) -> Iterator[Path]:
    """The tree of that commit, while it is needed."""
    with tempfile.TemporaryDirectory(prefix="neuroon-before-") as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), rev], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def measure(figure: Figure, tree: Path, url: str) -> float:
    """The figure of one tree, in a fresh process on one processor."""
    core = min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        code = f"import os, sys; os.sched_setaffinity(0, [{core}]); sys.path.insert(0, '.')\n"
        code += f"URL, FOLDER = {url!r}, {folder!r}\n{figure.code}"
        process = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tree / "benchmarks",
            env={**os.environ, "PYTHONPATH": str(tree)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return float(process.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rev", metavar="REV")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=list(FIGURES), default=list(FIGURES), metavar="NAME")
    options = parser.parse_args()
    print(f"| measured | {options.rev} | now | now over {options.rev} (pairs) | |\n|---|---:|---:|---|---|")
    with checked_out(options.rev) as earlier, sink(0.0) as url:
        for name in options.only:
            before: list[float] = []
            now: list[float] = []
            for number in range(options.rounds):
                turn = [(earlier, before), (HERE.parent, now)]
                for tree, figures in turn if number % 2 == 0 else reversed(turn):
                    figures.append(measure(FIGURES[name], tree, url))
                say(f"{name}, round {number + 1} of {options.rounds}: {before[-1]:.2f}, {now[-1]:.2f}")
            ratios = [one / other for one, other in zip(now, before, strict=True)]
            slower = min(statistics.median(ratios), min(now) / min(before)) > ALLOWED
            verdict = "**slower**" if slower else "no slower"
            medians = f"{statistics.median(before):.2f} | {statistics.median(now):.2f}"
            print(f"| {FIGURES[name].what} | {medians} | {pairs(ratios)} | {verdict} |", flush=True)


if __name__ == "__main__":
    main()
