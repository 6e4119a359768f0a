"""The pages are true: their programs run, their commands parse, their tables agree with the package.

A page's Python blocks run in order, in one namespace that already holds the ``client`` of the tutorial and a few
``products``. Marks behind the language: ``no-run`` needs a service (it must compile), ``pytest`` is a test file.
"""

import ast
import asyncio
import importlib
import inspect
import logging
import os
import re
import shlex
import sqlite3
import sys
import tomllib
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

import neuroon_async
from neuroon_async import DOCUMENTED_RATE_LIMITS, NeuroonClient, Product
from neuroon_async.testing import Emulator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(?P<language>\w+) ?(?P<mark>\S*)[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
MARKS = {
    *(("python", mark) for mark in ("", "no-run", "pytest")),
    ("console", ""),
    ("text", ""),
    ("toml", ""),
    ("yaml", ""),
    ("json", ""),
    ("mermaid", ""),
}


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, language, mark=""):
    """The fenced blocks with this language and mark, each at its own line numbers for readable tracebacks."""
    text = page.read_text(encoding="utf-8")
    return [
        "\n" * text.count("\n", 0, match.start("code")) + match["code"]
        for match in FENCE.finditer(text)
        if (match["language"], match["mark"]) == (language, mark)
    ]


def with_blocks(language, mark=""):
    pages = [page for page in PAGES if blocks(page, language, mark)]
    return pytest.mark.parametrize("page", pages, ids=name_of)


