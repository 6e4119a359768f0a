"""A server that takes everything and keeps nothing but counts, in a process of its own: the counterpart of speed tests.

It reads each request whole, counts the documents in it, and answers with a success in the protocol of whoever asks,
after a latency given in seconds. Where there are two processors it runs on the last one, and what it is measured
against belongs on the first (`measuring.pin_client`).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
DOCUMENT = b'"externalId":'
"""Every document of every client has this key once, at its top."""


@cache
def answer(path: bytes, documents: int) -> bytes:
    """What a server of that protocol says to so many documents, all of which it has taken."""
    kind = "application/json"
    if path.startswith(b"/indexes/"):
        told = {"taskUid": 1, "indexUid": "products", "status": "enqueued", "type": "documentAdditionOrUpdate"}
        return _http(202, kind, json.dumps({**told, "enqueuedAt": "2026-01-01T00:00:00Z"}))
    if path.startswith(b"/1/indexes/"):
        return _http(200, kind, json.dumps({"taskID": 1, "objectIDs": [f"SKU-{i:07d}" for i in range(documents)]}))
    if path.startswith(b"/_bulk"):
        item = {"_index": "products", "_id": "SKU-0000001", "_version": 1, "result": "created", "status": 201}
        kind = "application/vnd.elasticsearch+json;compatible-with=9"
        items = [{"index": item}] * documents
        return _http(
            200, kind, json.dumps({"took": 1, "errors": False, "items": items}), "X-Elastic-Product: Elasticsearch"
        )
    if path.startswith(b"/collections/"):
        return _http(200, "text/plain", "\n".join(['{"success":true}'] * documents))
    return _http(200, kind, json.dumps({"newProducts": documents, "updatedProducts": 0, "failed": 0, "errors": []}))


def _http(status: int, kind: str, body: str, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} OK", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class Counted:
    """What has arrived since the last time somebody asked."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.requests = self.documents = self.bytes = 0

    def tell(self) -> bytes:
        told = json.dumps(vars(self))
        self.forget()
        return _http(200, "application/json", told)


class Sink(asyncio.Protocol):
    """Just enough HTTP/1.1 for keep-alive requests with a Content-Length: the client is what is measured."""

    def __init__(self, latency: float, counted: Counted) -> None:
        self.latency = latency
        self.counted = counted
        self.head = b""
        self.left = 0
        self.body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.left == 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            found = LENGTH.search(self.head, 0, end)
            self.path = self.head.split(b" ", 2)[1]
            self.left = int(found[1]) if found else 0
            data, self.head = self.head[end + 4 :], b""
        self.left -= len(data)
        self.body.append(data)
        if self.left == 0:
            self.arrived()

    def arrived(self) -> None:
        body, self.body = b"".join(self.body), []
        if self.path == b"/counted":
            self.transport.write(self.counted.tell())
            return
        documents = body.count(DOCUMENT)
        self.counted.requests += 1
        self.counted.documents += documents
        self.counted.bytes += len(body)
        asyncio.get_running_loop().call_later(self.latency, self.reply, answer(self.path, documents))

    def reply(self, said: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(said)


async def serve(latency: float) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    counted = Counted()
    server = await asyncio.get_running_loop().create_server(
        lambda: Sink(latency, counted), "127.0.0.1", 0, backlog=4096
    )
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


def counted(url: str) -> dict[str, int]:
    """Requests, documents and bytes of bodies that the sink has received since this was asked last."""
    with urllib.request.urlopen(f"{url}/counted") as answered:  # noqa: S310 - the sink's own address
        return json.load(answered)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
