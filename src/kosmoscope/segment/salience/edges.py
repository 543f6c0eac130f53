"""From a coarse map to one of the picture's size whose border follows the picture's edges.

A colour guided filter (He, Sun, Tang 2010) is fitted at the map's size: around each cell the map is
linear in the picture's colour. Its coefficients are enlarged and applied to the full picture ("Fast
guided filter", He and Sun 2015). With NumPy and Pillow, so that cut-outs need no OpenCV.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

RADIUS: Final = 3
"""Half the window, in cells of the map."""
EPSILON: Final = 1e-4
"""Regularisation, in squared colours of 0..1: steps of colour well above its root are followed."""
_ROWS: Final = 256
"""Rows of the picture that are made at once, so that the coefficients never are as large as it."""


def refined(rgb: NDArray[np.uint8], coarse: Floats, small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) uint8: the map at the picture's size, 255 where it is 1.

    Args:
        rgb: (H, W, 3) uint8, the picture.
        coarse: (h, w) in 0..1.
        small: (h, w, 3) uint8, the picture at the map's size.
    """
    height, width = rgb.shape[:2]
    h, w = coarse.shape
    line = _fit(coarse, small.astype(np.float32) / np.float32(255))
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in line]
    out = np.zeros((height, width), np.uint8)
    for top in range(0, height, _ROWS):
        rows = slice(top, min(top + _ROWS, height))
        first, last = (v * h / height for v in (rows.start, rows.stop))
        near = slice(max(int(first) - RADIUS, 0), int(last) + 1 + RADIUS)
        if coarse[near].max() < 1 / 255:
            continue
        size, box = (width, rows.stop - rows.start), (0, first, w, last)
        slope = [np.asarray(p.resize(size, Image.Resampling.BILINEAR, box)) for p in planes]
        value = slope[3] * np.float32(255)
        for channel in range(3):
            value += slope[channel] * rgb[rows, :, channel]
        out[rows] = np.rint(value).clip(0, 255)
    return out


def _fit(guess: Floats, colour: Floats) -> list[Floats]:
    """Return three slopes and the offset, (h, w) each: the map is linear in colour nearby."""
    mean, mean_guess = _blurred(colour), _blurred(guess[..., None])
    cross = _blurred(colour * guess[..., None]) - mean * mean_guess  # (h, w, 3)
    pairs = (colour[..., :, None] * colour[..., None, :]).reshape(*guess.shape, 9)
    spread = _blurred(pairs).reshape(*guess.shape, 3, 3) - mean[..., :, None] * mean[..., None, :]
    spread += EPSILON * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(spread, cross[..., None])[..., 0]
    offset = mean_guess - (slope * mean).sum(axis=2, keepdims=True)
    line = _blurred(np.concatenate([slope, offset], axis=2))
    return [line[..., i] for i in range(4)]


def _blurred(values: Floats) -> Floats:
    """Return (h, w, C): the mean over the window around each cell; the border repeats."""
    window = 2 * RADIUS + 1
    for axis in (0, 1):
        around = [(0, 0)] * 3
        around[axis] = (RADIUS, RADIUS)
        padded, size = np.pad(values, around, mode="edge"), values.shape[axis]
        total = np.zeros(values.shape, np.float32)
        for shift in range(window):
            total += np.take(padded, range(shift, shift + size), axis=axis)
        values = total / np.float32(window)
    return values
