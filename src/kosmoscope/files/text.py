r"""Text that messages, terminals and file formats can hold.

A path may have bytes that are not UTF-8 (Python keeps them as lone surrogates), control characters
and newlines; a phrase may have anything. Nothing is dropped: what cannot be written is written as a
backslash escape (``\xff``), as Python would print it.
"""

from __future__ import annotations

import os
import re
import unicodedata

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# Joiners are invisible but change no line: emoji and several scripts are written with them.
_JOINERS = "\u200c\u200d"


def one_line(text: str | bytes | os.PathLike[str], *, limit: int | None = None) -> str:
    r"""Return text or a path for one line: no control character, line break or lone surrogate.

    What does not print becomes ``\n``, ``\x1b`` and such.

    Args:
        text: a text, or a path as Python has it.
        limit: in characters; what is longer loses its middle.
    """
    line = "".join(
        c if c.isprintable() or c in _JOINERS else ascii(c)[1:-1] for c in os.fsdecode(text)
    )
    if limit is None or len(line) <= limit:
        return line
    return f"{line[: limit - limit // 5]}...{line[3 - limit // 5 :]}"


def shown_name(name: str | bytes | os.PathLike[str]) -> str:
    """Return a file's name for a message: `one_line`, of a bearable length."""
    return one_line(name, limit=500)


def reason(error: BaseException | None, *, limit: int = 200) -> str:
    """Return what an error says, in one line; its class where it says nothing."""
    return one_line(" ".join(str(error).split()) or type(error).__name__)[:limit]


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def utf8(text: str) -> str:
    r"""Return text that UTF-8 can encode: lone surrogates as ``\xff`` or ``\ud800``."""
    return _SURROGATE.sub(_escaped, text)


def markup(text: str) -> str:
    """Return text for XML, HTML, Markdown and CSV: no surrogate and no control character but
    newline and tab."""
    return _NOT_XML.sub(_escaped, text)


def one_space(text: str) -> str:
    """Return the text in Unicode's NFC, with every run of whitespace as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())
