"""`describe -o`: many pictures into a folder, with progress, resumed by the same command."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.annotated import Annotator, ImageFormat, batch_name
from kosmoscope.cli.edge import FAILED, INTERRUPTED
from kosmoscope.cli.progress import Counter
from kosmoscope.cli.segment_files import SEGMENTS, SegmentFiles
from kosmoscope.errors import ImageError, OptionError

if TYPE_CHECKING:
    from kosmoscope.batch import PictureDone, Summary, Task
    from kosmoscope.cli.work import Work

ANNOTATED, GALLERY = "annotated", "gallery"


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """What only makes sense with --output."""

    annotate: bool = False
    gallery: bool = False
    overwrite: bool = False
    recheck: bool = False
    watch: bool = False
    batch_size: int | None = None
    quiet: bool = False

    def refuse(self) -> None:
        """Raise `OptionError` if any of them is set: there is no --output."""
        for name, value in (
            ("--annotate", self.annotate), ("--gallery", self.gallery),
            ("--overwrite", self.overwrite), ("--recheck", self.recheck),
            ("--watch", self.watch), ("--batch-size", self.batch_size), ("--quiet", self.quiet),
        ):  # fmt: skip
            if value:
                raise OptionError(f"{name} goes with --output FOLDER")


def run(
    work: Work,
    sources: Sequence[str],
    tasks: Sequence[Task],
    out: Path,
    options: FolderOptions,
    image_format: ImageFormat,
) -> None:
    """Describe the sources into `out` and say how it went.

    Raises:
        typer.Exit: a picture failed, or the run was interrupted.
    """
    from kosmoscope.batch import run_batch

    annotator = Annotator(out / ANNOTATED, image_format)

    def draw(done: PictureDone) -> None:
        for task, description in zip(done.tasks, done.descriptions, strict=True):
            name = batch_name(done.source.path, task.key, len(done.tasks))
            try:
                annotator.write(description, name=name)
            except OptionError as e:  # too large for the format
                raise ImageError(done.source.name, str(e)) from e

    more: dict[str, Any] = {}
    if options.batch_size is not None:
        more["batch_size"] = options.batch_size
    if terminal_stdin(sources):
        raise OptionError("- reads paths from standard input, which is a terminal; pipe them in")
    with Counter("describing", quiet=options.quiet) as counter:
        summary = run_batch(
            work.load,
            sources,
            tasks,
            out,
            work.options,
            on_picture=draw if options.annotate else None,
            overwrite=options.overwrite,
            skip_existing=not options.recheck,
            watch=options.watch,
            progress=counter,
            **more,
        )
    if not options.quiet:
        _tell(summary, watched=options.watch)
    if options.gallery and not (summary.interrupted and not options.watch):
        terminal.emit(
            show_gallery(out, out / GALLERY, None, segments=segments_in(out), quiet=options.quiet)
        )
    if summary.interrupted and not options.watch:
        raise typer.Exit(INTERRUPTED)
    if summary.failed:
        raise typer.Exit(FAILED)


def terminal_stdin(sources: Sequence[str]) -> bool:
    """Whether paths would be read from somebody's keyboard."""
    return "-" in sources and (sys.stdin is None or terminal.is_terminal(sys.stdin))


def _tell(summary: Summary, *, watched: bool) -> None:
    for text in summary.repaired:
        terminal.note(text)
    parts = [f"{summary.described} described"]
    if summary.skipped:
        parts.append(f"{summary.skipped} were there already")
    if summary.failed:
        parts.append(f"{summary.failed} failed (see {summary.out / 'errors.jsonl'})")
    rate = f" at {summary.rate:.1f} a second" if summary.described else ""
    terminal.note(f"{', '.join(parts)}{rate}; results in {summary.out / 'results.jsonl'}")
    if summary.interrupted and not watched:
        terminal.note("interrupted: the same command goes on from here")


def show_gallery(
    source: Path,
    out: Path,
    title: str | None,
    *,
    segments: Path | None = None,
    quiet: bool = False,
) -> str:
    """Build the page of a folder's results, with masks if there are some; returns its address."""
    from kosmoscope.batch import read_results
    from kosmoscope.gallery import build_gallery

    descriptions = (result.description for result in read_results(source))
    named: dict[str, Any] = {} if title is None else {"title": title}
    began = time.monotonic()
    with Counter("drawing thumbnails", quiet=quiet) as counter:

        def progress(done: int, total: int) -> None:
            counter.move(done, total, rate=done / max(time.monotonic() - began, 1e-9))

        masks = () if segments is None else SegmentFiles.of(segments)
        page = build_gallery(descriptions, out, segmentations=masks, progress=progress, **named)
    return page.resolve().as_uri()


def segments_in(results: Path) -> Path | None:
    """Where `segment RESULTS` put its masks, if it did."""
    folder = results / SEGMENTS
    return folder if folder.is_dir() else None
