"""Runs the mutants of a room, each in a process forked from one in which pytest has collected all tests already.

A mutant within a function is that function with another code object: whoever imported it sees the change. One outside
of any function (a constant, a default, a decorator) needs its module, and all that imported it, anew: such a process is
forked before the package is imported.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import importlib.abc
import importlib.util
import io
import os
import pickle
import resource
import select
import signal
import sys
import time
import traceback
import types
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import coverage
import pytest

from mutation.listing import explained
from mutation.operators import Mutant, mutants_of
from mutation.rooms import PACKAGE, ROOMS, TESTS, Room

__all__ = ["run_room"]

_PATIENCE = 4.0
"""A mutant may take so many times what its tests take otherwise, and `_GRACE` seconds of processor time more."""
_GRACE = 3.0
_STANDSTILL = 15.0
"""Seconds after which a mutant that does nothing at all hangs."""


def run_room(name: str, options: Namespace) -> int:
    """Prints the survivors and the score. 0 where every survivor is explained."""
    room = ROOMS[name]
    paths = [path for path in room.paths if options.file in {None, str(path.relative_to(PACKAGE)), path.name}]
    known = {(each.file, each.name) for each in explained()}
    mutants = [mutant for path in paths for mutant in mutants_of(path)]
    mutants = mutants[options.start : options.stop : options.sample]
    tally = _Tally(name, known)
    ends = time.monotonic() + options.seconds
    for mutant, verdict in _verdicts(room, mutants, ends):
        tally.note(mutant, verdict)
    return tally.report(len(mutants))


class _Tally:
    def __init__(self, room: str, known: set[tuple[str, str]]) -> None:
        self._room = room
        self._known = known
        self.counts = {"killed": 0, "timeout": 0, "survived": 0, "untested": 0, "explained": 0, "invalid": 0}
        self._unexplained = 0

    def note(self, mutant: Mutant, verdict: str) -> None:
        file = str(mutant.path.relative_to(PACKAGE))
        if verdict in {"survived", "untested"}:
            if (file, mutant.name) in self._known:
                verdict = "explained"
            else:
                self._unexplained += 1
                print(f"{verdict} {file}:{mutant.line} `{mutant.name}`", flush=True)
        self.counts[verdict] += 1

    def report(self, planned: int) -> int:
        counts = self.counts
        done = sum(counts.values()) - counts["invalid"]
        noticed = counts["killed"] + counts["timeout"]
        score = 100 * noticed / done if done else 100.0
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        print(f"{self._room}: {done} of {planned} mutants, {told}: {score:.1f} %", flush=True)
        return 1 if self._unexplained else 0


def _verdicts(room: Room, mutants: list[Mutant], ends: float) -> Iterator[tuple[Mutant, str]]:
    """Forks twice: a server that collects the tests for mutants within functions, and one for all others."""
    inside = [mutant for mutant in mutants if mutant.in_function]
    outside = [mutant for mutant in mutants if not mutant.in_function]
    lines = None
    for group, fresh in ((inside, False), (outside, True)):
        if not group and lines is not None:
            continue
        with _forked(
            lambda send, group=group, fresh=fresh, lines=lines: _serve(
                room, group, ends, send, fresh=fresh, lines=lines
            )
        ) as answers:
            for answer in answers:
                if isinstance(answer, dict):
                    lines = answer
                else:
                    index, verdict = answer
                    yield group[index], verdict


@contextmanager
def _forked(work: Callable[[Callable[[Any], None]], None]) -> Iterator[Iterator[Any]]:
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
    with os.fdopen(reading, "rb") as pipe:

        def values() -> Iterator[Any]:
            while True:
                try:
                    yield pickle.load(pipe)
                except EOFError:
                    return

        yield values()
    os.waitpid(pid, 0)


def _serve(
    room: Room,
    mutants: list[Mutant],
    ends: float,
    send: Callable[[Any], None],
    *,
    fresh: bool,
    lines: dict[str, Any] | None,
) -> None:
    if not fresh:
        _pytest(room, _Server(room, mutants, ends, send))
        return
    assert lines is not None
    chosen = _Chosen(lines)
    for index, mutant in enumerate(mutants):
        if time.monotonic() >= ends:
            return
        tests = chosen.of_module(mutant.path)
        if not tests:
            send((index, "untested"))
            continue

        def attempt(mutant: Mutant = mutant, tests: list[str] = tests) -> bool:
            sys.meta_path.insert(0, _Mutated(mutant))
            return _pytest(room, _Only(tests)) != 0

        send((index, _judged(attempt, chosen.seconds(tests) + 5.0)))


def _pytest(room: Room, plugin: object) -> int:
    tests = [
        str(TESTS / each) + ("" if (TESTS / each).is_dir() else ".py" * (not each.endswith(".py")))
        for each in room.tests
    ]
    quiet = io.StringIO()
    kept, sys.stdout = sys.stdout, quiet
    try:
        return int(
            pytest.main(
                [*tests, "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:cov"],
                plugins=[plugin],
            )
        )
    finally:
        sys.stdout = kept


class _Only:
    """Runs these tests in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._tests = tests

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        by_id = {item.nodeid: item for item in items}
        items[:] = [by_id[test] for test in self._tests if test in by_id]


