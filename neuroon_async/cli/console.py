"""What the command prints: reports and failures. Results go to stdout, everything else to stderr.

Text from files and servers is printed as text: never as markup, never as control sequences.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..api.contract import DOCUMENTED_RATE_LIMITS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from ..report import ProductFailure, SyncReport
    from .dry_run import DryRunCost

    _Line = tuple[str, str, str, str]
    """Label, value, remark, and the value's style."""

__all__ = [
    "clean",
    "clock",
    "complain",
    "confirmed",
    "err",
    "note",
    "out",
    "print_json",
    "print_pairs",
    "recorded",
    "report_as_json",
    "show_report",
]

MAX_SHOWN_REASONS = 20
PIPED_WIDTH = 160
"""Columns where there is no terminal: wide enough that lines can be searched."""
_PLACE = re.compile(r"^[^:]*:(?:[a-z]+ )?\d+: | \[request [^\]]*\]$")
"""What sets apart two failures for the same reason: the place in the file, and the request."""

_RECORDER: ContextVar[Console | None] = ContextVar("recorder", default=None)


def out() -> Console:
    """Stdout, as it is now."""
    return _RECORDER.get() or _console(stderr=False)


@contextmanager
def recorded(columns: int) -> Generator[Console, None, None]:
    """Stdout that also keeps what is printed on it meanwhile, at a width that depends on no terminal."""
    console = Console(record=True, width=columns, highlight=False, markup=False, emoji=False)
    token = _RECORDER.set(console)
    try:
        yield console
    finally:
        _RECORDER.reset(token)


