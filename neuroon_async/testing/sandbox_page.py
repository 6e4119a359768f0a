"""The sandbox's page over HTTP: its files, the stream of what happens, and the switches of the faults.

Open to this machine's browsers only: a request whose ``Host`` is another name (a rebound one), or that a page of
another origin makes, is refused. The API key is not on the page.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web

from .bodies import decode_json, encode_json
from .sandbox_view import HOW_OFTEN, TROUBLES, SandboxView

if TYPE_CHECKING:
    from .emulator import Emulator
    from .server import Connection

__all__ = ["SandboxPage"]

_TICK = 0.25
"""Seconds between two looks at what has changed."""
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_FILES = {
    "/": ("page.html", "text/html"),
    "/sandbox/page.css": ("page.css", "text/css"),
    "/sandbox/page.js": ("page.js", "text/javascript"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' http: https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class SandboxPage:
    """Adds the page to a running emulator.

    Args:
        emulator: What the page shows and switches faults of.

    >>> async def show(emulator: Emulator) -> None:
    ...     SandboxPage(emulator)  # then open emulator.url in a browser
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._view = SandboxView(emulator, clock=asyncio.get_running_loop().time)
        emulator.pages.append(self.answer)

    async def answer(self, request: web.BaseRequest, connection: Connection) -> web.StreamResponse | None:
        """The answer to a request that is the page's; ``None`` for one that is the API's."""
        path = request.rel_url.raw_path
        if path not in _FILES and not path.startswith("/sandbox/"):
            return None
        if not self._from_here(request):
            return _plain(403, "This page is for browsers on the same machine.")
        match request.method, path:
            case "GET", "/sandbox/events":
                return await self._stream(request, connection)
            case "POST", "/sandbox/faults":
                return self._switch(await request.read(), request.content_type)
            case "GET", _ if path in _FILES:
                return self._file(*_FILES[path])
            case _:
                return None if path == "/" else _plain(404, "There is no such page.")

    def _from_here(self, request: web.BaseRequest) -> bool:
        origin = request.headers.get("Origin")
        try:
            host = urlsplit(f"//{request.headers.get('Host', '')}")
        except ValueError:  # brackets without a partner
            return False
        return host.hostname in {*_LOCAL_NAMES, self._emulator.host} and origin in {None, f"http://{host.netloc}"}

    def _file(self, name: str, media_type: str) -> web.Response:
        text = files("neuroon_async.testing").joinpath("page", name).read_text(encoding="utf-8")
        if name == "page.html":
            for mark, value in self._values().items():
                text = text.replace(f"{{{{{mark}}}}}", value)
        return web.Response(text=text, content_type=media_type, charset="utf-8", headers=_HEADERS)

    def _values(self) -> dict[str, str]:
        emulator = self._emulator
        return {
            "shop_id": escape(emulator.shop_id),
            "url": escape(emulator.url),
            "token": escape(emulator.client().widget.token()),
            "often": "".join(_choice(name, label) for name, (label, _, _) in HOW_OFTEN.items()),
            "troubles": "".join(_switch(name, label, text) for name, (label, text, _) in TROUBLES.items()),
        }

    async def _stream(self, request: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        sent: dict[str, bytes] = {}
        with suppress(ConnectionError):  # the page was closed
            await response.prepare(request)
            while not connection.lost.is_set():
                for name, document in self._view.sections().items():
                    data = self._redacted(document)
                    if sent.get(name) != data:
                        sent[name] = data
                        await response.write(b"event: %s\ndata: %s\n\n" % (name.encode(), data))
                with suppress(TimeoutError):
                    await asyncio.wait_for(connection.lost.wait(), _TICK)
        return response

    def _redacted(self, document: Any) -> bytes:
        """JSON without the key, should a request have carried it in its path or a product in its name."""
        return encode_json(document).replace(self._emulator.api_key.encode(), "…".encode())

    def _switch(self, body: bytes, media_type: str) -> web.Response:
        # No form of another site can send this media type without asking first.
        if media_type != "application/json":
            return _plain(415, "application/json, please.")
        try:
            wanted = decode_json(body)
            self._view.switch(wanted["fault"], wanted["often"])
        except (ValueError, TypeError, KeyError):
            return _plain(400, "There is no such fault.")
        return web.Response(status=204, headers=_HEADERS)  # the stream tells what is on


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers=_HEADERS)


def _choice(name: str, label: str) -> str:
    checked = " checked" if name == "always" else ""
    return f'<label><input type="radio" name="often" value="{name}"{checked}><span>{escape(label)}</span></label>'


def _switch(name: str, label: str, explanation: str) -> str:
    return (
        f'<button type="button" role="switch" aria-checked="false" class="fault" data-fault="{name}">'
        f"<b>{escape(label)}</b><small>{escape(explanation)}</small><output></output></button>"
    )
