"""A server that takes everything and remembers nothing, in a process of its own: the counterpart of speed tests.

It reads each request whole and answers with the JSON of a successful sync, after a latency given in seconds.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = b'{"newProducts":500,"updatedProducts":0,"failed":0,"errors":[]}'
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)


class Sink(asyncio.Protocol):
    """Just enough HTTP/1.1 for keep-alive requests with a Content-Length: the client is what is measured."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.head = b""
        self.left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.left == 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = int(LENGTH.search(self.head)[1])
            self.left = length - (len(self.head) - end - 4)
            self.head = b""
        else:
            self.left -= len(data)
        if self.left == 0:
            asyncio.get_running_loop().call_later(self.latency, self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(HEAD + ANSWER)


async def serve(latency: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Sink(latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def sink(latency: float) -> Iterator[str]:
    """Run the sink in another process; gives its address."""
    process = subprocess.Popen([sys.executable, __file__, str(latency)], stdout=subprocess.PIPE)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
