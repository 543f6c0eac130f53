"""Text in whatever encoding a program wrote it, as UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as the next one does
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
)
_LOOKED_AT = 512


def as_utf8(head: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a text's bytes as UTF-8 without a byte order mark.

    What has no mark and does not look like UTF-16 is passed on as it is, UTF-8 or not.

    Args:
        head: how it begins; as much as there is at once.
        rest: what comes after that.

    Raises:
        UnicodeDecodeError: it is not what it looked like.
    """
    mark, encoding = next(((m, e) for m, e in _MARKS if head.startswith(m)), (b"", ""))
    head = head[len(mark) :]
    encoding = encoding or _unmarked(head)
    if encoding in ("", "utf-8"):
        if head:
            yield head
        yield from rest
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    for part in chain([head], rest):
        if text := decoder.decode(part):
            yield text.encode("utf-8")
    if text := decoder.decode(b"", final=True):
        yield text.encode("utf-8")


def _unmarked(head: bytes) -> str:
    """Return which UTF-16 a text without a mark is; paths that NUL ends are none."""
    some = head[: _LOOKED_AT & ~1]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = some[first::2]
        if len(zeros) < 4 or zeros.count(0) < 0.6 * len(zeros):
            continue
        letters = some[1 - first :: 2]
        # `find -print0` may write names of one letter; those have neither dots nor line ends.
        if b"\0" not in letters and re.search(rb"[\n./]", letters):
            return encoding
    return ""
