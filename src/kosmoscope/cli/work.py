"""From a command's arguments to results: load the model, go through the pictures, show."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.edge import FAILED
from kosmoscope.cli.options import Format, PrecisionName
from kosmoscope.cli.progress import Steps
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import ImageError, OptionError
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from kosmoscope.prompts import Prompt
    from kosmoscope.results import Description
    from kosmoscope.scope import EncodedImage, Scope

    MakePrompts = Callable[[EncodedImage], Sequence[Prompt]]

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done, apart from the pictures and the question."""

    model: str | None
    precision: PrecisionName | None
    threads: int | None
    options: GenerationOptions
    format: Format

    def load(self) -> Scope:
        """Load the model; say on stderr if it is not the one that the user may expect."""
        check_threads(self.threads)  # before a conversion that may take minutes
        from kosmoscope.scope import load

        model = chosen_model(self.model)
        precision = None if self.precision is None else self.precision.kind
        with Steps(f"loading {model}", f"converting {model}, which is done once") as steps:
            return load(model, precision, threads=self.threads, progress=steps)

    def run(
        self,
        images: Sequence[str],
        sample: Sequence[Prompt],
        make_prompts: MakePrompts,
        show: Callable[[Sequence[Description]], None],
        keep: Callable[[Sequence[Description]], None] | None = None,
    ) -> None:
        """Answer the prompts for each picture, one picture after the other.

        A picture that cannot be used is reported, and the rest goes on.

        Args:
            images: paths; `-` reads one from stdin.
            sample: prompts like those to come, with any picture: checked before all work.
            make_prompts: what to ask about a picture.
            show: writes the results of one picture for people.
            keep: called before that with the same, in either format.

        Raises:
            typer.Exit: a picture failed.
        """
        check_stdin(images)
        scope = self.load()
        for prompt in sample:
            prompt.compile(scope.tokenizer, scope.engine.slot_ids)
        failed = shown = False
        for path in images:
            try:
                image = _encode(scope, path)
            except ImageError as e:
                terminal.error(str(e))
                failed = True
                continue
            prompts = make_prompts(image)
            if self._streams(images, prompts):
                results = [self._watched(scope, prompts[0])]
            else:
                results = scope.complete(prompts, self.options)
            if keep is not None:
                keep(results)
            if self.format is Format.JSON:
                for result in results:
                    terminal.emit(terminal.json_line(result.to_dict()))
                continue
            if shown:
                terminal.emit("")
            show(results)
            shown = True
        if failed:
            raise typer.Exit(FAILED)

    def _streams(self, images: Sequence[str], prompts: Sequence[Prompt]) -> bool:
        """Return whether somebody watches a single text grow; beams have none until the end."""
        alone = len(images) == len(prompts) == self.options.num_beams == 1
        return alone and self.format is Format.TEXT and terminal.is_terminal(sys.stdout)

    def _watched(self, scope: Scope, prompt: Prompt) -> Description:
        """Show the text while it comes; it is gone from the screen when this returns."""
        from rich.live import Live
        from rich.text import Text

        from kosmoscope.scope import Finished, TextDelta

        text = Text()
        screen = terminal.console(sys.stdout)
        with Live(text, console=screen, transient=True, auto_refresh=False) as live:
            for event in scope.stream(prompt, self.options):
                match event:
                    case TextDelta(piece):
                        text.append(one_line(piece))
                        live.refresh()
                    case Finished(description):
                        return description
        raise AssertionError("a stream ends with Finished")


def chosen_model(wanted: str | None) -> str:
    """Return the model to use; say so on stderr if it is not the one that one would expect."""
    if wanted is not None:
        return wanted
    from kosmoscope.scope import default_model

    model = default_model()
    if model != "kosmos-2":
        terminal.note(
            f"kosmos-2 is not on this machine (get it with `kosmoscope pull kosmos-2`); "
            f"using {model}, a tiny model for trying things out"
        )
    return model


def check_threads(threads: int | None) -> None:
    """Raise `OptionError` if --threads is out of its range."""
    from kosmoscope.engine.sessions import thread_count

    try:
        thread_count(threads)
    except OptionError as e:
        raise OptionError(f"--{e}") from e


def _encode(scope: Scope, path: str) -> EncodedImage:
    if path != STDIN:
        return scope.encode(path)
    stream: BinaryIO = sys.stdin.buffer
    return scope.encode(stream, name="<stdin>")


def expanded(sources: Sequence[str]) -> list[str]:
    """Return the pictures that folders, patterns and lists stand for; the rest as it is."""
    from kosmoscope.batch import find_pictures
    from kosmoscope.batch.lists import LIST_EXTENSIONS
    from kosmoscope.batch.walk import is_pattern

    found: list[str] = []
    for source in sources:
        path = Path(source)
        several = source.startswith("@") or path.suffix.lower() in LIST_EXTENSIONS or path.is_dir()
        if several or (is_pattern(source) and not os.path.lexists(source)):
            found += [picture.path for picture in find_pictures([source])]
        else:
            found.append(source)
    return found


def check_stdin(images: Sequence[str]) -> None:
    """Raise `OptionError` if `-` is among the pictures but nothing can come of it."""
    if STDIN not in images:
        return
    if images.count(STDIN) > 1:
        raise OptionError("- stands for one picture from standard input; it is given twice")
    if sys.stdin is None:
        raise OptionError("- reads a picture from standard input, which is closed")
    if terminal.is_terminal(sys.stdin):
        raise OptionError(
            "- reads a picture from standard input, which is a terminal; pipe a file into it"
        )
