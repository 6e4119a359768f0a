"""How tests end a server of their own."""

from __future__ import annotations

import subprocess


class ServerProcess:
    """A server that a subclass starts."""

    _process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """At once, without a word to anybody. What it had started ends by itself once it notices."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
