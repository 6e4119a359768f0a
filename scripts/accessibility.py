"""Look at the built site in a headless Chromium: axe's rules, and pages that are wider than the window.

    python scripts/accessibility.py [--pictures FOLDER]

Each page is tried narrow and wide, light and dark. Needs `make docs` before, and a Chromium. Ends with 1 where axe
finds anything serious or a page has to be moved sideways.
"""

import argparse
import asyncio
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, async_playwright

SITE = Path(__file__).parents[1] / "build" / "site"
PAGES = (
    "",
    "tutorial",
    "guides/sync-code",
    "catalogs",
    "concepts/rate-limits",
    "command",
    "reference/client",
    "errors",
)
WIDTHS = (400, 1600)
SCHEMES = ("light", "dark")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
BAD = {"serious", "critical"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Every request would be a line."""


@contextmanager
def served() -> Iterator[str]:
    """The site on a free port of this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def look(browser: Browser, address: str, width: int, scheme: str, pictures: Path | None) -> list[str]:
    """What is wrong with one page at one width, in one scheme."""
    page = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    await page.goto(address, wait_until="load")
    where = f"{address.partition('/')[2].partition('/')[2].partition('/')[2] or 'index'} at {width} px, {scheme}"
    found = []
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        found.append(f"{where}: {wide} px wider than the window")
    results = await Axe().run(page)
    for rule in results.response["violations"]:
        if rule["impact"] in BAD:
            first = rule["nodes"][0]
            found.append(f"{where}: {rule['id']} ({rule['impact']}), {len(rule['nodes'])} times: {first['html'][:120]}")
    if pictures is not None:
        await page.screenshot(path=pictures / f"{where.replace('/', '-').replace(', ', '-').replace(' ', '-')}.png")
    await page.close()
    return found


async def check(pictures: Path | None) -> list[str]:
    """What is wrong with any page."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None or not SITE.is_dir():
        sys.exit("Needs `make docs` before, and one of " + ", ".join(CHROMIUM))
    found: list[str] = []
    with served() as address:
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            for page, width, scheme in product(PAGES, WIDTHS, SCHEMES):
                new = await look(browser, f"{address}/{page}{'/' * bool(page)}", width, scheme, pictures)
                print(*new, sep="\n", end="\n" * bool(new), flush=True)
                found += new
            await browser.close()
    return found


def main() -> int:
    """Everything, and a line for each finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="also take a picture of each page")
    pictures = parser.parse_args().pictures
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    found = asyncio.run(check(pictures))
    print(f"{len(PAGES)} pages, {len(WIDTHS)} widths, light and dark: {len(found)} findings")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
