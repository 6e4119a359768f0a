"""``neuroon sandbox``: the emulated API until Ctrl-C, with a page to watch it and a line for each request."""

# Annotations are read by typer at run time, so they are not postponed here.

import asyncio
import errno
from dataclasses import dataclass
from shlex import quote
from typing import Annotated

import typer
from rich.text import Text

from ...api.contract import API_KEY_VARIABLE, API_URL_VARIABLE, DOCUMENTED_RATE_LIMITS, SHOP_ID_VARIABLE
from ...errors import ConfigurationError
from ...settings import Secret, check_credentials
from ...testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, RecordedRequest
from ...testing.sandbox_page import SandboxPage
from ..console import clean, out
from ..exits import exit_codes, run
from ..options import Debug

__all__ = ["sandbox"]

_INTERVAL = 0.1
"""Seconds between two looks at the log of requests."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One sandbox. Its end by Ctrl-C or SIGTERM is its ordinary end."""

    shop_id: str
    api_key: str
    port: int
    rate_limits: bool
    latency: float
    quiet: bool

    def serve(self) -> None:
        check_credentials(self.shop_id, Secret(self.api_key))
        try:
            run(self._serve())
        except (KeyboardInterrupt, asyncio.CancelledError):
            out().print("\nThe sandbox has ended.")

    async def _serve(self) -> None:
        emulator = Emulator(
            self.shop_id,
            self.api_key,
            port=self.port,
            rate_limits=DOCUMENTED_RATE_LIMITS if self.rate_limits else None,
            latency=self.latency,
            keep_bodies=False,
            shop_url=None,
            shop_name="Sandbox",
        )
        try:
            await emulator.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise ConfigurationError(f"port {self.port} is in use; choose another one with --port, or 0") from None
        SandboxPage(emulator)
        try:
            self._announce(emulator)
            while True:
                await asyncio.sleep(_INTERVAL)
                self._show_finished(emulator)
        finally:
            await emulator.stop()
            self._show_finished(emulator)

    def _announce(self, emulator: Emulator) -> None:
        console = out()
        limits = "documented rate limits" if self.rate_limits else "no rate limits"
        console.print(Text(f"The Plugin API, emulated at {emulator.url} ({limits}). Ctrl-C ends it.", style="bold"))
        console.print(f"Watch it in a browser: {emulator.url}/", soft_wrap=True)
        console.print("In another terminal:\n")
        for name, value in (
            (API_URL_VARIABLE, emulator.url),
            (API_KEY_VARIABLE, self.api_key),
            (SHOP_ID_VARIABLE, self.shop_id),
        ):
            console.print(f"export {name}={quote(value)}", soft_wrap=True)
        console.print()
        console.file.flush()

    def _show_finished(self, emulator: Emulator) -> None:
        """Print and forget the requests that have ended, in the order of their arrival."""
        log = emulator.requests
        while log and log[0].finished is not None:
            request = log.pop(0)
            if not self.quiet:
                out().print(_line(request, len(emulator.products)), soft_wrap=True)


def _line(request: RecordedRequest, products: int) -> Text:
    status = request.status
    good = status is not None and status < 400
    line = Text(f"{status or '---'}", style="green" if good else "red")
    seconds = (request.finished or request.arrived) - request.arrived
    line.append(f"  {request.method:<6} {clean(request.raw_path)}", style="default")
    line.append(f"  {request.body_size:,} bytes, {seconds * 1000:,.0f} ms, catalog {products:,}", style="dim")
    return line


def sandbox(
    *,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="On 127.0.0.1; 0 takes a free one.")] = 8765,
    shop_id: Annotated[str, typer.Option(help="The shop that it plays.")] = DEFAULT_SHOP_ID,
    api_key: Annotated[
        str, typer.Option(help="The key that it accepts. Printed: do not give a real one.")
    ] = DEFAULT_API_KEY,
    rate_limits: Annotated[bool, typer.Option(help="Enforce the documented rate limits.")] = True,
    latency: Annotated[float, typer.Option(min=0.0, help="Seconds before each answer.")] = 0.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not list the requests.")] = False,
    debug: Debug = False,
) -> None:
    """Offer the Plugin API on this machine, with a page to watch it. Runs until Ctrl-C; forgets everything then."""
    with exit_codes(debug=debug):
        Sandbox(shop_id, api_key, port=port, rate_limits=rate_limits, latency=latency, quiet=quiet).serve()
