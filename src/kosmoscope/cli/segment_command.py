"""segment: boxes become pixels."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import options as o
from kosmoscope.cli import terminal
from kosmoscope.cli.edge import FAILED
from kosmoscope.cli.options import DEFAULTS, Format, help_text
from kosmoscope.cli.progress import Counter
from kosmoscope.cli.render import columns
from kosmoscope.cli.segment_files import SEGMENTS, Job, SegmentFiles, SegmentFolder, jobs_of
from kosmoscope.cli.work import Work, check_threads, expanded
from kosmoscope.errors import BoxError, ImageError, OptionError
from kosmoscope.export import FORMATS, export, formats
from kosmoscope.segment.registry import SEGMENTERS

if TYPE_CHECKING:
    from rich.table import Table

    from kosmoscope.images import Picture
    from kosmoscope.scope import Scope
    from kosmoscope.segment import Segmentation
    from kosmoscope.segment.protocol import Segmenter
    from kosmoscope.segment.run import Wanted


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Look at pictures", help=help_text(segment))(segment)


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
            help="Segment what is in this box, in pixels, without a model; repeatable.",
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            "--point",
            metavar="x,y",
            help="Segment what is at this point, in pixels, without a model; repeatable, all of "
            "one thing; with one --box within it.",
        ),
    ] = None,
    segmenter: Annotated[
        str,
        typer.Option(
            "--segmenter",
            metavar="|".join((*SEGMENTERS.names(), "NAME", "FOLDER")),
            help=", ".join(kind.summary for kind in SEGMENTERS) + ".",
        ),
    ] = "classical",
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
    format: o.FormatOption = Format.TEXT,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    model: o.Model = None,
    precision: o.PrecisionOption = None,
    threads: o.Threads = None,
    max_new_tokens: o.MaxNewTokens = DEFAULTS.max_new_tokens,
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
    [cyan]kosmoscope segment photo.jpg --box 120,40,620,410 --format json[/]
    """
    results = len(sources) == 1 and (Path(sources[0]) / "results.jsonl").is_file()
    by_hand = bool(box or point)
    if results and (by_hand or prompt or phrase):
        raise OptionError(
            f"{sources[0]} has descriptions; --prompt, --phrase, --box and --point are for pictures"
        )
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
    from kosmoscope.segment.run import load_segmenter

    if to is not None and to not in formats("segmentations"):
        raise OptionError(f"--to {to}: expected one of {', '.join(formats('segmentations'))}")
    check_threads(threads)
    asked = _Asked(
        prompt, tuple(phrase or ()), tuple(_numbers(text, 4, "--box") for text in box or ()),
        tuple(_numbers(text, 2, "--point") for text in point or ()), max_new_tokens, regions,
    )  # fmt: skip
    tool = load_segmenter(segmenter, threads=threads)
    jobs = jobs_of(Path(sources[0])) if results else [Job(path) for path in expanded(sources)]
    settings = {
        "segmenter": segmenter, "cutout": cutout, "of": "results" if results else "pictures",
        **({} if by_hand or results else {"model": model, "precision": precision}), **vars(asked),
    }  # fmt: skip
    with ExitStack() as stack:
        folder = None
        if output is not None:
            from kosmoscope.batch.lock import FolderLock

            output.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FolderLock(output))
            folder = SegmentFolder(output, settings, overwrite=overwrite, cutout=cutout)
        files = [None if folder is None else folder.file(job) for job in jobs]
        left = [
            (job, file)
            for job, file in zip(jobs, files, strict=True)
            if folder is None or file is None or not folder.has(file, job)
        ]
        scope = None
        if left and not by_hand and not results:
            scope = Work(model, precision, threads, o.generation(max_new_tokens), format).load()
        show = format is Format.JSON or folder is None or len(jobs) == 1
        counter = stack.enter_context(Counter("segmenting", quiet=quiet or folder is None))
        failed, began = 0, time.monotonic()
        for done, (job, file) in enumerate(left, 1):
            try:
                found, picture = _segmented(job, asked, scope, tool)
            except (ImageError, BoxError) as e:
                told = str(e) if isinstance(e, ImageError) else f"{job.path}: {e}"
                terminal.error(told)
                failed += 1
                continue
            if folder is not None and file is not None:
                folder.write(file, found, picture)
            if show:
                _show(found, format)
            rate = done / max(time.monotonic() - began, 1e-9)
            counter.move(done, len(left), rate, failed, (len(left) - done) / rate)
        if output is not None:
            _finish(output, [f for f in files if f is not None and f.is_file()], to)
            if not quiet and not show:
                before = len(jobs) - len(left)
                told = f", {before} were there already" if before else ""
                terminal.note(f"{len(left) - failed} segmented{told}; segments in {output}")
    if failed:
        raise typer.Exit(FAILED)


