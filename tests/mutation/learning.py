"""Which tests run which lines of a room, how long each takes, and in which order they are tried on a mutant."""

from __future__ import annotations

import ast
import hashlib
import pickle
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import coverage
import pytest

from mutation.operators import Mutant
from mutation.rooms import PACKAGE, ROOMS, TESTS, Room

__all__ = ["Chosen", "Learned", "keep", "kept", "learn"]

_UNTRIED = 0.05
"""How much a test promises that has not noticed any mutant near by, beside 1 for each that it has."""
_OVERHEAD = 0.005
"""Seconds that go by around each test."""


@dataclass(slots=True)
class Learned:
    lines: dict[str, dict[int, list[str]]]
    """Of each file, the tests that run each line."""
    seconds: dict[str, float]
    """Processor time of each test that passes without any mutant, measured."""
    waits: dict[str, float]
    """What each test takes on the clock."""
    modules: tuple[str, ...]
    """What others wrote and the tests import: needed, and never mutated."""


def learn(session: pytest.Session) -> Learned:
    """Run all tests, measured."""
    measured = coverage.Coverage(data_file=None, include=[f"{PACKAGE}/*"], config_file=False)
    waits: dict[str, float] = {}
    measured.start()
    seconds = _run_all(session, measured.switch_context, waits)
    measured.stop()
    data = measured.get_data()
    lines = {
        file: {
            line: [each for each in tests if each in seconds] for line, tests in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }
    ours = ("neuroon_async", "conftest", "mutation", "__", "_pytest", "pytest")
    local = str(TESTS)
    modules = tuple(
        name
        for name, module in sys.modules.items()
        if not name.startswith(ours) and not str(getattr(module, "__file__", None) or local).startswith(local)
    )
    return Learned(lines, seconds, waits, modules)


def _run_all(session: pytest.Session, before: Callable[[str], object], waits: dict[str, float]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        before(item.nodeid)
        started, began = time.process_time(), time.monotonic()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            print(f"fails without any mutant: {item.nodeid}", file=sys.stderr, flush=True)
            session.testsfailed = 0
        else:
            seconds[item.nodeid] = time.process_time() - started
        waits[item.nodeid] = time.monotonic() - began
    return seconds


def _kept_at(room: Room) -> Path:
    """What was learned holds for these very tests and the files of all rooms that have them. Others change little."""
    tests = [TESTS / name for name in room.tests]
    files = [path for each in tests for path in (sorted(each.rglob("*.py")) if each.is_dir() else [each])]
    files += [path for other in ROOMS.values() if other.tests == room.tests for path in other.paths]
    said = [str(TESTS).encode(), *(path.read_bytes() for path in [Path(__file__), *files])]
    content = hashlib.sha256(b"".join(said)).hexdigest()
    return TESTS.parent / "build" / "mutation" / f"{room.tests[0]}-{content[:16]}.pickle"


def kept(room: Room) -> Learned | None:
    path = _kept_at(room)
    return pickle.loads(path.read_bytes()) if path.exists() else None


def keep(room: Room, learned: Learned) -> None:
    path = _kept_at(room)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(learned))


class Chosen:
    """The tests for a mutant: first the quick ones, and those that noticed others of its function or its file."""

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._of_function: defaultdict[tuple[Path, str], Counter[str]] = defaultdict(Counter)
        self._of_file: defaultdict[Path, Counter[str]] = defaultdict(Counter)

    def note(self, mutant: Mutant, killer: str) -> None:
        if killer in self._learned.seconds:
            self._of_function[mutant.path, mutant.function][killer] += 1
            self._of_file[mutant.path][killer] += 1

    def tests(self, mutant: Mutant, *, again: bool = False) -> list[str]:
        """``again``: with the module imported again, when parameters of tests may have been computed by it."""
        lines = self._learned.lines.get(str(mutant.path), {})
        if again or not mutant.in_function or self.runs_at_import(mutant):
            passing = {test for tests in lines.values() for test in tests}
            files = {_file_of(test) for test in passing}
            beside = {test for test in self._learned.seconds if _file_of(test) in files}
            return self._ordered(mutant, passing | beside, self._users(mutant))
        return self._ordered(mutant, set(lines.get(mutant.line) or self._near(lines, mutant.line)), set())

    def runs_at_import(self, mutant: Mutant) -> bool:
        """Its line is run, and by no test."""
        return self._learned.lines.get(str(mutant.path), {}).get(mutant.line) == []

    def seconds(self, test: str) -> float:
        return self._learned.seconds[test]

    def longest(self, tests: list[str]) -> float:
        """Seconds on the clock of the one of them that takes longest."""
        return max((self._learned.waits[test] for test in tests), default=0.0)

    def _near(self, lines: dict[int, list[str]], line: int) -> list[str]:
        """For one in the middle of a statement."""
        before = [each for each in lines if each < line]
        after = [each for each in lines if each > line and lines[each]]
        near = ([max(before)] if before else []) + ([min(after)] if after else [])
        return [test for each in near for test in lines[each]]

    def _users(self, mutant: Mutant) -> set[str]:
        """Tests that run a line with the name that the mutated statement sets."""
        lines = self._learned.lines.get(str(mutant.path), {})
        words = set(mutant.before.replace(":", " ").replace("(", " ").split()[:2]) - {"def", "class", "async"}
        used = _lines_with(mutant.path)
        return {test for word in words for line in used.get(word, ()) for test in lines.get(line, ())}

    def _ordered(self, mutant: Mutant, tests: set[str], users: set[str]) -> list[str]:
        seconds = self._learned.seconds
        of_function, of_file = self._of_function[mutant.path, mutant.function], self._of_file[mutant.path]

        def promise(test: str) -> float:
            """By the second: a quick test is tried before one that has noticed more."""
            noticed = _UNTRIED + of_function[test] + of_file[test] / 10 + (test in users)
            return noticed / (seconds[test] + _OVERHEAD)

        return sorted(tests & seconds.keys(), key=lambda test: (-promise(test), test))


def _file_of(test: str) -> str:
    return test.partition("::")[0]


@cache
def _lines_with(path: Path) -> dict[str, set[int]]:
    """Where each name is used."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            found[node.id].add(node.lineno)
        elif isinstance(node, ast.Attribute):
            found[node.attr].add(node.lineno)
    return found
