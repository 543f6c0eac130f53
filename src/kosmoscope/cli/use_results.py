"""draw, gallery, export and parse: the commands that make something of results."""

from __future__ import annotations

import sys
from collections import Counter as Counts
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import options as o
from kosmoscope.cli import render, terminal
from kosmoscope.cli.annotated import (
    QUALITY,
    Annotator,
    ImageFormat,
    ImageFormatOption,
    style_of,
)
from kosmoscope.cli.exit_codes import FAILED
from kosmoscope.cli.options import Format, add_commands
from kosmoscope.errors import ImageError, InputError, OptionError
from kosmoscope.export import FORMATS, formats
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from kosmoscope.batch import Result
    from kosmoscope.export import Report, Vocabulary


Results = Annotated[
    str,
    typer.Argument(
        metavar="RESULTS",
        help="A folder of `describe -o`, a file of JSON lines, or - for them on standard input.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_commands(app, "Use results", draw, gallery, export, parse)


def draw(
    results: Results,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the pictures go.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", metavar="FOLDER", help="Where the originals are, if not at their paths."
        ),
    ] = None,
    image_format: ImageFormatOption = ImageFormat.JPG,
    quality: Annotated[
        int, typer.Option("--quality", metavar="N", help="Of jpg and webp, 1 to 100.")
    ] = QUALITY,
    scale: Annotated[
        float, typer.Option("--scale", metavar="X", help="Factor on lines and text.")
    ] = 1.0,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Numbered plates with the phrases.")
    ] = True,
    scores: Annotated[bool, typer.Option("--scores", help="Add each box's score.")] = False,
    caption: Annotated[
        bool, typer.Option("--caption", help="Add a strip with the caption below.")
    ] = False,
    box_width: Annotated[
        float, typer.Option("--box-width", metavar="X", help="Factor on the boxes' lines.")
    ] = 1.0,
    text_size: Annotated[
        float, typer.Option("--text-size", metavar="X", help="Factor on the text.")
    ] = 1.0,
) -> None:
    """Draw boxes and phrases on the pictures; prints the files.

    EXIF data are kept, the picture is upright. A picture that cannot be read is reported and the
    rest goes on; the exit status is then 1.

    [bold]Examples[/]

    [cyan]kosmoscope draw out -o annotated --scores[/]
    [cyan]kosmoscope describe --format json photo.jpg | kosmoscope draw - -o annotated[/]
    """
    style = style_of(scale, labels, scores, caption, box_width, text_size)
    if not 1 <= quality <= 100:
        raise OptionError(f"--quality is {quality}; expected 1 to 100")
    annotator = Annotator(output, image_format, style, quality, images)
    found = list(_read(results))
    several = Counts(result.description.image.path for result in found)
    failed = False
    for result in found:
        path = result.description.image.path
        try:
            file = annotator.write(result.description, result.task if several[path] > 1 else "")
        except ImageError as e:
            terminal.error(str(e))
            failed = True
            continue
        terminal.emit(one_line(file))
    if failed:
        raise typer.Exit(FAILED)


def gallery(
    results: Results,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where the page goes; RESULTS/gallery unless given.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="Over the page.")
    ] = None,
    segments: Annotated[
        Path | None,
        typer.Option(
            "--segments",
            metavar="FOLDER",
            help="Of `segment`, for the masks; RESULTS/segments, if there is one, unless given.",
        ),
    ] = None,
) -> None:
    """Make a static page of results: no server, no network. Prints its address.

    [bold]Example[/]

    [cyan]kosmoscope gallery out --title "Holidays"[/]
    """
    from kosmoscope.cli.gallery_page import GALLERY, make_gallery, segments_in

    source = Path(results)
    if results == "-" or (output is None and not source.is_dir()):
        raise OptionError(f"{results} is no folder of results: say where to with --output FOLDER")
    if segments is not None and not segments.is_dir():
        raise OptionError(f"--segments {one_line(segments)}: is not a folder")
    masks = segments or segments_in(source)
    terminal.emit(make_gallery(source, output or source / GALLERY, title, masks))


def export(
    results: Results,
    to: Annotated[str, typer.Option("--to", metavar="|".join(formats()), help="The format.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The file or folder to write; RESULTS/export-FORMAT unless given. Folders: "
            f"{', '.join(name for name in formats() if not FORMATS.get(name).suffix)}.",
        ),
    ] = None,
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
    pictures: Annotated[
        str,
        typer.Option(
            "--pictures",
            metavar="none|link|copy",
            help="Put the pictures into the folder too "
            f"({', '.join(f.name for f in FORMATS if f.pictures is not None)}).",
        ),
    ] = "none",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.")
    ] = False,
) -> None:
    """Write results in another program's format; prints where.

    [bold]Examples[/]

    [cyan]kosmoscope export out --to coco --vocabulary heads[/]
    [cyan]kosmoscope export out --to csv -o boxes.csv[/]
    """
    from kosmoscope.export import Report, export

    if to not in formats():
        raise OptionError(f"--to {to}: expected one of {', '.join(formats())}")
    if output is None:
        if not Path(results).is_dir():
            raise OptionError(f"{results} is no folder: say where to with --output PATH")
        output = Path(results) / f"export-{to}{FORMATS.get(to).suffix}"
    report = Report()
    out = export(
        (result.description for result in _read(results)),
        output,
        to,
        vocabulary=_vocabulary(vocabulary, unmapped),
        overwrite=overwrite,
        pictures=pictures,  # type: ignore[arg-type]  # checked there
        report=report,
    )
    _tell(report)
    terminal.emit(one_line(out))


def parse(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="The picture that the text is about.")
    ],
    text: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="Tagged text of any Kosmos-2 run; - for standard input."
        ),
    ] = "-",
    prompt: Annotated[
        str,
        typer.Option("--prompt", metavar="TEXT", help="What the model was asked, if known."),
    ] = "",
    format: o.FormatOption = Format.TEXT,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FOLDER", help="Write the annotated picture too."),
    ] = None,
    image_format: ImageFormatOption = ImageFormat.JPG,
) -> None:
    """Read tagged text that another program got from Kosmos-2, to draw or export it.

    [bold]Example[/]

    [cyan]kosmoscope parse photo.jpg generated.txt --format json | kosmoscope draw - -o out[/]
    """
    from kosmoscope.images import read_image
    from kosmoscope.parsing import parse_tagged

    info = read_image(image).info
    found = parse_tagged(_text(text), (info.width, info.height), path=image, prompt=prompt)
    if save is not None:
        Annotator(save, image_format).write(found)
    if format is Format.JSON:
        terminal.emit(terminal.json_line(found.to_dict()))
    else:
        terminal.emit_rich(*render.described(found))


def _read(results: str) -> Iterator[Result]:
    from kosmoscope.batch import read_results

    if results != "-":
        return read_results(results)
    if sys.stdin is None or terminal.is_terminal(sys.stdin):
        raise OptionError("- reads results from standard input, which is a terminal; pipe them in")
    return read_results(sys.stdin.buffer)


def _text(source: str) -> str:
    try:
        if source == "-":
            if sys.stdin is None or terminal.is_terminal(sys.stdin):
                raise OptionError("- reads text from standard input; pipe it in")
            data = sys.stdin.buffer.read()
        else:
            data = Path(source).read_bytes()
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as e:
        raise InputError(f"{source}: not UTF-8 text") from e
    except OSError as e:
        raise InputError(f"{source}: cannot be read: {e.strerror or e}") from e


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
