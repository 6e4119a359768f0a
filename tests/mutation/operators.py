"""The mutants of a file: every small change that the usual operators make, one at a time.

- comparisons: each turns into its neighbour and its opposite
- arithmetic, bits, and their augmented assignments; ``and`` and ``or``; ``not``, minus, and conditions turned round
- numbers one higher, and 0 for 1; ``True`` and ``False``; other texts; ``None`` for what is assigned or returned
- an argument less, or ``None`` for it; ``break`` for ``continue`` and back; a statement less; a decorator less

Left alone: annotations, docstrings, ``__all__``, ``__slots__``, what is for type checkers only, the words of messages
(texts within ``raise``, within calls of a log, and f-strings), and ``assert``, which states what cannot be otherwise.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mutant", "is_text", "mutants_of"]

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_TYPING = {"cast", "TypeVar", "NewType", "runtime_checkable", "overload", "Annotated"}
_LOGGED = {"debug", "info", "warning", "error", "exception", "critical", "log", "warn"}
_QUIET_DECORATORS = {"overload", "runtime_checkable", "abstractmethod", "override", "final"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed place. ``name`` stays the same while the place does, wherever it stands in its file."""

    path: Path
    function: str
    """The function, method or class that the place is in, as in ``Class.method``; empty outside of any."""
    in_function: bool
    """Does it run when the function is called, and not when it is defined?"""
    line: int
    before: str
    after: str
    number: int
    """Which of several that read alike."""
    tree: ast.Module

    @property
    def name(self) -> str:
        again = f" ({self.number})" if self.number > 1 else ""
        return f"{self.function or 'module'}: {self.before} -> {self.after or 'nothing'}{again}"


def mutants_of(path: Path) -> list[Mutant]:
    """In the order of the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[Mutant] = []
    seen: dict[tuple[str, str, str], int] = {}
    for place in _Places().of(tree):
        for before, after in _changes(place.node, place):
            mutated, shown_before, shown_after = _applied(tree, place, before, after)
            key = (place.function, shown_before, shown_after)
            seen[key] = seen.get(key, 0) + 1
            found.append(Mutant(path, place.function, place.in_function, place.line, *key[1:], seen[key], mutated))
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """A node, how to get there from the root, and the innermost statement around it."""

    node: ast.AST
    road: tuple[tuple[str, int | None], ...]
    statement: tuple[tuple[str, int | None], ...]
    function: str
    in_function: bool
    line: int
    in_message: bool
    """Within words that people read."""


class _Places:
    """Walks a tree, leaving out what is not mutated."""

    def of(self, tree: ast.Module) -> Iterator[_Place]:
        yield from self._walk(tree, (), (), "", 0, in_function=False, in_message=False)

    def _walk(
        self,
        node: ast.AST,
        road: tuple[tuple[str, int | None], ...],
        statement: tuple[tuple[str, int | None], ...],
        function: str,
        line: int,
        *,
        in_function: bool,
        in_message: bool,
    ) -> Iterator[_Place]:
        if isinstance(node, ast.stmt):
            if _is_left_alone(node):
                return
            statement = road
        line = getattr(node, "lineno", line)
        if isinstance(node, (ast.Raise, ast.JoinedStr)) or _is_log(node):
            in_message = True
        if road:
            yield _Place(node, road, statement, function, in_function, line, in_message)
        inside = function
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inside = f"{function}.{node.name}" if function else node.name
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "type_params", "format_spec", "conversion", "bases"}:
                continue
            children = value if isinstance(value, list) else [value]
            for index, child in enumerate(children):
                if not isinstance(child, ast.AST) or _is_docstring(name, child):
                    continue
                at = (*road, (name, index if isinstance(value, list) else None))
                outside = name in {"decorator_list", "args"} and inside != function
                yield from self._walk(
                    child,
                    at,
                    statement,
                    function if outside else inside,
                    line,
                    in_function=in_function or (is_function and not outside),
                    in_message=in_message,
                )


def _is_left_alone(node: ast.stmt) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert, ast.Global, ast.Nonlocal)):
        return True
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return True
    if (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in {"__all__", "__slots__"}
    ):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _called(node.value) in _TYPING:
        return True
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return True
    if isinstance(node, ast.ClassDef):
        return any(isinstance(base, ast.Name) and base.id in {"Protocol", "TypedDict"} for base in node.bases)
    decorators = getattr(node, "decorator_list", [])
    return any(isinstance(each, ast.Name) and each.id == "overload" for each in decorators)


def _is_docstring(field: str, child: ast.AST) -> bool:
    return field == "body" and is_text(child)


def is_text(node: ast.AST) -> bool:
    """A text that stands alone: of its function or class, or of the attribute above it."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, (str, type(...)))
    )


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_log(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LOGGED


def _changes(node: ast.AST, place: _Place) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    """What may stand instead: the node and its replacement; ``None`` takes it out of its list."""
    if isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _COMPUTED:
        if not (isinstance(node, ast.BinOp) and place.in_message and isinstance(node.op, ast.Add)):
            yield node, _with(node, op=_COMPUTED[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield node, _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp):
        yield node, node.operand
    elif isinstance(node, ast.Constant):
        yield from _constants(node, place)
    elif isinstance(node, ast.Call):
        yield from _calls(node, place)
    elif isinstance(node, ast.IfExp):
        yield node, _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            yield node, _with(node, ifs=[each for at, each in enumerate(node.ifs) if at != index])
    elif isinstance(node, ast.stmt):
        yield from _statements(node)


def _comparisons(node: ast.Compare) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARED.get(type(operator), ()):
            yield node, _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])


