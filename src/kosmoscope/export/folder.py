"""The folder of an export: there whole or not at all, and brought up to date by the next one.

A new folder appears in one piece. One of an earlier export has the new files moved into it; the
list of what an export wrote, `MANIFEST`, tells which of its files are stale, so that nothing else
in that folder is ever touched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from kosmoscope.errors import ImageNotFoundError, InputError, OptionError
from kosmoscope.export.names import is_file_path
from kosmoscope.files.folders import new_folder
from kosmoscope.files.marker import mark
from kosmoscope.files.text import shown_name
from kosmoscope.files.writing import beside, told, write_text

MANIFEST = ".kosmoscope-export"


class Folder:
    """A folder that is being written. Names are relative, with '/' between their parts."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.names: list[str] = []

    def write(self, name: str, content: str | bytes) -> None:
        """Write one file, text as UTF-8."""
        self._new(name).write_bytes(content.encode() if isinstance(content, str) else content)

    def place(self, name: str, source: str, *, link: bool) -> None:
        """Put a picture into the folder: a copy, or a symbolic link to where it is.

        Raises:
            ImageNotFoundError: see `origin`.
        """
        path = origin(source)
        if link:
            self._new(name).symlink_to(path)
        else:
            shutil.copyfile(path, self._new(name))

    def _new(self, name: str) -> Path:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.names.append(name)
        return path


def origin(source: str) -> Path:
    """Return where a picture lies that is to be put into a folder.

    Raises:
        ImageNotFoundError: it is not a file, or it cannot be read.
    """
    try:
        there = is_file_path(source) and Path(source).is_file()
    except ValueError:  # a NUL character
        there = False
    if not there:
        reason = "is not a file that could be put into the folder of an export"
        raise ImageNotFoundError(shown_name(source), reason)
    path = Path(source).absolute()
    if not os.access(path, os.R_OK):
        raise ImageNotFoundError(shown_name(source), "cannot be read")
    return path


@contextmanager
def export_folder(out: Path, *, to: str, overwrite: bool = False) -> Iterator[Folder]:
    """Write a folder: a new one appears whole; an earlier export's is brought up to date.

    Args:
        out: the folder's path; parents are made.
        to: the format, noted in the manifest.
        overwrite: replace an earlier export. Files that it wrote and this one does not are
            removed; files that it did not write stay.

    Raises:
        OptionError: `out` is a file, or has other files in it, or an export (and not `overwrite`).
        OutputError: it cannot be written.
    """
    with told(out):
        earlier = _earlier(out, overwrite=overwrite)
        if earlier is None:
            with new_folder(out) as stage:
                folder = Folder(stage)
                yield folder
                mark(stage)
                _note(stage, to, folder.names)
            return
        stage = beside(out.absolute())
        stage.mkdir()
        try:
            folder = Folder(stage)
            yield folder
            # Killed anywhere from here, the next export still knows all that was written.
            _note(out, to, [*earlier, *folder.names])
            for name in folder.names:
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (stage / name).replace(out / name)
            for name in sorted(set(earlier) - set(folder.names)):
                _remove(out, name)
            _note(out, to, folder.names)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def _earlier(out: Path, *, overwrite: bool) -> list[str] | None:
    """Return what an earlier export wrote to `out`, or None where there is nothing yet."""
    if not os.path.lexists(out):
        return None
    shown = shown_name(out)
    if not out.is_dir():
        raise OptionError(f"{shown}: is a file; expected the name of a folder")
    manifest = out / MANIFEST
    if not manifest.is_file():
        if any(out.iterdir()):
            raise OptionError(
                f"{shown}: has files that no export wrote; expected a new or empty folder"
            )
        return None
    if not overwrite:
        raise OptionError(
            f"{shown}: holds an export; another name or overwrite is needed (--overwrite)"
        )
    try:
        return [str(name) for name in json.loads(manifest.read_text(encoding="utf-8"))["files"]]
    except (ValueError, LookupError, TypeError) as e:
        raise InputError(f"{shown_name(manifest)}: damaged; remove the folder yourself") from e


def _note(root: Path, to: str, names: Iterable[str]) -> None:
    data = {"format": to, "files": sorted(set(names))}
    write_text(root / MANIFEST, json.dumps(data, ensure_ascii=False, indent=0) + "\n")


def _remove(root: Path, name: str) -> None:
    """Remove a file that an earlier export wrote; never one outside of the folder."""
    parts = PurePosixPath(name).parts
    path = root.joinpath(*parts)
    inside = path.parent.resolve().is_relative_to(root.resolve())
    if parts and ".." not in parts and inside and not path.is_dir():
        path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            if path.parent != root:
                path.parent.rmdir()
