"""Which model a command runs, and loading it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kosmoscope.cli import terminal
from kosmoscope.cli.options import Flag, PrecisionName, declare
from kosmoscope.cli.progress import Steps
from kosmoscope.errors import OptionError

if TYPE_CHECKING:
    from kosmoscope.images import Limits
    from kosmoscope.scope import Scope


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model, and how it runs."""

    name: str | None = None
    precision: PrecisionName | None = None
    threads: int | None = None
    quiet: bool = False
    """Say nothing but errors; no option of its own, see `quietly`."""

    def quietly(self, quiet: bool) -> ModelOptions:
        """Return the same, for a command that was told to be quiet or not."""
        return replace(self, quiet=quiet)

    def check(self) -> None:
        """Raise `OptionError` if --threads is out of its range."""
        from kosmoscope.engine.sessions import thread_count

        try:
            thread_count(self.threads)
        except OptionError as e:
            raise OptionError(f"--{e}") from e

    def chosen_name(self) -> str:
        """Return the model to use; tell who sits at a terminal if it is not the one expected.

        Logs and pipes do without: `info` and each result name the model.
        """
        if self.name is not None:
            return self.name
        from kosmoscope.scope import default_model, fallback_note

        model = default_model()
        note = None if self.quiet else fallback_note(model)
        if note and terminal.is_terminal(sys.stderr):
            terminal.note(note)
        return model

    def load(self, limits: Limits | None = None) -> Scope:
        """Load the model.

        Args:
            limits: of the pictures that it reads.

        Raises:
            OptionError: --threads is out of its range.
            ModelError: as `kosmoscope.load` does.
        """
        self.check()  # before a conversion that may take minutes
        from kosmoscope.scope import load

        model = self.chosen_name()
        precision = None if self.precision is None else self.precision.kind
        words = f"loading {model}", f"converting {model}, which is done once"
        with Steps(*words, quiet=self.quiet) as steps:
            return load(model, precision, threads=self.threads, limits=limits, progress=steps)


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """What the pictures that a command reads may cost."""

    max_pixels: int | None = None

    def limits(self) -> Limits:
        """Return the limits.

        Raises:
            OptionError: --max-pixels is out of its range.
        """
        from kosmoscope.images import Limits

        try:
            return Limits() if self.max_pixels is None else Limits(max_pixels=self.max_pixels)
        except OptionError as e:
            raise OptionError(str(e).replace("max_pixels", "--max-pixels")) from e


def naming_options(error: str) -> str:
    """Return an error about a picture in the words of a command that takes `PictureOptions`."""
    return error.replace("(max_pixels)", "(--max-pixels)")


declare(
    PictureOptions,
    "Pictures",
    max_pixels=Flag(
        "Refuse pictures of more pixels, 89.5 million unless given; larger JPEG files are "
        "decoded at a part of their size.",
        metavar="N",
    ),
)
declare(
    ModelOptions,
    "Model",
    name=Flag(
        "A model's name (kosmos-2, pocket, org/name) or folder; without this option "
        "kosmos-2 if it was pulled, otherwise pocket.",
        "--model", "-m", metavar="NAME|FOLDER",
    ),
    precision=Flag(
        "How the weights are kept: int8 unless the folder is converted already; fp32 is "
        "exact, int4 is the smallest.",
        "--precision", "-p", metavar="fp32|int8|int4",
    ),
    threads=Flag("Threads for arithmetic; one for each processor unless given.", "--threads", "-t"),
)  # fmt: skip
