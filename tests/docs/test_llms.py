"""The documentation for programs: an index of the pages, and all of them in one file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import neuroon_async

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, ROOT / "scripts" / "llms.py", site], check=True, cwd=ROOT)
    return {name: (site / name).read_text(encoding="utf-8") for name in ("llms.txt", "llms-full.txt")}


def test_the_index_leads_to_every_page(made):
    told = re.findall(r"^- \[[^]]+\]\(([^)]+)\)", made["llms.txt"], re.MULTILINE)
    assert len(told) == len(set(told)) == len(PAGES)


def test_every_page_is_in_the_whole(made):
    for page in PAGES:
        title = page.read_text(encoding="utf-8").partition("\n")[0]
        assert f"<!-- {page.relative_to(ROOT / 'docs')} -->\n{title}\n" in made["llms-full.txt"]


def test_every_public_name_is_described(made):
    assert ":::" not in made["llms-full.txt"]
    for name in neuroon_async.__all__:
        assert f"## `neuroon_async.{name}`" in made["llms-full.txt"]


def test_make_docs_makes_them():
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndocs:")[2].partition("\n\n")[0]
    assert "scripts/llms.py build/site" in recipe
