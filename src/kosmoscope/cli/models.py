"""pull, convert and models: the commands that bring models onto this machine and list them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import options as o
from kosmoscope.cli import terminal
from kosmoscope.cli.options import Format, help_text
from kosmoscope.cli.progress import Download, Steps
from kosmoscope.cli.render import columns, size_text
from kosmoscope.errors import OptionError
from kosmoscope.kinds import KINDS
from kosmoscope.store.convert import convert as run_convert
from kosmoscope.store.convert import ensure_converted
from kosmoscope.store.installed import (
    InstalledModel,
    cached,
    display_name,
    installed,
    known_name,
    packaged,
    resolve,
)
from kosmoscope.store.kind import kind_of
from kosmoscope.store.manifest import is_converted

if TYPE_CHECKING:
    from rich.table import Table

_PANEL = "Manage models"
_NONE = "none"
_PUBLISHED = "kosmos-2"
"""The model that `verify` knows published results of."""
_KNOWN = ", ".join(alias for kind in KINDS for alias in kind.aliases)
_DEFAULTS = "; ".join(
    f"{precision} for {', '.join(kind.title for kind in KINDS if kind.default == precision)}"
    for precision in dict.fromkeys(kind.default for kind in KINDS)
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (pull, convert, models):
        app.command(rich_help_panel=_PANEL, help=help_text(command))(command)


def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help=f"{_KNOWN}; or org/name on the Hugging Face hub, of these kinds."
        ),
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
        str | None,
        typer.Option(
            "--precision",
            "-p",
            metavar="int8|int4|fp32|none",
            help="What to convert it to, so that the first use is fast; none only downloads. "
            f"Unless given, {_DEFAULTS}.",
        ),
    ] = None,
) -> None:
    """Download a model and convert it; prints the folder, which --model (or --segmenter) takes.

    An interrupted download goes on where it stopped when the command is run again. HF_HOME says
    where downloads lie, KOSMOSCOPE_HOME where conversions lie, HF_TOKEN opens what is private.

    [bold]Example[/]

    [cyan]kosmoscope pull kosmos-2[/]
    """
    if precision not in (None, _NONE):  # before gigabytes come
        kind = known_name(name, KINDS)
        known = kind.precisions if kind else [p for k in KINDS for p in k.precisions]
        if precision not in known:
            expected = ", ".join((*dict.fromkeys(known), _NONE))
            raise OptionError(f"--precision {precision!r}: expected one of {expected}")
    from kosmoscope.store import hub

    if packaged(name, KINDS) is not None:
        terminal.note(f"{name} ships with kosmoscope: nothing to download")
    try:
        with Download(name) as download:
            folder = hub.pull(name, KINDS, revision=revision, progress=download)
    except KeyboardInterrupt:
        terminal.note(f"interrupted; `kosmoscope pull {name}` goes on where it stopped")
        raise
    kind, called = kind_of(folder, KINDS), display_name(name, KINDS)
    if precision == _NONE:
        terminal.emit(terminal.path_text(folder))
        _offer_proof(called)
        return
    wanted = precision or kind.default
    with Steps(f"looking at {called}", f"converting {called} to {wanted}") as steps:
        converted = ensure_converted(kind, folder, wanted, name=called, progress=steps)
    terminal.emit(terminal.path_text(converted.folder))
    _offer_proof(called)


def _offer_proof(name: str) -> None:
    """Name the command that compares the model with what was published of it."""
    if name == _PUBLISHED:
        terminal.note(f"`kosmoscope verify {name}` compares it with published results")


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="A folder in the hub's format (safetensors), or a model's name."
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="DST", help="The folder to make.")],
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            "-p",
            metavar="fp32|int8|int4",
            help="How the weights are kept: fp32 is exact, int4 is the smallest. Unless given, "
            f"{_DEFAULTS}.",
        ),
    ] = None,
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
    """Convert a checkpoint into a folder of its own; prints it, for --model (or --segmenter).

    The folder can be moved, copied to other machines and served read-only. For everyday use this
    is not needed: a model is converted into the cache when it is first used.

    [bold]Example[/]

    [cyan]kosmoscope convert kosmos-2 /srv/models/kosmos-2-int4 --precision int4[/]
    """
    found = resolve(source, KINDS)
    if is_converted(found.folder):
        raise OptionError(f"{found.folder}: converted already; give the folder it was made from")
    kind, place = kind_of(found.folder, KINDS), Path(target).expanduser()
    called, wanted = name or found.name, precision or kind.default
    with Steps(f"looking at {called}", f"converting {called} to {wanted}") as steps:
        run_convert(
            kind, found.folder, place, wanted, name=called, overwrite=overwrite, progress=steps
        )
    terminal.emit(terminal.path_text(place))


def models(format: o.FormatOption = Format.TEXT) -> None:
    """List the models on this machine: shipped, downloaded and converted."""
    found = installed(KINDS)
    if format is Format.JSON:
        for model in found:
            terminal.emit(terminal.json_line(model_dict(model)))
        return
    terminal.emit_rich(models_table(found))
    for kind in KINDS:
        for name in dict.fromkeys(display_name(alias, KINDS) for alias in kind.aliases):
            if cached(name, KINDS) is None:
                what = f"{name} ({kind.title})"
                terminal.note(f"{what} is not on this machine; `kosmoscope pull {name}` gets it")


def model_dict(model: InstalledModel) -> dict[str, str | int | None]:
    """Return a model as plain values for JSON."""
    return {
        "name": model.name,
        "kind": model.kind,
        "where": model.where,
        "precision": model.precision,
        "size_bytes": model.size_bytes,
        "detail": model.detail,
        "path": str(model.path),
    }


def models_table(found: tuple[InstalledModel, ...]) -> Table:
    """Return a table of models."""
    from rich.text import Text

    table = columns("name", "kind", "where", "precision", "size", "detail", "folder", right=(4,))
    for model in found:
        cells = (
            model.kind or "-", model.where, model.precision or "-", size_text(model.size_bytes),
            model.detail,
        )  # fmt: skip
        table.add_row(
            Text(terminal.printable(model.name), "bold"),
            *(Text(terminal.printable(cell)) for cell in cells),
            Text(terminal.printable(str(model.path)), "dim"),
        )
    return table
