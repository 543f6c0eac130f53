"""`export`: results in another program's format."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.exit_codes import FAILED
from kosmoscope.cli.result_options import (
    STDIO,
    ImagesOption,
    MergeBoxesOption,
    MinScoreOption,
    Results,
    check_thresholds,
    read,
    tell_problems,
)
from kosmoscope.errors import OptionError
from kosmoscope.export import FORMATS, Pictures, formats
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmoscope.export import Format, Report, Vocabulary


def export(
    results: Results,
    to: Annotated[str, typer.Option("--to", metavar="|".join(formats()), help="The format.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The file or folder to write, - for a file on standard output; "
            "RESULTS/export-FORMAT unless given. Folders: "
            f"{', '.join(name for name in formats() if not FORMATS.get(name).suffix)}.",
        ),
    ] = None,
    images: ImagesOption = None,
    vocabulary: Annotated[
        str,
        typer.Option(
            "--vocabulary",
            metavar="phrases|heads|FILE",
            help="What becomes a class: phrases, their head nouns, or a map in JSON or CSV.",
        ),
    ] = "phrases",
    unmapped: Annotated[
        str,
        typer.Option("--unmapped", metavar="keep|drop", help="Phrases that the map does not have."),
    ] = "keep",
    min_score: MinScoreOption = None,
    merge_boxes: MergeBoxesOption = None,
    pictures: Annotated[
        str,
        typer.Option(
            "--pictures",
            metavar="none|link|copy",
            help="Put the pictures into the folder too "
            f"({', '.join(f.name for f in FORMATS if f.pictures is not None)}).",
        ),
    ] = "none",
    prefix: Annotated[
        str | None,
        typer.Option(
            "--prefix",
            metavar="TEXT",
            help="Of captions: put before each one. Of labelstudio: before each path.",
        ),
    ] = None,
    drop_lead: Annotated[
        bool,
        typer.Option("--drop-lead", help='Of captions: without "An image of", "The image shows".'),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.")
    ] = False,
) -> None:
    """Write results in another program's format; prints where.

    What was said about one picture is one picture there. A picture that cannot be put into the
    folder is reported and left out; the exit status is then 1.

    [bold]Examples[/]

    [cyan]kosmoscope export out --to coco --vocabulary heads --min-score 0.3[/]
    [cyan]kosmoscope export out --to csv -o - | head[/]
    [cyan]kosmoscope export out --to captions --pictures link --drop-lead --prefix "sks dog, "[/]
    """
    from kosmoscope.export import Report, export

    format = _format(to)
    if pictures not in get_args(Pictures):
        raise OptionError(f"--pictures {pictures}: expected {', '.join(get_args(Pictures))}")
    check_thresholds(min_score, merge_boxes)
    output = output or _beside(results, format)
    report = Report()
    options: dict[str, Any] = {
        "vocabulary": _vocabulary(vocabulary, unmapped),
        "overwrite": overwrite,
        "pictures": pictures,
        "min_score": min_score,
        "merge_iou": merge_boxes,
        "report": report,
        **_own(format, {"prefix": prefix, "drop_lead": drop_lead or None}),
    }
    found = (result.description for result in read(results, images))
    if str(output) == STDIO:
        # Whole or not at all there too.
        with TemporaryFile() as file:
            export(found, file, to, **options)
            file.seek(0)
            _tell(report)
            terminal.emit_file(file)
        return
    export(found, output, to, **options)
    _tell(report)
    with terminal.telling():
        terminal.emit(one_line(output))
    if format.needs_pictures and pictures == "none":
        terminal.note(
            f"the pictures are not in {one_line(output / (format.pictures or ''))}, where {to} "
            "has them: --pictures copy or --pictures link puts them there"
        )
    if report.missing:
        tell_problems(report.missing, images, "; left out")
        raise typer.Exit(FAILED)


def _format(to: str) -> Format:
    if to in formats():
        return FORMATS.get(to)
    near = get_close_matches(to.lower(), formats(), 1)
    more = f" (did you mean {near[0]}?)" if near else ""
    if to in formats("segmentations"):
        more = f"; {to} is a format of masks: kosmoscope segment --to {to}"
    raise OptionError(f"--to {one_line(to)}: expected one of {', '.join(formats())}{more}")


def _beside(results: str, format: Format) -> Path:
    if not Path(results).is_dir():
        raise OptionError(f"{one_line(results)} is no folder: say where to with --output PATH")
    return Path(results) / f"export-{format.name}{format.suffix}"


def _own(format: Format, given: Mapping[str, object]) -> dict[str, object]:
    """Return the options that are the format's own; others are refused as they are typed."""
    wanted = {name: value for name, value in given.items() if value is not None}
    for name in wanted.keys() - set(format.options):
        able = ", ".join(f.name for f in FORMATS if name in f.options)
        raise OptionError(f"--{name.replace('_', '-')} is of --to {able}, not of {format.name}")
    return wanted


def _vocabulary(name: str, unmapped: str) -> Vocabulary:
    from kosmoscope.export import Vocabulary

    if unmapped not in ("keep", "drop"):
        raise OptionError(f"--unmapped {unmapped}: expected keep or drop")
    if name == "phrases":
        return Vocabulary.phrases()
    if name == "heads":
        return Vocabulary.heads()
    return Vocabulary.from_file(name, unmapped="drop" if unmapped == "drop" else "keep")


def _tell(report: Report) -> None:
    parts = [f"{report.pictures} pictures, {report.boxes} boxes"]
    if report.labels:
        parts.append(f"{len(report.labels)} classes")
    for count, what in (
        (report.duplicates, "the same twice"),
        (report.unusable, "empty inside the picture"),
        (report.dropped, "dropped by the map"),
    ):
        if count:
            parts.append(f"{count} left out: {what}")
    if report.unmapped:
        some = ", ".join(phrase for phrase, _ in report.unmapped.most_common(5))
        more = ", ..." if len(report.unmapped) > 5 else ""
        parts.append(f"not in the map: {some}{more}")
    terminal.note("; ".join(parts))
