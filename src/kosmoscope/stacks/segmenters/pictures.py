"""Slices as pictures: grey from a window of values, or the colours that were read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kosmoscope.stacks.reading.pictures import picture_of
from kosmoscope.stacks.volume import Floats, Volume

_SAMPLED = 2_000_000


def grey_window(volume: Volume) -> tuple[float, float]:
    """Return the values that are shown black and white: nearly the least and the greatest.

    Bytes are shown as they are. Of others, those that one in two hundred lies beyond; CT's air is
    left out.
    """
    if volume.stored.dtype == np.uint8 and volume.slope == 1 and volume.intercept == 0:
        return 0.0, 255.0
    step = max(1, volume.stored.size // _SAMPLED)
    layers = max(1, int(step ** (1 / 3)))
    part = volume.values((slice(None, None, layers),) * 3)
    values: Floats = part[np.isfinite(part)]
    if volume.unit == "HU":
        inside = values[values > -500]
        values = inside if inside.size else values
    low, high = (float(v) for v in np.quantile(values, [0.005, 0.995]))
    return (low, high) if high > low else (low, low + 1.0)


def grey(values: Floats, window: tuple[float, float]) -> NDArray[np.uint8]:
    """Return values as bytes of grey."""
    low, high = window
    shown = (values - np.float32(low)) * np.float32(255 / (high - low))
    found: NDArray[np.uint8] = np.rint(shown.clip(0, 255)).astype(np.uint8)
    return found


def slice_picture(volume: Volume, k: int, window: tuple[float, float]) -> NDArray[np.uint8]:
    """Return slice k as (J, I, 3) RGB: in colour where it was read from pictures."""
    rgb = picture_of(volume, k)
    if rgb is not None:
        return rgb
    plane = volume.values((slice(k, k + 1), slice(None), slice(None)))[0]
    return np.repeat(grey(plane, window)[..., None], 3, axis=2)
