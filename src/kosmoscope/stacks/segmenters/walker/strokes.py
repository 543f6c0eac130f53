"""Corrections: near a new mark, its values count for its label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.stacks.grids import Grid
from kosmoscope.stacks.segmenters.walker.appearance import Appearance
from kosmoscope.stacks.volume import KJI, Floats, Window

REACH_MM = 20.0
"""How far from its marks a correction says anything of values."""


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """A correction: its voxels (N, 3) of the full grid, and what values are like there."""

    kji: NDArray[np.int64]
    coarse: Appearance
    full: Appearance

    def pull(self, prior: Floats, near: Floats, window: Window, grid: Grid, factors: KJI) -> None:
        """Move likelihoods (S, K, J, I) of a window towards this stroke's, in place.

        Args:
            prior: without the stroke.
            near: with it.
            window: in blocks of `factors` full voxels, of the grid's part.
            grid: whose part it is.
            factors: the grid's own, or 1 for full voxels.
        """
        step = tuple(s * f for s, f in zip(grid.spacing_mm, factors, strict=True))
        at = (self.kji - np.array(grid.start)) // np.array(factors)
        shape = prior.shape[1:]
        pads = [int(REACH_MM / s) + 1 for s in step]
        low = [s.start - p for s, p in zip(window, pads, strict=True)]
        size = [n + 2 * p for n, p in zip(shape, pads, strict=True)]
        local = at - np.array(low)
        inside = ((local >= 0) & (local < np.array(size))).all(axis=1)
        if not inside.any():
            return
        away = np.ones(size, bool)
        away[tuple(local[inside].T)] = False
        distance = ndimage.distance_transform_edt(away, sampling=step)
        inner = tuple(slice(p, p + n) for p, n in zip(pads, shape, strict=True))
        weight = np.maximum(1 - (distance[inner] / REACH_MM) ** 2, 0) ** 2
        prior += weight.astype(np.float32) * (near - prior)
