"""stack: from slices to a solid."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.model_options import ModelOptions
from kosmoscope.cli.options import Format, FormatOption, add_commands
from kosmoscope.cli.progress import Steps
from kosmoscope.cli.result_options import check_folder
from kosmoscope.errors import OptionError
from kosmoscope.files.text import one_line, one_space
from kosmoscope.optional import optional

if TYPE_CHECKING:
    from kosmoscope.stacks import Between, Saved, Seeds, Segmented, Volume
    from kosmoscope.stacks.segmenters import StackSegmenter

_MODULES = ("scipy", "nibabel", "pydicom", "skimage")
NOTICE = "not a medical device"
_NAMES = ("walker", "slices", "threshold")
"""Of `kosmoscope.stacks.STACK_SEGMENTERS`; a test holds them together. The registry itself needs
the libraries, and --help does without."""
_MESHES = ("stl", "ply", "obj")
_TIDY = "Thresholds"
_MODEL = "A phrase"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, "Image stacks", stack)


def stack(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="STACK",
            help="NIfTI, NRRD, MetaImage or TIFF; a DICOM series; a folder of numbered pictures.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where labels, measures, contours, surfaces, an overlay and the page go.",
        ),
    ],
    seeds: Annotated[
        Path | None,
        typer.Option(
            "--seeds", metavar="FILE", help="Names and their marks on a few slices, as JSON."
        ),
    ] = None,
    correct: Annotated[
        list[Path] | None,
        typer.Option(
            "--correct",
            metavar="FILE",
            help="More marks, where the answer was wrong; repeatable. Without --seeds they correct "
            "what an earlier call wrote into FOLDER. Of the walker.",
        ),
    ] = None,
    segmenter: Annotated[
        str | None,
        typer.Option(
            "--segmenter",
            metavar="|".join(_NAMES),
            help="walker: from the marks, in three dimensions; slices: each slice led by the one "
            "before, for ordinary pictures; threshold: by values alone. threshold with "
            "--threshold, else walker.",
        ),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            "--masks",
            metavar="classical|sam|NAME|FOLDER",
            help="Of slices: the segmenter of pictures that each slice is asked of.",
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            metavar="otsu|NAME=LOW:HIGH",
            help="A label of all values from LOW to HIGH (HU of a CT; either may be left out); "
            'repeatable. otsu: "bright", above the value that parts them best.',
            rich_help_panel=_TIDY,
        ),
    ] = None,
    open_mm: Annotated[
        float,
        typer.Option(
            "--open",
            metavar="MM",
            help="Remove what is thinner than twice this.",
            rich_help_panel=_TIDY,
        ),
    ] = 0.0,
    close_mm: Annotated[
        float,
        typer.Option(
            "--close",
            metavar="MM",
            help="Fill gaps thinner than twice this.",
            rich_help_panel=_TIDY,
        ),
    ] = 0.0,
    fill: Annotated[
        bool, typer.Option("--fill", help="Fill hollows.", rich_help_panel=_TIDY)
    ] = False,
    largest: Annotated[
        int,
        typer.Option(
            "--largest",
            metavar="N",
            help="Keep so many parts of each label; 0: all.",
            rich_help_panel=_TIDY,
        ),
    ] = 0,
    spacing: Annotated[
        str | None,
        typer.Option(
            "--spacing",
            metavar="I,J,K",
            help="Millimetres between columns, rows and slices, for files that do not say it.",
        ),
    ] = None,
    volume: Annotated[
        int | None,
        typer.Option("--volume", metavar="N", help="Which of several volumes, from 0."),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(
            "--series", metavar="ID", help="Which DICOM series: its number or the end of its UID."
        ),
    ] = None,
    mesh: Annotated[
        list[str] | None,
        typer.Option(
            "--mesh",
            metavar="none|" + "|".join(_MESHES),
            help="Surfaces; repeatable. stl.",
        ),
    ] = None,
    faces: Annotated[
        int, typer.Option("--faces", metavar="N", help="Of a surface at most.")
    ] = 200_000,
    phrase: Annotated[
        str | None,
        typer.Option(
            "--phrase",
            metavar="TEXT",
            help="In the place of seeds: what a model finds for this on one slice. For ordinary "
            "pictures; of CT and MR it knows nothing.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    slice_: Annotated[
        int,
        typer.Option("--slice", metavar="K", help="The slice of --phrase.", rich_help_panel=_MODEL),
    ] = 0,
    format: FormatOption = Format.TEXT,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    model: ModelOptions = ModelOptions(),
) -> None:
    """Segment a stack of slices into labels, and measure them in millimetres.

    Every voxel gets exactly one name. Prints each label's volume with its 90 % interval; writes
    labels.nii.gz, measures.json and .csv, contours.json, surfaces, overlay.jpg, a page to look at
    all of it, and of a DICOM series labels.dcm and contours.dcm.

    Not a medical device: not for diagnosis or treatment.

    [bold]Examples[/]

    [cyan]kosmoscope stack head.nii.gz -o out --seeds seeds.json[/]
    [cyan]kosmoscope stack head.nii.gz -o out --correct more.json[/]
    [cyan]kosmoscope stack ct/ -o out --threshold bone=300: --threshold "soft tissue=-100:299"[/]
    [cyan]kosmoscope stack frames/ -o out --spacing 1,1,1 --segmenter slices --seeds seeds.json[/]
    """
    for module in _MODULES:
        optional(module, "stacks")
    check_folder(output, "--output")
    chosen = segmenter or ("threshold" if threshold else "slices" if phrase else "walker")
    _check(chosen, seeds, correct, masks, threshold, phrase, mesh)
    where = _spacing(spacing)
    from kosmoscope.stacks import Seeds, read_stack

    marks = Seeds.read(seeds) if seeds else None
    more = [Seeds.read(path) for path in correct or ()]
    meshes = [] if mesh == ["none"] else mesh or ["stl"]
    windows = () if not threshold or threshold == ["otsu"] else tuple(map(_window, threshold))
    tool = _tool(chosen, masks, windows, (open_mm, close_mm, fill, largest))
    with Steps(f"reading {one_line(source, limit=60)}", "", quiet=quiet):
        read = read_stack(source, spacing_mm=where, volume=volume, series=series)
    if phrase is not None:
        marks = _found(model.quietly(quiet), read, one_space(phrase), slice_)
    with Steps("segmenting", "", quiet=quiet):
        found = _segmented(read, marks, tool, more, output)
    from kosmoscope.stacks import save_stack

    with Steps("measuring and writing", "", quiet=quiet):
        saved = save_stack(found, output, meshes=meshes, faces=faces)
    _tell(found, saved, format)
    if not quiet:
        terminal.note(f"look at {saved.page.resolve().as_uri()}; {NOTICE}")


def _check(
    chosen: str,
    seeds: Path | None,
    correct: list[Path] | None,
    masks: str | None,
    threshold: list[str] | None,
    phrase: str | None,
    mesh: list[str] | None,
) -> None:
    """Refuse options that exclude each other, before anything is read."""
    if chosen not in _NAMES:
        raise OptionError(f"--segmenter {one_line(chosen)}: expected {', '.join(_NAMES)}")
    if threshold and chosen != "threshold":
        raise OptionError(f"--threshold goes without --segmenter {chosen}")
    if threshold and "otsu" in threshold and len(threshold) > 1:
        raise OptionError("--threshold otsu goes alone")
    if correct and chosen != "walker":
        raise OptionError("--correct is of --segmenter walker")
    if masks and chosen != "slices":
        raise OptionError("--masks is of --segmenter slices")
    if phrase and seeds:
        raise OptionError("--phrase goes without --seeds")
    if phrase and chosen == "threshold":
        raise OptionError("--phrase goes with --segmenter slices or walker")
    if chosen != "threshold" and not (seeds or phrase or correct):
        raise OptionError(
            f"{chosen} needs --seeds FILE (or --phrase, or --correct what is in --output); or say "
            "--threshold"
        )
    for kind in mesh or ():
        if kind not in (*_MESHES, "none") or (kind == "none" and len(mesh or ()) > 1):
            raise OptionError(f"--mesh {one_line(kind)}: expected {', '.join(_MESHES)}, or none")


def _tool(
    chosen: str,
    masks: str | None,
    windows: tuple[Between, ...],
    tidy: tuple[float, float, bool, int],
) -> StackSegmenter:
    from kosmoscope.stacks import Slices, SlicesOptions, Threshold, ThresholdOptions, Walker

    open_mm, close_mm, fill, largest = tidy
    if chosen == "threshold":
        return Threshold(ThresholdOptions(windows, open_mm, close_mm, fill, largest))
    if any(tidy):
        raise OptionError("--open, --close, --fill and --largest are of --segmenter threshold")
    return Walker() if chosen == "walker" else Slices(SlicesOptions(masks or "classical"))


def _segmented(
    read: Volume, marks: Seeds | None, tool: StackSegmenter, more: list[Seeds], output: Path
) -> Segmented:
    from kosmoscope.stacks import correct, read_segmented, segment_stack

    goes_on = marks is None and more
    found = read_segmented(output, read) if goes_on else segment_stack(read, marks, tool)
    for one in more:
        found = correct(found, one, tool)
    return found


def _found(model: ModelOptions, read: Volume, phrase: str, k: int) -> Seeds:
    model.check()
    from kosmoscope.stacks import phrase_seeds

    return phrase_seeds(model.load(), read, phrase, k)


def _spacing(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        i, j, k = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"--spacing {one_line(text)}: expected three numbers of mm, such as 0.5,0.5,2"
        ) from None
    return i, j, k


def _window(text: str) -> Between:
    from kosmoscope.stacks import Between

    name, equals, limits = text.rpartition("=")
    low, colon, high = limits.partition(":")
    try:
        least = float(low) if low.strip() else -math.inf
        most = float(high) if high.strip() else math.inf
    except ValueError:
        equals = ""
    if not (equals and colon):
        raise OptionError(
            f"--threshold {one_line(text)}: expected otsu, or NAME=LOW:HIGH such as bone=300:"
        )
    return Between(one_space(name), least, most)


def _tell(found: Segmented, saved: Saved, format: Format) -> None:
    from kosmoscope.stacks.measures import measures_dict

    with terminal.telling():
        if format is Format.JSON:
            terminal.emit(terminal.json_line(measures_dict(found, saved.measures)))
            return
        if not saved.measures:
            terminal.emit("no label has a voxel")
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in ("label", "volume", "90 % interval", "surface", "mean"):
            table.add_column(title, justify="left" if title == "label" else "right")
        for one in saved.measures:
            low, high = one.interval_ml
            table.add_row(
                one_line(one.name),
                f"{one.volume_ml:.4g} ml",
                f"{low:.4g} to {high:.4g} ml",
                f"{one.surface_mm2 / 100:.4g} cm2",
                f"{one.mean:.4g} {one.unit}".strip(),
            )
        terminal.emit_rich(table)
