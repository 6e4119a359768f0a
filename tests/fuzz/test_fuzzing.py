"""The corpus of the fuzzing breaks nothing, and neither does a short search, which is the same one each time."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.command import CORPUS, replay
from fuzz.targets import TARGETS

TESTS = Path(__file__).parents[1]
BY_HAND = "ledger-", "outbox-", "limits-", "catalog-"
"""Searched by hand alone: SQLite works in a thread, whose turns are chance, and catalogs take long."""
SEARCHED = [name for name in TARGETS if not name.startswith(BY_HAND)]
RUNS = 60


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name.startswith(BY_HAND) else name for name in TARGETS],
)
def test_nothing_in_the_corpus_breaks_a_promise(name):
    assert replay(TARGETS[name]) == []


def test_the_corpus_is_small_and_belongs_to_targets():
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= TARGETS.keys()
    assert sum(path.stat().st_size for path in files) < 300_000


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this platform")
def test_a_short_search_breaks_no_promise(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment |= {"PYTHONPATH": str(TESTS), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "fuzz", "--runs", str(RUNS), "--seed", "1", "--work", str(tmp_path)]
    for name in SEARCHED:
        command += ["--target", name]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
