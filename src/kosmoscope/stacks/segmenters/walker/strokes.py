"""Corrections: near a new mark, its values count for its label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.stacks.segmenters.walker.appearance import Appearance
from kosmoscope.stacks.volume import KJI, Floats, Window

REACH_MM = 20.0
"""How far from its marks a correction says anything of values."""


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """A correction: its voxels (N, 3) of the full grid, and what values are like there."""

    kji: NDArray[np.int64]
    appearance: Appearance

    def pull(
        self,
        prior: Floats,
        values: Floats,
        window: Window,
        factors: KJI,
        spacing_mm: tuple[float, float, float],
        start: KJI,
    ) -> None:
        """Move likelihoods (S, ...) of a window towards this stroke's, in place.

        Args:
            prior: of the values.
            values: (K, J, I) of the window.
            window: in blocks of `factors` full voxels.
            factors: see `Grid`.
            spacing_mm: of the full grid.
            start: of the grid's part.
        """
        step = tuple(s * f for s, f in zip(spacing_mm, factors, strict=True))
        at = (self.kji - np.array(start)) // np.array(factors)
        pads = [int(REACH_MM / s) + 1 for s in step]
        low = [s.start - p for s, p in zip(window, pads, strict=True)]
        size = [n + 2 * p for n, p in zip(values.shape, pads, strict=True)]
        local = at - np.array(low)
        inside = ((local >= 0) & (local < np.array(size))).all(axis=1)
        if not inside.any():
            return
        away = np.ones(size, bool)
        away[tuple(local[inside].T)] = False
        distance = ndimage.distance_transform_edt(away, sampling=step)
        inner = tuple(slice(p, p + n) for p, n in zip(pads, values.shape, strict=True))
        near = np.maximum(1 - (distance[inner] / REACH_MM) ** 2, 0) ** 2
        prior += near.astype(np.float32) * (self.appearance.likely(values) - prior)
