"""From a guess per region to a mask of the whole picture whose border follows its edges."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosmoscope.geometry import XYXY
from kosmoscope.segment.classical.cues import pixel_box
from kosmoscope.segment.classical.regions import Floats

TILE: Final = 16
"""Side of a tile of `enlarge`, in working pixels."""
BINS: Final = 12
"""Colour bins along each axis of Lab."""
COLOUR_WEIGHT: Final = 0.5
RADIUS: Final = 4
"""Half the window of the guided filter, in working pixels."""
EPSILON: Final = 20.0
"""Its regularisation, in squared Lab units: steps of colour well above its root are followed."""


def colour_bins(lab: Floats) -> NDArray[np.int64]:
    """Return (h, w) the number of each pixel's colour bin."""
    scaled = np.stack([lab[..., 0] / 100, lab[..., 1] / 120 + 0.5, lab[..., 2] / 120 + 0.5], axis=2)
    q = (scaled * BINS).astype(np.int64).clip(0, BINS - 1)
    bins: NDArray[np.int64] = (q[..., 0] * BINS + q[..., 1]) * BINS + q[..., 2]
    return bins


def per_pixel(bins: NDArray[np.int64], guess: Floats) -> Floats:
    """Return (h, w) in 0..1: a guess, moved by how each pixel's own colour fits it.

    Args:
        bins: of the window around the box, `colour_bins`.
        guess: (h, w) of the same window, 0..1.
    """
    p = guess.clip(0.02, 0.98)
    n = BINS**3
    histograms = []
    for weight in (guess, 1 - guess):
        h = np.bincount(bins.ravel(), weights=weight.ravel(), minlength=n)
        cube = h.reshape(BINS, BINS, BINS).astype(np.float32)
        for axis in range(3):
            cube = 0.6 * cube + 0.2 * (_roll(cube, 1, axis) + _roll(cube, -1, axis))
        histograms.append(cube.ravel() / max(float(weight.sum()), 1.0))
    inside, outside = histograms
    ratio = np.log((inside + 1e-3) / (outside + 1e-3)).clip(-3, 3)
    z = np.log(p / (1 - p)) + COLOUR_WEIGHT * ratio[bins]
    out: Floats = (1 / (1 + np.exp(-z))).astype(np.float32)
    return out


def _roll(cube: Floats, by: int, axis: int) -> Floats:
    """Shift without wrapping round; the edge repeats."""
    index = np.clip(np.arange(BINS) - by, 0, BINS - 1)
    return np.take(cube, index, axis=axis)


def level(likely: Floats) -> float:
    """Return the likelihood above which pixels are in, for the best overlap to be expected.

    If the likelihoods are true, a mask's overlap (IoU) with the truth is about the sum of those
    inside it, over its area plus the sum of those outside it: where little is sure, the best mask
    takes in what is less likely than not.

    Args:
        likely: of the pixels of the box, about 0..1.
    """
    counts, edges = np.histogram(likely.clip(0, 1), bins=100, range=(0, 1))
    mass = counts * (edges[:-1] + 0.005)
    above, area = mass[::-1].cumsum()[::-1], counts[::-1].cumsum()[::-1]
    expected = above / np.maximum(area + mass.sum() - above, 1e-6)
    return float(edges[np.argmax(expected)])


