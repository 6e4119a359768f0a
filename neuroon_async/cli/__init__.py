"""The ``neuroon`` command. Knows only how to start it: typer and rich, the extra ``cli``, are imported by `main`."""

from __future__ import annotations

import os
import sys
from typing import IO

__all__ = ["main"]

_EXTRA = {"typer", "rich"}


def main() -> None:
    """Run the command line and exit with its code (see ``neuroon --help``)."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # product names hold anything; a terminal's encoding may not
            reconfigure(errors="backslashreplace")
    try:
        from .app import app  # noqa: PLC0415 - the extra may be absent
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write("error: the neuroon command needs an extra: pip install 'neuroon-async[cli]'\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    try:
        app(prog_name="neuroon")
    except KeyboardInterrupt:  # before a command has begun
        raise SystemExit(130) from None
    finally:
        _drop_unwritable(sys.stdout)


def _drop_unwritable(stream: IO[str] | None) -> None:
    """Drop what a full disk does not take: the command has told of it. The interpreter would try again at its end.

    Its own exit code, 120, would then replace the command's.
    """
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
