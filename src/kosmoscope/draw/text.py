"""Words: made harmless, measured, cut to a width; and the font that ships with the package."""

from __future__ import annotations

import io
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files

from PIL import ImageFont, features

FONT_FILE = "DejaVuSans.ttf"
CAP_HEIGHT = 0.729
"""Height of a capital of the font, in em."""

_LONGEST = 400
"""More characters of a phrase are not even measured."""
_JOINERS = "\u200c\u200d"
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def clean(text: str) -> str:
    """Return one line without anything that draws nothing or turns the text around.

    Newlines, tabs and runs of spaces become one space; control and format characters (also
    those that override the direction) go, except the two joiners that scripts need; lone
    surrogates and noncharacters, which neither UTF-8 nor XML can carry, become U+FFFD.
    """
    out = []
    for c in text:
        if c.isspace():
            out.append(" ")
            continue
        kind = unicodedata.category(c)
        if kind == "Cs" or (kind == "Cn" and _noncharacter(ord(c))):
            out.append("\ufffd")
        elif kind not in ("Cc", "Cf") or c in _JOINERS:
            out.append(c)
    return " ".join("".join(out).split())


def _noncharacter(code: int) -> bool:
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


@cache
def _font_bytes() -> bytes:
    return (files("kosmoscope.draw") / "fonts" / FONT_FILE).read_bytes()


@lru_cache(maxsize=32)
def _font(size: int, layout: ImageFont.Layout) -> ImageFont.FreeTypeFont:
    # From memory: a path may be inside a zip, or be one that FreeType cannot open.
    return ImageFont.truetype(io.BytesIO(_font_bytes()), size, layout_engine=layout)


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Return the font at `size` pixels an em, with the layout engine that suits the text.

    Basic layout wherever it is right, so that the pixels are the same whatever Pillow was built
    with; Raqm for text from right to left, where this Pillow has it (without it such text comes
    out in logical order).
    """
    complex_text = any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in text)
    if complex_text and features.check("raqm"):
        return _font(size, ImageFont.Layout.RAQM)
    return _font(size, ImageFont.Layout.BASIC)


def measure(text: str, size: int) -> float:
    """Return the advance width of a cleaned text in pixels."""
    return float(font_for(text, size).getlength(text)) if text else 0.0


def shorten(text: str, size: int, width: float) -> str:
    """Return a cleaned text cut with an ellipsis to `width` pixels; empty if nothing fits."""
    text = text[:_LONGEST]
    if measure(text, size) <= width:
        return text
    fits, fails = 0, len(text)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if measure(text[:middle].rstrip() + "…", size) <= width:
            fits = middle
        else:
            fails = middle
    # A letter or two and dots say nothing that the number does not say.
    return text[:fits].rstrip() + "…" if fits >= 3 else ""
