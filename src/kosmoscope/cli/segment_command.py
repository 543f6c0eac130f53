"""segment: boxes become pixels."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.boxes import FractionsOption, PixelsOption, Units, typed_box, typed_point
from kosmoscope.cli.exit_codes import FAILED
from kosmoscope.cli.model_options import ModelOptions, PictureOptions
from kosmoscope.cli.options import Format, FormatOption, Only, add_commands
from kosmoscope.cli.picture_sources import STDIN, STDIN_NAME, check_stdin, expanded
from kosmoscope.cli.result_options import check_folder
from kosmoscope.cli.segment_files import (
    SegmentFiles,
    SegmentFolder,
    ToSegment,
    described_in,
)
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import OptionError
from kosmoscope.export import FORMATS, export, formats
from kosmoscope.files.locks import locked
from kosmoscope.files.marker import claim
from kosmoscope.files.segments import SEGMENTS
from kosmoscope.files.text import one_space
from kosmoscope.segment.classical.segmenter_kind import CLASSICAL_SEGMENTER
from kosmoscope.segment.registry import SEGMENTERS

if TYPE_CHECKING:
    from kosmoscope.batch import Source


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, "Look at pictures", segment)


def segment(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Pictures, folders, patterns, lists of paths; or one folder of `describe -o`, "
            "whose descriptions are segmented into RESULTS/segments.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Write for each picture NAME.json (run lengths), NAME-labels.png (label map) and "
            "NAME-overlay.jpg. The same command goes on where it was stopped.",
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt", metavar="brief|detailed|TEXT", help="What is segmented: what this names."
        ),
    ] = None,
    phrase: Annotated[
        list[str] | None,
        typer.Option("--phrase", metavar="TEXT", help="Segment this instead; repeatable."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            "--box",
            metavar="x1,y1,x2,y2",
            help="Segment what is in this box, in pixels (unless --fractions), without a model; "
            "repeatable.",
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            "--point",
            metavar="x,y",
            help="Segment what is at this point, in pixels (unless --fractions), without a model; "
            "repeatable, all of one thing; with one --box within it.",
        ),
    ] = None,
    salient: Annotated[
        bool,
        typer.Option(
            "--salient",
            help="Segment what the picture is about, whatever that is, without a model; with "
            "--cutout its edge is soft.",
        ),
    ] = False,
    pixels: PixelsOption = False,
    fractions: FractionsOption = False,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME",
            help='What is in the box or at the points, and its class in exports; "object" unless '
            'given, with --salient "subject". Repeatable: one for each --box.',
        ),
    ] = None,
    segmenter: Annotated[
        str,
        typer.Option(
            "--segmenter",
            metavar="|".join((*SEGMENTERS.names(), "NAME", "FOLDER")),
            help=", ".join(kind.summary for kind in SEGMENTERS) + ".",
        ),
    ] = CLASSICAL_SEGMENTER.name,
    regions: Annotated[
        bool,
        typer.Option("--regions", help="Divide the rest into unnamed coherent regions."),
    ] = False,
    cutout: Annotated[
        bool,
        typer.Option("--cutout", help="Write a PNG with alpha for each segment (with --output)."),
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="|".join(formats("segmentations")),
            help="Write all pictures' segments as FOLDER/NAME too (with --output).",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Segment anew what is in the folder already.")
    ] = False,
    format: FormatOption = Format.TEXT,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    reading: PictureOptions = PictureOptions(),
    model: ModelOptions = ModelOptions(),
    generation: Annotated[GenerationOptions, Only("max_new_tokens")] = GenerationOptions(),
) -> None:
    """Turn boxes into pixels: every pixel of a picture gets exactly one name.

    What the model names becomes masks; overlaps are resolved, parts before wholes; what is left is
    "rest". A picture that cannot be read is reported and the rest goes on; the exit status is
    then 1.

    [bold]Examples[/]

    [cyan]kosmoscope segment photo.jpg -o segments[/]
    [cyan]kosmoscope describe photos -o out && kosmoscope segment out && kosmoscope gallery out[/]
    [cyan]kosmoscope segment photos -o segments --prompt detailed --regions --to coco-panoptic[/]
    [cyan]kosmoscope segment photo.jpg -o segments --phrase "a house" --cutout[/]
    [cyan]kosmoscope segment photos -o cut-outs --salient --cutout[/]
    [cyan]kosmoscope segment photo.jpg --box 120,40,620,410 --label "a dog" --format json[/]
    [cyan]kosmoscope segment photo.jpg --fractions --box 0.1,0.1,0.5,0.5 -o segments[/]
    """
    results = len(sources) == 1 and (Path(sources[0]) / "results.jsonl").is_file()
    by_hand = bool(box or point)
    check_folder(output, "--output")
    if results and (by_hand or prompt or phrase or salient):
        raise OptionError(
            f"{sources[0]} has descriptions; --prompt, --phrase, --box, --point and --salient are "
            "for pictures"
        )
    if salient and (by_hand or prompt or phrase):
        raise OptionError("--salient goes without --prompt, --phrase, --box and --point")
    if salient and segmenter != CLASSICAL_SEGMENTER.name:
        raise OptionError("--salient has a network of its own; it goes without --segmenter")
    for name, given in (("--pixels", pixels), ("--fractions", fractions)):
        if given and not by_hand:
            raise OptionError(f"{name} goes with --box or --point")
    if label and not (by_hand or salient):
        raise OptionError("--label goes with --box, --point or --salient")
    if label and len(label) not in (1, len(box or ())):
        raise OptionError(f"{len(label)} --label: expected one, or one for each --box")
    if by_hand and (prompt or phrase):
        raise OptionError("--box and --point go without --prompt and --phrase")
    if prompt and phrase:
        raise OptionError("--prompt goes without --phrase")
    if point and box and len(box) > 1:
        raise OptionError("--point goes with one --box at most")
    if results and output is None:
        output = Path(sources[0]) / SEGMENTS
    for name, value in (("--cutout", cutout), ("--to", to), ("--overwrite", overwrite)):
        if value and output is None:
            raise OptionError(f"{name} goes with --output FOLDER")
    units = Units.of(pixels=pixels, fractions=fractions, usually_pixels=True)
    boxes = tuple(typed_box(text, units) for text in box or ())
    points = tuple(typed_point(text, units) for text in point or ())
    check_stdin(sources)
    from kosmoscope.batch.passed import PassedOver
    from kosmoscope.segment.run import load_segmenter
    from kosmoscope.segment.salience import Salience

    if to is not None and to not in formats("segmentations"):
        raise OptionError(f"--to {to}: expected one of {', '.join(formats('segmentations'))}")
    model = model.quietly(quiet)
    model.check()
    limits = reading.limits()
    from kosmoscope.cli.segment_pictures import Asked, segment_pictures

    asked = Asked(
        prompt,
        tuple(phrase or ()),
        boxes,
        points,
        tuple(one_space(text) for text in label or ()),
        generation.max_new_tokens,
        regions,
        salient,
    )
    passed = PassedOver()
    if results:
        pictures = described_in(Path(sources[0]))
    else:
        pictures = [_to_segment(source) for source in expanded(sources, passed)]
        if passed and not quiet:
            terminal.note(str(passed))
    settings = {
        **({} if reading.max_pixels is None else {"max_pixels": reading.max_pixels}),
        "segmenter": "salient" if salient else segmenter, "cutout": cutout,
        "of": "results" if results else "pictures",
        **({} if asked.by_hand or results else {"model": model.name, "precision": model.precision}),
        **asked.settings(),
    }  # fmt: skip
    tool = (
        Salience(threads=model.threads)
        if salient
        else load_segmenter(segmenter, threads=model.threads)
    )
    with ExitStack() as stack:
        folder, left = None, pictures
        if output is not None:
            claim(output)  # before the lock's file is in it
            stack.enter_context(locked(output))
            folder = SegmentFolder(output, settings, overwrite=overwrite, cutout=cutout)
            folder.expect(pictures)
            left = [one for one in pictures if not folder.has(one)]
        show = format is Format.JSON or folder is None or len(pictures) == 1
        failed = segment_pictures(
            left, asked, tool, partial(model.load, limits), limits, folder, generation,
            format if show else None, quiet=quiet or folder is None,
        )  # fmt: skip
        if output is not None and folder is not None:
            # Not what an earlier run wrote for a picture that could not be segmented this time.
            files = [folder.file(one) for one in pictures if folder.has(one)]
            _finish(output, files, to)
            if not quiet and not show:
                before = len(pictures) - len(left)
                told = f", {before} were there already" if before else ""
                terminal.note(f"{len(left) - failed} segmented{told}; segments in {output}")
            if others := folder.others([folder.file(one) for one in pictures]):
                terminal.note(
                    f"{output} has segments of {others} other pictures too"
                    + (f", which are not in {to}" if to else "")
                    + "; --overwrite removes them"
                )
    if failed:
        raise typer.Exit(FAILED)


def _to_segment(source: Source) -> ToSegment:
    if source.path != STDIN:
        return ToSegment(source.path, problem=source.problem)
    from kosmoscope.images.sources import Limits, contents

    _, data = contents(sys.stdin.buffer, STDIN_NAME, Limits())
    return ToSegment(STDIN_NAME, data=data)


def _finish(output: Path, files: Sequence[Path], to: str | None) -> None:
    """Export what this command and its earlier runs wrote, one picture in memory at a time."""
    if to is not None and files:
        out = output / f"{to}{FORMATS.get(to).suffix}"
        export(SegmentFiles(files), out, to, overwrite=True)
