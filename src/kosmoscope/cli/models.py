"""pull, convert and models: the commands that bring models onto this machine and list them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import options as o
from kosmoscope.cli import terminal
from kosmoscope.cli.options import Format, PrecisionName, help_text
from kosmoscope.cli.progress import Download, Steps
from kosmoscope.cli.render import columns, size_text
from kosmoscope.errors import OptionError
from kosmoscope.model import paths

if TYPE_CHECKING:
    from rich.table import Table

_PANEL = "Manage models"
_NONE = "none"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (pull, convert, models):
        app.command(rich_help_panel=_PANEL, help=help_text(command))(command)


def pull(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="kosmos-2, or org/name on the Hugging Face hub.")
    ],
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            metavar="TEXT",
            help="A branch, tag or commit; the main branch unless given.",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            "-p",
            metavar="int8|int4|fp32|none",
            help="What to convert it to, so that the first use is fast; none only downloads.",
        ),
    ] = PrecisionName.INT8.value,
) -> None:
    """Download a model and convert it; prints the folder, which --model takes.

    An interrupted download goes on where it stopped when the command is run again. HF_HOME says
    where downloads lie, KOSMOSCOPE_HOME where conversions lie, HF_TOKEN opens what is private.

    [bold]Example[/]

    [cyan]kosmoscope pull kosmos-2[/]
    """
    if precision not in (*PrecisionName, _NONE):
        raise OptionError(f"--precision {precision!r}: expected int8, int4, fp32 or none")
    from kosmoscope.model import hub

    if paths.packaged(name) is not None:
        terminal.note(f"{name} ships with kosmoscope: nothing to download")
    try:
        with Download(name) as download:
            folder = hub.pull(name, revision=revision, progress=download)
    except KeyboardInterrupt:
        terminal.note(f"interrupted; `kosmoscope pull {name}` goes on where it stopped")
        raise
    if precision == _NONE:
        terminal.emit(terminal.path_text(folder))
        return
    from kosmoscope.model.convert import ensure_converted

    called = paths.display_name(name)
    with Steps(f"looking at {called}", f"converting {called} to {precision}") as steps:
        kind = PrecisionName(precision).kind
        converted = ensure_converted(folder, kind, name=called, progress=steps)
    terminal.emit(terminal.path_text(converted.folder))


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="A folder in the hub's format (safetensors), or a model's name."
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="DST", help="The folder to make.")],
    precision: Annotated[
        PrecisionName,
        typer.Option(
            "--precision",
            "-p",
            metavar="fp32|int8|int4",
            help="How the weights are kept: fp32 is exact, int4 is the smallest.",
        ),
    ] = PrecisionName.INT8,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="TEXT",
            help="What results call the model; the source's name unless given.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace DST if it is a converted model already."),
    ] = False,
) -> None:
    """Convert a checkpoint into a folder of its own; prints the folder, which --model takes.

    The folder can be moved, copied to other machines and served read-only. For everyday use this
    is not needed: a model is converted into the cache when it is first used.

    [bold]Example[/]

    [cyan]kosmoscope convert kosmos-2 /srv/models/kosmos-2-int4 --precision int4[/]
    """
    folder = paths.resolve(source)
    if paths.is_converted(folder):
        raise OptionError(f"{folder}: converted already; give the folder it was made from")
    place = Path(target).expanduser()
    from kosmoscope.model.convert import convert as run

    is_name = folder != Path(source).expanduser()
    called = name or (paths.display_name(source) if is_name else folder.resolve().name)
    with Steps(f"looking at {called}", f"converting {called} to {precision}") as steps:
        run(folder, place, precision.kind, name=called, overwrite=overwrite, progress=steps)
    terminal.emit(terminal.path_text(place))


def models(format: o.FormatOption = Format.TEXT) -> None:
    """List the models on this machine: shipped, downloaded and converted."""
    found = paths.installed()
    if format is Format.JSON:
        for model in found:
            terminal.emit(terminal.json_line(model_dict(model)))
        return
    terminal.emit_rich(models_table(found))
    for alias in paths.ALIASES:
        if paths.cached(alias) is None:
            terminal.note(f"{alias} is not on this machine; `kosmoscope pull {alias}` gets it")


def model_dict(model: paths.InstalledModel) -> dict[str, str | int | None]:
    """Return a model as plain values for JSON."""
    return {
        "name": model.name,
        "kind": model.kind,
        "precision": model.precision,
        "size_bytes": model.size_bytes,
        "detail": model.detail,
        "path": str(model.path),
    }


def models_table(found: tuple[paths.InstalledModel, ...]) -> Table:
    """Return a table of models."""
    from rich.text import Text

    table = columns("name", "kind", "precision", "size", "detail", "folder", right=(3,))
    for model in found:
        cells = (model.name, model.kind, model.precision or "-", size_text(model.size_bytes))
        detail, folder = model.detail, str(model.path)
        table.add_row(
            Text(terminal.printable(cells[0]), "bold"),
            *(Text(terminal.printable(cell)) for cell in (*cells[1:], detail)),
            Text(terminal.printable(folder), "dim"),
        )
    return table
