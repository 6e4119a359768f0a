"""A page in a real Chromium, for tests of what a person sees. They skip where there is no browser."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Page

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE = 60_000
"""Milliseconds that the page has for anything: only a failure takes that long, however busy the machine is."""


@asynccontextmanager
async def open_page(*, width: int, height: int) -> AsyncIterator[Page]:
    """A page of this size in a browser of its own."""
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.skip(f"no browser here: none of {', '.join(_NAMES)}")
    async with playwright.async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=executable, args=_QUIET)
        try:
            page = await chromium.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(_PATIENCE)
            yield page
        finally:
            await chromium.close()


def problems_of(page: Page) -> list[str]:
    """What the page complains of from now on: its exceptions, and errors in its console."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    return problems
