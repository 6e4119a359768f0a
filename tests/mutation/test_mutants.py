"""What ``tests/mutants.md`` explains is there, and does not grow."""

from __future__ import annotations

from functools import cache

from mutation.listing import explained
from mutation.operators import mutants_of
from mutation.rooms import PACKAGE, ROOMS

MOST_EXPLAINED = 12
"""Mutants that are called equivalent. A new one needs a test, or code that has no such mutant."""


@cache
def names(file: str) -> set[str]:
    return {mutant.name for mutant in mutants_of(PACKAGE / file)}


def test_what_is_called_equivalent_is_there_and_grows_no_more():
    entries = explained()
    assert len(entries) <= MOST_EXPLAINED
    assert [entry for entry in entries if entry.name not in names(entry.file)] == []


def test_rooms_hold_files_that_are_there_and_give_mutants():
    for room in ROOMS.values():
        for file in room.files:
            assert (PACKAGE / file).is_file(), file


def test_each_mutant_changes_something_and_has_a_name_of_its_own():
    mutants = mutants_of(PACKAGE / "sync" / "queue.py")
    assert len({mutant.name for mutant in mutants}) == len(mutants) > 100
    assert all(mutant.before != mutant.after for mutant in mutants)
