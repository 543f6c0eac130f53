"""What colour things are: the eleven basic colour terms, by a rule in CIELAB.

A pixel's lightness, chroma and hue angle (CIE 15:2004, D65, from sRGB after IEC 61966-2-1) decide
by `_named`'s thresholds, which were set by looking at the named colours of CSS. A thing has the
colours that fill at least `SHARE` of its mask, or without one of the ellipse in the middle of its
box.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from kosmoscope.geometry import XYXY
from kosmoscope.questions.evaluate.columns import COLOUR_NAMES

SHARE = 0.25
MIDDLE = 0.8
"""Share of a box's sides that the ellipse has: corners are mostly what is behind."""
_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32
)
_WHITE = np.array([0.9505, 1.0, 1.089], np.float32)
_NUMBER = {name: i for i, name in enumerate(COLOUR_NAMES)}


def colour_map(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W): which of `COLOUR_NAMES` each pixel of an sRGB picture (H, W, 3) has."""
    light, chroma, hue = _lch(rgb)
    found = np.full(light.shape, _NUMBER["grey"], np.uint8)
    for name, where in _named(light, chroma, hue):
        found[where] = _NUMBER[name]
    return found


def colours_of(colours: NDArray[np.uint8], mask: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the colours of some pixels, the most frequent first.

    Args:
        colours: `colour_map` of their picture.
        mask: of its shape; some are in it.
    """
    counts = np.bincount(colours[mask], minlength=len(COLOUR_NAMES))
    shares = counts / counts.sum()
    return tuple(COLOUR_NAMES[i] for i in np.argsort(-shares, kind="stable") if shares[i] >= SHARE)


def colours_in(colours: NDArray[np.uint8], box: XYXY) -> tuple[str, ...]:
    """Return the colours of a thing of which nothing but a box is known, the most frequent first.

    Args:
        colours: `colour_map` of its picture.
        box: normalised.
    """
    height, width = colours.shape
    x1, y1 = int(box[0] * width), int(box[1] * height)
    x2, y2 = max(int(np.ceil(box[2] * width)), x1 + 1), max(int(np.ceil(box[3] * height)), y1 + 1)
    part = colours[y1:y2, x1:x2]
    h, w = part.shape
    if not h or not w:
        return ()
    y, x = np.ogrid[:h, :w]
    inner = ((2 * x + 1) / w - 1) ** 2 + ((2 * y + 1) / h - 1) ** 2 <= MIDDLE**2
    return colours_of(part, inner if inner.any() else np.ones_like(inner))


Plane = NDArray[np.float32]


def _lch(rgb: NDArray[np.uint8]) -> tuple[Plane, Plane, Plane]:
    """Return lightness 0..100, chroma, and hue in degrees 0..360."""
    v = rgb.astype(np.float32) / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    a, b = 500 * (x - y), 200 * (y - z)
    return 116 * y - 16, np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360


def _named(light: Plane, chroma: Plane, hue: Plane) -> Iterable[tuple[str, NDArray[np.bool_]]]:
    """Yield names and where they hold; of several the last one counts."""
    coloured = chroma >= 12
    pinkish = (hue < 20) | (hue >= 345)
    reddish = (hue >= 20) & (hue < 52)
    orange = (hue >= 52) & (hue < 82)
    yellow = (hue >= 82) & (hue < 108)
    yield "white", ~coloured & (light >= 82)
    yield "black", ~coloured & (light < 25)
    yield "red", coloured & (reddish | pinkish)
    yield "pink", coloured & ((pinkish & (light >= 55)) | (reddish & (light >= 70) & (chroma < 60)))
    yield "orange", coloured & orange & (light >= 55) & (chroma >= 45)
    yield "brown", coloured & (orange & ((light < 55) | (chroma < 45)) | (reddish & (chroma < 35)))
    yield "yellow", coloured & yellow & (light >= 55)
    yield "brown", coloured & yellow & ((light < 55) | (chroma < 20))
    yield "green", coloured & (hue >= 108) & (hue < 190)
    yield "blue", coloured & (hue >= 190) & (hue < 312)
    yield "purple", coloured & (hue >= 312) & (hue < 345)
    yield "white", coloured & (light >= 93) & (chroma < 20)
    yield "black", light < 10
    yield "black", (light < 20) & (chroma < 20)
