"""What is going on, on stderr: spinners and bars for people, plain lines for logs."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kosmoscope.cli import terminal
from kosmoscope.cli.render import size_text
from kosmoscope.files.text import one_line

if TYPE_CHECKING:
    from rich.progress import ProgressColumn
    from rich.text import Text

    from kosmoscope.batch import Progress
    from kosmoscope.detail import Looked

_LINE_SECONDS = 10.0


class _Shown:
    """Something that is on stderr until its block ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


class Steps(_Shown):
    """Steps of a conversion; call it with the name of each.

    A terminal gets a spinner that names the step. Elsewhere the conversion is one line, and
    nothing at all is said where none is needed.
    """

    def __init__(self, waiting: str, conversion: str, *, quiet: bool = False) -> None:
        """`waiting` is shown before the first step, `conversion` from then on."""
        super().__init__()
        self._quiet = quiet
        self._waiting, self._conversion = waiting, conversion
        self._told = False
        self._spinner: _Spinner | None = None

    def __enter__(self) -> Self:
        if not self._quiet and terminal.is_terminal(sys.stderr):
            self._spinner = self._stack.enter_context(_Spinner(self._waiting))
        return self

    def __call__(self, step: str) -> None:
        """A step begins."""
        if self._spinner is not None:
            self._spinner.say(f"{self._conversion}: {step}")
        elif not self._told and not self._quiet:
            terminal.note(self._conversion)
        self._told = True


class _Spinner(_Shown):
    def __init__(self, text: str) -> None:
        super().__init__()
        from rich.status import Status

        self._status = Status(_plain(text), console=terminal.console(sys.stderr))
        self._stack.enter_context(self._status)

    def say(self, text: str) -> None:
        self._status.update(_plain(text))


def _plain(text: str) -> Text:
    from rich.text import Text

    return Text(one_line(text))


class Download(_Shown):
    """Bytes of a download; call it with (bytes here, bytes in all)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = one_line(name)
        self._tenths = -1
        self._bar: _Bar | None = None

    def __call__(self, done: int, total: int) -> None:
        """So much is here."""
        if terminal.is_terminal(sys.stderr):
            if self._bar is None:
                from rich import progress as rich

                columns = rich.DownloadColumn(), rich.TransferSpeedColumn()
                bar = _Bar(self._name, *columns, rich.TimeRemainingColumn())
                self._bar = self._stack.enter_context(bar)
            self._bar.move(done, total)
            return
        tenths = done * 10 // total if total else 10
        if tenths != self._tenths:
            self._tenths = tenths
            terminal.note(f"{self._name}: {size_text(done)} of {size_text(total)}")


class _Bar(_Shown):
    """A bar, its text, and rich's columns."""

    def __init__(self, name: str, *columns: ProgressColumn) -> None:
        super().__init__()
        from rich.progress import BarColumn, Progress, TextColumn

        text = TextColumn("{task.description}", markup=False)
        console = terminal.console(sys.stderr)
        self._progress = Progress(text, BarColumn(), *columns, console=console)
        self._stack.enter_context(self._progress)
        self._task = self._progress.add_task(name, total=None, about="")

    def move(self, done: int, total: int | None, about: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, about=about)


class Looks(_Shown):
    """Looks at parts of pictures; call it after each. A terminal gets a spinner, a log nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__()
        self._quiet = quiet
        self._spinner: _Spinner | None = None

    def __enter__(self) -> Self:
        if not self._quiet and terminal.is_terminal(sys.stderr):
            self._spinner = self._stack.enter_context(_Spinner("looking"))
        return self

    def __call__(self, look: Looked) -> None:
        """A look is done."""
        if self._spinner is not None:
            self._spinner.say(f"look {look.looks} of {look.planned}")


class Counter(_Shown):
    """Pictures of a long run; call it with a batch's progress, or `move` it.

    A terminal gets a bar with rate, time left and failures. Elsewhere there is a plain line every
    ten seconds.
    """

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        super().__init__()
        self._name, self._quiet = name, quiet
        self._bar: _Bar | None = None
        self._told = time.monotonic()

    def __call__(self, state: Progress) -> None:
        """So far is the batch."""
        self.move(state.done, state.total, state.rate, state.failed, state.eta)

    def move(
        self,
        done: int,
        total: int | None,
        rate: float,
        failed: int = 0,
        eta: float | None = None,
    ) -> None:
        """So many are done; `total` is None where nobody knows."""
        if self._quiet:
            return
        if terminal.is_terminal(sys.stderr):
            if self._bar is None:
                from rich.progress import MofNCompleteColumn, TextColumn

                about = TextColumn("{task.fields[about]}", markup=False)
                self._bar = self._stack.enter_context(_Bar(self._name, MofNCompleteColumn(), about))
            left = "" if eta is None else f"  {_clock(eta)} left"
            wrong = f"  {failed} failed" if failed else ""
            self._bar.move(done, total, f"{rate:.1f}/s{left}{wrong}")
            return
        now = time.monotonic()
        if now - self._told >= _LINE_SECONDS:
            self._told = now
            of = "" if total is None else f" of {total}"
            left = "" if eta is None else f", {_clock(eta)} left"
            wrong = f", {failed} failed" if failed else ""
            terminal.note(f"{self._name}: {done}{of}, {rate:.1f} a second{wrong}{left}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
