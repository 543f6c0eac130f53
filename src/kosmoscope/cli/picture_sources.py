"""What a command's SOURCE arguments stand for, where no folder of results keeps the order."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kosmoscope.cli import terminal
from kosmoscope.errors import OptionError

if TYPE_CHECKING:
    from kosmoscope.batch import Source
    from kosmoscope.batch.passed import PassedOver

STDIN, STDIN_NAME = "-", "<stdin>"


def expanded(sources: Sequence[str], passed: PassedOver | None = None) -> list[Source]:
    """Return the pictures that folders, patterns and lists stand for; the rest as it is.

    A file that is named twice is there twice; one that folders and such have too is there once.

    Args:
        sources: as they were typed.
        passed: told what is passed over in folders.
    """
    from kosmoscope.batch import Source, find_pictures
    from kosmoscope.batch.lists import LIST_EXTENSIONS
    from kosmoscope.batch.walk import is_pattern

    found: list[Source] = []
    for source in sources:
        path = Path(source)
        several = source.startswith("@") or path.suffix.lower() in LIST_EXTENSIONS or path.is_dir()
        if several or (is_pattern(source) and not os.path.lexists(source)):
            known = {one.key for one in found}
            found += [s for s in find_pictures([source], passed=passed) if s.key not in known]
        else:
            found.append(Source(source))
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
