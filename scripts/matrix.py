"""Run the tests with the oldest and the newest dependencies, on each Python that is here.

    python scripts/matrix.py                             # the whole suite, everywhere
    python scripts/matrix.py --quick --sets oldest --pythons 3.11

Each pair of a Python and a set of dependencies has an environment of its own in `build/matrix`, made from nothing. An
interpreter that is not here is named and left out. Arguments after `--` go to pytest.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
NEIGHBOURS = "tests/integrations"
"""What depends most on the versions of others: marked ``neighbours``, and not left out for being slow."""
ONCE_MORE = ["-n", "0", "--last-failed", "--last-failed-no-failures", "none"]
"""pytest's arguments for what has just failed: a fault fails again, chance and the machine's load do not."""
_TESTS_FAILED = 1


@dataclass(frozen=True, slots=True)
class Set:
    """Which versions are installed, and what is run with them: everything, or the neighbours alone."""

    install: tuple[str, ...]
    everything: bool = True

    def selection(self, *, quick: bool) -> list[str]:
        """pytest's arguments."""
        if not self.everything:
            return [NEIGHBOURS]
        return ["-m", "not slow or neighbours"] if quick else []


SETS = {
    # The lowest that pyproject.toml allows of each package that it names, where there is a wheel for this Python.
    "oldest": Set(("--compile-bytecode", "--resolution", "lowest-direct", "--only-binary", ":all:", "-e", ".[dev]")),
    "newest": Set(("-e", ".[dev]")),
    # arq holds redis below 6, and so taskiq-redis at 1.0.9, which does not work with taskiq 0.13.
    "arq": Set(("-e", ".[dev]", "arq", "taskiq<0.13"), everything=False),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one environment, for the table at the end."""

    python: str
    dependencies: str
    told: str
    failed: bool = False

    def __str__(self) -> str:
        return f"{self.python:5} {self.dependencies:7} {self.told}"


def interpreter(version: str) -> str | None:
    """A Python of this version that runs: on the path, else one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found = [shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")), reverse=True)]
    if sys.version.startswith(f"{version}."):
        found.insert(0, sys.executable)
    check = f"import sys; sys.exit(not sys.version.startswith('{version}.'))"
    for path in filter(None, found):
        if subprocess.run([path, "-c", check], capture_output=True, check=False).returncode == 0:
            return path
    return None


def install(python: str, environment: Path, dependencies: Set) -> Path:
    """Make the environment again; its interpreter."""
    uv = [sys.executable, "-m", "uv", "--quiet", "--no-progress"]
    subprocess.run([*uv, "venv", "--clear", "--python", python, str(environment)], cwd=ROOT, check=True)
    made = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([*uv, "pip", "install", "--python", str(made), *dependencies.install], cwd=ROOT, check=True)
    return made


def run_tests(python: Path, arguments: list[str]) -> tuple[int, str]:
    """pytest's exit code, and the line with which it closes. All that it prints is passed on."""
    # Tests start `make`, `coverage` and others by their names.
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    cache = python.parents[1] / "pytest-cache"
    command = [str(python), "-m", "pytest", "-q", "-o", f"cache_dir={cache}", *arguments]
    last = ""
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line if re.search(r"\d+ (passed|failed|error)", line) else last
    return process.returncode, last.strip().strip("= ")


def run_one(version: str, name: str, arguments: list[str], say: Callable[[str], None]) -> Outcome:
    """One environment, from its making to its tests."""
    python = interpreter(version)
    if python is None:
        say(f"Python {version}: none here, left out")
        return Outcome(version, name, "left out: no such interpreter here")
    say(f"Python {version}, {name} dependencies: installing")
    started = time.monotonic()
    try:
        made = install(python, ROOT / "build" / "matrix" / f"{version}-{name}", SETS[name])
    except subprocess.CalledProcessError as error:
        return Outcome(version, name, f"not installed: uv ended with {error.returncode}", failed=True)
    say(f"Python {version}, {name} dependencies: installed in {time.monotonic() - started:.0f} s, testing")
    code, line = run_tests(made, arguments)
    if code == _TESTS_FAILED:
        say("Once more, one after the other. A test that passes now is unsteady: mend it.")
        code, again = run_tests(made, [*arguments, *ONCE_MORE])
        line = f"{line}; once more: {again}"
    return Outcome(version, name, line or f"pytest ended with {code}", failed=bool(code))


def main() -> int:
    """Everything asked for, then a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, metavar="3.N", help="default: %(default)s")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS, help="default: all")
    parser.add_argument("--quick", action="store_true", help="leave out slow tests, but not the neighbours'")
    parser.add_argument(
        "--workers", default="auto", help="processes that test, 0 for none beside; default: %(default)s"
    )
    asked, extra = parser.parse_known_args()
    extra = [*(argument for argument in extra if argument != "--"), "-n", asked.workers, "--dist", "worksteal"]
    if asked.quick:
        os.environ.setdefault("HYPOTHESIS_PROFILE", "quick")  # the versions of others matter here, not one more example
    outcomes = [
        run_one(
            version,
            name,
            [*extra, *SETS[name].selection(quick=asked.quick)],
            lambda text: print(f"== {text}", flush=True),
        )
        for version in asked.pythons
        for name in asked.sets
    ]
    print("", *outcomes, sep="\n")
    return int(any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
