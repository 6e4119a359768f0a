"""What became of each mutant of a room, from run to run, and the score."""

from __future__ import annotations

import ast
import hashlib
import json
from collections import Counter
from functools import cache
from pathlib import Path

from mutation.listing import explained
from mutation.operators import Mutant, is_text
from mutation.rooms import PACKAGE, TESTS

__all__ = ["Results"]

_NOTICED = {"killed", "timeout", "types"}


class Results:
    """A file in ``build/mutation``. What was found about a file is dropped when its code has changed."""

    def __init__(self, room: str) -> None:
        self._room = room
        self._path = TESTS.parent / "build" / "mutation" / f"{room}.json"
        self._known: dict[str, str] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def of(self, mutant: Mutant) -> str | None:
        return self._known.get(_key(mutant))

    def note(self, mutant: Mutant, word: str) -> None:
        self._known[_key(mutant)] = word
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._known, indent=0))
        new.replace(self._path)

    def open(self, mutants: list[Mutant]) -> list[Mutant]:
        """Those that no test has noticed yet."""
        return [mutant for mutant in mutants if self.of(mutant) not in _NOTICED]

    def report(self, mutants: list[Mutant]) -> int:
        """Prints the survivors and the score. 0 where every survivor is explained."""
        listed = {(each.file, each.name) for each in explained()}
        counts: Counter[str] = Counter()
        unexplained = 0
        for mutant in mutants:
            file = str(mutant.path.relative_to(PACKAGE))
            word = self.of(mutant) or "not tried"
            if word not in _NOTICED and word != "not tried":
                if (file, mutant.name) in listed:
                    word = "explained"
                else:
                    unexplained += 1
                    print(f"{word} {file}:{mutant.line} `{mutant.name}`", flush=True)
            counts[word] += 1
        tried = len(mutants) - counts["not tried"]
        noticed = sum(counts[word] for word in _NOTICED)
        told = ", ".join(f"{count:,} {word}" for word, count in counts.most_common())
        score = 100 * noticed / max(1, tried - counts["explained"])
        print(f"{self._room}: {tried:,} of {len(mutants):,} mutants tried; {told}: {score:.1f} %", flush=True)
        return 1 if unexplained else 0


def _key(mutant: Mutant) -> str:
    return f"{mutant.path.relative_to(PACKAGE)} {_content(mutant.path)} {mutant.name}"


@cache
def _content(path: Path) -> str:
    """Of the code: where only comments and words for people have changed, what was found still holds."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [each for each in body if not is_text(each)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:12]
