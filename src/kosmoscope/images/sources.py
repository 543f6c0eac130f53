"""From what the caller has to bytes and a name: files and streams, read within limits."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, BinaryIO

from numpy.typing import NDArray
from PIL import Image

from kosmoscope.errors import (
    ImageError,
    ImageNotFoundError,
    ImageTooLargeError,
    OptionError,
    UnsupportedImageError,
)
from kosmoscope.files.text import shown_name

ImageSource = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any]
)
"""A path, a whole file in memory, an open binary stream, a Pillow image or an array of pixels."""

_PROBLEMS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file: a part of the path is not a folder",
    errno.ELOOP: "the symbolic links run in a circle",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENAMETOOLONG: "no such file: the name is too long",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture may cost. Checked before the cost arises."""

    max_pixels: int = 89_500_000
    """Width times height; read from the header, before anything is decoded. A larger JPEG is
    decoded at 1/2, 1/4 or 1/8 of its size; other kinds are refused. Pillow has a hard limit of its
    own at twice `PIL.Image.MAX_IMAGE_PIXELS`, about 179 million."""
    max_bytes: int = 256 * 2**20
    """Size of a file, a stream or bytes. Not asked of images and arrays already in memory."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
                raise OptionError(f"{f.name} must be a whole number greater than 0; got {value!r}")


def contents(source: object, name: str | None, limits: Limits) -> tuple[str, bytes]:
    """Return what to call the source, and all its bytes."""
    if isinstance(source, bytes | bytearray | memoryview):
        called = name or "<bytes>"
        size = source.nbytes if isinstance(source, memoryview) else len(source)
        _check_bytes(size, shown_name(called), limits)
        return called, bytes(source)
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        called = name or path
        return called, _read_path(path, shown_name(called), limits)
    read = getattr(source, "read", None)
    if not callable(read):
        raise UnsupportedImageError(
            shown_name(name or f"<{type(source).__name__}>"),
            "expected a path, bytes, a binary stream, a Pillow image or a NumPy array",
        )
    label = getattr(source, "name", None)
    called = name or (label if isinstance(label, str) and label else "<stream>")
    return called, _read_all(read, shown_name(called), limits)


def _read_path(path: str, shown: str, limits: Limits) -> bytes:
    try:
        # Asked before opening: opening a FIFO would wait for a writer, opening a device may act.
        _check_regular(os.stat(path).st_mode, shown)  # noqa: PTH116 (a str may hold a NUL)
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        # O_NONBLOCK, and asked again: the file may have been swapped for a FIFO in between.
        handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:  # noqa: PTH123 (a descriptor)
            status = os.fstat(handle)
            _check_regular(status.st_mode, shown)
            _check_bytes(status.st_size, shown, limits)
            return _read_all(file.read, shown, limits)
    except ImageError:
        raise  # ours; it is a ValueError as well
    except OSError as e:
        problem = _PROBLEMS.get(e.errno or 0, e.strerror or "cannot be read")
        if e.errno == errno.ENOENT and os.path.islink(path):  # noqa: PTH114
            problem = "a symbolic link to a file that does not exist"
        elif "://" in path:
            problem += " (URLs are not fetched)"
        raise ImageNotFoundError(shown, problem) from e
    except ValueError as e:
        # "embedded null byte", or characters that the file system's encoding does not have.
        problem = "a path cannot contain NUL" if "\0" in path else "not a valid path"
        raise ImageNotFoundError(shown, problem) from e


def _check_regular(mode: int, shown: str) -> None:
    if stat.S_ISDIR(mode):
        raise ImageNotFoundError(shown, "is a folder; expected a file")
    if not stat.S_ISREG(mode):
        raise ImageNotFoundError(shown, "is a pipe, socket or device; expected a regular file")


def _check_bytes(size: int, shown: str, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise ImageTooLargeError(shown, f"{size} bytes; expected at most {limits.max_bytes}")


def _read_all(read: Callable[[int], object], shown: str, limits: Limits) -> bytes:
    """Read to the end, but never more than one byte past the limit."""
    parts: list[bytes] = []
    left = limits.max_bytes + 1
    try:
        while left > 0:
            # Raw streams may return less than asked, so only b"" is the end.
            part = read(min(left, 2**20))
            if isinstance(part, str):
                raise UnsupportedImageError(shown, "a text stream; expected one opened as 'rb'")
            if not isinstance(part, bytes | bytearray | memoryview):
                raise ImageNotFoundError(shown, "the stream has no bytes to read")
            if not part:
                return b"".join(parts)
            parts.append(bytes(part))
            left -= len(part)
    except ImageError:
        raise  # ours; it is a ValueError as well
    except UnicodeDecodeError:
        raise UnsupportedImageError(shown, "a text stream; expected one opened as 'rb'") from None
    except (OSError, ValueError, TypeError) as e:
        # ValueError: the stream is closed. TypeError: its read() takes no size.
        problem = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise ImageNotFoundError(shown, f"cannot be read: {shown_name(problem)}") from e
    raise ImageTooLargeError(shown, f"more than {limits.max_bytes} bytes; expected at most that")
