"""``neuroon check``: what a sync of a file would send, and what is wrong and where. Sends nothing."""

# Annotations are read by typer at run time, so they are not postponed here.

from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ...catalogs import Catalog, CheckReport, Finding, NothingUsable, check_catalog, read_catalog
from ...catalogs.first_contact import kind_of
from ...catalogs.fixing import FixedCopy
from ...errors import ConfigurationError
from ..console import clean, note, out, print_json
from ..exits import ExitCode, exit_codes
from ..findings import as_github, as_junit
from ..groups import with_groups
from ..options import FileReading
from ..reading import standard_input

__all__ = ["check"]

_MOST_SHOWN = 20
"""Reasons on the screen."""
_OF_ONE_REASON = 3


class OutputKind(StrEnum):
    """How the findings are printed."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"


@with_groups
def check(
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The catalog; - reads standard input. May be gzipped.")],
    reading: FileReading,
    output: Annotated[OutputKind, typer.Option(help="text; json, junit or github for pipelines.")] = OutputKind.TEXT,
    write_fixed: Annotated[
        Path | None,
        typer.Option(
            help="Write what would be sent to this file, as JSON Lines with texts cut where they are too long, and the "
            "list of changes beside it. Products that lack a value are in neither.",
            dir_okay=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Check a catalog: what would be sent, what is wrong and where. Sends nothing, and needs no API key."""
    with exit_codes(debug=debug):
        options = reading.options()
        options["fit"] = reading.fit or write_fixed is not None
        catalog = read_catalog(standard_input() if file == "-" else file, **options)
        report, copy = _checked(catalog, file, write_fixed)
        _SHOWN[output](file, catalog, report, copy)
        if report.fault is not None and not isinstance(report.fault, NothingUsable):
            raise report.fault
        if not report.ok:
            raise typer.Exit(ExitCode.PRODUCTS_FAILED)


def _checked(catalog: Catalog, file: str, write_fixed: Path | None) -> tuple[CheckReport, FixedCopy | None]:
    if write_fixed is None:
        return check_catalog(catalog), None
    if file != "-" and write_fixed.exists() and write_fixed.samefile(file):
        raise ConfigurationError(f"--write-fixed {write_fixed} is the file being checked; name another one")
    with ExitStack() as stack:
        copy = stack.enter_context(FixedCopy(write_fixed))
        catalog.on_change = copy.note
        return check_catalog(catalog, on_product=copy.write), copy


def _exit_code(report: CheckReport) -> ExitCode:
    if report.fault is not None and not isinstance(report.fault, NothingUsable):
        return ExitCode.FILE
    return ExitCode.OK if report.ok else ExitCode.PRODUCTS_FAILED


def _show_text(file: str, catalog: Catalog, report: CheckReport, copy: FixedCopy | None) -> None:
    screen = out()
    kind = f"{catalog.format}, {catalog.encoding}" if catalog.encoding else str(catalog.format)
    screen.print(f"{clean(Path(file).name)} ({kind}): {report.products:,} products would be sent")
    for severity in ("error", "warning"):
        count = report.errors if severity == "error" else report.warnings
        if count:
            screen.print(f"{count:,} {severity}{'' if count == 1 else 's'}:")
            for line in _lines([finding for finding in report.findings if finding.severity == severity], count):
                screen.print(f"  {clean(line)}", soft_wrap=True)
    if catalog.ignored_fields:
        note(f"not used: {', '.join(list(catalog.ignored_fields)[:12])} (--map attributes.NAME=FIELD keeps a field)")
    if copy is not None:
        until = "" if report.fault is None else ", which ends where the reading did"
        note(f"{copy.products:,} products are in {copy.path}{until}, {copy.changes:,} changes in {copy.changes_path}")
    if isinstance(report.fault, NothingUsable):
        note(str(report.fault))


def _lines(findings: list[Finding], count: int) -> Iterator[str]:
    """The first findings of each reason; what differs in their values only is one reason."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(kind_of(finding.message), []).append(finding)
    for group in list(groups.values())[:_MOST_SHOWN]:
        yield from map(_line, group[:_OF_ONE_REASON])
        if len(group) > _OF_ONE_REASON:
            yield f"… and {len(group) - _OF_ONE_REASON:,} more for this reason"
    hidden = sum(len(group) for group in list(groups.values())[_MOST_SHOWN:]) + count - len(findings)
    if hidden:
        yield f"… and {hidden:,} more (--output json lists the first 1,000)"


def _line(finding: Finding) -> str:
    parts = (finding.where, finding.external_id and f"[{finding.external_id}]", finding.message)
    return " ".join(part for part in parts if part)


def _show_json(file: str, catalog: Catalog, report: CheckReport, copy: FixedCopy | None) -> None:
    code = _exit_code(report)
    document: dict[str, Any] = {
        "ok": report.ok,
        "exit_code": int(code),
        "error": None if report.fault is None else str(report.fault),
        "file": file,
        "format": str(catalog.format),
        "encoding": catalog.encoding,
        "records": catalog.records,
        "products": report.products,
        "errors": report.errors,
        "warnings": report.warnings,
        "findings": [
            {"severity": f.severity, "where": f.where, "external_id": f.external_id, "message": f.message}
            for f in report.findings
        ],
        "ignored_fields": catalog.ignored_fields,
    }
    if copy is not None:
        document |= {"fixed": str(copy.path), "changes": str(copy.changes_path), "changed": copy.changes}
    print_json(document)


def _show_junit(file: str, catalog: Catalog, report: CheckReport, copy: FixedCopy | None) -> None:  # noqa: ARG001
    typer.echo(as_junit(file, report))


def _show_github(file: str, catalog: Catalog, report: CheckReport, copy: FixedCopy | None) -> None:  # noqa: ARG001
    for line in as_github(file, report):
        typer.echo(line)


_SHOWN = {
    OutputKind.TEXT: _show_text,
    OutputKind.JSON: _show_json,
    OutputKind.JUNIT: _show_junit,
    OutputKind.GITHUB: _show_github,
}