@dataclass(frozen=True)
class _Asked:
    """What decides a picture's masks, besides the segmenter."""

    prompt: str | None
    phrases: tuple[str, ...]
    boxes: tuple[tuple[float, ...], ...]
    points: tuple[tuple[float, ...], ...]
    max_new_tokens: int
    regions: bool


def _segmented(
    job: Job, asked: _Asked, scope: Scope | None, tool: Segmenter
) -> tuple[Segmentation, Picture]:
    from kosmoscope.images import read_image
    from kosmoscope.segment.run import description_prompts, segment_picture

    picture = read_image(job.path)
    caption = ""
    if job.description is not None:
        size = (picture.info.width, picture.info.height)
        wanted, caption = description_prompts(job.description, size), job.description.caption
    elif scope is None:
        wanted = _by_hand(picture, asked.boxes, asked.points)
    else:
        wanted, caption = _said(scope, picture, asked)
    found = segment_picture(
        picture.rgb, picture.info, wanted, tool, regions=asked.regions, caption=caption
    )
    return found, picture


def _finish(output: Path, files: Sequence[Path], to: str | None) -> None:
    """Export what this command and its earlier runs wrote, one picture in memory at a time."""
    if to is not None and files:
        out = output / f"{to}{FORMATS.get(to).suffix}"
        export(SegmentFiles(files), out, to, overwrite=True)


def _show(found: Segmentation, format: Format) -> None:
    if format is Format.JSON:
        terminal.emit(terminal.json_line(found.to_dict()))
    else:
        terminal.emit_rich(*_described(found))


def _said(scope: Scope, picture: Picture, asked: _Asked) -> tuple[list[Wanted], str]:
    from dataclasses import replace

    from kosmoscope.segment.run import description_prompts

    seen = scope.encode(picture.rgb)
    tokens = asked.max_new_tokens
    if not asked.phrases:
        said = scope.describe(seen, asked.prompt, max_new_tokens=tokens)
        return description_prompts(said), said.caption
    found: list[Wanted] = []
    for index, phrase in enumerate(asked.phrases):
        answer = scope.ground(seen, phrase, max_new_tokens=tokens)
        found += [replace(w, entity=index) for w in description_prompts(answer)]
    return found, ", ".join(asked.phrases)


def _by_hand(
    picture: Picture, boxes: Sequence[Sequence[float]], points: Sequence[Sequence[float]]
) -> list[Wanted]:
    from kosmoscope.segment.protocol import BoxPrompt
    from kosmoscope.segment.run import Wanted

    clicks = tuple((x, y, True) for x, y in points)
    if not boxes:
        size = (picture.info.width, picture.info.height)
        return [Wanted(BoxPrompt.at(clicks, size))]
    prompts = [BoxPrompt((x1, y1, x2, y2), points=clicks) for x1, y1, x2, y2 in boxes]
    return [Wanted(prompt) for prompt in prompts]


def _numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    try:
        values = tuple(float(v) for v in re.split(r"[,\s]+", text.strip()))
    except ValueError:
        values = ()
    if len(values) != count:
        names = "x1,y1,x2,y2" if count == 4 else "x,y"
        raise OptionError(f"{option} {text!r}: expected {names}, in pixels")
    return values


def _described(found: Segmentation) -> list[Table | str]:
    image = found.image
    table = columns("#", "segment", "kind", "percent", "pixels", "score", right=(0, 3, 4, 5))
    percent, pixels = found.areas_percent(), found.areas_px()
    for part in found.segments:
        score = "-" if part.score is None else f"{part.score:.2f}"
        table.add_row(str(part.id), terminal.printable(part.phrase), part.kind,
                      f"{percent[part.id]:.1f}", str(pixels[part.id]), score)  # fmt: skip
    table.add_row("0", "rest", "", f"{percent[0]:.1f}", str(pixels[0]), "-")
    head = f"{terminal.path_text(image.path)}  {image.width}x{image.height}"
    caption = [terminal.printable(found.caption)] if found.caption else []
    return [head, *caption, table, f"{found.segmenter}, {found.seconds:.2f} s\n"]
