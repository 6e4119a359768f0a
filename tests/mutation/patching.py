"""Puts a mutant in the place of its original: in functions that are there, or before their module is imported."""

from __future__ import annotations

import ast
import gc
import importlib.abc
import importlib.util
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mutation.operators import Mutant
from mutation.rooms import PACKAGE

__all__ = ["MutatedModule", "get_ready", "patched"]


def get_ready(paths: list[Path]) -> None:
    """Find all functions of the package once, before processes are forked that each need them."""
    for path in paths:
        _original(path)
    gc.unfreeze()  # what is frozen no search finds
    _functions()
    gc.freeze()


def patched(mutant: Mutant) -> bool:
    """Give the function its mutated code, wherever it is held.

    ``False`` where there is no such function, or where one that is made already cannot take the code (it closes over
    other variables now): then the module has to be imported again.
    """
    compiled = compile(_located(mutant), str(mutant.path), "exec", dont_inherit=True)
    changed = False
    for old, new in _pairs(_original(mutant.path), compiled):
        if old != new:
            for function in _functions_with(old):
                if len(new.co_freevars) != len(old.co_freevars):
                    return False
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


class MutatedModule(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module of the package its mutated code when it is imported."""

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
