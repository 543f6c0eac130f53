"""JPEG files that break off just before their end, or are too large to be decoded whole."""

from __future__ import annotations

import hashlib
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_END = b"\xff\xd9"
_NOISE = hashlib.shake_256(b"noise").digest(8192).replace(b"\xff", b"\x7f")
"""Stands for what is lost: what it changes in the picture, the file does not tell."""
_LOOKED_AT = 16_000_000
"""Pixels at which it is looked for what is lost."""
_LOST_SHARE = 0.05
"""What may be missing at the lower edge, as a share of the picture."""

REDUCTIONS = (2, 4, 8)
"""By which a JPEG can be made smaller while it is decoded."""
_SCANS_IN_MEMORY = 4
"""A progressive JPEG is held in memory as a whole, three bytes a pixel, whatever its reduction."""


def ended(data: bytes) -> tuple[bytes, int]:
    """Give a JPEG that breaks off its end.

    Cameras, phones and copies that were interrupted leave files without the last bytes; viewers
    show them.

    Returns:
        The file with an end, and how many rows of pixels at the lower edge are made up.

    Raises:
        ValueError: it does not break off, or more than a few rows are missing.
        OSError: and whatever else Pillow raises for a damaged file.
    """
    stem = data.rstrip(b"\0")
    if stem.endswith(_END):
        raise ValueError("the file is damaged before its end")
    if not _scans_complete(stem):
        raise ValueError("the file is cut off: whole scans are missing")
    whole = stem.removesuffix(_END[:1]) + _END
    height, grey = _decoded(whole)
    _, noise = _decoded(whole.removesuffix(_END) + _NOISE + _END)
    differing = np.flatnonzero((grey != noise).any(axis=(1, 2)))
    lost = height * (len(grey) - int(differing[0])) // len(grey) if differing.size else 0
    if lost > _LOST_SHARE * height:
        raise ValueError(f"the file is cut off: {lost} of {height} rows are missing")
    return whole, lost


def _scans_complete(data: bytes) -> bool:
    """Say whether all scans of a progressive JPEG have begun (ITU-T T.81, annexes B.2.3 and G).

    Each brings a band of frequencies of some components to a precision, 0 being the full one.
    """
    precision: dict[tuple[int, int], int] = {}
    frequencies = 1
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0x00, 0xFF) or 0xD0 <= marker <= 0xD9:  # of the pixels, or without a body
            at += 2 if marker != 0xFF else 1
            continue
        body = data[at + 4 : at + 2 + length]
        if marker == 0xC2:
            frequencies = 64
            components = [body[6 + 3 * i] for i in range(body[5])] if len(body) > 5 else []
            precision = {(c, f): 1 for c in components for f in range(frequencies)}
        elif marker == 0xDA and frequencies > 1 and len(body) >= 4:
            first, last, bits = body[-3:]
            chosen = body[1:-3:2]
            precision |= {(c, f): bits & 15 for c in chosen for f in range(first, last + 1)}
        at += 2 + length
    return not any(precision.values())


def _decoded(data: bytes) -> tuple[int, NDArray[np.uint8]]:
    """Return a picture's height, and its pixels, fewer of them where they are very many."""
    with Image.open(io.BytesIO(data), formats=["JPEG", "MPO"]) as image:
        height = image.height
        factor = reduction(image, _LOOKED_AT) or REDUCTIONS[-1]
        image.draft(None, (image.width // factor, image.height // factor))
        return height, np.asarray(image.convert("RGB"))


def reduction(image: Image.Image, max_pixels: int) -> int | None:
    """Return by how much a JPEG must be reduced to have so many pixels at most; None: it cannot.

    1: not at all. What is not a JPEG cannot be reduced while it is decoded.
    """
    width, height = image.size
    if width * height <= max_pixels:
        return 1
    if image.format not in ("JPEG", "MPO"):
        return None
    if image.info.get("progressive") and width * height > _SCANS_IN_MEMORY * max_pixels:
        return None
    for factor in REDUCTIONS:
        if math.ceil(width / factor) * math.ceil(height / factor) <= max_pixels:
            return factor
    return None


def reduced_to(rgb: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a picture as small as it was when it was decoded reduced, if that is what `shape` is.

    Args:
        rgb: (H, W, 3), perhaps decoded with other limits than then.
        shape: (height, width) of what was found in it; another is no reason to change anything.
    """
    height, width = rgb.shape[:2]
    for factor in REDUCTIONS:
        if shape == (math.ceil(height / factor), math.ceil(width / factor)):
            size_wh = (shape[1], shape[0])
            return np.asarray(Image.fromarray(rgb).resize(size_wh, Image.Resampling.BOX))
    return rgb
