"""Processes that are forked: one that sends values back, and one that lives until a mutant is noticed, or hangs."""

from __future__ import annotations

import mmap
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory import MEMORY

__all__ = ["ELSEWHERE", "UNDECIDED", "Verdict", "arm", "forked", "judged"]

ELSEWHERE, UNDECIDED = 9, 7
"""Exit codes: the mutant cannot be put in here; the time for it is over, and no test has failed yet."""
_CODES = {0: "survived", UNDECIDED: "undecided", ELSEWHERE: "elsewhere"}
_MORE_MEMORY = 2 * 2**30
_GLANCE = 0.25
"""Seconds between two looks at a process: does it do anything?"""
_HEARTBEAT = 1
"""Hundredths of a second of processor time between two looks: a server that waits for requests does not do less."""
_BEGUN = mmap.mmap(-1, 1)
"""Counts the tests that a process has begun. The one that watches it sees it, too."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``killed``, ``timeout`` (it took far too long, or stood still), ``survived``, ``undecided`` or ``elsewhere``."""

    word: str
    killer: str = ""
    """The test that noticed."""


@contextmanager
def forked(work: Callable[[Callable[[Any], None]], None]) -> Iterator[Iterator[Any]]:
    """What ``work`` sends, from a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:

            def send(value: Any) -> None:
                pickle.dump(value, pipe)
                pipe.flush()

            try:
                work(send)
            except BaseException:  # noqa: BLE001 - told, and the process ends
                traceback.print_exc()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as source:

        def values() -> Iterator[Any]:
            while True:
                try:
                    yield pickle.load(source)
                except EOFError:
                    return

        yield values()
    os.waitpid(pid, 0)


def arm(seconds: float) -> None:
    """The process dies when it has used so much more processor time. Each test arms it again."""
    _BEGUN[0] = (_BEGUN[0] + 1) % 256
    signal.setitimer(signal.ITIMER_PROF, seconds)


def judged(attempt: Callable[[Path], str | None], still: float) -> Verdict:
    """Fork, and see what becomes of it. ``attempt`` gets a folder, and returns the test that failed, if any.

    It may use 2 GB of memory more than this process, and stand still for ``still`` seconds.
    """
    reading, writing = os.pipe()
    folder = Path(tempfile.mkdtemp(prefix="mutant-", dir=MEMORY))
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _live(attempt, folder, writing)
    os.close(writing)
    try:
        code = _watched(pid, still)
        killer = os.read(reading, 4096).decode()
    finally:
        os.close(reading)
        shutil.rmtree(folder, ignore_errors=True)
    if code in {-signal.SIGPROF, -signal.SIGKILL}:
        return Verdict("timeout", killer)
    return Verdict(_CODES.get(code, "killed"), killer)


def _live(attempt: Callable[[Path], str | None], folder: Path, pipe: int) -> None:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MORE_MEMORY, used + _MORE_MEMORY))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        killer = attempt(folder)
    except BaseException as error:  # noqa: BLE001 - a mutant may break anything, pytest too
        killer = type(error).__name__
    with suppress(OSError):
        os.write(pipe, (killer or "").encode()[:4096])
    os._exit(1 if killer else 0)


def _watched(pid: int, still: float) -> int:
    """The exit code. A process that rests for too long within one test is killed."""
    descriptor = os.pidfd_open(pid)
    rested, before, test = 0.0, None, _BEGUN[0]
    try:
        while not select.select([descriptor], [], [], _GLANCE)[0]:
            now = _ticks_at_rest(pid)
            if test != _BEGUN[0]:
                rested, test = 0.0, _BEGUN[0]
            elif now is not None and before is not None and now - before <= _HEARTBEAT:
                rested += _GLANCE
            before = now
            if rested > still:
                os.kill(pid, signal.SIGKILL)
                break
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(descriptor)


def _ticks_at_rest(pid: int) -> int | None:
    """Its processor time; ``None`` while a thread of it runs or waits for its turn, or all are stopped."""
    with suppress(OSError):
        stats = [path.read_text().rpartition(")")[2].split() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
        if all(fields[0] == "S" for fields in stats):
            return sum(int(fields[11]) + int(fields[12]) for fields in stats)
    return None
