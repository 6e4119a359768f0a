"""Where a library is missing, the import says which extra brings it; the core needs none."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
EXTRAS = {
    "neuroon_async.integrations.starlette": "starlette",
    "neuroon_async.integrations.taskiq": "taskiq",
    "neuroon_async.integrations.redis": "redis",
    "neuroon_async.integrations.shop_pool": "redis",
    "neuroon_async.integrations.sqlalchemy": "sqlalchemy",
    "neuroon_async.instrumentation.opentelemetry": "otel",
    "neuroon_async.testing.pytest_plugin": "testing",
}
ALONE = (
    *("neuroon_async", "neuroon_async.blocking", "neuroon_async.outbox", "neuroon_async.markets"),
    *("neuroon_async.catalogs", "neuroon_async.testing", "neuroon_async.cli", "neuroon_async.diagnosis.probing"),
)
SCRIPT = """
import importlib, sys
libraries, alone, extras = eval(sys.stdin.read())
for library in libraries:
    sys.modules[library] = None
for module in alone:
    importlib.import_module(module)
for module in extras:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        assert error.__suppress_context__
        print(error)
"""


@pytest.mark.slow
def test_what_is_missing_names_its_extra_and_the_core_needs_none():
    libraries = [
        "starlette",
        "taskiq",
        "taskiq_redis",
        "redis",
        "sqlalchemy",
        "opentelemetry",
        "pytest",
        "typer",
        "rich",
    ]
    libraries += ["defusedxml", "pyarrow", "python_calamine"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=repr((libraries, ALONE, list(EXTRAS))),
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(EXTRAS)
    for line, (module, extra) in zip(lines, EXTRAS.items(), strict=True):
        assert line.startswith(f"{module} needs the library ")
        assert line.endswith(f": pip install 'neuroon-async[{extra}]'")
    assert set(EXTRAS.values()) <= set(importlib.metadata.metadata("neuroon-async").get_all("Provides-Extra"))
