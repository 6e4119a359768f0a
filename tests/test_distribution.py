"""What users install: the right files, four dependencies, a bill of materials, and the same bytes from every build."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CORE = {"aiohttp", "aiolimiter", "msgspec", "tenacity"}
BUILT_FROM = ("neuroon_async", "docs", "scripts", "README.md", "CHANGELOG.md", "LICENSE", "Makefile")
BUILT_FROM += ("hatch_build.py", "pyproject.toml", "zensical.toml", ".gitignore")


def build(folder: Path, out: Path, *, umask: int, **environment: str) -> tuple[Path, Path]:
    """The source distribution and the wheel, made from a copy of the project in a folder of its own."""
    script = f"import os, runpy, sys; os.umask({umask}); sys.argv = ['hatchling', 'build', '-d', {str(out)!r}]\n"
    script += "runpy.run_module('hatchling', run_name='__main__')"
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"} | environment,
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def copy_project(to: Path, *, mode: int) -> Path:
    """What the distributions are built from, as another checkout would have it: other times, other permissions."""
    to.mkdir(parents=True)
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, to / name)
    for path in to.rglob("*"):
        if path.is_file():
            path.chmod(mode)
            os.utime(path, (mode, mode))
    return to


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("built")
    return build(copy_project(folder / "project", mode=0o644), folder / "dist", umask=0o022)


@pytest.fixture(scope="module")
def metadata(built: tuple[Path, Path]) -> Message:
    with zipfile.ZipFile(built[1]) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(wheel.read(name).decode())


def test_every_build_gives_the_same_bytes(built: tuple[Path, Path], tmp_path: Path) -> None:
    elsewhere = copy_project(tmp_path / "deeper" / "another checkout", mode=0o600)
    again = build(elsewhere, tmp_path / "dist", umask=0o077, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in built]


def test_the_wheel_of_the_source_distribution_is_the_same_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    _, wheel = build(next(tmp_path.glob("neuroon_async-*")), tmp_path / "dist", umask=0o022)
    assert wheel.read_bytes() == built[1].read_bytes()


def test_the_wheel_holds_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = ROOT / "neuroon_async"
    there = {path.relative_to(ROOT).as_posix() for path in package.rglob("*") if path.is_file()}
    assert packed == {name for name in there if "__pycache__" not in name}
    assert "neuroon_async/py.typed" in packed


def test_the_package_index_is_shown_no_link_that_leads_nowhere(metadata: Message) -> None:
    page = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert page.startswith("# neuroon-async")
    assert "](" not in page.replace("](https:", "")
    assert "](docs/" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_bill_of_materials_names_each_dependency(built: tuple[Path, Path], metadata: Message) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        (name,) = (name for name in wheel.namelist() if "/sboms/" in name)
        bill = json.loads(wheel.read(name))
    assert name == f"neuroon_async-{metadata['Version']}.dist-info/sboms/neuroon-async.cdx.json"
    assert bill["metadata"]["component"]["purl"] == f"pkg:pypi/neuroon-async@{metadata['Version']}"
    assert bill["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    parts = {part["name"]: part for part in bill["components"]}
    assert {name for name, part in parts.items() if part["scope"] == "required"} == CORE
    for text in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        if not any(extra in str(requirement.marker) for extra in ("dev", "bench")):
            asked = "|".join(sorted(str(clause) for clause in requirement.specifier))
            assert parts[canonicalize_name(requirement.name)]["versionRange"] == f"vers:pypi/{asked}"


def needed_by(names: set[str]) -> dict[str, importlib.metadata.Distribution]:
    """The distributions of these names and all that they need, without extras."""
    found: dict[str, importlib.metadata.Distribution] = {}
    todo = sorted(names)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = importlib.metadata.distribution(name)
        needs = [Requirement(text) for text in found[name].requires or ()]
        environment = {**default_environment(), "extra": ""}
        todo += [canonicalize_name(need.name) for need in needs if not need.marker or need.marker.evaluate(environment)]
    return found


@pytest.fixture(scope="module")
def core_alone(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, its four dependencies, and theirs: what `pip install neuroon-async` brings."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(built[1]) as wheel:
        wheel.extractall(site)
    for distribution in needed_by(CORE).values():
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in {"..", "__pycache__"}}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))
    return site


def run_in(site: Path, program: str) -> subprocess.CompletedProcess[str]:
    lines = f"import sys\nsys.path.insert(0, {str(site)!r})\n{program}"
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", lines]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_core_works_with_its_four_dependencies_alone(core_alone: Path) -> None:
    program = """
import asyncio
import neuroon_async
from neuroon_async import Product
from neuroon_async.testing import Emulator

async def main():
    async with Emulator() as emulator, emulator.client() as client:
        report = await client.products.sync(
            Product(external_id=str(number), name="Tea", price=2, url="https://shop.example/tea") for number in range(7)
        )
    print(neuroon_async.__version__, neuroon_async.__file__, report.accepted)

asyncio.run(main())
"""
    done = run_in(core_alone, program)
    version = importlib.metadata.version("neuroon-async")
    assert done.stderr == ""
    assert done.stdout == f"{version} {core_alone / 'neuroon_async' / '__init__.py'} 7\n"


def test_the_module_runs_as_the_command_and_names_the_extra_that_it_needs(core_alone: Path) -> None:
    done = run_in(core_alone, "import runpy; runpy.run_module('neuroon_async', run_name='__main__', alter_sys=True)")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the neuroon command needs an extra: pip install 'neuroon-async[cli]'\n"
    installed = subprocess.run(
        [sys.executable, "-m", "neuroon_async", "--version"], capture_output=True, text=True, check=True
    )
    assert installed.stdout == f"neuroon-async {importlib.metadata.version('neuroon-async')}\n"
