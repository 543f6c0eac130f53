"""Descriptions on standard output: the pipeline of a batch, with the terminal as its sink.

Imports what runs a model: a command imports this when it is called, so that --help stays fast.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from io import BytesIO

import typer
from rich.live import Live
from rich.text import Text

from kosmoscope.batch import BATCH_SIZE, PictureDone, Sink, Source, Task, describe_pictures
from kosmoscope.batch.decoding import Failed
from kosmoscope.batch.passed import PassedOver
from kosmoscope.batch.pipeline import PictureTask, detail_of
from kosmoscope.batch.tasks import check_prompts
from kosmoscope.cli import render, terminal
from kosmoscope.cli.annotated import Annotator
from kosmoscope.cli.exit_codes import FAILED
from kosmoscope.cli.model_options import ModelOptions, PictureOptions, naming_options
from kosmoscope.cli.options import Format
from kosmoscope.cli.picture_sources import STDIN, STDIN_NAME, check_stdin, expanded
from kosmoscope.cli.progress import Looks
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.files.text import one_line
from kosmoscope.images import Limits
from kosmoscope.prompts import Prompt
from kosmoscope.results import Description
from kosmoscope.scope import Finished, Scope, TextDelta

Show = Callable[[PictureDone], None]


def show_each(done: PictureDone) -> None:
    """Show what was said about a picture, one answer after the other."""
    for task, description in zip(done.tasks, done.descriptions, strict=True):
        if isinstance(task, Task) and task.kind == "ground":
            terminal.emit_rich(*render.grounded([description]))
        else:
            terminal.emit_rich(*render.described(description))


def show_phrases(done: PictureDone) -> None:
    """Show the phrases that were looked for in one table."""
    terminal.emit_rich(*render.grounded(done.descriptions))


class Printed(Sink):
    """Prints what comes on standard output.

    Args:
        format: text for people, or JSON lines.
        show: writes one picture's answers for people.
        files: there are files of the same too, which are made whether somebody reads or not.
    """

    def __init__(self, format: Format, show: Show, *, files: bool = False) -> None:
        self.failed = False
        """Whether something could not be used."""
        self._format, self._show, self._files = format, show, files
        self._shown = False

    def add(self, done: PictureDone) -> None:
        """Print a picture's answers."""
        with terminal.telling() if self._files else nullcontext():
            self._print(done)

    def _print(self, done: PictureDone) -> None:
        if self._format is Format.JSON:
            for description in done.descriptions:
                terminal.emit(terminal.json_line(description.to_dict()))
            return
        if self._shown:
            terminal.emit("")
        self._show(done)
        self._shown = True

    def fail(self, failed: Failed) -> None:
        """Report what failed on standard error."""
        terminal.error(naming_options(failed.error))
        self.failed = True


def print_descriptions(
    sources: Sequence[str],
    tasks: Sequence[PictureTask],
    pictures: PictureOptions,
    model: ModelOptions,
    generation: GenerationOptions,
    format: Format,
    *,
    show: Show = show_each,
    annotator: Annotator | None = None,
    several: bool = False,
) -> None:
    """Ask about pictures and print the answers, picture after picture, in their order.

    A picture that cannot be used is reported in its turn, and the rest goes on.

    Args:
        sources: pictures; `-` is one on standard input.
        tasks: asked about every picture.
        pictures: what they may cost.
        model: which one.
        generation: how.
        format: text for people, or JSON lines.
        show: writes one picture's answers for people.
        annotator: draws each before that, in either format.
        several: sources may be folders, patterns and lists.

    Raises:
        typer.Exit: a picture failed.
    """
    check_stdin(sources)
    limits = pictures.limits()
    for task in tasks:
        task.prompt(b"")  # words that make no prompt are refused before a model is converted
    passed = PassedOver()
    found = expanded(sources, passed) if several else [Source(path) for path in sources]
    scope = model.load(limits)
    check_prompts(scope, tasks)
    watched = format is Format.TEXT and terminal.is_terminal(sys.stdout)
    # Somebody who watches sees a single text grow; beams have none until the end.
    closely = any(detail_of(task) is not None for task in tasks)
    growing = watched and len(found) == len(tasks) == generation.num_beams == 1 and not closely
    sink = Printed(format, show, files=annotator is not None)
    with Looks(quiet=model.quiet or not closely) as looks:
        describe_pictures(
            scope,
            _opened(found, limits, annotator),
            tasks,
            generation,
            sink,
            on_picture=None if annotator is None else annotator.draw_all,
            generate=partial(_shown_growing, scope, generation) if growing else None,
            on_look=looks,
            batch_size=1 if watched else BATCH_SIZE,
        )
    if passed and not model.quiet:
        terminal.note(str(passed))
    if sink.failed:
        raise typer.Exit(FAILED)


def _opened(sources: Sequence[Source], limits: Limits, annotator: Annotator | None) -> list[Source]:
    """Return the sources with standard input read: it comes once, and is drawn on afterwards."""
    found = []
    for source in sources:
        if source.path == STDIN:
            # One byte more than allowed: the reader says what is wrong with it.
            data = sys.stdin.buffer.read(limits.max_bytes + 1)
            source = Source(STDIN_NAME, stream=BytesIO(data))
            if annotator is not None:
                annotator.given = {STDIN_NAME: data}
        found.append(source)
    return found


def _shown_growing(
    scope: Scope, generation: GenerationOptions, prompts: Sequence[Prompt]
) -> list[Description]:
    """Answer prompts and show each text while it comes; it is gone from the screen afterwards."""
    found: list[Description] = []
    for prompt in prompts:
        text = Text()
        screen = terminal.console(sys.stdout)
        with Live(text, console=screen, transient=True, auto_refresh=False) as live:
            for event in scope.stream(prompt, generation):
                match event:
                    case TextDelta(piece):
                        text.append(one_line(piece))
                        live.refresh()
                    case Finished(description):
                        found.append(description)
    return found
