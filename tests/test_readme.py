"""The README is true: its programs run, its commands parse, its tables and links agree with the project."""

import ast
import asyncio
import importlib
import inspect
import os
import re
import shlex
import sqlite3
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

import neuroon_async
from neuroon_async import DOCUMENTED_RATE_LIMITS
from neuroon_async.testing import Emulator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(?P<language>\w+) ?(?P<mark>\S*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language, mark):
    """The fenced blocks with this language and mark, each at its own line numbers for readable tracebacks."""
    return [
        "\n" * README.count("\n", 0, match.start("code")) + match["code"]
        for match in FENCE.finditer(README)
        if (match["language"], match["mark"]) == (language, mark)
    ]


def compiled(block):
    return compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def execute(block, namespace):
    """A block with a top-level ``await`` runs in this loop; any other in a thread, where it may start its own."""
    code = compiled(block)
    if code.co_flags & inspect.CO_COROUTINE:
        await eval(code, namespace)
    else:
        await asyncio.to_thread(exec, code, namespace)


def prepare_files(folder):
    (folder / "products.csv").write_text("id,label,price,link,Colour\nMUG-1,Mug,9.5,https://shop.example/mug,red\n")
    with closing(sqlite3.connect(folder / "shop.db")) as database, database:
        database.execute("CREATE TABLE products (sku TEXT, title TEXT, cents INTEGER)")
        database.executemany("INSERT INTO products VALUES (?, ?, 990)", [(f"DB-{n}", f"Plate {n}") for n in range(700)])


async def test_the_programs_run(tmp_path, monkeypatch, capsys):
    for extra in ("fastapi", "opentelemetry", "typer"):
        pytest.importorskip(extra)
    monkeypatch.chdir(tmp_path)
    prepare_files(tmp_path)
    seen = {}
    namespace = {"__name__": "readme"}
    async with Emulator() as emulator:
        for name, value in (("URL", emulator.url), ("KEY", emulator.api_key)):
            monkeypatch.setenv(f"NEUROON_API_{name}", value)
        monkeypatch.setenv("NEUROON_SHOP_ID", emulator.shop_id)
        try:
            for block in blocks("python", ""):
                await execute(block, namespace)
                seen |= emulator.products
        finally:
            if "client" in namespace:
                await namespace["client"].aclose()
    out = capsys.readouterr().out
    assert "2 received, 2 accepted in 0." in out
    assert '2 ["CUP-2001: 404' in out
    assert "\n10 0\n9 1\n6 of 9\n" in out
    assert "publish this code on the domain: neuroon-verify-0000" in out
    assert {"TEA-1", "TEA-2", "CUP-1999", "DB-699", "MUG-1"} <= seen.keys()
    assert seen["MUG-1"]["attributes"] == {"colour": "red"}
    assert namespace["conversion"].left_out == ("TEA-2",)
    assert emulator.conversions.keys() == {"1001"}
    assert not any(request.status == 429 for request in emulator.requests)


def test_the_programs_that_need_a_service_compile():
    assert blocks("python", "no-run")
    for block in blocks("python", "no-run"):
        compiled(block)


@pytest.mark.parametrize("neighbour", ["redis", "taskiq"])
def test_what_those_programs_import_exists(neighbour):
    pytest.importorskip(neighbour)
    name = f"neuroon_async.integrations.{neighbour}"
    imports = [
        node
        for block in blocks("python", "no-run")
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and node.module == name
    ]
    module = importlib.import_module(name)
    assert imports
    assert all(hasattr(module, alias.name) for node in imports for alias in node.names)


async def test_the_tests_pass(tmp_path):
    (block,) = blocks("python", "pytest")
    (tmp_path / "test_readme_block.py").write_text(block, encoding="utf-8")
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
    assert b"1 passed" in out


def test_every_block_has_a_known_mark():
    known = {("python", ""), ("python", "no-run"), ("python", "pytest"), ("console", "")}
    assert {(match["language"], match["mark"]) for match in FENCE.finditer(README)} == known


COMMANDS = [line for block in blocks("console", "") for line in block.splitlines() if line.startswith("neuroon ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_parse(line):
    """The parser sees the whole line, and refuses what it does not know, before ``--help`` ends the command."""
    testing = pytest.importorskip("typer.testing")
    app = importlib.import_module("neuroon_async.cli.app").app
    result = testing.CliRunner().invoke(app, [*shlex.split(line)[1:], "--help"])
    assert result.exit_code == 0, result.output


def test_an_unknown_option_does_not_parse():
    testing = pytest.importorskip("typer.testing")
    app = importlib.import_module("neuroon_async.cli.app").app
    assert testing.CliRunner().invoke(app, ["sync", "x.csv", "--no-such", "--help"]).exit_code == 2


def table_rows(heading):
    """The cells of the first table below a heading, without its head."""
    text = README.split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE).group()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_limits_are_the_documented_ones():
    told = {name.strip("`"): (int(requests), float(per)) for name, requests, per in table_rows("## Rate limits")}
    assert told == {name: (limit.requests, limit.per) for name, limit in DOCUMENTED_RATE_LIMITS.items()}


def is_exported(base, name):
    kind = getattr(neuroon_async, name)
    return isinstance(kind, type) and issubclass(kind, base)


def test_every_exception_is_told():
    told = [name.strip("`") for name, *_ in table_rows("## Errors")]
    public = {name for name in neuroon_async.__all__ if is_exported(neuroon_async.NeuroonError, name)}
    assert sorted(told) == sorted(public - {"NeuroonError", "TransportError"})


def test_the_extras_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    told = {name.strip("`") for name, *_ in table_rows("## Install")}
    assert told <= extras.keys()
    untold = {"dev", "bench"}
    assert extras.keys() - told <= untold


def test_the_exit_codes_are_the_commands():
    pytest.importorskip("typer")
    codes = importlib.import_module("neuroon_async.cli.exits").ExitCode
    told = [int(code) for cell, _ in table_rows("**Exit codes**") for code in cell.split(",")]
    assert told == [int(code) for code in codes]


def test_the_links_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", README), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        else:
            assert (ROOT / target).exists(), target


def test_the_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = set(re.findall(r"\bmake ([a-z-]+)(?=`|  )", README))
    assert {"demo", "test"} <= told <= targets
