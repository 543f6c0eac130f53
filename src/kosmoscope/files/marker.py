"""Which folders and pictures are kosmoscope's own: those are never taken for somebody's photos.

A folder that a command makes (or finds empty) has a hidden file `MARKER` in it that says so. A
folder that had files of others stays theirs; there the marker lists the files that are ours.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from kosmoscope.files.writing import output_error

MARKER = ".kosmoscope"

_KEY, _ALL, _SOME = "kosmoscope", "all", "some"


class Claim:
    """A folder that files of ours go into.

    Args:
        folder: it exists.
        whole: all that is in it is ours.
    """

    def __init__(self, folder: Path, *, whole: bool) -> None:
        self.folder, self.whole = folder, whole
        self._names = set() if whole else set(our_names(folder))

    def note(self, *files: Path) -> None:
        """Note files as ours before they are written; does nothing where the whole folder is."""
        new = [f.name for f in files if f.name not in self._names]
        if self.whole or not new:
            return
        self._names.update(new)
        # ASCII, so that every name is one line: bytes that are not UTF-8 are escapes.
        lines = "".join(json.dumps(name) + "\n" for name in new)
        marker = self.folder / MARKER
        try:
            with marker.open("a", encoding="ascii") as file:
                file.write(lines if file.tell() else _head(_SOME) + lines)
        except OSError as e:
            raise output_error(marker, e) from e


def claim(folder: Path) -> Claim:
    """Make a folder, or take the one that is there; mark it as ours if it was new or empty.

    Raises:
        OutputError: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            mark(folder)
    except OSError as e:
        raise output_error(folder, e) from e
    return Claim(folder, whole=is_ours(folder))


def mark(folder: Path) -> None:
    """Mark a folder of ours, with all that is and will be in it. Raises `OSError`."""
    (folder / MARKER).write_text(_head(_ALL), encoding="ascii")


def is_ours(folder: str | os.PathLike[str]) -> bool:
    """Return whether all that is in a folder is ours."""
    return _lines(folder)[:1] == [_head(_ALL).strip()]


def our_names(folder: str | os.PathLike[str]) -> frozenset[str]:
    """Return the names of the files of ours in a folder that is not ours as a whole."""
    names = set()
    for line in _lines(folder)[1:]:
        with suppress(ValueError):  # torn by a kill
            name = json.loads(line)
            if isinstance(name, str):
                names.add(name)
    return frozenset(names)


def _head(holds: str) -> str:
    return json.dumps({_KEY: holds}) + "\n"


def _lines(folder: str | os.PathLike[str]) -> list[str]:
    try:
        text = Path(folder, MARKER).read_text(encoding="ascii")
    except (OSError, ValueError):  # none, or none of ours
        return []
    return text.splitlines()
