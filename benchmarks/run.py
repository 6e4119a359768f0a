"""Run the benchmarks one after another and write what they print into RESULTS.md.

    python benchmarks/run.py [--full] [--only NAME ...]

Each benchmark prints Markdown; here it goes between the marks of its section, with the date and the command. Lines
that begin with GOAL become the table at the top. What is not run stays as it was.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from measuring import GOAL, say

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
FOUND = HERE / "results"
"""What the pictures are made of, and the goals of sections that are not run this time."""


@dataclass(frozen=True)
class Piece:
    """One section of the results. ``full``: only in ``make bench-full``."""

    name: str
    command: str
    full: bool = False


PAIR = shlex.join(["this SDK, camelCase dicts", "meilisearch-python-sdk, 8 in flight"])
"""Two alone, in many short turns: the ratio between them is a goal, and a machine is seldom even for long."""
PLAN = [
    Piece("calls", "calls.py"),
    Piece("bulk", "bulk.py --products 50000 --rounds 9"),
    Piece("bulk-million", "bulk.py --products 1000000 --rounds 1 --latency 0"),
    Piece("stations", "stations.py"),
    Piece("peers-pairs", f"peers.py --products 30000 --rounds 15 --latency 0 --only {PAIR}"),
    Piece("peers", "peers.py --rounds 3 --latency 0 --save results/peers.json"),
    Piece("peers-latency", "peers.py --products 20000 --rounds 1 --latency 0.05 0.2"),
    Piece("peers-million", "peers.py --products 1000000 --rounds 1 --latency 0 --streamed --save results/million.json"),
    Piece("readers", "readers.py"),
    Piece("delta", "delta.py --rounds 1"),
    Piece("delta-command", "delta.py --command --rounds 2"),
    Piece("limits", "limits.py"),
    Piece("window", "window.py --save results/window.json"),
    Piece("shared-limit", "shared_limit.py --per 5 --windows 3"),
    Piece("app-latency", "app_latency.py"),
    Piece("fleet", "fleet.py"),
    Piece("outbox-backlog", "outbox_backlog.py"),
    Piece("before", "before.py 01d88d6 --rounds 5", full=True),
    Piece("peers-full", "peers.py --rounds 5", full=True),
    Piece("peers-million-latency", "peers.py --products 1000000 --rounds 1 --latency 0.05 0.2 --streamed", full=True),
    Piece("delta-full", "delta.py", full=True),
    Piece("limits-real", "limits.py --real", full=True),
]


def run(piece: Piece) -> None:
    script, *arguments = shlex.split(piece.command)
    say(f"== {piece.name}: benchmarks/{piece.command}")
    started = time.monotonic()
    process = subprocess.run(
        [sys.executable, script, *arguments], cwd=HERE, stdout=subprocess.PIPE, text=True, check=False
    )
    if process.returncode:
        sys.exit(f"{piece.command} ended with {process.returncode}; RESULTS.md keeps its section as it was")
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    lines = process.stdout.splitlines()
    goals = [line.split("|")[1:] for line in lines if line.startswith(GOAL)]
    text = as_markdown([line.rstrip() for line in lines if not line.startswith(GOAL)])
    seconds = time.monotonic() - started
    put(piece.name, f"`python benchmarks/{piece.command}`, {today}, {seconds:.0f} s.\n\n{text}")
    if goals:
        keep(piece, goals, today)


def as_markdown(lines: list[str]) -> str:
    """Columns that are set with spaces stay so."""
    text = "\n".join(lines).strip("\n")
    return f"```\n{text}\n```" if "  " in text and "|" not in text else text


def keep(piece: Piece, goals: list[list[str]], today: str) -> None:
    """Remember how near each goal is, and write the table again."""
    path = FOUND / "goals.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[piece.name] = [
        {"what": what, "goal": wanted, "figure": figure, "runs": runs, "date": today, "command": piece.command}
        for what, wanted, figure, runs in goals
    ]
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    rows = ["| what | goal | measured | runs | date | command |", "|---|---|---|---:|---|---|"]
    rows += [
        f"| {row['what']} | {row['goal']} | {row['figure']} | {row['runs']} | {row['date']} | `{row['command']}` |"
        for other in PLAN
        for row in known.get(other.name, ())
    ]
    put("goals", "\n".join(rows))


def put(name: str, text: str) -> None:
    """Replace what stands between the marks of this section; a section that is not there yet goes to the end."""
    begin, end = f"<!-- made: {name} -->", f"<!-- end: {name} -->"
    made = f"{begin}\n{text}\n{end}"
    document = RESULTS.read_text()
    pattern = re.compile(rf"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(document):
        document = f"{document.rstrip()}\n\n## {name}\n\n{begin}\n{end}\n"
    RESULTS.write_text(pattern.sub(lambda _: made, document))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="also what takes longer than twenty minutes in all")
    parser.add_argument("--only", nargs="+", choices=[piece.name for piece in PLAN], metavar="NAME")
    options = parser.parse_args()
    FOUND.mkdir(exist_ok=True)
    chosen = [
        piece for piece in PLAN if (piece.name in options.only if options.only else options.full or not piece.full)
    ]
    there = [piece for piece in chosen if (HERE / shlex.split(piece.command)[0]).exists()]
    started = time.monotonic()
    for number, piece in enumerate(there, 1):
        say(f"[{number}/{len(there)}, {(time.monotonic() - started) / 60:.1f} min]")
        run(piece)
    subprocess.run([sys.executable, HERE / "pictures.py"], check=True)
    say(f"RESULTS.md is written: {(time.monotonic() - started) / 60:.1f} min")


if __name__ == "__main__":
    main()
