"""Files and folders that are there whole or not at all.

A file is written beside its place under a temporary name (leading dot) and moved there. A new
folder is built the same way. A folder from an earlier export is brought up to date by moving the
new files in; the list of what an export wrote, `MANIFEST`, tells which of its files are stale, so
that nothing else in that folder is ever touched.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from kosmoscope.errors import ImageNotFoundError, InputError, KosmoscopeError, OptionError
from kosmoscope.export.names import is_file_path, printable

MANIFEST = ".kosmoscope-export"
Pictures = Literal["none", "link", "copy"]


def _shown(path: Path | str) -> str:
    return printable(str(path)).replace("\n", "\\n")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the file system says into one line that names the file."""
    try:
        yield
    except OSError as e:
        where = _shown(os.fsdecode(e.filename)) if e.filename is not None else _shown(path)
        raise KosmoscopeError(f"{where}: cannot be written: {e.strerror or e}") from e
    except ValueError as e:
        if "null byte" in str(e) or "null character" in str(e):
            raise OptionError(f"{_shown(path)}: a file name cannot have a NUL character") from e
        raise


def _temporary(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(8)}.tmp")


@contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a new file for writing that takes its place when the block ends without an exception.

    Raises:
        OptionError: there is a file already (and not `overwrite`), or a folder.
        KosmoscopeError: it cannot be written (no such folder, disk full, read-only).
    """
    with _told(path):
        if path.is_dir():
            raise OptionError(f"{_shown(path)}: is a folder; expected the name of a file")
        if not overwrite and os.path.lexists(path):
            raise OptionError(f"{_shown(path)}: exists; another name or overwrite is needed")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_chunks(path: Path, chunks: Iterable[str], *, overwrite: bool = False) -> None:
    """Write text, chunk by chunk, as UTF-8. Raises like `replacing`."""
    with replacing(path, overwrite=overwrite) as file:
        for chunk in chunks:
            file.write(chunk.encode("utf-8"))


class Folder:
    """A folder that is being written. Names are relative, with '/' between their parts."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.names: list[str] = []

    def write(self, name: str, text: str) -> None:
        """Write one file as UTF-8."""
        self.write_bytes(name, text.encode("utf-8"))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write one file."""
        self._put(name, lambda temporary: temporary.write_bytes(content))

    def place(self, name: str, source: str, how: Pictures) -> None:
        """Put a picture into the folder: a copy, or a symbolic link to where it is.

        Raises:
            ImageNotFoundError: it is not a file, or it cannot be read.
        """
        try:
            there = is_file_path(source) and Path(source).is_file()
        except ValueError:  # a NUL character
            there = False
        if not there:
            raise ImageNotFoundError(
                _shown(source), f"is not a file that could be put into the folder (pictures={how})"
            )
        origin = Path(source).absolute()
        if how == "link":
            self._put(name, lambda temporary: temporary.symlink_to(origin))
            return
        if not os.access(origin, os.R_OK):
            raise ImageNotFoundError(_shown(source), "cannot be read")
        self._put(name, lambda temporary: shutil.copyfile(origin, temporary))

    def _put(self, name: str, make: Callable[[Path], object]) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        try:
            make(temporary)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        self.names.append(name)


@contextmanager
def folder(out: Path, *, to: str, overwrite: bool = False) -> Iterator[Folder]:
    """Write a folder: a new one appears whole; an earlier export's is brought up to date.

    Args:
        out: the folder's path.
        to: the format, noted in the manifest.
        overwrite: replace an earlier export. Files that it wrote and this one does not are
            removed; files that it did not write stay.

    Raises:
        OptionError: `out` is a file, or has other files in it, or an export (and not `overwrite`).
        KosmoscopeError: it cannot be written.
    """
    with _told(out):
        earlier = _earlier(out, overwrite=overwrite)
        out.parent.mkdir(parents=True, exist_ok=True)
        stage = _temporary(out.absolute())
        stage.mkdir()
        try:
            filling = Folder(stage)
            yield filling
            if earlier is None:
                _note(stage, to, filling.names)
                if out.is_dir():
                    out.rmdir()  # an empty one
                stage.rename(out)
            else:
                # Killed anywhere from here, the next export still knows all that was written.
                _note(out, to, [*earlier, *filling.names])
                for name in filling.names:
                    (out / name).parent.mkdir(parents=True, exist_ok=True)
                    (stage / name).replace(out / name)
                for name in sorted(set(earlier) - set(filling.names)):
                    _remove(out, name)
                _note(out, to, filling.names)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def _earlier(out: Path, *, overwrite: bool) -> list[str] | None:
    """Return what an earlier export wrote to `out`, or None where there is nothing yet."""
    if not os.path.lexists(out):
        return None
    if not out.is_dir():
        raise OptionError(f"{_shown(out)}: is a file; expected the name of a folder")
    manifest = out / MANIFEST
    if not manifest.is_file():
        if any(out.iterdir()):
            raise OptionError(
                f"{_shown(out)}: has files that no export wrote; expected a new or empty folder"
            )
        return None
    if not overwrite:
        raise OptionError(f"{_shown(out)}: holds an export; another name or overwrite is needed")
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        return [str(name) for name in files]
    except (ValueError, LookupError, TypeError) as e:
        raise InputError(f"{_shown(manifest)}: damaged; remove the folder yourself") from e


def _note(root: Path, to: str, names: Iterable[str]) -> None:
    text = json.dumps({"format": to, "files": sorted(set(names))}, ensure_ascii=False, indent=0)
    Folder(root).write(MANIFEST, text + "\n")


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
