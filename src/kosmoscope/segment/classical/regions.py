"""A picture as a few hundred small coherent regions, with their colours, textures and borders."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LONG_SIDE: Final = 320
"""Working resolution: the longer side, in pixels. Cues of regions gain nothing above it."""
COUNT: Final = 700
"""Regions aimed at; a picture of fewer than that many 6x6 cells gets fewer."""


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Regions of the working picture; N of them, all arrays in their order."""

    labels: NDArray[np.int32]
    """(h, w) of the working picture: the region of each pixel, 0..N-1."""
    area: Floats
    """(N,) pixels."""
    centre: Floats
    """(N, 2) mean x, y in working pixels."""
    look: Floats
    """(N, D) mean colour and texture, scaled so that a distance of about 10 is clearly seen."""
    pairs: NDArray[np.int32]
    """(E, 2) neighbours, each pair once."""
    contact: Floats
    """(E,) length of the common border in pixels."""
    contrast: Floats
    """(E,) mean step of colour across the common border."""
    detail: Floats
    """(h, w, 3) smoothed Lab of the working picture."""


def divide(cv2: Any, rgb: NDArray[np.uint8]) -> Regions:
    """Divide a working picture into regions.

    Seeds on a regular grid, each moved to the flattest pixel of its cell, flood the picture in
    order of colour difference (watershed after Meyer; the seeds are those of "waterpixels",
    Machairas et al. 2015).

    Args:
        cv2: the library.
        rgb: (h, w, 3) uint8.
    """
    h, w = rgb.shape[:2]
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    smooth = cv2.bilateralFilter(lab, 5, 9.0, 2.0)
    labels = _flood(cv2, smooth, _seeds(cv2, smooth))
    labels, n = _compact(labels)
    flat = labels.ravel()
    area = np.bincount(flat, minlength=n).astype(np.float32)

    def mean(values: Floats) -> Floats:
        total = np.bincount(flat, weights=values.ravel(), minlength=n)
        return (total / area).astype(np.float32)

    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    channels = [0.7 * lab[..., 0], lab[..., 1], lab[..., 2], *_textures(cv2, lab)]
    pairs, contact, contrast = _borders(labels, smooth)
    return Regions(
        labels,
        area,
        np.stack([mean(xs + 0.5), mean(ys + 0.5)], axis=1),
        np.stack([mean(c) for c in channels], axis=1),
        pairs,
        contact,
        contrast,
        smooth,
    )


def _seeds(cv2: Any, lab: Floats) -> NDArray[np.int32]:
    """Return (h, w) with the numbers 1.. at one pixel a cell and 0 elsewhere."""
    h, w = lab.shape[:2]
    step = max((h * w / COUNT) ** 0.5, 6.0)
    rows, columns = max(round(h / step), 1), max(round(w / step), 1)
    slope = _slope(cv2, lab)
    seeds = np.zeros((h, w), np.int32)
    ys = np.linspace(0, h, rows + 1).astype(int)
    xs = np.linspace(0, w, columns + 1).astype(int)
    number = 0
    for y1, y2 in pairwise(ys):
        for x1, x2 in pairwise(xs):
            # Seeds keep off the cell's rim, so that no two of them touch.
            my, mx = (y2 - y1) // 4, (x2 - x1) // 4
            cell = slope[y1 + my : y2 - my, x1 + mx : x2 - mx]
            y, x = divmod(int(cell.argmin()), cell.shape[1])
            number += 1
            seeds[y1 + my + y, x1 + mx + x] = number
    return seeds


def _slope(cv2: Any, lab: Floats) -> Floats:
    total = np.zeros(lab.shape[:2], np.float32)
    for c in range(3):
        dx = cv2.Sobel(lab[..., c], cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
        dy = cv2.Sobel(lab[..., c], cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
        total += dx * dx + dy * dy
    return np.sqrt(total)


def _flood(cv2: Any, lab: Floats, seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    h, w = seeds.shape
    # The library takes bytes; Lab's a and b are stretched, because photos use little of them.
    scaled = np.stack([lab[..., 0] * 2.55, lab[..., 1] * 2 + 128, lab[..., 2] * 2 + 128], axis=2)
    image = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    # It also leaves the outermost pixels and the border lines (-1) without a region.
    padded = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    markers = np.zeros((h + 2, w + 2), np.int32)
    markers[1:-1, 1:-1] = seeds
    labels: NDArray[np.int32] = cv2.watershed(padded, markers)[1:-1, 1:-1].copy()
    while (labels <= 0).any():
        best = np.full((h, w), np.inf, np.float32)
        found = labels.copy()
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            there = _shifted(labels, dy, dx, 0)
            step = np.abs(lab - _shifted(lab, dy, dx, 0.0)).sum(axis=2)
            better = (labels <= 0) & (there > 0) & (step < best)
            found[better], best[better] = there[better], step[better]
        labels = found
    return labels


def _shifted(values: NDArray[Any], dy: int, dx: int, fill: float) -> NDArray[Any]:
    """Return the value of each pixel's neighbour at (y + dy, x + dx)."""
    out = np.full_like(values, fill)
    h, w = values.shape[:2]
    to_y, to_x = slice(max(-dy, 0), h - max(dy, 0)), slice(max(-dx, 0), w - max(dx, 0))
    of_y, of_x = slice(max(dy, 0), h - max(-dy, 0)), slice(max(dx, 0), w - max(-dx, 0))
    out[to_y, to_x] = values[of_y, of_x]
    return out


def _compact(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    used, inverse = np.unique(labels, return_inverse=True)
    return inverse.reshape(labels.shape).astype(np.int32), len(used)


def _textures(cv2: Any, lab: Floats) -> list[Floats]:
    """Return (h, w) maps of how restless the lightness is at two scales, and in which direction."""
    light = lab[..., 0]
    maps = []
    for size in (5, 13):
        mean = cv2.blur(light, (size, size))
        spread = cv2.blur(light * light, (size, size)) - mean * mean
        maps.append(8.0 * np.log1p(np.sqrt(np.maximum(spread, 0.0)) / 2.0))
    dx = cv2.Sobel(light, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    dy = cv2.Sobel(light, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    across, down = cv2.blur(dx * dx, (9, 9)), cv2.blur(dy * dy, (9, 9))
    maps.append(6.0 * (across - down) / (across + down + 1.0))
    return maps


def _borders(labels: NDArray[np.int32], lab: Floats) -> tuple[NDArray[np.int32], Floats, Floats]:
    n = int(labels.max()) + 1
    keys, steps = [], []
    for a, b, p, q in (
        (labels[:, :-1], labels[:, 1:], lab[:, :-1], lab[:, 1:]),
        (labels[:-1], labels[1:], lab[:-1], lab[1:]),
    ):
        cut = a != b
        low, high = np.minimum(a, b)[cut], np.maximum(a, b)[cut]
        keys.append(low.astype(np.int64) * n + high)
        steps.append(np.sqrt(((p - q)[cut] ** 2).sum(axis=1)))
    key, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    step = np.concatenate(steps)
    contact = np.bincount(inverse, minlength=len(key)).astype(np.float32)
    total = np.bincount(inverse, weights=step, minlength=len(key))
    pairs = np.stack([key // n, key % n], axis=1).astype(np.int32)
    return pairs, contact, (total / np.maximum(contact, 1)).astype(np.float32)
