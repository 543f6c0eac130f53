"""What the commands that use results have in common: where they come from, which boxes count."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from kosmoscope.cli import terminal
from kosmoscope.errors import ImageError, ImageNotFoundError, OptionError
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from kosmoscope.batch import Result

STDIO = "-"
_SHOWN = 3

Results = Annotated[
    str,
    typer.Argument(
        metavar="RESULTS",
        help="A folder of `describe -o`, a file of JSON lines, or - for them on standard input.",
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", metavar="FOLDER", help="Where the pictures are now, if they moved."),
]
MinScoreOption = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        metavar="X",
        help="Leave out boxes with a lower score, 0 to 1; boxes without one stay.",
    ),
]
MergeBoxesOption = Annotated[
    float | None,
    typer.Option(
        "--merge-boxes",
        metavar="IOU",
        help="Of several prompts' boxes of one class that overlap so much, 0 to 1, keep the one "
        "with the highest score.",
    ),
]


def check_thresholds(min_score: float | None, merge_boxes: float | None) -> None:
    """Raise `OptionError` for a threshold that is none, called as it is typed."""
    for name, value in (("--min-score", min_score), ("--merge-boxes", merge_boxes)):
        if value is not None and not 0 <= value <= 1:
            raise OptionError(f"{name} is {value:g}; expected 0 to 1")


def check_folder(folder: Path | None, option: str) -> None:
    """Raise `OptionError` where what is written is a folder, and standard output is asked for."""
    if folder is not None and str(folder) == STDIO:
        raise OptionError(
            f"{option} -: what is written is a folder, which standard output cannot hold; "
            f"expected {option} FOLDER"
        )


def check_images(images: Path | None) -> None:
    """Raise `OptionError` where the pictures' folder is none."""
    if images is not None and not images.is_dir():
        raise OptionError(f"--images {one_line(images)}: is not a folder")


def stream_of(results: str) -> str | BinaryIO:
    """Return what `read_results` takes for the argument of a command."""
    if results != STDIO:
        return results
    if sys.stdin is None or terminal.is_terminal(sys.stdin):
        raise OptionError("- reads results from standard input, which is a terminal; pipe them in")
    return sys.stdin.buffer


def read(results: str, images: Path | None) -> Iterator[Result]:
    """Yield the results that a command was given."""
    from kosmoscope.batch import read_results

    check_images(images)
    moved: set[str] = set()
    for result in read_results(stream_of(results), images):
        path = result.description.image.path
        if images is None and result.source not in ("", path):
            moved.add(path)
        yield result
    if moved:
        count = "a picture" if len(moved) == 1 else f"{len(moved)} pictures"
        terminal.note(f"{count} found elsewhere than the results say: {min(moved)}")


def read_chosen(
    results: str, images: Path | None, min_score: float | None, merge_boxes: float | None
) -> list[Result]:
    """Return the results that a command was given, with the boxes that are kept."""
    from kosmoscope.choosing import chosen

    found = list(read(results, images))
    kept = chosen((r.description for r in found), min_score=min_score, merge_iou=merge_boxes)
    return [replace(r, description=d) for r, d in zip(found, kept, strict=True)]


def tell_problems(problems: Sequence[ImageError], images: Path | None, what: str = "") -> None:
    """Say which pictures could not be used: the first of many, and which option may help."""
    for problem in problems[:_SHOWN]:
        terminal.error(f"{problem}{what}")
    if len(problems) > _SHOWN:
        terminal.error(f"and {len(problems) - _SHOWN} more pictures{what}")
    hint(problems, images)


def hint(problems: Sequence[ImageError], images: Path | None) -> None:
    """Name the option for pictures that are not where the results say."""
    if any(isinstance(problem, ImageNotFoundError) for problem in problems):
        where = "another folder for --images" if images else "--images FOLDER"
        terminal.note(f"pictures that are not found: say with {where} where they are")
