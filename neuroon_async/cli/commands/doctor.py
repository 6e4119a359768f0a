"""``neuroon doctor``: what stands between this machine and the API, with the user's own key, and changing nothing."""

# Annotations are read by typer at run time, so they are not postponed here.

import os
import warnings
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ...advice import Advice
from ...api.contract import Environment
from ...diagnosis.findings import Cause, Finding, Verdict, diagnose
from ...diagnosis.observations import Exchange, Observations
from ...diagnosis.probing import Access, examine
from ...diagnosis.readings import NOT_ASKED, Reading, read
from ...diagnosis.support import support_block
from ...settings import Secret
from ..console import clean, out, print_json
from ..exits import ExitCode, as_option, exit_codes, run
from ..groups import with_groups
from ..options import Credentials, Debug, Json, Network

__all__ = ["doctor"]

_SIGNS = {Verdict.GOOD: ("✓", "+", "green"), Verdict.NOTE: ("!", "!", "yellow"), Verdict.BAD: ("✗", "x", "bold red")}
"""For each verdict: its sign, the sign in an encoding that lacks it, and its colour."""


@with_groups
def doctor(
    *,
    credentials: Credentials,
    network: Network,
    timeout: Annotated[
        float,
        typer.Option(min=0.1, max=120.0, help="Seconds for each step and each request.", rich_help_panel="Access"),
    ] = 15.0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find out why it does not work: name, TLS, clock, key, shop, limits. Changes nothing.

    It makes at most ten requests, a tenth of what each limit allows, and ends with a block for the vendor's support.
    """
    with exit_codes(debug=debug):
        access = Access(
            base_url=(credentials.api_url or Environment.PRODUCTION).strip().rstrip("/"),
            shop_id=credentials.shop_id or None,
            api_key=Secret(credentials.api_key) if credentials.api_key else None,
            proxy=network.proxy,
            ca_file=network.ca_file,
            allow_plain_http=network.allow_plain_http,
            timeout=timeout,
            environ=os.environ,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say of the key is among the findings
            seen = run(examine(access))
        findings = diagnose(seen)
        code = _code_of(findings)
        if as_json:
            print_json(_as_json(seen, findings, code))
        else:
            _show(seen, findings)
        if code is not ExitCode.OK:
            raise typer.Exit(code)


def _code_of(findings: Iterable[Finding]) -> ExitCode:
    """As the other commands: 2 where the settings are wrong, 3 where the server or the way to it is."""
    causes = {finding.cause for finding in findings if finding.verdict is Verdict.BAD}
    if Cause.SETTINGS in causes:
        return ExitCode.USAGE
    return ExitCode.STOPPED if causes else ExitCode.OK


def _worded(advice: Advice | None) -> str | None:
    return None if advice is None else advice.naming(as_option)


def _as_json(seen: Observations, findings: list[Finding], code: ExitCode) -> dict[str, Any]:
    return {
        "ok": code is ExitCode.OK,
        "exit_code": int(code),
        "address": seen.setup.base_url,
        "shop_id": seen.setup.shop_id or None,
        "findings": [
            {"topic": f.topic, "verdict": str(f.verdict), "what": f.what, "advice": _worded(f.advice)} for f in findings
        ],
        "readings": [{"point": r.point, "seen": r.seen, "documented": r.documented} for r in read(seen)],
        "not_asked": NOT_ASKED,
        "requests": [_request_as_json(exchange) for exchange in seen.exchanges.values()],
        "support": support_block(seen),
    }


def _request_as_json(exchange: Exchange) -> dict[str, Any]:
    return {
        "method": exchange.endpoint.method,
        "url": exchange.url,
        "status": exchange.status,
        "seconds": round(exchange.seconds, 3),
    }


def _show(seen: Observations, findings: list[Finding]) -> None:
    console = out()
    plain = not _can_write("✓→")
    console.print(Text(f"neuroon doctor: {clean(seen.setup.base_url)}\n", style="bold"), soft_wrap=True)
    console.print(_table_of(findings, plain=plain))
    readings = read(seen)
    if readings:
        console.print(Text("\nWhere the vendor's pages disagree or are silent, this server", style="bold"))
        console.print(_points(readings))
        console.print(Text(f"\nNot asked, for reading cannot tell: {'; '.join(NOT_ASKED)}.", style="dim"))
    console.print(Text("\nFor a support request (the API key is not in it)\n", style="bold"))
    console.print(Text("\n".join(clean_lines(support_block(seen)))), soft_wrap=True)
    bad, notes = (sum(f.verdict is verdict for f in findings) for verdict in (Verdict.BAD, Verdict.NOTE))
    told = "All is well." if not bad else f"{bad} {'problem' if bad == 1 else 'problems'}."
    told += f" {notes} {'thing is' if notes == 1 else 'things are'} worth a look." if notes else ""
    console.print(Text(f"\n{told}", style="bold red" if bad else "bold green"))


def clean_lines(text: str) -> list[str]:
    """Lines as they are, but for control characters; the first word's place tells which belong together."""
    return [line[: len(line) - len(line.lstrip())] + clean(line) for line in text.split("\n")]


def _can_write(text: str) -> bool:
    try:
        text.encode(out().encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _table_of(findings: list[Finding], *, plain: bool) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        sign, ascii_sign, style = _SIGNS[finding.verdict]
        table.add_row(
            Text(f"  {ascii_sign if plain else sign}", style=style),
            Text(finding.topic, style="cyan"),
            clean(finding.what),
        )
        advice = _worded(finding.advice)
        if advice is not None:
            table.add_row("", "", Text(f"{'->' if plain else '→'} {clean(advice)}", style=style))
    return table


def _points(readings: list[Reading]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for reading in readings:
        table.add_row(Text(f"    {reading.point}", style="cyan"), clean(reading.seen))
    return table
