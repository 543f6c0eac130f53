"""parity: how far the small precisions drift from fp32."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.exit_codes import FAILED
from kosmoscope.cli.model_options import ModelOptions
from kosmoscope.cli.options import Format, FormatOption, Only, PrecisionName, add_commands
from kosmoscope.cli.picture_sources import STDIN, check_stdin
from kosmoscope.cli.progress import Steps
from kosmoscope.cli.render import columns
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import ImageError
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from kosmoscope.images import ImageSource
    from kosmoscope.parity import Drift, Report


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, "Inspect", parity)


def parity(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE", help="Pictures; - reads one from standard input."),
    ],
    precisions: Annotated[
        list[PrecisionName] | None,
        typer.Option(
            "--precision",
            "-p",
            metavar="int8|int4",
            help="What to compare with fp32; may be given twice. Both unless given.",
            rich_help_panel="Model",
        ),
    ] = None,
    format: FormatOption = Format.TEXT,
    model: Annotated[ModelOptions, Only("name", "threads")] = ModelOptions(),
    generation: Annotated[GenerationOptions, Only("max_new_tokens")] = GenerationOptions(64),
) -> None:
    """Measure how far int8 and int4 drift from fp32, on pictures of your own.

    The fp32 model describes each picture briefly and in detail. The other precisions are asked,
    word by word, what they would have said next. Needs the model in the hub's format.

    [bold]Example[/]

    [cyan]kosmoscope parity --model kosmos-2 *.jpg[/]
    """
    model.check()
    check_stdin(images)
    good = _readable(images)
    if not good:
        raise typer.Exit(FAILED)
    from kosmoscope.parity import compare

    name = model.chosen_name()
    comparing = f"comparing {name} with its fp32 form"
    wanted = precisions or [PrecisionName.INT8, PrecisionName.INT4]
    with Steps(comparing, comparing) as steps:
        report = compare(
            name,
            good,
            precisions=[precision.kind for precision in wanted],
            max_new_tokens=generation.max_new_tokens,
            threads=model.threads,
            progress=steps,
        )
    if format is Format.JSON:
        terminal.emit(terminal.json_line(report.to_dict()))
    else:
        of = f"{report.texts} texts about {_count(report.images, 'picture')}"
        terminal.emit_rich(f"{one_line(report.model)}, {of}", "", _table(report))
    if len(good) < len(images):
        raise typer.Exit(FAILED)


def _readable(images: list[str]) -> list[ImageSource]:
    """Return the pictures that can be read; report the others."""
    from kosmoscope.images import read_image

    good: list[ImageSource] = []
    for path in images:
        try:
            if path == STDIN:
                good.append(read_image(sys.stdin.buffer, name="<stdin>").rgb)
            else:
                read_image(path)
                good.append(path)
        except ImageError as e:
            terminal.error(str(e))
    return good


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


_ROWS: tuple[tuple[str, Callable[[Drift], str]], ...] = (
    ("choices compared", lambda d: str(d.choices)),
    ("same choice", lambda d: _share(d.agreement)),
    ("  of words and tags", lambda d: _share(d.text_agreement)),
    ("  of locations", lambda d: _share(d.location_agreement)),
    ("location within one cell", lambda d: _share(d.location_within_one)),
    ("corner drift in cells, mean", lambda d: _number(d.corner_drift_cells)),
    ("corner drift in cells, 95th percentile", lambda d: _number(d.corner_drift_p95_cells)),
    ("IoU of boxes, mean", lambda d: _number(d.box_iou)),
    ("box score, mean difference", lambda d: _number(d.score_drift)),
    ("log probability, rms difference", lambda d: _number(d.logit_error)),
    ("same text when running free", lambda d: _share(d.same_texts)),
)


def _table(report: Report) -> Table:
    from rich.text import Text

    names = ["", *(drift.precision for drift in report.drifts)]
    table = columns(*names, right=range(1, len(names)))
    for label, cell in _ROWS:
        table.add_row(label, *(Text(cell(drift)) for drift in report.drifts))
    return table


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