class Guide:
    """A colour guided filter (He, Sun, Tang 2010), computed at the working resolution.

    Its coefficients may be enlarged and applied to the full picture (He and Sun 2015, "Fast guided
    filter"): the full picture's own edges then shape the mask.
    """

    def __init__(self, cv2: Any, lab: Floats) -> None:
        self._cv2, self._lab = cv2, lab
        self._mean = self._blur(lab)
        i = [lab[..., c] for c in range(3)]
        m = [self._mean[..., c] for c in range(3)]

        def cov(a: int, b: int) -> Floats:
            spread: Floats = self._blur(i[a] * i[b]) - m[a] * m[b]
            return spread + EPSILON if a == b else spread

        rr, rg, rb, gg, gb, bb = (
            cov(0, 0), cov(0, 1), cov(0, 2), cov(1, 1), cov(1, 2), cov(2, 2),
        )  # fmt: skip
        # Inverse of the symmetric 3x3 matrix by cofactors.
        c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
        c11, c12, c22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
        det = rr * c00 + rg * c01 + rb * c02
        self._inverse = [
            [c00 / det, c01 / det, c02 / det],
            [c01 / det, c11 / det, c12 / det],
            [c02 / det, c12 / det, c22 / det],
        ]

    def _blur(self, values: Floats) -> Floats:
        size = 2 * RADIUS + 1
        out: Floats = self._cv2.blur(values, (size, size))
        return out

    def fit(self, guess: Floats) -> tuple[Floats, Floats]:
        """Return (h, w, 3) slopes and (h, w) offsets: the mask is linear in Lab around a pixel."""
        mean = self._blur(guess)
        cross = [
            self._blur(self._lab[..., c] * guess) - self._mean[..., c] * mean for c in range(3)
        ]
        slopes = [sum(self._inverse[r][c] * cross[c] for c in range(3)) for r in range(3)]
        slope = np.stack(slopes, axis=2).astype(np.float32)
        offset = mean - (slope * self._mean).sum(axis=2)
        return self._blur(slope), self._blur(offset.astype(np.float32))

    def smooth(self, guess: Floats) -> Floats:
        """Return the filtered guess at the working resolution."""
        slope, offset = self.fit(guess)
        out: Floats = (slope * self._lab).sum(axis=2) + offset
        return out


def enlarge(
    cv2: Any,
    picture: NDArray[np.uint8],
    likely: Floats,
    slope: Floats,
    offset: Floats,
    box: XYXY,
) -> NDArray[np.bool_]:
    """Return (H, W): the mask of the full picture, within the box.

    Only tiles that the border runs through are computed from the full picture's colours; the rest
    are all in or all out.

    Args:
        cv2: the library.
        picture: (H, W, 3) RGB.
        likely: (h, w) at the working resolution, in when over 0.5.
        slope: (h, w, 3) and `offset` (h, w): of `Guide.fit`.
        box: in pixels of the picture.
    """
    h, w = likely.shape
    full_h, full_w = picture.shape[:2]
    sx, sy = full_w / w, full_h / h
    line = np.concatenate([slope, offset[..., None]], axis=2)
    x1, y1, x2, y2 = pixel_box(np.array(box, np.float32), (full_w, full_h))
    value = np.zeros((full_h, full_w), np.uint8)
    for top in range(0, h, TILE):
        for left in range(0, w, TILE):
            at_y1, at_y2 = round(top * sy), round(min(top + TILE, h) * sy)
            at_x1, at_x2 = round(left * sx), round(min(left + TILE, w) * sx)
            at_y1, at_y2 = max(at_y1, y1), min(at_y2, y2)
            at_x1, at_x2 = max(at_x1, x1), min(at_x2, x2)
            if at_y1 >= at_y2 or at_x1 >= at_x2:
                continue
            near = likely[max(top - 2, 0) : top + TILE + 2, max(left - 2, 0) : left + TILE + 2]
            place = (slice(at_y1, at_y2), slice(at_x1, at_x2))
            if near.min() > 0.6 or near.max() < 0.4:
                value[place] = 255 if near.min() > 0.6 else 0
                continue
            # Pixel centres: (x + 0.5) / sx - 0.5.
            shift = [
                [1 / sx, 0, (at_x1 + 0.5) / sx - 0.5],
                [0, 1 / sy, (at_y1 + 0.5) / sy - 0.5],
            ]
            fit = cv2.warpAffine(
                line,
                np.array(shift),
                (at_x2 - at_x1, at_y2 - at_y1),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            tile = cv2.blur(picture[place], (3, 3))
            lab = cv2.cvtColor(tile.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
            exact = (fit[..., :3] * lab).sum(axis=2) + fit[..., 3]
            value[place] = np.rint(exact * 255).clip(0, 255).astype(np.uint8)
    # Single pixels of noise near the border go; the border itself stays where it is.
    value[y1:y2, x1:x2] = cv2.medianBlur(np.ascontiguousarray(value[y1:y2, x1:x2]), 5)
    mask: NDArray[np.bool_] = value > 127
    return mask
