"""The command is built once: for each call Typer's runner would read all signatures again."""

from __future__ import annotations

from functools import cache

from typer import main, testing

testing._get_command = cache(main.get_command)
