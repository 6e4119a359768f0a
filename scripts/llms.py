"""Write ``llms.txt`` and ``llms-full.txt``: the documentation for programs that read it, out of the pages of the site.

    python scripts/llms.py build/site

The first lists the pages with a line on each; the second holds all of them as they are written. In the reference, each
name has its signature and its docstring, as the site shows them.
"""

import inspect
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_NAME = re.compile(r"^::: (?P<name>\S+)$", re.MULTILINE)


def pages_of(menu: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The section and the file of each page, in the order of the site's menu."""
    for entry in menu:
        for title, content in entry.items():
            if isinstance(content, str):
                yield "Start", content
            else:
                yield from ((title, page) for _, page in pages_of(content))


def settings() -> dict[str, Any]:
    """The site's name, description and menu."""
    project: dict[str, Any] = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    return project


def told_by(page: str) -> tuple[str, str]:
    """The title of a page, and the first sentence of its text; empty where it begins with something else."""
    text = (DOCS / page).read_text(encoding="utf-8")
    title = text.partition("\n")[0].removeprefix("# ")
    first = next(iter(re.split(r"\n\s*\n", text.partition("\n")[2].strip())), "")
    if not first or first[0] in "`|#-:>*":
        return title, ""
    return title, re.split(r"(?<=\.)\s", " ".join(first.split()), maxsplit=1)[0].rstrip(":")


def described(name: str) -> str:
    """A public name with its signature and its docstring."""
    thing = pkgutil.resolve_name(name)
    try:
        signature = str(inspect.signature(thing)) if callable(thing) else ""
    except (TypeError, ValueError):  # some built-in types have none
        signature = ""
    parts = [f"## `{name}`", f"`{name.rpartition('.')[2]}{signature}`" if signature else ""]
    parts += [inspect.getdoc(thing) or "" if callable(thing) or inspect.ismodule(thing) else f"`{thing!r}`"]
    return "\n\n".join(part for part in parts if part)


def index() -> str:
    """The text of ``llms.txt``."""
    project = settings()
    lines = [f"# {project['site_name']}", "", f"> {project['site_description']}"]
    sections: dict[str, list[str]] = {}
    for section, page in pages_of(project["nav"]):
        title, sentence = told_by(page)
        address = re.sub(r"(^|/)index$", r"\1", page.removesuffix(".md")) or "."
        entry = f"- [{title}]({address.rstrip('/')}/)"
        sections.setdefault(section, []).append(f"{entry}: {sentence}" if sentence else entry)
    for section, entries in sections.items():
        lines += ["", f"## {section}", "", *entries]
    return "\n".join(lines) + "\n"


def whole() -> str:
    """The text of ``llms-full.txt``."""
    texts = [(ROOT / "AGENTS.md").read_text(encoding="utf-8")]
    for _, page in pages_of(settings()["nav"]):
        text = (DOCS / page).read_text(encoding="utf-8")
        texts.append(f"<!-- {page} -->\n" + _NAME.sub(lambda match: described(match["name"]), text))
    return "\n".join(texts)


def main(site: Path) -> None:
    """Write both files into the folder of the site."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "llms.txt").write_text(index(), encoding="utf-8")
    (site / "llms-full.txt").write_text(whole(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