def compiled(page, block):
    return compile(block, name_of(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def execute(code, namespace):
    """A block with a top-level ``await`` runs in this loop; any other in a thread, where it may start its own."""
    if code.co_flags & inspect.CO_COROUTINE:
        await eval(code, namespace)
    else:
        await asyncio.to_thread(exec, code, namespace)


def prepare_files(folder):
    (folder / "products.csv").write_text("id,label,price,link,Colour\nMUG-1,Mug,9.5,https://shop.example/mug,red\n")
    with closing(sqlite3.connect(folder / "shop.db")) as database, database:
        database.execute("CREATE TABLE products (sku TEXT, title TEXT, cents INTEGER)")
        database.executemany("INSERT INTO products VALUES (?, ?, 990)", [(f"DB-{n}", f"Plate {n}") for n in range(700)])


def sample_products():
    return [
        Product(external_id="TEA-1", name="Earl Grey", price=Decimal("8.90"), url="https://shop.example/tea-1"),
        {"externalId": "TEA-2", "name": "Sencha", "price": 12.5, "url": "https://shop.example/tea-2"},
    ]


@pytest.fixture
def own_logging():
    """A program may set levels, which no test after it is to find."""
    loggers = [logging.getLogger(), logging.getLogger("neuroon_async")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@with_blocks("python")
@pytest.mark.usefixtures("own_logging")
async def test_the_programs_run(page, tmp_path, monkeypatch, capsys):
    for extra in ("fastapi", "opentelemetry", "typer"):
        pytest.importorskip(extra)
    monkeypatch.chdir(tmp_path)
    prepare_files(tmp_path)
    async with Emulator() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        async with NeuroonClient.from_env() as client:
            namespace = {
                "__name__": "page",
                **{name: getattr(neuroon_async, name) for name in neuroon_async.__all__},
                "asyncio": asyncio,
                "Decimal": Decimal,
                "client": client,
                "products": sample_products(),
            }
            await client.products.sync(sample_products())
            try:
                for block in blocks(page, "python"):
                    await execute(compiled(page, block), namespace)
            finally:
                if namespace["client"] is not client:
                    await namespace["client"].aclose()
    assert not any(request.status == 429 for request in emulator.requests)
    shown = EXPECTED_OUTPUT.get(name_of(page), ())
    out = capsys.readouterr().out
    for text in shown:
        assert text in out


EXPECTED_OUTPUT = {
    "docs/tutorial.md": ["2 received, 2 accepted in 0."],
    "docs/guides/products.md": ['2 ["CUP-2001: 404'],
    "docs/concepts/ledger.md": ["10 0\n9 1\n6 of 9\n"],
    "docs/guides/domain-verification.md": ["publish this code on the domain: neuroon-verify-0000"],
}


@with_blocks("python", "no-run")
def test_the_programs_that_need_a_service_compile(page):
    for block in blocks(page, "python", "no-run"):
        compiled(page, block)


@with_blocks("python", "no-run")
def test_what_those_programs_import_exists(page):
    for block in blocks(page, "python", "no-run"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neuroon_async"):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


@pytest.mark.slow
@with_blocks("python", "pytest")
async def test_the_tests_pass(page, tmp_path):
    for number, block in enumerate(blocks(page, "python", "pytest")):
        (tmp_path / f"test_block_{number}.py").write_text(block, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "asyncio_mode=auto"),
        *("-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert b" passed" in out


def test_every_block_has_a_known_mark():
    for page in PAGES:
        used = {(match["language"], match["mark"]) for match in FENCE.finditer(page.read_text(encoding="utf-8"))}
        assert used <= MARKS, name_of(page)


COMMANDS = sorted(
    {
        line.removeprefix("$ ")
        for page in PAGES
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line.removeprefix("$ ").startswith("neuroon ")
    }
)


@pytest.fixture(scope="module")
def command():
    """The command, built once, as for each call it takes longer than to parse a line."""
    typer = pytest.importorskip("typer.main")
    return typer.get_command(importlib.import_module("neuroon_async.cli.app").app)


@pytest.fixture
def without_help(monkeypatch):
    """``--help`` ends the command and draws nothing, which takes longest."""
    core = pytest.importorskip("typer.core")
    for kind in (core.TyperCommand, core.TyperGroup):
        monkeypatch.setattr(kind, "format_help", lambda *_: None)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_parse(line, command, without_help):
    """The parser sees the whole line, and refuses what it does not know, before ``--help`` ends the command."""
    arguments = [part for part in shlex.split(line, comments=True)[1:] if not part.startswith(">")]
    assert command.main([*arguments, "--help"], "neuroon", standalone_mode=False) == 0


def test_an_unknown_option_does_not_parse():
    testing = pytest.importorskip("typer.testing")
    app = importlib.import_module("neuroon_async.cli.app").app
    assert testing.CliRunner().invoke(app, ["sync", "x.csv", "--no-such", "--help"]).exit_code == 2


def table_rows(page, heading):
    """The cells of the first table below a heading, without its head."""
    text = (DOCS / page).read_text(encoding="utf-8").split(f"{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE).group()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_limits_are_the_documented_ones():
    rows = table_rows("concepts/rate-limits.md", "# Rate limits")
    told = {name.strip("`"): (int(requests), float(per)) for name, requests, per in rows}
    assert told == {name: (limit.requests, limit.per) for name, limit in DOCUMENTED_RATE_LIMITS.items()}


def is_exception(name):
    kind = getattr(neuroon_async, name)
    return isinstance(kind, type) and issubclass(kind, neuroon_async.NeuroonError)


def test_every_exception_is_told():
    """A section each, with what to do."""
    told = re.findall(r"^### `(\w+)`$", (DOCS / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    public = {name for name in neuroon_async.__all__ if is_exception(name)}
    assert sorted(told) == sorted(public - {"NeuroonError"})


def test_every_format_has_its_row():
    rows = table_rows("catalogs/index.md", "# Catalog files")
    told = [name for cell, *_ in rows for name in re.findall(r"`([a-z-]+)`", cell)]
    catalogs = importlib.import_module("neuroon_async.catalogs")
    assert sorted(told) == sorted(set(catalogs.CatalogFormat) - {"auto"})


def test_the_extras_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    told = {name.strip("`") for name, *_ in table_rows("tutorial.md", "## Install")}
    assert told == extras.keys() - {"dev", "bench"}


def test_the_exit_codes_are_the_commands():
    pytest.importorskip("typer")
    codes = importlib.import_module("neuroon_async.cli.exits").ExitCode
    told = [int(code) for cell, _ in table_rows("command.md", "## Exit codes") for code in cell.split(",")]
    assert told == [int(code) for code in codes]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        told = set(re.findall(r"(?:^|`)make ([a-z-]+)(?=`|  |$)", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert told <= targets, name_of(page)


def pages_of_the_menu(entries):
    for entry in entries:
        for value in entry.values():
            yield from pages_of_the_menu(value) if isinstance(value, list) else (value,)


def test_the_menu_leads_to_every_page():
    settings = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    told = list(pages_of_the_menu(settings["project"]["nav"]))
    assert sorted(told) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_the_files_that_the_architecture_names_exist():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").split("## Who imports whom")[1]
    package = Path(neuroon_async.__file__).parent
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+(?:\.py|/))", text))
    assert named
    assert {name for name in named if not any((base / name).exists() for base in (package, ROOT))} == set()


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def links(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8")))
    return [target for target in targets if not target.startswith("https://")]


def test_the_links_lead_to_pages_and_headings():
    for page in PAGES:
        for target in links(page):
            path, _, anchor = target.partition("#")
            found = (page.parent / path).resolve() if path else page
            assert found.exists(), f"{name_of(page)}: {target}"
            assert not anchor or anchor in anchors(found), f"{name_of(page)}: {target}"
