"""What the bulk commands share: running to a report whatever happens, and presenting it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from .console import print_json, report_as_json, show_report
from .exits import ExitCode, code_of, explain, report_of, run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ..report import SyncReport
    from .dry_run import DryRunCost

__all__ = ["Output", "run_bulk"]


@dataclass(frozen=True, slots=True)
class Output:
    """How a bulk command presents what it did."""

    json: bool = False
    quiet: bool = False

    @property
    def silent(self) -> bool:
        return self.json or self.quiet

    def show(
        self,
        report: SyncReport | None,
        error: BaseException | None,
        title: str,
        cost: DryRunCost | None = None,
        **more: Any,
    ) -> None:
        """``more`` goes into the JSON document. ``cost`` is a dry run's."""
        if self.json:
            failed = report is None or not report.ok
            code = code_of(error) if error is not None else ExitCode.PRODUCTS_FAILED if failed else ExitCode.OK
            verdict = {"ok": code is ExitCode.OK, "exit_code": int(code), "error": error and explain(error)}
            print_json(verdict | ({} if report is None else report_as_json(report)) | more)
        elif report is not None and not (self.quiet and report.ok and error is None):
            show_report(report, title=title if error is None else f"{title} (stopped before its end)", cost=cost)


def run_bulk(
    work: Coroutine[Any, Any, SyncReport], present: Callable[[SyncReport | None, BaseException | None], None]
) -> None:
    """Run it, present the report even where the run was cut short, and exit with 1 where products failed."""
    try:
        report = run(work)
    except BaseException as error:
        present(report_of(error), error)
        raise
    present(report, None)
    if not report.ok:
        raise typer.Exit(ExitCode.PRODUCTS_FAILED)
