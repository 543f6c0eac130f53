"""Names for new files that are made from other names: none longer than a file system takes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from kosmoscope.files.text import one_line

NAME_BYTES = 255
"""Of one part of a path, on the usual file systems. Those that count characters take more."""
_DIGITS = 8


def fitted(name: str, room: int = 0) -> str:
    """Return a name that leaves room for what is put behind it; mostly the name itself.

    A longer one is cut between two characters and ends in a hash of the whole, so that two names
    that begin alike stay different, and the same name is always cut alike.

    Args:
        name: one part of a path, without what will be put behind it.
        room: bytes to be left for that: of `.jpg` four.
    """
    limit = NAME_BYTES - room
    if _size(name) <= limit:
        return name
    digest = hashlib.sha256(_encoded(name)).hexdigest()[:_DIGITS]
    return f"{cut(name, limit - _DIGITS - 1).rstrip(' .')}-{digest}"


def cut(text: str, limit: int) -> str:
    """Return as many characters from the beginning as are at most `limit` bytes in a file name."""
    if _size(text) <= limit:
        return text
    size = 0
    for at, character in enumerate(text):
        size += _size(character)
        if size > limit:
            return text[:at]
    return text


def _size(text: str) -> int:
    return len(_encoded(text))


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # bytes of a name that are not UTF-8
    except UnicodeEncodeError:  # half a surrogate pair: no file has such a name
        return text.encode("utf-8", "surrogatepass")


def lasting_name(path: str, task: str = "", *, room: int = 5) -> str:
    """Return a file's name, without suffix, that only a picture's path and the task decide.

    Args:
        path: the picture's.
        task: its key, put behind the name.
        room: bytes that will be put behind it, see `fitted`.
    """
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    stem = one_line(Path(path).stem)[:80] or "picture"
    return fitted("-".join(filter(None, (stem, digest, task))), room)
