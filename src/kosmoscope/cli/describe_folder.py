"""`describe -o`: many pictures into a folder, with progress, resumed by the same command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from kosmoscope.batch import BATCH_SIZE, Summary, Task, read_results, run_batch
from kosmoscope.cli import terminal
from kosmoscope.cli.annotated import Annotator, ImageFormat
from kosmoscope.cli.exit_codes import FAILED, INTERRUPTED
from kosmoscope.cli.folder_options import FolderOptions
from kosmoscope.cli.gallery_page import GALLERY, make_gallery, segments_in
from kosmoscope.cli.model_options import ModelOptions, PictureOptions, naming_options
from kosmoscope.cli.picture_sources import STDIN
from kosmoscope.cli.progress import Counter
from kosmoscope.cli.search_commands import make_index
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import OptionError

ANNOTATED = "annotated"


def describe_folder(
    sources: Sequence[str],
    tasks: Sequence[Task],
    out: Path,
    options: FolderOptions,
    pictures: PictureOptions,
    model: ModelOptions,
    generation: GenerationOptions,
    image_format: ImageFormat,
) -> None:
    """Describe the sources into `out` and say how it went.

    Raises:
        typer.Exit: a picture failed, or the run was interrupted.
    """
    if STDIN in sources and (sys.stdin is None or terminal.is_terminal(sys.stdin)):
        raise OptionError("- reads paths from standard input, which is a terminal; pipe them in")
    limits = pictures.limits()
    annotator = Annotator(
        out / ANNOTATED, image_format, lasting_names=True, limits=limits, quiet=options.quiet
    )
    with Counter("describing", quiet=options.quiet) as counter:
        summary = run_batch(
            lambda: model.load(limits),
            sources,
            tasks,
            out,
            generation,
            on_picture=annotator.draw_all if options.annotate else None,
            overwrite=options.overwrite,
            skip_existing=options.skip_existing,
            watch=options.watch,
            progress=counter,
            batch_size=BATCH_SIZE if options.batch_size is None else options.batch_size,
        )
    _tell_failures(summary)
    if not options.quiet:
        _tell(summary, watched=options.watch)
    ended = not summary.interrupted or options.watch
    if options.index and ended:
        make_index(out, quiet=options.quiet)
    if options.gallery and ended:
        page = make_gallery(
            read_results(out), out / GALLERY, None, segments_in(out), quiet=options.quiet
        )
        with terminal.telling():
            terminal.emit(page)
    if not ended:
        raise typer.Exit(INTERRUPTED)
    if summary.failed:
        raise typer.Exit(FAILED)


def _tell_failures(summary: Summary) -> None:
    """Show the first errors, also to those who want no more than errors."""
    for text in summary.problems:
        terminal.error(naming_options(text))
    if summary.failed > len(summary.problems):
        terminal.error(f"and {summary.failed - len(summary.problems)} more")


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
    if summary.passed_over:
        terminal.note(summary.passed_over)
    if summary.interrupted and not watched:
        terminal.note("interrupted: the same command goes on from here")
