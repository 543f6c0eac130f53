"""Folders and patterns: the pictures below a folder, in an order that never changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

from kosmoscope.batch.passed import PassedOver, is_own_folder, own_names
from kosmoscope.files.places import place

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".tif", ".tiff"}
    | {".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".heic", ".heif"}
)
"""In a folder, files with these are pictures. A file that is named by itself needs none."""

Names = tuple[str, ...]
Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FoundPath:
    """A file below a folder, or a folder that cannot be read."""

    path: str
    problem: str = ""


def is_picture_name(name: str) -> bool:
    """Return whether a file in a folder is taken for a picture."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 (a str)


def identity(path: str | os.PathLike[str]) -> Identity | None:
    """Return what tells a folder from all others, links followed; None if it is not there."""
    try:
        status = os.stat(path)  # noqa: PTH116 (a str)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def walk(
    top: str,
    exclude: Container[Identity] = (),
    enter: Callable[[Names], bool] = lambda _: True,
    passed: PassedOver | None = None,
) -> Iterator[FoundPath]:
    """Yield the files below a folder, folder by folder, sorted by the bytes of their names.

    Links to folders are followed, each real folder is entered once: a loop ends. What begins with
    a dot is skipped, and so is what kosmoscope wrote; but `top` itself is meant, whatever it is.
    Files are not looked at: a dangling link or a pipe is yielded as well.

    Args:
        top: the folder.
        exclude: folders below it that are not entered.
        enter: told the names from `top` to a folder, says whether to enter it.
        passed: told what kosmoscope wrote and is skipped.
    """
    passed = PassedOver() if passed is None else passed
    visited: set[Identity] = set()
    # A stack of its own: folders may be nested deeper than Python's calls.
    levels: list[tuple[Names, Iterator[os.DirEntry[str] | FoundPath]]]
    levels = [((), _entries(top, (), visited, passed, named=True))]
    while levels:
        names, entries = levels[-1]
        for entry in entries:
            if isinstance(entry, FoundPath):
                yield entry
                continue
            if not _is_folder(entry):
                yield FoundPath(entry.path)
                continue
            below = (*names, entry.name)
            if enter(below):
                levels.append((below, _entries(entry.path, exclude, visited, passed)))
                break
        else:
            levels.pop()


def _entries(
    folder: str,
    exclude: Container[Identity],
    visited: set[Identity],
    passed: PassedOver,
    *,
    named: bool = False,
) -> Iterator[os.DirEntry[str] | FoundPath]:
    own = identity(folder)
    if own is not None and (own in visited or own in exclude):
        return
    if own is not None:
        visited.add(own)
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda e: os.fsencode(e.name))
    except OSError as e:
        yield FoundPath(folder, f"the folder cannot be read: {e.strerror or e}")
        return
    names = {entry.name for entry in entries}
    if not named and is_own_folder(folder, names):
        passed.folders.add(place(folder))
        return
    own_name = own_names(folder, names)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not own_name(entry.name):
            yield entry
        elif _is_folder(entry):
            passed.folders.add(place(entry.path))
        else:
            passed.pictures.add(place(entry.path))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def is_pattern(text: str) -> bool:
    """Return whether a path that names no file can be a pattern."""
    return any(c in text for c in "*?[")


def glob(
    pattern: str, exclude: Container[Identity] = (), passed: PassedOver | None = None
) -> Iterator[FoundPath]:
    """Yield the files that a pattern matches, and those below folders that it matches.

    ``*``, ``?`` and ``[...]`` within a name, ``**`` for any number of folders. `exclude` and
    `passed` are those of `walk`.
    """
    parts = [p for p in pattern.replace(os.sep, "/").split("/") if p not in ("", ".")]
    first = next(i for i, p in enumerate(parts) if is_pattern(p))
    base = "/".join(parts[:first])
    if pattern.startswith(("/", os.sep)):
        base = f"/{base}"
    wanted = tuple(parts[first:])
    top = base or "."
    prefix = len(top) + (not top.endswith("/"))

    def below_match(names: Names) -> bool:
        return any(_matches(names[:i], wanted) for i in range(1, len(names) + 1))

    def enter(names: Names) -> bool:
        return below_match(names) or _may_match(names, wanted)

    for found in walk(top, exclude, enter, passed):
        path = found.path if base else found.path[prefix:]
        names = tuple(found.path[prefix:].replace(os.sep, "/").split("/"))
        if found.problem or below_match(names):
            yield FoundPath(path, found.problem)


def _matches(names: Names, pattern: Names) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_matches(names[i:], pattern[1:]) for i in range(len(names) + 1))
    return bool(names) and fnmatch(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


def _may_match(names: Names, pattern: Names) -> bool:
    """Return whether something below a folder can match."""
    if not names:
        return bool(pattern)
    if not pattern:
        return False
    if pattern[0] == "**":
        return True
    return fnmatch(names[0], pattern[0]) and _may_match(names[1:], pattern[1:])
