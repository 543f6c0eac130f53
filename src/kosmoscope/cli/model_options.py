"""Which model a command runs, and loading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmoscope.cli import terminal
from kosmoscope.cli.options import Flag, PrecisionName, declare
from kosmoscope.cli.progress import Steps
from kosmoscope.errors import OptionError

if TYPE_CHECKING:
    from kosmoscope.scope import Scope


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model, and how it runs."""

    name: str | None = None
    precision: PrecisionName | None = None
    threads: int | None = None

    def check(self) -> None:
        """Raise `OptionError` if --threads is out of its range."""
        from kosmoscope.engine.sessions import thread_count

        try:
            thread_count(self.threads)
        except OptionError as e:
            raise OptionError(f"--{e}") from e

    def chosen_name(self) -> str:
        """Return the model to use; say so on stderr if it is not the one that one would expect."""
        if self.name is not None:
            return self.name
        from kosmoscope.scope import default_model, fallback_note

        model = default_model()
        if note := fallback_note(model):
            terminal.note(note)
        return model

    def load(self) -> Scope:
        """Load the model.

        Raises:
            OptionError: --threads is out of its range.
            ModelError: as `kosmoscope.load` does.
        """
        self.check()  # before a conversion that may take minutes
        from kosmoscope.scope import load

        model = self.chosen_name()
        precision = None if self.precision is None else self.precision.kind
        with Steps(f"loading {model}", f"converting {model}, which is done once") as steps:
            return load(model, precision, threads=self.threads, progress=steps)


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
