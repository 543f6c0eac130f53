"""Addresses by which a page, a drawing or a task refers to a file: relative, every byte right.

A name may have spaces, ``#``, ``?``, ``%`` and bytes that are not UTF-8; none of these may end the
address or be taken for another file's.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from kosmoscope.files.text import utf8


def is_url(path: str) -> bool:
    """Say whether a picture's path is an address already."""
    return "://" in path


def quoted(path: str | os.PathLike[str]) -> str:
    """Return a path with every byte but letters, digits and ``_.-~/`` escaped: a byte is %E9."""
    text = os.fspath(path).replace(os.sep, "/")
    try:
        raw = os.fsencode(text)
    except UnicodeEncodeError:  # half a surrogate pair: no file has such a name
        raw = utf8(text).encode()
    return quote(raw, safe="/")


def relative_address(file: str | os.PathLike[str], folder: str | os.PathLike[str]) -> str:
    """Return the address of a file as seen from a page in a folder.

    A name such as 'javascript:x.jpg' is never taken for a scheme.
    """
    try:
        return quoted(os.path.relpath(file, folder))
    except ValueError:  # another drive
        return Path(file).absolute().as_uri()
