"""A hash of what is seen: copies of a picture, at another size or quality, have nearly the same.

Source: the "pHash" of C. Zauner, Implementation and benchmarking of perceptual image hash functions
(2010): signs of the lowest frequencies of a small grey picture.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE, _LOW = 32, 8


def picture_hash(rgb: NDArray[np.uint8]) -> int:
    """Return 64 bits of which a copy of the picture, at another size or quality, has nearly all.

    Args:
        rgb: (H, W, 3), upright.
    """
    grey = Image.fromarray(rgb).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    waves = _waves()
    found = (waves @ np.asarray(grey, np.float64) @ waves.T).ravel()  # (64,), the mean first
    bits = found > np.median(found[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@cache
def _waves() -> NDArray[np.float64]:
    """(8, 32): the lowest cosines of the DCT-II."""
    k, i = np.arange(_LOW)[:, None], np.arange(_SIDE)[None]
    return np.cos(np.pi * (2 * i + 1) * k / (2 * _SIDE))
