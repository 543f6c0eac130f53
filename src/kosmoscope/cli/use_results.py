"""draw, gallery and parse, which make something of results; `export` has a file of its own."""

from __future__ import annotations

import sys
from collections import Counter as Counts
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

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
from kosmoscope.cli.export_command import export
from kosmoscope.cli.options import Format, add_commands
from kosmoscope.cli.picture_sources import STDIN, STDIN_NAME, check_stdin
from kosmoscope.cli.result_options import (
    STDIO,
    ImagesOption,
    MergeBoxesOption,
    MinScoreOption,
    Results,
    check_folder,
    check_images,
    check_thresholds,
    hint,
    read,
    read_chosen,
    tell_problems,
)
from kosmoscope.errors import ImageError, InputError, OptionError
from kosmoscope.files.text import one_line


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_commands(app, "Use results", draw, gallery, export, parse)


def draw(
    results: Results,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the pictures go.")
    ],
    images: ImagesOption = None,
    min_score: MinScoreOption = None,
    merge_boxes: MergeBoxesOption = None,
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
    check_thresholds(min_score, merge_boxes)
    check_folder(output, "--output")
    annotator = Annotator(output, image_format, style, quality)
    found = read_chosen(results, images, min_score, merge_boxes)
    several = Counts(result.description.image.path for result in found)
    problems: list[ImageError] = []
    for result in found:
        path = result.description.image.path
        try:
            file = annotator.write(result.description, result.task if several[path] > 1 else "")
        except ImageError as e:
            terminal.error(str(e))
            problems.append(e)
            continue
        with terminal.telling():
            terminal.emit(one_line(file))
    if problems:
        hint(problems, images)
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
    images: ImagesOption = None,
    min_score: MinScoreOption = None,
    merge_boxes: MergeBoxesOption = None,
) -> None:
    """Make a static page of results: no server, no network. Prints its address.

    A picture that cannot be read has a card without it and is reported; the exit status is then 1.

    [bold]Example[/]

    [cyan]kosmoscope gallery out --title "Holidays"[/]
    """
    from kosmoscope.cli.gallery_page import GALLERY, make_gallery, segments_in

    source = Path(results)
    if output is None and (results == STDIO or not source.is_dir()):
        raise OptionError(
            f"{one_line(results)} is no folder of results: say where to with --output FOLDER"
        )
    check_folder(output, "--output")
    check_thresholds(min_score, merge_boxes)
    check_images(images)
    if segments is not None and not segments.is_dir():
        raise OptionError(f"--segments {one_line(segments)}: is not a folder")
    problems: list[ImageError] = []
    page = make_gallery(
        read(results, images),
        output or source / GALLERY,
        title,
        segments or segments_in(source),
        min_score=min_score,
        merge_iou=merge_boxes,
        problem=problems.append,
    )
    with terminal.telling():
        terminal.emit(page)
    if problems:
        tell_problems(problems, images)
        raise typer.Exit(FAILED)


def parse(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE", help="The picture that the text is about, or - for standard input."
        ),
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
    from kosmoscope.images import Limits, read_image
    from kosmoscope.images.sources import contents
    from kosmoscope.parsing import parse_tagged

    check_folder(save, "--save")
    name, data, given = image, None, {}
    if image == STDIN:
        if text == STDIN:
            raise OptionError("the picture and the text cannot both come on standard input")
        check_stdin([image])
        name, data = contents(sys.stdin.buffer, STDIN_NAME, Limits())
        given = {name: data}
    info = read_image(image if data is None else data, name=name).info
    found = parse_tagged(_text(text), (info.width, info.height), path=name, prompt=prompt)
    if save is not None:
        Annotator(save, image_format, given=given).write(found)
    with nullcontext() if save is None else terminal.telling():
        if format is Format.JSON:
            terminal.emit(terminal.json_line(found.to_dict()))
        else:
            terminal.emit_rich(*render.described(found))


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