class _Server:
    """Takes over when pytest has collected: learns what each test runs, then judges mutant by mutant."""

    def __init__(self, room: Room, mutants: list[Mutant], ends: float, send: Callable[[Any], None]) -> None:
        self._room = room
        self._mutants = mutants
        self._ends = ends
        self._send = send

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        by_id = {item.nodeid: item for item in session.items}
        lines = _known_lines(self._room)
        if lines is None or set(lines["seconds"]) != set(by_id):
            with _forked(lambda send: send(_learned(session, self._room))) as answers:
                lines = next(answers)
            _keep_lines(self._room, lines)
        self._send(lines)
        print(
            f"{len(by_id)} tests in {sum(lines['seconds'].values()):.0f} s; {len(self._mutants)} mutants",
            file=sys.stderr,
        )
        chosen = _Chosen(lines)
        for path in self._room.paths:
            _original(path)
        gc.unfreeze()  # what is frozen no search finds
        _functions()
        gc.freeze()
        for index, mutant in enumerate(self._mutants):
            if time.monotonic() >= self._ends:
                break
            tests = chosen.of_line(mutant.path, mutant.line) or chosen.of_function(mutant)
            if not tests:
                self._send((index, "untested"))
                continue

            def attempt(mutant: Mutant = mutant, tests: list[str] = tests) -> bool:
                if not _patched(mutant):
                    os._exit(9)
                return _failed(session, [by_id[test] for test in tests])

            self._send((index, _judged(attempt, chosen.seconds(tests))))
        return True


def _failed(session: pytest.Session, items: list[pytest.Item]) -> bool:
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return True
    return False


def _kept_at(room: Room) -> Path:
    """What was learned holds for these very files."""
    content = hashlib.sha256(b"".join(path.read_bytes() for path in room.paths)).hexdigest()[:16]
    return TESTS.parent / "build" / "mutation" / f"{room.files[0].replace('/', '-')}-{content}.pickle"


def _known_lines(room: Room) -> dict[str, Any] | None:
    kept = _kept_at(room)
    return pickle.loads(kept.read_bytes()) if kept.exists() else None


def _keep_lines(room: Room, lines: dict[str, Any]) -> None:
    kept = _kept_at(room)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(pickle.dumps(lines))


