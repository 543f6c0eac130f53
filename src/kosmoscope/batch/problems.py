"""What the system says of the output folder, in one line."""

from __future__ import annotations

import errno

from kosmoscope.errors import OutputError
from kosmoscope.files.text import shown_name

_WORDS = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EEXIST: "there is a file of that name; expected a folder",
    errno.EISDIR: "there is a folder of that name; expected a file",
    errno.ELOOP: "the symbolic links run in a circle",
}


def output_error(path: object, error: OSError, hint: str = "") -> OutputError:
    """Return the one-line error for a failed system call on a file of the output."""
    words = _WORDS.get(error.errno or 0) or error.strerror or str(error)
    return OutputError(f"{shown_name(str(path))}: {words}{hint}")
