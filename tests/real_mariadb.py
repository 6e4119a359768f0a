"""A real MariaDB server for tests, where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import ServerProcess

_DEFAULTS = ("--no-defaults", "--skip-networking", "--max-connections=60", "--innodb-flush-log-at-trx-commit=0")
_MADRID = "CET-1CEST,M3.5.0,M10.5.0/3"
_FOLDERS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


class MariaDB(ServerProcess):
    """A server of its own on a unix socket, in Madrid, whose administrator needs no password."""

    def __init__(self, install: str, server: str, folder: Path) -> None:
        self.socket = folder / "socket"
        data = folder / "data"
        owner = "root" if os.geteuid() == 0 else None
        user = () if owner is None else (f"--user={owner}",)
        self._log = folder / "log"
        subprocess.run(
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *user],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._command = [server, *_DEFAULTS, f"--datadir={data}", f"--socket={self.socket}", *user]
        self.start()

    @property
    def url(self) -> str:
        return f"mysql+asyncmy://root@localhost/test?charset=utf8mb4&unix_socket={self.socket}"

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=os.environ | {"TZ": _MADRID})
        deadline = time.monotonic() + 60
        while b"ready for connections" not in self._log.read_bytes():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, "MariaDB does not start"
            time.sleep(0.05)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    pytest.importorskip("asyncmy", reason="needs asyncmy")
    install, server = (shutil.which(name, path=_FOLDERS) for name in ("mariadb-install-db", "mariadbd"))
    if install is None or server is None:
        pytest.skip("no MariaDB server is installed")
    with tempfile.TemporaryDirectory(prefix="neuroon-") as folder:
        database = MariaDB(install, server, Path(folder))
        try:
            yield database
        finally:
            database.stop()
