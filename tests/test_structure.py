"""The structure of the package, read from its imports: they run one way, and every file stays short enough to read."""

import ast
import functools
import importlib
from pathlib import Path
from typing import get_origin

import neuroon_async

PACKAGE = Path(neuroon_async.__file__).parent

GROUND = {"advice", "api", "cancellation", "errors", "extras", "report", "settings", "sqlite"}
"""What every room may import, besides itself."""

MAY_IMPORT = {
    "advice": set(),
    "extras": set(),
    "report": set(),
    "cancellation": set(),
    "sqlite": {"cancellation"},
    "errors": {"advice", "report"},
    "api": {"advice", "errors", "report"},
    "settings": {"advice", "api", "errors"},
    "instrumentation": GROUND,
    "limits": GROUND,
    "ledger": GROUND,
    "catalogs": GROUND,
    "transport": GROUND | {"limits", "instrumentation"},
    "sync": GROUND | {"transport", "ledger"},
    "resources": GROUND | {"sync", "ledger", "transport"},
    "client": GROUND | {"resources", "transport", "limits", "instrumentation"},
    "markets": GROUND | {"catalogs", "resources"},
    "outbox": GROUND | {"client", "transport"},
    "blocking": GROUND | {"transport"},
    "diagnosis": GROUND | {"transport"},
    "integrations": GROUND
    | {"catalogs", "client", "instrumentation", "ledger", "limits", "outbox", "resources", "sync", "transport"},
    "testing": {"advice", "api", "client", "errors", "extras", "report", "settings", "transport"},
    "cli": None,
    "__init__": None,
    "__main__": None,
}
"""Which rooms each room may import; ``None``: any, except those that nobody may."""

ONLY = {
    "outbox": {"transport": {"transport.retries"}},
    "testing": {"transport": {"transport.retries"}},
}
"""Where a room may import only some modules of another."""

NOBODY_BUT = {"cli": {"cli", "__main__"}, "testing": {"testing", "cli"}}
"""Rooms that only these may import."""

BREACHES: set[str] = set()
"""Imports that break the rules today, as ``importer -> imported``. Only ever shortened."""

IN_A_CIRCLE: set[tuple[str, str]] = set()
"""Imports that close a circle today. Only ever shortened."""

MOST_LINES = 400


def module_name(path: Path) -> str:
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


def exists(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@functools.cache
def imported_modules(path: Path) -> frozenset[str]:
    """The package's modules that a file imports anywhere in it, also for types only, relative to the package."""
    package = path.relative_to(PACKAGE).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            elif (node.module or "").split(".")[0] == "neuroon_async":
                base = (node.module or "").split(".")[1:]
            else:
                continue
            module = ".".join(part for part in base if part)
            submodules = {f"{module}.{alias.name}".strip(".") for alias in node.names}
            below = {name for name in submodules if exists(name)}
            found |= below or {module or "__init__"}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("neuroon_async.")
                for alias in node.names
                if alias.name.startswith("neuroon_async.")
            }
    return frozenset(found)


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


FILES = sorted(PACKAGE.rglob("*.py"))


def breach(importer: str, imported: str) -> bool:
    here, there = room(importer), room(imported)
    if here == there:
        return False
    if there in NOBODY_BUT and here not in NOBODY_BUT[there]:
        return True
    allowed = MAY_IMPORT[here]
    if allowed is None:
        return False
    if there not in allowed:
        return True
    only = ONLY.get(here, {}).get(there)
    return only is not None and imported not in only


def test_imports_run_one_way():
    breaches = {
        f"{module_name(path)} -> {imported}"
        for path in FILES
        for imported in imported_modules(path)
        if breach(module_name(path), imported)
    }
    assert breaches == BREACHES


def test_every_room_has_a_rule():
    assert {room(module_name(path)) for path in FILES} <= MAY_IMPORT.keys()


def test_modules_form_no_circle():
    graph = {module_name(path): imported_modules(path) - {module_name(path)} for path in FILES}
    graph.pop("__init__")
    done: set[str] = set()

    def visit(module: str, road: tuple[str, ...]) -> None:
        assert module not in road, f"a circle of imports: {' -> '.join((*road[road.index(module) :], module))}"
        if module not in done:
            for imported in graph.get(module, ()):
                if (module, imported) not in IN_A_CIRCLE:
                    visit(imported, (*road, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_files_are_short_enough_to_read():
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name for name, count in lines.items() if count > MOST_LINES} == set()


def test_every_public_name_imports_and_is_documented():
    for name in neuroon_async.__all__:
        public = getattr(importlib.import_module("neuroon_async"), name)
        is_alias = get_origin(public) is not None  # documented where it is defined, by a string that Python drops
        assert public.__doc__ or not callable(public) or is_alias, name