def _learned(session: pytest.Session, room: Room) -> dict[str, Any]:
    """Which tests run which lines of the room, and how long each test takes."""
    measured = coverage.Coverage(data_file=None, include=[str(path) for path in room.paths], config_file=False)
    seconds: dict[str, float] = {}
    measured.start()
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        measured.switch_context(item.nodeid)
        started = time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        seconds[item.nodeid] = time.process_time() - started
        if session.testsfailed:
            print(f"fails without any mutant: {item.nodeid}", file=sys.stderr, flush=True)
            session.testsfailed = 0
            seconds[item.nodeid] = float("inf")
    measured.stop()
    data = measured.get_data()
    lines = {
        file: {
            line: [each for each in tests if each in seconds] for line, tests in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }
    return {"lines": lines, "seconds": seconds}


class _Chosen:
    """The tests that pass by a place, the quickest first."""

    def __init__(self, learned: dict[str, Any]) -> None:
        self._lines: dict[str, dict[int, list[str]]] = learned["lines"]
        self._seconds: dict[str, float] = learned["seconds"]

    def of_line(self, path: Path, line: int) -> list[str]:
        return self._ordered(self._lines.get(str(path), {}).get(line, []))

    def of_function(self, mutant: Mutant) -> list[str]:
        """For a line of its head, which runs when it is defined, and one in the middle of a statement."""
        lines = self._lines.get(str(mutant.path), {})
        before = [line for line in lines if line < mutant.line]
        after = [line for line in lines if line > mutant.line and lines[line]]
        near = ([max(before)] if before else []) + ([min(after)] if after else [])
        return self._ordered([test for line in near for test in lines[line]])

    def of_module(self, path: Path) -> list[str]:
        return self._ordered([test for tests in self._lines.get(str(path), {}).values() for test in tests])

    def seconds(self, tests: list[str]) -> float:
        return sum(self._seconds[test] for test in tests)

    def _ordered(self, tests: list[str]) -> list[str]:
        sound = {test for test in tests if self._seconds[test] != float("inf")}
        return sorted(sound, key=lambda test: (self._seconds[test], test))


def _judged(attempt: Callable[[], bool], seconds: float) -> str:
    """Fork, and see whether a test fails there."""
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        allowed = int(seconds * _PATIENCE + _GRACE) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed + 1))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        try:
            noticed = attempt()
        except BaseException:  # noqa: BLE001 - a mutant may break anything, pytest too
            noticed = True
        os._exit(1 if noticed else 0)
    descriptor = os.pidfd_open(pid)
    try:
        ready, _, _ = select.select([descriptor], [], [], _STANDSTILL + seconds * 15)
        if not ready:
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(descriptor)
    if not ready or code in {-signal.SIGXCPU, -signal.SIGKILL}:
        return "timeout"
    return {0: "survived", 9: "invalid"}.get(code, "killed")


# Putting a mutant in


def _patched(mutant: Mutant) -> bool:
    """Give the function its mutated code, wherever it is held. ``False`` where there is no such function."""
    compiled = compile(_located(mutant), str(mutant.path), "exec", dont_inherit=True)
    original = _original(mutant.path)
    changed = False
    for old, new in _pairs(original, compiled):
        if old != new:
            for function in _functions_with(old):
                function.__code__ = new
                changed = True
    return changed


@cache
def _original(path: Path) -> types.CodeType:
    return compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)


def _pairs(old: types.CodeType, new: types.CodeType) -> Iterator[tuple[types.CodeType, types.CodeType]]:
    """Functions of both, outermost first, without the module itself and class bodies."""
    olds = [each for each in old.co_consts if isinstance(each, types.CodeType)]
    news = [each for each in new.co_consts if isinstance(each, types.CodeType)]
    for one, other in zip(olds, news, strict=False):
        if one.co_flags & 0x1:  # a function, and no class body
            yield one, other
        yield from _pairs(one, other)


@cache
def _functions() -> list[types.FunctionType]:
    """All of the package that were there when this was first asked."""
    here = str(PACKAGE)
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, types.FunctionType) and each.__code__.co_filename.startswith(here)
    ]


def _functions_with(code: types.CodeType) -> list[types.FunctionType]:
    return [
        each
        for each in _functions()
        if each.__code__.co_filename == code.co_filename
        and each.__code__.co_qualname == code.co_qualname
        and each.__code__.co_firstlineno == code.co_firstlineno
        and len(each.__closure__ or ()) == len(code.co_freevars)
    ]


def _located(mutant: Mutant) -> ast.Module:
    return ast.fix_missing_locations(mutant.tree)


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module of the package its mutated code."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        parts = ["neuroon_async", *mutant.path.relative_to(PACKAGE).with_suffix("").parts]
        self._name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, self._mutant.path, loader=self)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        exec(compile(_located(self._mutant), str(self._mutant.path), "exec", dont_inherit=True), module.__dict__)
