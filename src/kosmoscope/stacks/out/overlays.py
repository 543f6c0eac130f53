"""Slices with the labels on them, as one picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.draw.palette import picture_colours
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.segmenters.pictures import grey_window, slice_picture

_FILL = 0.3
_SIDE_PX = 320
"""Of a slice in the picture, its longer side in the plane."""


def overlay(found: Segmented, k: int) -> NDArray[np.uint8]:
    """Return slice k (J, I, 3) with its labels filled lightly and their borders drawn."""
    rgb = slice_picture(found.volume, k, grey_window(found.volume)).astype(np.float32)
    labels = found.labels[k]
    by_name = picture_colours(found.names[1:])
    colours = np.array([(0, 0, 0), *(by_name[n] for n in found.names[1:])], np.float32)
    padded = np.pad(labels, 1, mode="edge")
    edge = np.zeros(labels.shape, bool)
    for moved in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= moved != labels
    inside = labels > 0
    weight = np.where(edge & inside, np.float32(1), np.float32(_FILL)) * inside
    rgb += weight[..., None] * (colours[labels] - rgb)
    return np.rint(rgb).astype(np.uint8)


def _upright(rgb: NDArray[np.uint8], found: Segmented) -> NDArray[np.uint8]:
    """Return a slice of a patient as radiologists look: the right hand left, face or head up."""
    if not found.volume.in_patient:
        return rgb
    across, down = found.volume.affine[:3, 0], found.volume.affine[:3, 1]
    if down[np.argmax(np.abs(down))] > 0:
        rgb = rgb[::-1]
    if int(np.argmax(np.abs(across))) == 0 and across[0] > 0:
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(rgb)


def sheet(found: Segmented, count: int = 12) -> Image.Image:
    """Return so many slices of those that have labels, evenly spread, as one picture.

    In true proportions, four a row; where nothing is labelled, of all slices.
    """
    used = [k for k, layer in enumerate(found.labels) if layer.any()] or list(
        range(found.volume.shape[0])
    )
    chosen = [used[round(n)] for n in np.linspace(0, len(used) - 1, min(count, len(used)))]
    _, high, wide = found.volume.spacing_mm
    rows, columns = found.volume.shape[1:]
    scale = _SIDE_PX / max(rows * high, columns * wide)
    size = (max(round(columns * wide * scale), 1), max(round(rows * high * scale), 1))
    across = min(4, len(chosen))
    page = Image.new("RGB", (across * size[0], -(-len(chosen) // across) * size[1]))
    for n, k in enumerate(chosen):
        row, column = divmod(n, across)
        tile = Image.fromarray(_upright(overlay(found, k), found)).resize(
            size, Image.Resampling.BILINEAR
        )
        page.paste(tile, (column * size[0], row * size[1]))
    return page
