"""Where a file is, whatever it is called and from wherever one looks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePath

from kosmoscope.files.text import utf8


def place(path: str, base: str = "", real: dict[str, str] | None = None) -> str:
    """Return a path that is the same for all spellings of one file.

    It is absolute, and links to folders on the way are followed; a link to a file is a name of its
    own. Nothing needs to be there.

    Args:
        path: as somebody wrote it.
        base: what it is relative to; the working folder if empty.
        real: folders that were looked up already; added to.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError:  # no path at all, but it may stand in a list
        path = utf8(path)
    folder, name = os.path.split(os.path.join(base, path))  # noqa: PTH118 (a str)
    if name in ("", ".", ".."):
        folder, name = os.path.join(folder, name), ""  # noqa: PTH118
    folder = folder or os.curdir
    found = None if real is None else real.get(folder)
    if found is None:
        try:
            found = os.path.realpath(folder)
        except (OSError, ValueError):  # NUL in it
            found = os.path.abspath(folder)  # noqa: PTH100
        if real is not None:
            real[folder] = found
    return os.path.join(found, name) if name else found  # noqa: PTH118


def is_there(path: str) -> bool:
    """Return whether something has this path; a dangling link has."""
    try:
        return os.path.lexists(path)
    except ValueError:  # NUL in it
        return False


def find_file(
    path: str, bases: Iterable[str | os.PathLike[str]] = (), images: Path | None = None
) -> str:
    """Return a path by which a file can be opened from the working folder.

    Args:
        path: as it was written, somewhere.
        bases: folders that it may be relative to, the likeliest first.
        images: look only in this folder: for as much of the path's end as there is.

    Returns:
        The path as it was written where that leads to the same file, or where no base has it.
    """
    if images is not None:
        return _inside(images, path)
    if os.path.isabs(path):  # noqa: PTH117
        return path
    for base in bases:
        joined = os.path.join(base, path)  # noqa: PTH118
        if is_there(joined):
            return path if place(joined) == place(path) else place(joined)
    return path


def _inside(folder: Path, path: str) -> str:
    pure = PurePath(path)
    parts = [part for part in pure.parts if part not in ("..", pure.anchor)]
    for i in range(len(parts)):
        joined = str(folder.joinpath(*parts[i:]))
        if is_there(joined):
            return joined
    return str(folder.joinpath(*parts[-1:]))
