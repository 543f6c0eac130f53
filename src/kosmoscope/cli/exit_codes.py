"""Where errors become an exit status and one line: the only place that maps them."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import typer
from typer.core import TyperGroup

from kosmoscope.cli import terminal
from kosmoscope.errors import ImageError, InputError, KosmoscopeError, KosmoscopeWarning
from kosmoscope.files.text import one_line

FAILED = 1
WRONG_CALL = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """The group of all commands, with one line for whatever goes wrong in them.

    A method of the group, not of `main()`, so that tests which run the group see the same.
    """

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run; exit with the status unless `standalone_mode` is off."""

        run: Callable[..., Any] = partial(super().main, *args, **extra)
        if not standalone_mode:
            return run(standalone_mode=False)
        sys.exit(exit_status(partial(run, standalone_mode=False)))


def exit_status(run: Callable[[], Any]) -> int:
    """Call `run` and return what the process should exit with; say in one line what went wrong.

    Errors that nobody raised on purpose pass through: their traceback is for a bug report.
    """
    try:
        with _noted():
            status = run()
    except KosmoscopeError as e:
        terminal.error(_as_typed(str(e)))
        wrong_call = isinstance(e, InputError) and not isinstance(e, ImageError)
        return WRONG_CALL if wrong_call else FAILED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except MemoryError:
        terminal.error("out of memory")
        return FAILED
    except OSError as e:
        name = str(e.filename) if isinstance(e.filename, int) else e.filename  # a descriptor
        what = "" if name is None else f"{one_line(name)}: "
        terminal.error(f"{what}{e.strerror or e}")
        return FAILED
    except Exception as e:
        # Typer's errors have changed their base class and place over its versions; what they
        # have in common is this method.
        if not hasattr(e, "format_message"):
            raise
        terminal.error(_usage(e))
        return int(getattr(e, "exit_code", WRONG_CALL))
    return status if isinstance(status, int) else 0


@contextmanager
def _noted() -> Iterator[None]:
    """Show our own warnings as notes."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", KosmoscopeWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, KosmoscopeWarning):
                terminal.note(str(message))
            else:
                others(message, category, *rest, **more)

        warnings.showwarning = show
        yield


def _as_typed(message: str) -> str:
    """Return what the lower rooms say with the options' names: they know arguments alone."""
    message = re.sub(r"(?<![-\w])overwrite(?![-\w=])", "--overwrite", message)
    return message.replace("another folder, or --", "another folder (--output), or --")


def _usage(error: Any) -> str:
    text = " ".join(str(error.format_message()).split()).rstrip(".")
    ctx = getattr(error, "ctx", None)
    return f"{text} (see {ctx.command_path} --help)" if ctx is not None else text
