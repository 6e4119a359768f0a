"""Options in groups: a dataclass in a command's signature is an option for each of its fields."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from neuroon_async.cli.app import app
from neuroon_async.cli.groups import with_groups


@dataclass(frozen=True)
class Colour:
    name: Annotated[str | None, typer.Option("--colour", "-c", envvar="COLOUR", help="Which one.")] = None
    shades: Annotated[list[str] | None, typer.Option()] = None
    bright: Annotated[bool, typer.Option("--bright")] = False


def ran(*arguments, **environment):
    taken = []
    made = typer.Typer()

    @made.command()
    @with_groups
    def paint(
        *,
        what: Annotated[str, typer.Argument(metavar="WHAT")],
        colour: Colour,
        coats: Annotated[int, typer.Option(min=1)] = 1,
    ) -> None:
        """Paint it."""
        taken.append((what, colour, coats))

    result = CliRunner().invoke(made, arguments, env=environment)
    return taken, result


def test_the_command_gets_its_group_filled():
    assert ran("door")[0] == [("door", Colour(), 1)]
    given = ran("--coats", "2", "-c", "red", "--shades", "dark", "--shades", "light", "--bright", "door")[0]
    assert given == [("door", Colour("red", ["dark", "light"], bright=True), 2)]
    assert ran("door", COLOUR="blue")[0] == [("door", Colour("blue"), 1)]


def test_help_shows_each_field_as_an_option():
    text = ran("--help")[1].output
    assert "Paint it." in text
    assert text.index("WHAT") < text.index("--colour") < text.index("--bright") < text.index("--coats")
    assert "Which one." in text
    assert ran("--colours", "red", "door")[1].exit_code == 2


def test_commands_that_reach_the_server_have_the_same_options():
    """Whatever one of them can be told of the key and the network, the others can be told too."""
    command = typer.main.get_command(app)
    access = {
        name: {option for param in made.params for option in param.opts if option.startswith("--")}
        & {"--api-url", "--shop-id", "--api-key", "--ca-file", "--proxy", "--allow-plain-http"}
        for name, made in command.commands.items()
    }
    assert access["sync"] == access["delete"] == access["shop"] == access["verify"] == access["doctor"]
    assert len(access["sync"]) == 6
    assert access["markets"] == {"--api-url", "--ca-file", "--proxy", "--allow-plain-http"}
    assert access["token"] == {"--api-url", "--shop-id", "--api-key"}


def test_check_reads_files_with_the_options_of_sync():
    command = typer.main.get_command(app)
    sync, check = ({tuple(param.opts) for param in command.commands[name].params} for name in ("sync", "check"))
    own = {("--output",), ("--write-fixed",)}
    assert check - own <= sync
    assert {("--format", "-f"), ("--map", "-m"), ("--keep-going",), ("--list",)} <= check
