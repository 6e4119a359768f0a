"""Make the pictures of the documentation again, in `docs/assets`: what `neuroon demo` prints, and the sandbox's page.

    python scripts/pictures.py

The first is drawn by the command itself; the second is taken by a headless Chromium, which must be installed.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from playwright.async_api import async_playwright

from neuroon_async import Conversion, ConversionItem, Product
from neuroon_async.api.contract import DOCUMENTED_RATE_LIMITS
from neuroon_async.cli.commands.demo import demo_catalog
from neuroon_async.testing import Emulator, Fault
from neuroon_async.testing.sandbox_page import SandboxPage

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SIZE = {"width": 1200, "height": 860}


def catalog() -> Iterator[Product]:
    """The demo's products without its mistakes; their pictures lie on a server that does not exist."""
    for product in demo_catalog(3_600):
        if isinstance(product, Product) and not product.external_id.startswith("X-"):
            yield msgspec.structs.replace(product, image_url=msgspec.UNSET)


async def take_sandbox(path: Path) -> None:
    """The page as a sync ends, with what else may happen."""
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None:
        sys.exit(f"None of these browsers is here: {', '.join(CHROMIUM)}")
    limits = DOCUMENTED_RATE_LIMITS
    async with Emulator(
        port=8765, rate_limits=limits, latency=0.12, jitter=0.08, keep_bodies=False, shop_url=None
    ) as emulator:
        SandboxPage(emulator)
        emulator.fail("sync_products", Fault.status(503, "Service restarting"), when=lambda sent: sent.number == 33)
        async with async_playwright() as driver, emulator.client(rate_limits=limits) as client:
            chromium = await driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
            page = await chromium.new_page(viewport=SIZE, color_scheme="light")
            await page.goto(emulator.url)
            await client.products.sync(catalog(), batch_size=100, concurrency=2)
            for number in range(1, 4):
                items = [
                    ConversionItem("P-00001", search_log_id=f"log_{number}", quantity=number, line_total=29 * number)
                ]
                await client.conversions.track(
                    Conversion(order_id=f"2041-{number}", order_value=29 * number, currency="EUR", conversions=items)
                )
            await page.wait_for_timeout(1_500)
            await page.screenshot(path=path)
            await chromium.close()


def main() -> None:
    """Both pictures."""
    ASSETS.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "neuroon_async", "demo", "--svg", str(ASSETS / "demo.svg")], check=True)
    asyncio.run(take_sandbox(ASSETS / "sandbox.png"))
    for path in sorted(ASSETS.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