def _constants(node: ast.Constant, place: _Place) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    value = node.value
    if isinstance(value, bool):
        yield node, ast.Constant(not value)
    elif isinstance(value, (int, float)):
        yield node, ast.Constant(value + 1)
        if value == 1:
            yield node, ast.Constant(0)
    elif isinstance(value, (str, bytes)) and not place.in_message:
        other = "mutated" if isinstance(value, str) else b"mutated"
        yield node, ast.Constant(other + value)


def _calls(node: ast.Call, place: _Place) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    if place.in_message or _called(node) in _TYPING:
        return
    for index, argument in enumerate(node.args):
        if isinstance(argument, ast.Starred):
            continue
        rest = [each for at, each in enumerate(node.args) if at != index]
        if len(node.args) > 1:
            yield node, _with(node, args=rest)
        if not (isinstance(argument, ast.Constant) and argument.value is None):
            changed = [ast.Constant(None) if at == index else each for at, each in enumerate(node.args)]
            yield node, _with(node, args=changed)
    for index, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            yield node, _with(node, keywords=[each for at, each in enumerate(node.keywords) if at != index])


def _statements(node: ast.stmt) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    if isinstance(node, (ast.If, ast.While)):
        if not (isinstance(node.test, ast.Constant)):
            turned = node.test.operand if isinstance(node.test, ast.UnaryOp) else ast.UnaryOp(ast.Not(), node.test)
            if not isinstance(node.test, (ast.UnaryOp, ast.Compare)):  # those have mutants of their own
                yield node, _with(node, test=turned)
    elif isinstance(node, ast.Break):
        yield node, ast.Continue()
    elif isinstance(node, ast.Continue):
        yield node, ast.Break()
    elif isinstance(node, ast.Return):
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield node, ast.Return(ast.Constant(None))
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield node, _with(node, value=ast.Constant(None))
    elif isinstance(node, (ast.AugAssign, ast.Raise, ast.Delete)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await))
    ):
        if not (isinstance(node, ast.Expr) and _is_log(node.value)):
            yield node, ast.Pass()
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        for index, decorator in enumerate(node.decorator_list):
            if getattr(decorator, "id", "") not in _QUIET_DECORATORS:
                yield node, _with(node, decorator_list=[d for at, d in enumerate(node.decorator_list) if at != index])


def _with(node: ast.AST, **changes: object) -> ast.AST:
    other = copy.copy(node)
    for name, value in changes.items():
        setattr(other, name, value)
    return other


def _applied(tree: ast.Module, place: _Place, before: ast.AST, after: ast.AST | None) -> tuple[ast.Module, str, str]:
    """The tree with the change, sharing all that did not change, and the statement around it before and after."""
    mutated = _replaced(tree, place.road, after)
    shown = _one_line(_at(tree, place.statement)), _one_line(_at(mutated, place.statement))
    return mutated, *shown


def _replaced(node: ast.AST, road: tuple[tuple[str, int | None], ...], new: ast.AST | None) -> ast.AST:
    if not road:
        assert new is not None
        return ast.copy_location(new, node)
    (name, index), *rest = road
    child = getattr(node, name)
    if index is None:
        return _with(node, **{name: _replaced(child, tuple(rest), new)})
    return _with(node, **{name: [*child[:index], _replaced(child[index], tuple(rest), new), *child[index + 1 :]]})


def _at(node: ast.AST, road: tuple[tuple[str, int | None], ...]) -> ast.AST:
    for name, index in road:
        node = getattr(node, name) if index is None else getattr(node, name)[index]
    return node


def _one_line(node: ast.AST) -> str:
    """The statement, of a compound one its head."""
    shown = node
    if hasattr(node, "body") and isinstance(node, ast.stmt):
        shown = _with(node, body=[ast.Pass()])
        for name in ("orelse", "finalbody"):
            if getattr(shown, name, None):
                setattr(shown, name, [])
        if isinstance(shown, ast.Try) and not shown.handlers:
            shown.finalbody = [ast.Pass()]
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(shown)))
    return " ".join(line.strip() for line in text.splitlines() if line.strip() != "pass").replace("`", "'")
