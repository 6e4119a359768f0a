"""Registers the commands. Each is a file of its own in `commands`; none of them imports this one."""

# Annotations are read by typer at run time, so they are not postponed here.

from typing import Annotated

import typer

from ..settings import package_version
from .commands.check import check
from .commands.delete import delete
from .commands.demo import demo
from .commands.doctor import doctor
from .commands.ledger import ledger_app
from .commands.markets import markets
from .commands.sandbox import sandbox
from .commands.shop import shop
from .commands.sync import sync
from .commands.token import token
from .commands.verify import verify
from .console import out
from .exits import EXIT_CODES_HELP
from .switches import Command, Group

__all__ = ["app"]

app: typer.Typer = typer.Typer(
    name="neuroon",
    cls=Group,
    rich_markup_mode="rich",  # the default of newer versions only
    help="Neuroon's Plugin API from the command line: sync a shop's catalog, verify its domain, sign widget tokens.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        out().print(f"neuroon-async {package_version()}")
        raise typer.Exit


@app.callback()
def neuroon(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Neuroon's Plugin API from the command line: sync a shop's catalog, verify its domain, sign widget tokens."""


app.command(cls=Command)(demo)
for _command in (sync, check, doctor, markets, delete):
    app.command(cls=Command, epilog=EXIT_CODES_HELP)(_command)
app.add_typer(ledger_app)
for _command in (shop, verify, token, sandbox):
    app.command(cls=Command)(_command)
