"""Runs the mutants of a room, each in a process forked from one in which pytest has collected all tests already.

A mutant within a function is that function with another code object: whoever imported it sees the change. One outside
of any function (a constant, a default, a decorator) needs its module, and all that imported it, again: such a process
is forked from one that has imported only what others wrote.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import os
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory import MEMORY

from mutation.forks import ELSEWHERE, UNDECIDED, Verdict, arm, forked, judged
from mutation.learning import Chosen, Learned, keep, kept, learn
from mutation.operators import Mutant, mutants_of
from mutation.patching import MutatedModule, get_ready, patched
from mutation.results import Results
from mutation.rooms import PACKAGE, ROOMS, TESTS, Room
from mutation.types import refused_by_types

__all__ = ["run_room"]

_PATIENCE = 2.0
"""A test may take so many times what it takes when it is measured, and `_GRACE` seconds of processor time more."""
_GRACE = 1.5
_STILL = 2.0
"""Seconds that a mutant may rest in one test, apart from what the longest of its tests takes."""
_FEW = 15
"""Tests whose files are collected first where that has to be done for each mutant."""
_IMPORTS = 30.0
"""Seconds of processor time for importing everything and collecting."""


def run_room(name: str, options: Namespace) -> int:
    """Tries the mutants that no test has noticed yet. 0 where every survivor is explained."""
    room = ROOMS[name]
    paths = [path for path in room.paths if options.file in {None, str(path.relative_to(PACKAGE)), path.name}]
    mutants = [mutant for path in paths for mutant in mutants_of(path)][options.start : options.stop : options.sample]
    results = Results(name)
    waiting = results.open(mutants)
    if not options.survivors:
        again = set() if options.new else {"undecided"}
        waiting = [mutant for mutant in waiting if results.of(mutant) in {None, *again}]
    if options.types:
        for mutant in results.open(mutants):
            if results.of(mutant) is not None and refused_by_types(mutant):
                results.note(mutant, "types")
    elif not options.report and waiting:
        for mutant, verdict in _verdicts(room, waiting, time.monotonic() + options.seconds, options.budget):
            results.note(mutant, verdict.word)
    return results.report(mutants)


def _verdicts(room: Room, mutants: list[Mutant], ends: float, budget: float) -> Iterator[tuple[Mutant, Verdict]]:
    """Forks a process that collects the tests, and one that does not, for what the first one cannot try."""
    outside = [mutant for mutant in mutants if not mutant.in_function]
    inside = [mutant for mutant in mutants if mutant.in_function]
    with forked(lambda send: _serve_collected(room, inside, ends, budget, send)) as answers:
        for index, verdict in answers:
            # What survives may have been run before it was changed: for parameters of tests, while collecting.
            if verdict.word in {"elsewhere", "survived"}:
                outside.append(inside[index])
            else:
                yield inside[index], verdict
    with forked(lambda send: _serve_fresh(room, outside, ends, budget, send)) as answers:
        for index, verdict in answers:
            yield outside[index], verdict


def _judge_all(
    mutants: list[Mutant],
    chosen: Chosen,
    ends: float,
    attempt: Callable[[Mutant, list[str], Path], str | None],
    send: Callable[[Any], None],
    *,
    first: int | None = None,
) -> None:
    """``first``: so many tests have a process of their own before all have one."""
    for index, mutant in enumerate(mutants):
        if time.monotonic() >= ends:
            return
        tests = chosen.tests(mutant, again=first is not None)
        if not tests:
            send((index, Verdict("untested")))
            continue

        verdict = Verdict("survived")
        for some in (tests[:first], tests) if first is not None and first < len(tests) else (tests,):

            def one(folder: Path, mutant: Mutant = mutant, some: list[str] = some) -> str | None:
                return attempt(mutant, some, folder)

            verdict = judged(one, _STILL + chosen.longest(some))
            if verdict.word != "survived":
                break
        chosen.note(mutant, verdict.killer)
        if verdict.killer and verdict.killer not in tests:
            print(f"{mutant.path.name}: `{mutant.name}`: {verdict.killer}", file=sys.stderr, flush=True)
        send((index, verdict))


# With all tests collected


def _serve_collected(
    room: Room, mutants: list[Mutant], ends: float, budget: float, send: Callable[[Any], None]
) -> None:
    tests = [str(TESTS / each) for each in room.tests]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        _pytest([*tests, f"--basetemp={folder}/tests"], _Server(room, mutants, ends, budget, send))


class _Server:
    """Takes over when pytest has collected: learns what each test runs, then judges mutant by mutant."""

    def __init__(
        self, room: Room, mutants: list[Mutant], ends: float, budget: float, send: Callable[[Any], None]
    ) -> None:
        self._room = room
        self._mutants = mutants
        self._ends = ends
        self._budget = budget
        self._send = send

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        _few_examples()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        by_id = {item.nodeid: item for item in session.items}
        learned = kept(self._room) or self._learn(session)
        told = f"{len(by_id)} tests in {sum(learned.seconds.values()):.0f} s; {len(self._mutants)} mutants"
        print(told, file=sys.stderr, flush=True)
        chosen = Chosen(learned)
        get_ready(self._room.paths)

        def attempt(mutant: Mutant, tests: list[str], folder: Path) -> str | None:
            if chosen.runs_at_import(mutant) or not patched(mutant):
                os._exit(ELSEWHERE)
            session.config._tmp_path_factory._basetemp = folder  # type: ignore[attr-defined]
            items = [by_id[test] for test in tests if test in by_id]
            started = time.process_time()
            for item, following in zip(items, [*items[1:], None], strict=True):
                arm(chosen.seconds(item.nodeid) * _PATIENCE + _GRACE)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    return item.nodeid
                if following and time.process_time() - started > self._budget:
                    os._exit(UNDECIDED)
            return None

        _judge_all(self._mutants, chosen, self._ends, attempt, self._send)
        return True

    def _learn(self, session: pytest.Session) -> Learned:
        """In a process of its own: the tests leave nothing behind here."""
        with forked(lambda send: send(learn(session))) as answers:
            learned: Learned = next(answers)
        keep(self._room, learned)
        return learned


# With nothing of the package imported


def _serve_fresh(room: Room, mutants: list[Mutant], ends: float, budget: float, send: Callable[[Any], None]) -> None:
    learned = kept(room)
    if learned is None or not mutants:
        return
    for module in learned.modules:
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    assert not any(name.startswith("neuroon_async") for name in sys.modules)
    chosen = Chosen(learned)

    def attempt(mutant: Mutant, tests: list[str], folder: Path) -> str | None:
        sys.meta_path.insert(0, MutatedModule(mutant))
        arm(_IMPORTS)
        only = _Only(tests, chosen, budget)
        files = dict.fromkeys(str(TESTS.parent / test.partition("::")[0]) for test in tests)
        code = _pytest([*files, f"--basetemp={folder}"], only)
        if not code and only.cut:
            os._exit(UNDECIDED)
        return (only.failed or "while collecting") if code else None

    unchanged = replace(mutants[0], tree=ast.parse(mutants[0].path.read_text(encoding="utf-8")))
    some = chosen.tests(unchanged)[:20]
    control = judged(lambda folder: attempt(unchanged, some, folder), _STILL + chosen.longest(some))
    if control.word != "survived":
        raise RuntimeError(f"the tests fail without any mutant: {control}")
    _judge_all(mutants, chosen, ends, attempt, send, first=_FEW)


class _Only:
    """Runs these tests in this order, for so many seconds."""

    def __init__(self, tests: list[str], chosen: Chosen, budget: float) -> None:
        self._tests = tests
        self._chosen = chosen
        self._budget = budget
        self._started = time.process_time()
        self.failed = ""
        self.cut = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        _few_examples()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        by_id = {item.nodeid: item for item in items}
        items[:] = [by_id[test] for test in self._tests if test in by_id]
        self._started = time.process_time()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        arm(self._chosen.seconds(item.nodeid) * _PATIENCE + _GRACE)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        self.cut = time.process_time() - self._started > self._budget
        if self.cut and not self.failed:
            pytest.exit("the time is over", returncode=0)


# Both


def _few_examples() -> None:
    """Many mutants get through few examples; the others are tried on the other tests."""
    from hypothesis import Phase, settings  # noqa: PLC0415 - after the tests' own conftest has chosen a profile

    few = settings(max_examples=20, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
    settings.register_profile("mutants", few)
    settings.load_profile("mutants")


def _pytest(arguments: list[str], plugin: object) -> int:
    # What is imported already is not rewritten: a failed assertion only tells less.
    arguments = [*arguments, "-q", "-x", "-m", "not slow", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    for name in ("cacheprovider", "randomly", "cov"):
        arguments += ["-p", f"no:{name}"]
    with contextlib.redirect_stdout(io.StringIO()):
        return int(pytest.main(arguments, plugins=[plugin]))
