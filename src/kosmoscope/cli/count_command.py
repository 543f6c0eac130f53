"""count: how many there are of something in a picture."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.detail_options import DetailOptions
from kosmoscope.cli.model_options import ModelOptions, PictureOptions
from kosmoscope.cli.options import Format, FormatOption, add_commands
from kosmoscope.cli.picture_sources import STDIN, STDIN_NAME, check_stdin
from kosmoscope.errors import PromptError
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from kosmoscope.detail import Count


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, "Look at pictures", count)


def count(
    image: Annotated[
        str,
        typer.Argument(metavar="IMAGE", help="A picture's file, or - for one on standard input."),
    ],
    phrases: Annotated[
        list[str], typer.Argument(metavar="PHRASE", help='What to count, such as "houses".')
    ],
    format: FormatOption = Format.TEXT,
    closer: DetailOptions = DetailOptions(),
    pictures: PictureOptions = PictureOptions(),
    model: ModelOptions = ModelOptions(),
) -> None:
    """Count things in a picture: a number, how sure it is, and the boxes of those that are seen.

    The number may be higher than that of the boxes: of what is there, some is expected unseen, as
    measured. It may be wrong; between which numbers four of five such counts lie is said too.

    [bold]Example[/]

    [cyan]kosmoscope count street.jpg "cars" "people"[/]
    """
    detail = closer.detail("auto")
    assert detail is not None
    for phrase in phrases:
        if not phrase.strip():
            raise PromptError(f"what is to be counted is {phrase!r}; expected words")
    check_stdin([image])
    limits = pictures.limits()
    scope = model.load(limits)
    if image == STDIN:
        data = sys.stdin.buffer.read(limits.max_bytes + 1)
        found = scope.count_all(data, phrases, detail=detail, name=STDIN_NAME)
    else:
        found = scope.count_all(image, phrases, detail=detail)
    if format is Format.JSON:
        for one in found:
            terminal.emit(terminal.json_line(one.to_dict()))
        return
    terminal.emit_rich(*_counted(found))


def _counted(found: Sequence[Count]) -> list[RenderableType]:
    """Return a table with a row for each phrase, and how it went."""
    from rich.text import Text

    from kosmoscope.cli.render import columns

    table = columns("phrase", "number", "sure", "between", "boxes", right=(1, 2, 4))
    for one in found:
        sure = "-" if one.confidence is None else f"{100 * one.confidence:.0f} %"
        table.add_row(
            Text(one_line(one.phrase), "bold"),
            str(one.number),
            sure,
            f"{one.low} and {one.high}",
            str(len(one.boxes)),
        )
    image = found[0].image
    heading = Text.assemble(
        (one_line(image.path), "bold"), (f"  {image.width}x{image.height}", "dim")
    )
    return [heading, table, Text(one_line(f"{found[0].model} {found[0].precision}"), "dim")]
