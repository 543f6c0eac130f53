"""The command line: `kosmoscope describe photo.jpg`. Results on stdout, messages on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0 done, 1 inputs or models failed, 2 a wrong call."""
    _interrupts_end_it()
    try:
        from kosmoscope.cli.app import app

        _interrupts_raise()
        app()
    except KeyboardInterrupt:
        sys.exit(130)


def _interrupts_end_it() -> None:
    """Let Ctrl-C end the process at once and quietly, while there is nothing to be tidied up.

    In the middle of an import an exception comes out as anything: of a library half loaded as an
    `ImportError` of its own, out of a callback as a traceback that nobody can catch.
    """
    import os
    import signal

    # Unless somebody chose otherwise: `nohup`, a program that runs this one.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        try:
            signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        except ValueError:  # not in the main thread
            return


def _interrupts_raise() -> None:
    """Let Ctrl-C be a `KeyboardInterrupt` again, but in the middle of an import: commands import
    what runs a model when they are called."""
    import signal

    if getattr(signal.getsignal(signal.SIGINT), "__module__", None) == __name__:
        signal.signal(signal.SIGINT, _unless_importing)


def _unless_importing(number: int, frame: FrameType | None) -> None:
    # Extension modules turn an interrupt in their import into an error of their own, with its
    # traceback. What is half written then is a hidden file beside its place: nothing is lost.
    import os
    import signal

    above = frame
    while above is not None:
        if above.f_code.co_filename == "<frozen importlib._bootstrap>":
            os._exit(130)
        above = above.f_back
    signal.default_int_handler(number, frame)
