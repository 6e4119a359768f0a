"""How a bulk command shows that it is alive: a bar on a terminal, a line from time to time elsewhere. On stderr.

Estimates look like estimates: with a tilde, and rounded. While the rate limit holds everything back, there
is no estimate of the end; the line then says how long that wait still takes.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .console import clean, clock, err

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from rich.console import Console

    from ..client import NeuroonClient
    from ..report import SyncProgress

__all__ = ["Length", "limit_of", "progress_bar", "progress_table", "status_parts"]

LINES_EVERY = 10.0
"""Seconds between two lines where there is no terminal. A run that is shorter prints none."""


@dataclass(frozen=True, slots=True)
class Length:
    """How many products there are, as far as is known. ``sure``: else it is an estimate."""

    products: int
    sure: bool

    def __str__(self) -> str:
        return f"{self.products:,}" if self.sure else f"~{_rounded(self.products):,}"


def limit_of(client: NeuroonClient) -> Callable[[], float]:
    """A function that gives the seconds until the rate limit lets the next request go; 0 where that is not known."""
    return lambda: max((state.next_in for state in client.limits().values() if state.waiting), default=0.0)


@contextmanager
def progress_bar(
    title: str,
    length: Callable[[], Length | None],
    *,
    next_in: Callable[[], float] = float,
    quiet: bool = False,
    lines: bool = True,
) -> Generator[Callable[[SyncProgress], None] | None, None, None]:
    """What to pass as ``on_progress``. ``None`` where nobody would see it.

    Args:
        title: What is being done.
        length: How many products there are, as far as is known at that moment.
        next_in: In how many seconds the rate limit lets the next request go.
        quiet: Show nothing.
        lines: Show lines where there is no terminal.
    """
    console = err()
    if quiet or not (lines or console.is_terminal):
        yield None
        return
    if not _can_redraw(console):
        show_line = _lines(title)
        yield lambda progress: show_line(progress, length(), next_in())
        return
    with _live(console) as live:

        def show(progress: SyncProgress) -> None:
            live.update(_bar(title, progress, length(), next_in(), console.width), refresh=True)

        yield show


@contextmanager
def progress_table(
    names: Iterable[str], *, lines: bool = True
) -> Generator[Callable[[str, SyncProgress, Length | None, float], None] | None, None, None]:
    """As `progress_bar`, for runs side by side: each has a line.

    What it gives is called with the run's name, its progress, how many products there are as far as is known, and in
    how many seconds the rate limit lets its next request go.
    """
    console = err()
    if not (lines or console.is_terminal):
        yield None
        return
    if not _can_redraw(console):
        show_line = {name: _lines(name) for name in names}
        yield lambda name, progress, length, next_in: show_line[name](progress, length, next_in)
        return
    rows: dict[str, tuple[SyncProgress, Length | None, float] | None] = dict.fromkeys(names)
    with _live(console) as live:

        def show(name: str, progress: SyncProgress, length: Length | None, next_in: float) -> None:
            rows[name] = progress, length, next_in
            live.update(_table(rows), refresh=True)

        yield show


def _can_redraw(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def _live(console: Console) -> Live:
    return Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=True)


def _lines(title: str) -> Callable[[SyncProgress, Length | None, float], None]:
    due = time.monotonic() + LINES_EVERY

    def show(progress: SyncProgress, length: Length | None, next_in: float) -> None:
        nonlocal due
        now = time.monotonic()
        if now < due:
            return
        due = now + LINES_EVERY
        parts = [part.plain for part in status_parts(progress, length, next_in)]
        err().print(Text(f"{clean(title)}: {', '.join(parts)}"), soft_wrap=True)

    return show


def _table(rows: Mapping[str, tuple[SyncProgress, Length | None, float] | None]) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(overflow="fold", max_width=20)
    table.add_column(width=12)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(ratio=1, overflow="fold")
    for name, row in rows.items():
        title = Text(clean(name), style="bold")
        if row is None:
            table.add_row(title, ProgressBar(total=1), "", Text("not begun", style="dim"))
            continue
        progress, length, next_in = row
        length = _at_least(length, progress.done)
        parts = status_parts(progress, length, next_in, brief=True)
        table.add_row(title, _drawn(progress, length), _share(progress, length), Text(" · ").join(parts))
    return table


def _bar(title: str, progress: SyncProgress, length: Length | None, next_in: float, width: int) -> Group:
    length = _at_least(length, progress.done)
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(no_wrap=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True, justify="right")
    bar.add_row(Text(title, style="bold"), _drawn(progress, length), _share(progress, length))
    return Group(bar, *_in_lines(status_parts(progress, length, next_in), width))


def _drawn(progress: SyncProgress, length: Length | None) -> ProgressBar:
    total = length.products if length is not None and length.products > 0 else None
    return ProgressBar(total=total, completed=progress.done, pulse=total is None)


def _in_lines(parts: list[Text], width: int) -> list[Text]:
    """The parts side by side, in as many lines as they need: none is cut."""
    lines: list[Text] = []
    for part in parts:
        if lines and lines[-1].cell_len + 3 + part.cell_len <= width:
            lines[-1].append(" · ").append_text(part)
        else:
            lines.append(part.copy())
    return lines


def status_parts(
    progress: SyncProgress, length: Length | None, next_in: float = 0.0, *, brief: bool = False
) -> list[Text]:
    """What there is to say, part by part. ``brief`` leaves out the pace and the requests."""
    length = _at_least(length, progress.done)
    parts = [Text(f"{progress.done:,}{'' if length is None else f'/{length}'} products", style="cyan")]
    if not brief:
        parts.append(Text(f"{progress.rate:,.0f}/s", style="cyan"))
        parts.append(Text(f"{progress.requests:,} request{'' if progress.requests == 1 else 's'}", style="cyan"))
    if progress.failed:
        parts.append(Text(f"{progress.failed:,} failed", style="red"))
    if progress.failing_for is not None and progress.gives_up_in is not None:
        last = f"in {clock(progress.gives_up_in)}" if progress.gives_up_in >= 1 else "after these attempts"
        parts.append(Text(f"no answer for {clock(progress.failing_for)}, giving up {last}", style="bold red"))
    elif progress.waiting_for_limit:
        until = f", {clock(next_in)} left" if next_in >= 1 else ""
        parts.append(Text(f"waiting for the rate limit{until}", style="yellow"))
    elif length is not None and progress.rate > 0 and progress.done < length.products:
        parts.append(Text(f"ETA ~{clock((length.products - progress.done) / progress.rate)}", style="cyan"))
    return parts


def _at_least(length: Length | None, done: int) -> Length | None:
    return length if length is None or length.products >= done else Length(done, length.sure)


def _share(progress: SyncProgress, length: Length | None) -> str:
    if length is None or not length.products:
        return ""
    return f"{'' if length.sure else '~'}{progress.done / length.products:.0%}".rjust(5)


def _rounded(number: int) -> int:
    """To three digits: an estimate knows no more."""
    digits = len(str(number)) - 3
    return number if digits <= 0 else round(number, -digits)
