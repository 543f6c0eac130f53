"""A file that is there whole or not at all.

It is written beside its place under another name and then moved there, so that a process that is
killed at any moment leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kosmoscope.errors import OptionError, OutputError
from kosmoscope.files.text import shown_name

_WORDS = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "no such folder",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EEXIST: "there is a file of that name; expected a folder",
    errno.EISDIR: "there is a folder of that name; expected a file",
    errno.ELOOP: "the symbolic links run in a circle",
}


_PART = re.compile(r"\.[0-9a-f]{16}\.part")


def output_error(path: str | os.PathLike[str], error: OSError, hint: str = "") -> OutputError:
    """Return the one-line error for a failed system call on a file of the output."""
    words = _WORDS.get(error.errno or 0) or error.strerror or str(error)
    return OutputError(f"{shown_name(path)}: cannot be written: {words}{hint}")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what the file system says in this block into one line that names the file.

    Raises:
        OutputError: instead of any `OSError`.
        OptionError: a name with a NUL character.
    """
    try:
        yield
    except OSError as e:
        named = isinstance(e.filename, str | bytes) and ".part" not in os.fsdecode(e.filename)
        raise output_error(os.fsdecode(e.filename) if named else path, e) from e
    except ValueError as e:
        if "null byte" in str(e) or "null character" in str(e):
            raise OptionError(f"{shown_name(path)}: a file name cannot have a NUL character") from e
        raise


def beside(path: Path) -> Path:
    """Return an unused hidden name in the same folder, for what is not finished.

    It does not grow with the name itself, which may be as long as the file system allows.
    """
    return path.with_name(f".{secrets.token_hex(8)}.part")


def parts_in(folder: Path) -> list[Path]:
    """Return what is not finished in a folder: left by a killed process, or being written now."""
    return [path for path in folder.glob(".*.part") if _PART.fullmatch(path.name)]


@contextmanager
def replacing(path: Path, *, overwrite: bool = True, durable: bool = False) -> Iterator[BinaryIO]:
    """Open a new file for writing that takes its place when the block ends without an exception.

    Args:
        path: where to; its folder exists.
        overwrite: replace a file that is there.
        durable: force it to the disk, so that it outlives a power cut too.

    Raises:
        OptionError: there is a folder, or a file (and not `overwrite`).
        OutputError: it cannot be written (no such folder, disk full, read-only).
    """
    with told(path):
        if path.is_dir():
            raise OptionError(f"{shown_name(path)}: is a folder; expected the name of a file")
        if not overwrite and os.path.lexists(path):
            raise OptionError(
                f"{shown_name(path)}: exists; another name or overwrite is needed (--overwrite)"
            )
        part = beside(path)
        try:
            # Not tempfile: its files are private to the user, and these are results to be shared.
            with part.open("xb") as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        except BaseException:  # also an interrupt must not leave the part behind
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def write_file(
    path: Path, data: bytes | memoryview, *, overwrite: bool = True, durable: bool = False
) -> None:
    """Write bytes. Arguments and errors are those of `replacing`."""
    with replacing(path, overwrite=overwrite, durable=durable) as file:
        file.write(data)


def write_text(
    path: Path, text: str | Iterable[str], *, overwrite: bool = True, durable: bool = False
) -> None:
    """Write text, or its pieces as they come, as UTF-8. As `replacing` does."""
    with replacing(path, overwrite=overwrite, durable=durable) as file:
        for piece in (text,) if isinstance(text, str) else text:
            file.write(piece.encode("utf-8"))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    with contextlib.suppress(OSError):  # not on Windows, not on every file system
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