def err() -> Console:
    """Stderr, as it is now."""
    return _console(stderr=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Drop what nobody reads any more. That is no failure of the work: its exit code stays what it is."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def clean(text: object) -> str:
    """One line without control characters: foreign text must not steer the terminal."""
    line = " ".join(str(text).split())
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def complain(problem: str) -> None:
    """The one red line of an error."""
    err().print(Text(f"error: {clean(problem)}", style="bold red"), soft_wrap=True)


def note(text: str) -> None:
    """A remark on stderr."""
    err().print(Text(clean(text), style="yellow"), soft_wrap=True)


def confirmed(question: str) -> bool:
    """Ask on stderr. No answer is a no."""
    err().print(Text(f"{clean(question)} [y/N] ", style="yellow"), end="", soft_wrap=True)
    stdin: IO[str] | None = sys.stdin  # None where it is closed
    return stdin is not None and stdin.readline().strip().lower() in {"y", "yes"}


def print_json(document: dict[str, Any]) -> None:
    """The document on stdout, in ASCII: any consumer can read it."""
    out().out(json.dumps(document, indent=2), highlight=False)


def report_as_json(report: SyncReport) -> dict[str, Any]:
    """The report's fields by their Python names, and the failures without the products themselves."""
    names = (
        "received accepted created updated unchanged superseded failed unsent deleted requests retries throttled "
        "products_count remaining_products"
    )
    return {
        **{name: getattr(report, name) for name in names.split()},
        "elapsed": round(report.elapsed, 3),
        "waited": round(report.waited, 3),
        "failures": [
            {"external_id": f.external_id, "reason": f.reason, "stage": f.stage, "status": f.status, "unsent": f.unsent}
            for f in report.failures
        ],
    }


def show_report(report: SyncReport, *, title: str, cost: DryRunCost | None = None) -> None:
    """The report as aligned lines, and a table of the failures, those of one reason together.

    ``cost``: what the requests of a dry run would take. The report then says what a real run would do.
    """
    console = out()
    console.print(Text(title, style="bold"))
    lines = list(_report_lines(report) if cost is None else _plan_lines(report, cost))
    width = max(len(value) for _, value, _, _ in lines)
    for label, value, remark, style in lines:
        line = Text.assemble((f"  {label:<11}", "cyan"), (f"{value:>{width}}", style))
        if remark:
            line.append(f"  {remark}", style="dim")
        console.print(line, soft_wrap=True)
    if any(not failure.unsent for failure in report.failures):
        _show_failures(console, report)


def _report_lines(report: SyncReport) -> Iterator[_Line]:
    yield "received", f"{report.received:,}", "", ""
    changes = [f"{n:,} {word}" for n, word in ((report.created, "created"), (report.updated, "updated")) if n]
    if report.deleted and report.deleted == report.accepted:
        yield "deleted", f"{report.deleted:,}", "", "green"
    else:
        yield "accepted", f"{report.accepted:,}", ", ".join(changes), "green" if report.accepted else ""
        if report.deleted:
            yield "deleted", f"{report.deleted:,}", "no longer in the source", ""
    yield from _shared_lines(report, "was")
    costs = [f"{report.retries:,} {'retry' if report.retries == 1 else 'retries'}"] if report.retries else []
    if report.waited >= 0.05:
        costs.append(f"{report.waited:.1f} s of waiting for the rate limit, over all requests")
    yield "requests", f"{report.requests:,}", ", ".join(costs), ""
    done = report.accepted + report.unchanged + report.superseded + report.failed
    speed = f"{done / report.elapsed:,.0f} products/s" if report.elapsed > 0 and done else ""
    yield "time", f"{report.elapsed:.1f} s", speed, ""
    if report.products_count is not None:
        room = "" if report.remaining_products is None else f"the plan has room for {report.remaining_products:,} more"
        if report.deleted:  # the last answer that told the size came before them
            room = f"before the deletions{'; ' if room else ''}{room}"
        yield "catalog", f"{report.products_count:,}", room, "bold red" if report.quota_exhausted else ""


def _plan_lines(report: SyncReport, cost: DryRunCost) -> Iterator[_Line]:
    yield "received", f"{report.received:,}", "", ""
    size = f"{cost.bytes:,} bytes" if cost.bytes < 100_000 else f"{cost.bytes / 1_000_000:,.1f} MB"
    yield "to send", f"{report.accepted:,}", size if cost.bytes else "", "green" if report.accepted else ""
    if report.deleted:
        yield "to delete", f"{report.deleted:,}", "no longer in the source", ""
    yield from _shared_lines(report, "would be")
    parts = [(cost.sync_requests, "to sync"), (cost.delete_requests, "to delete, one product each")]
    yield "requests", f"{report.requests:,}", " and ".join(f"{count:,} {what}" for count, what in parts if count), ""
    if cost.requests:
        yield "takes", _duration(cost.seconds), f"or longer: {_limits_of(cost)}", ""


def _shared_lines(report: SyncReport, was: str) -> Iterator[_Line]:
    if report.unchanged:
        yield "unchanged", f"{report.unchanged:,}", f"as last sent, so no request {was} needed", ""
    if report.superseded:
        yield "superseded", f"{report.superseded:,}", f"a later version of the same id {was} sent instead", ""
    failed = report.failed - report.unsent
    yield "failed", f"{failed:,}", "", "bold red" if failed else ""
    if report.unsent:
        yield "unsent", f"{report.unsent:,}", "never part of a request", "yellow"


def _limits_of(cost: DryRunCost) -> str:
    limits = {DOCUMENTED_RATE_LIMITS[name]: None for name in cost.requests}
    rules = " and ".join(f"{limit.requests} requests in {limit.per:g} s" for limit in limits)
    return f"the limit is {rules}{' each' if len(cost.requests) > 1 else ''}"


def _show_failures(console: Console, report: SyncReport) -> None:
    console.print()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="bold", show_edge=False)
    table.add_column("  Failed", overflow="fold", max_width=32)
    table.add_column("Reason", overflow="fold")
    table.add_column("Stage", no_wrap=True)
    alike: dict[tuple[str, str], list[ProductFailure]] = {}
    for failure in (each for each in report.failures if not each.unsent):
        alike.setdefault((_PLACE.sub("", failure.reason), _stage(failure)), []).append(failure)
    shown = 0
    for (_, stage), failures in list(alike.items())[:MAX_SHOWN_REASONS]:
        first = failures[0]
        others = f"\n  and {len(failures) - 1:,} more" if len(failures) > 1 else ""
        table.add_row(f"  {clean(first.external_id or '(no id)')}{others}", clean(first.reason), stage)
        shown += len(failures)
    console.print(table)
    not_shown = report.failed - report.unsent - shown
    if not_shown > 0:
        console.print(Text(f"  … and {not_shown:,} other failures", style="dim"))


def _stage(failure: ProductFailure) -> str:
    return failure.stage if failure.status in {None, 200} else f"{failure.stage} {failure.status}"


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{clock(seconds)} {'h' if seconds >= 3600 else 'min'}"


def clock(seconds: float) -> str:
    """``1:05``, or ``2:01:05`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def print_pairs(*pairs: tuple[str, object]) -> None:
    """``label  value`` lines; values that the server did not send are left out."""
    known = [(label, value) for label, value in pairs if value is not None]
    width = max((len(label) for label, _ in known), default=0)
    for label, value in known:
        text = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        shown = f"{text:,}" if isinstance(text, int) else clean(text)
        out().print(f"{label:<{width}}  {shown}", soft_wrap=True)
