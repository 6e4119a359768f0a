"""One target under atheris, in a process of its own. Only this file knows that library.

An input that breaks a promise is kept in the folder, once for each place in the code, and the search goes on. What the
process cannot survive (a crash of native code, an endless loop, too much memory) libFuzzer itself keeps and ends by.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
import traceback
import warnings
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.targets import Target

__all__ = ["SLOW", "Judge", "Searched", "load", "search"]

_OURS = ("neuroon_async", "tests/fuzz")
SLOW = 3.0
"""Seconds of processor time for one input of some kilobytes that are too many."""


class Judge:
    """Runs inputs, and keeps those that break something."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._known: set[str] = set()

    def __call__(self, data: bytes) -> None:
        problem = self.problem_of(data)
        if problem is None or (place := problem.splitlines()[0]) in self._known:
            return
        self._known.add(place)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"broken-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
        (self._folder / name).write_bytes(data)
        (self._folder / f"{name}.txt").write_text(problem)
        print(f"BROKEN {self._target.name}: {place}", file=sys.stderr, flush=True)

    def problem_of(self, data: bytes) -> str | None:
        """What is wrong with how the package took this input: a line that names the place, and more lines."""
        started = time.process_time()
        try:
            self._target.check(data)
        except Exception as error:  # noqa: BLE001 - every kind is a finding
            frames = traceback.extract_tb(error.__traceback__)
            ours = [frame for frame in frames if any(part in frame.filename for part in _OURS)]
            place = f"{type(error).__name__} in {Path(ours[-1].filename).name}:{ours[-1].lineno}"
            return "\n".join([place, *traceback.format_exception(error)])
        seconds = time.process_time() - started
        return f"slow\n{seconds:.1f} s of processor time for {len(data)} bytes" if seconds > SLOW else None


def load(*, followed: bool) -> dict[str, Target]:
    """The targets. ``followed``: with the package instrumented, so that a search can see where an input led."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    if followed:
        import atheris  # noqa: PLC0415 - only where it is to search

        with (
            Path(os.devnull).open("w") as nowhere,
            redirect_stderr(nowhere),
            atheris.instrument_imports(["neuroon_async"]),
        ):
            from fuzz.targets import TARGETS  # noqa: PLC0415 - what is imported here is followed
    else:
        from fuzz.targets import TARGETS  # noqa: PLC0415 - likewise
    return TARGETS


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search came to: its exit status, seconds of processor time, and libFuzzer's own words."""

    status: int
    processor: float
    said: str


def search(target: Target, folder: Path, committed: Path, options: list[str]) -> Searched:
    """Search in a process of its own, forked from this one so that all is imported already."""
    log = folder / "last.log"
    pid = os.fork()
    if pid == 0:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        try:
            _search(target, folder, committed, options)
        except BaseException:  # noqa: BLE001 - the log tells it
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(3)
    _, status, usage = os.wait4(pid, 0)
    said = log.read_text(errors="replace")
    return Searched(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, said)


def _search(target: Target, folder: Path, committed: Path, options: list[str]) -> None:
    import atheris  # noqa: PLC0415 - only where it is to search

    inputs = folder / "corpus"
    inputs.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (inputs / f"seed-{number}").write_bytes(seed)
    dictionary = folder / "tokens.dict"
    dictionary.write_text("".join(f'"{_escaped(token)}"\n' for token in target.tokens))
    if target.tokens:
        options = [*options, f"-dict={dictionary}"]
    folders = [str(inputs), *([str(committed)] if committed.is_dir() else [])]
    options = [*options, f"-max_len={target.longest}", f"-artifact_prefix={folder}/", *folders]
    atheris.Setup([sys.argv[0], *options], Judge(target, folder), internal_libfuzzer=True)
    atheris.Fuzz()


def _escaped(token: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in token)
