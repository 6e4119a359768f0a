"""A real CONNECT proxy, and an API behind TLS with an authority of its own: for every test of the way to the server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web

from neuroon_async.testing.loop_thread import LoopThread

HOST = "api.shop.test"


class Proxy:
    """An HTTP proxy that knows where one host is, and what it refuses."""

    def __init__(self, port, *, refusal=None, credentials=None):
        self.requests = []
        self._port = port
        self._refusal = refusal
        self._credentials = credentials
        self._writers = []

    @asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self
            for writer in self._writers:
                writer.close()

    async def _serve(self, reader, writer):
        self._writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(head)
        expected = self._credentials and "Basic " + base64.b64encode(self._credentials.encode()).decode()
        if expected and f"Proxy-Authorization: {expected}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        elif self._refusal:
            writer.write(f"HTTP/1.1 {self._refusal}\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            assert head.startswith(f"CONNECT {HOST}:")
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writers.append(far_writer)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()


async def _pipe(reader, writer):
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def served_over_tls(authority):
    """The API behind TLS, as far as these tests need it. Yields its port and what it received."""
    seen = []

    async def answer(request):
        seen.append(dict(request.headers))
        return web.json_response({"maxProducts": 7})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST, "127.0.0.1").configure_cert(context)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1], seen
    finally:
        await runner.cleanup()


@asynccontextmanager
async def in_front_of(port, certificate):
    """TLS with any certificate before a plain server on this machine. Yields its own port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    writers = []

    async def relay(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, far_writer))
        await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # its complaints of failed handshakes
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()


@contextmanager
def in_thread(*managers):
    """Enter asynchronous context managers in a loop of their own. Yields what each yields."""
    thread = LoopThread("servers of a test")
    stack = contextlib.AsyncExitStack()

    async def enter():
        return [await stack.enter_async_context(manager) for manager in managers]

    try:
        yield thread.wait(enter())
    finally:
        thread.wait(stack.aclose())
        thread.close()
