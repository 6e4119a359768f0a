"""What `make bench` writes has its place in RESULTS.md, and every picture shown there exists."""

import re
import runpy
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PAGE = (BENCHMARKS / "RESULTS.md").read_text()
PLAN = runpy.run_path(str(BENCHMARKS / "run.py"))["PLAN"]


def test_every_section_that_is_made_is_planned_and_ends():
    begun = re.findall(r"<!-- made: (\S+) -->", PAGE)
    assert begun == re.findall(r"<!-- end: (\S+) -->", PAGE)
    assert set(begun) - {"goals"} <= {piece.name for piece in PLAN}


def test_every_planned_benchmark_exists():
    missing = [piece.command for piece in PLAN if not (BENCHMARKS / piece.command.split()[0]).exists()]
    assert not missing


def test_every_picture_exists():
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PAGE)
    assert shown
    assert [path for path in shown if not (BENCHMARKS / path).exists()] == []
