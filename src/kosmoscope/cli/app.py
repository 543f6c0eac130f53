"""The program: its commands, and the page that `kosmoscope --help` shows."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from kosmoscope._version import __version__
from kosmoscope.cli import (
    count_command,
    describe_command,
    evaluate_command,
    info,
    mcp_command,
    models,
    parity_command,
    question_commands,
    search_commands,
    segment_command,
    serve_command,
    stack_command,
    terminal,
    use_results,
    verify_command,
)
from kosmoscope.cli.exit_codes import Commands
from kosmoscope.cli.options import help_text

app = typer.Typer(
    name="kosmoscope",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def kosmoscope(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Kosmos-2 on an ordinary CPU: captions whose phrases are linked to boxes in the picture.

    Results go to standard output, messages to standard error. The exit status is 0 if all went
    well, 1 if a picture or a model failed, 2 for a wrong call.
    """
    if version:
        terminal.emit(f"kosmoscope {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        # A call without a command is a mistake, so what it prints is a message, not a result.
        with redirect_stdout(sys.stderr):
            print(ctx.get_help(), end="")  # noqa: T201
        raise typer.Exit(2)


app.callback(invoke_without_command=True, help=help_text(kosmoscope))(kosmoscope)
for group in (
    describe_command,
    question_commands,
    count_command,
    segment_command,
    stack_command,
    use_results,
    search_commands,
    models,
    info,
    verify_command,
    parity_command,
    evaluate_command,
    serve_command,
    mcp_command,
):
    group.register(app)
