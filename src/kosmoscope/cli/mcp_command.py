"""mcp: the model as tools of an assistant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kosmoscope.cli.model_options import ModelOptions, PictureOptions
from kosmoscope.cli.options import add_commands
from kosmoscope.errors import OptionError
from kosmoscope.optional import optional


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, "Serve", mcp)


def mcp(
    allow: Annotated[
        list[Path] | None,
        typer.Option(
            "--allow",
            metavar="FOLDER",
            help="Its pictures may be looked at, and those below it; can be repeated. Without it "
            "those of the working folder.",
        ),
    ] = None,
    pictures: PictureOptions = PictureOptions(),
    model: ModelOptions = ModelOptions(),
) -> None:
    """Give an assistant tools to look at pictures: a server of the Model Context Protocol.

    It speaks over standard input and output, and is started by the assistant, not by hand:
    docs/mcp.md.

    [bold]Example[/]

    [cyan]kosmoscope mcp --allow ~/Pictures[/]
    """
    optional("mcp", "mcp")
    model.check()
    limits = pictures.limits()
    from kosmoscope.mcp import Folders, serve

    here = Path.cwd()
    if not allow and here == Path(here.anchor):
        raise OptionError(f"{here} holds everything; expected --allow with a folder")
    quiet = model.quietly(True)
    serve(lambda: quiet.load(limits), Folders(allow or [here]))
