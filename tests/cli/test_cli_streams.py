"""Output that nobody reads, finds no room, or meets a plain terminal: no traceback, and the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import BAD, KEY, PROJECT, catalog, environment, served

pytestmark = pytest.mark.slow


def shell(line, **variables):
    """Run a line of bash. Gives the exit code of its first command, stdout and stderr."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("NEUROON_")} | variables
    command = f'neuroon() {{ "{sys.executable}" -m neuroon_async "$@"; }}; {line}; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command],
        env=env | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert KEY not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_reader_that_goes_away_does_not_change_the_outcome(tmp_path):
    good = catalog(tmp_path, count=3).rename(tmp_path / "good.jsonl")
    bad = catalog(tmp_path, BAD)
    with served() as server:
        for line, code in (
            (f"neuroon sync {good} | true", 0),
            (f"neuroon sync {bad} | true", 1),
            ("neuroon doctor | true", 0),
        ):
            assert shell(line, **environment(server))[0] == code, line
        assert len(server.products) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told(tmp_path):
    code, _, err = shell(f"neuroon check {catalog(tmp_path, count=1)} > /dev/full")
    assert (code, err) == (4, "error: No space left on device\n")
    with served() as server:
        for options in ("", " --json"):
            code, _, err = shell(
                f"neuroon sync {catalog(tmp_path, count=3)}{options} > /dev/full", **environment(server)
            )
            assert (code, err) == (4, "error: No space left on device\n")
        assert len(server.products) == 3


def test_a_standard_input_that_is_closed_is_told():
    for command in ("check -", "sync -", "delete -"):
        code, _, err = shell(f"neuroon {command} <&-", NEUROON_API_KEY=KEY, NEUROON_SHOP_ID="shop_1")
        assert (code, err) == (4, "error: standard input: is closed\n"), command


def test_plain_terminals_and_encodings(tmp_path):
    file = catalog(tmp_path, BAD | {"externalId": "Té-☕"})
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "TERM": "dumb", "NO_COLOR": "1"}
    code, out, err = shell(f"neuroon sync {file} --dry-run", **plain)
    assert code == 1
    assert out.isascii()
    assert "T\\xe9-\\u2615" in out
    assert "\x1b" not in out + err
