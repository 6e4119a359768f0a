"""A real PostgreSQL server for tests, where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from server_process import ServerProcess

_START = ("-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60")
_UNPRIVILEGED = ("postgres", "nobody")


class PostgreSQL(ServerProcess):
    """A server of its own on a unix socket. It refuses to run as root, so it gets a user of its own then."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.folder = folder
        self._binaries = binaries
        self._user = next(name for name in _UNPRIVILEGED if _exists(name)) if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user)
            folder.chmod(0o755)
        self._run("initdb", "-D", str(folder / "data"), "-U", "shop", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://shop@/postgres?host={self.folder}"

    def start(self) -> None:
        command = [str(self._binaries / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *_START]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd="/")
        deadline = time.monotonic() + 60
        while self._run("pg_isready", "-h", str(self.folder), "-q", check=False) != 0:
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)
            if self._process.poll() is not None:  # what a killed one had started is still there
                time.sleep(0.2)
                return self.start()
        return None

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        command = [str(self._binaries / program), *arguments]
        return subprocess.run(command, check=check, stdout=subprocess.DEVNULL, user=self._user, cwd="/").returncode


def _exists(user: str) -> bool:
    try:
        import pwd  # noqa: PLC0415 - Windows has none

        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _binaries() -> Path | None:
    for folder in (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), shutil.which("initdb")):
        if folder is not None:
            found = Path(folder) if Path(folder).is_dir() else Path(folder).parent
            if (found / "initdb").exists() and (found / "postgres").exists():
                return found
    return None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    pytest.importorskip("asyncpg", reason="needs asyncpg")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed")
    with tempfile.TemporaryDirectory(prefix="neuroon-") as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "pg"
        folder.mkdir()
        server = PostgreSQL(binaries, folder)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def psycopg(postgresql: PostgreSQL) -> SimpleNamespace:
    """The same server by the other driver, which knows fewer things about a statement."""
    pytest.importorskip("psycopg", reason="needs psycopg")
    return SimpleNamespace(url=postgresql.url.replace("+asyncpg", "+psycopg"))
