"""segment: boxes become pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import options as o
from kosmoscope.cli import terminal
from kosmoscope.cli.edge import FAILED
from kosmoscope.cli.options import DEFAULTS, Format, help_text
from kosmoscope.cli.render import columns
from kosmoscope.cli.work import Work, check_threads, expanded
from kosmoscope.errors import BoxError, ImageError, OptionError

if TYPE_CHECKING:
    from rich.table import Table

    from kosmoscope.images import Picture
    from kosmoscope.masks import Segmentation
    from kosmoscope.scope import Scope
    from kosmoscope.segment.run import Wanted

_FORMATS = "coco-instances|coco-panoptic|yolo-seg|labelme-polygons"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Look at pictures", help=help_text(segment))(segment)


def segment(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Pictures, folders, patterns, lists of paths."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Write for each picture NAME.json (run lengths), NAME-labels.png (label map) and "
            "NAME-overlay.jpg.",
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
            metavar="classical|sam|NAME|FOLDER",
            help="classical needs no weights, sam those of a Segment-Anything checkpoint.",
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
            metavar=_FORMATS,
            help="Write all pictures' segments as FOLDER/NAME too (with --output).",
        ),
    ] = None,
    format: o.FormatOption = Format.TEXT,
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
    [cyan]kosmoscope segment photos -o segments --prompt detailed --regions --to coco-panoptic[/]
    [cyan]kosmoscope segment photo.jpg -o segments --phrase "a house" --cutout[/]
    [cyan]kosmoscope segment photo.jpg --box 120,40,620,410 --format json[/]
    """
    by_hand = bool(box or point)
    if by_hand and (prompt or phrase):
        raise OptionError("--box and --point go without --prompt and --phrase")
    if prompt and phrase:
        raise OptionError("--prompt goes without --phrase")
    if point and box and len(box) > 1:
        raise OptionError("--point goes with one --box at most")
    for name, value in (("--cutout", cutout), ("--to", to)):
        if value and output is None:
            raise OptionError(f"{name} goes with --output FOLDER")
    from kosmoscope.export import SEGMENT_FORMATS
    from kosmoscope.images import read_image
    from kosmoscope.segment.run import load_segmenter, segment_picture

    if to is not None and to not in SEGMENT_FORMATS:
        raise OptionError(f"--to {to}: expected one of {', '.join(SEGMENT_FORMATS)}")
    check_threads(threads)
    boxes = [_numbers(text, 4, "--box") for text in box or ()]
    points = [_numbers(text, 2, "--point") for text in point or ()]
    tool = load_segmenter(segmenter, threads=threads)
    scope = None
    if not by_hand:
        work = Work(model, precision, threads, o.generation(max_new_tokens), format)
        scope = work.load()
    writer = None if output is None else _Writer(output, cutout)
    failed, done = False, []
    for source in expanded(sources):
        try:
            picture = read_image(source)
            if scope is None:
                wanted, caption = _by_hand(picture, boxes, points), ""
            else:
                wanted, caption = _said(scope, picture, prompt, phrase, max_new_tokens)
            found = segment_picture(
                picture.rgb, picture.info, wanted, tool, regions=regions, caption=caption
            )
        except (ImageError, BoxError) as e:
            terminal.error(str(e) if isinstance(e, ImageError) else f"{source}: {e}")
            failed = True
            continue
        if writer is not None:
            writer.write(found, picture)
        if to is not None:
            done.append(found)
        if format is Format.JSON:
            terminal.emit(terminal.json_line(found.to_dict()))
        else:
            terminal.emit_rich(*_described(found))
    if to is not None and output is not None and done:
        from kosmoscope.export import export_segmentations

        export_segmentations(done, output / to, to, overwrite=True)
    if failed:
        raise typer.Exit(FAILED)


def _said(
    scope: Scope, picture: Picture, prompt: str | None, phrases: Sequence[str] | None, tokens: int
) -> tuple[list[Wanted], str]:
    from dataclasses import replace

    from kosmoscope.segment.run import description_prompts

    seen = scope.encode(picture.rgb)
    if not phrases:
        said = scope.describe(seen, prompt, max_new_tokens=tokens)
        return description_prompts(said), said.caption
    found: list[Wanted] = []
    for index, phrase in enumerate(phrases):
        answer = scope.ground(seen, phrase, max_new_tokens=tokens)
        found += [replace(w, entity=index) for w in description_prompts(answer)]
    return found, ", ".join(phrases)


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


class _Writer:
    """The files of each picture."""

    def __init__(self, folder: Path, cutout: bool) -> None:
        self.folder, self.cutout = folder, cutout
        self.taken: dict[str, str] = {}

    def write(self, found: Segmentation, picture: Picture) -> None:
        from kosmoscope.draw import DrawStyle, draw_segmentation, save_image, segment_colours
        from kosmoscope.export.atomic import write_chunks
        from kosmoscope.masks import cut_out, write_label_map

        self.folder.mkdir(parents=True, exist_ok=True)
        stem = self.folder / self._name(found.image.path)
        write_chunks(_beside(stem, ".json"), [found.to_json() + "\n"], overwrite=True)
        write_label_map(_beside(stem, "-labels.png"), found.labels, segment_colours(found))
        drawn = draw_segmentation(picture.rgb, found, DrawStyle(caption=True))
        save_image(drawn, _beside(stem, "-overlay.jpg"))
        if self.cutout:
            for part in found.segments:
                words = re.sub(r"[^\w]+", "-", part.phrase.lower()).strip("-")[:40]
                path = _beside(stem, f"-{part.id}-{words}.png")
                temporary = path.with_name(f".{path.name}.part")
                cut_out(picture.rgb, found.mask(part.id)).save(temporary, "PNG")
                temporary.replace(path)

    def _name(self, path: str) -> str:
        stem, number = Path(path).stem or "picture", 1
        name = stem
        while self.taken.setdefault(name.casefold(), path) != path:
            number += 1
            name = f"{stem}-{number}"
        return name


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)


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
