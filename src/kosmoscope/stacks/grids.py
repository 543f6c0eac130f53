"""Grids of one volume at several resolutions: block means, and values back on the full grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.stacks.volume import KJI, Floats, Volume, Window

Box = tuple[KJI, KJI]
"""First voxel and one past the last, of the full grid."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A part of a volume in blocks: one working voxel is `factors` full ones."""

    start: KJI
    """The first full voxel of the part."""
    size: KJI
    """Full voxels of the part along k, j and i."""
    factors: KJI
    spacing_mm: tuple[float, float, float]
    """Of the full grid, along k, j and i."""

    @property
    def shape(self) -> KJI:
        """Working voxels; the last block of an axis may be cut."""
        k, j, i = (-(-n // f) for n, f in zip(self.size, self.factors, strict=True))
        return k, j, i

    @property
    def step_mm(self) -> tuple[float, float, float]:
        """Between working voxels."""
        k, j, i = (s * f for s, f in zip(self.spacing_mm, self.factors, strict=True))
        return k, j, i

    def coarser(self) -> Grid:
        """Return the next grid of a pyramid: axes with the smallest steps are halved first."""
        step, small = self.step_mm, min(self.step_mm)
        k, j, i = (
            f * 2 if s < 1.7 * small and n > 1 else f
            for f, s, n in zip(self.factors, step, self.shape, strict=True)
        )
        return Grid(self.start, self.size, (k, j, i), self.spacing_mm)

    def place(self, kji: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the working voxels (N, 3) of full ones, and which of them lie in the part."""
        local = kji - np.array(self.start)
        inside = ((local >= 0) & (local < np.array(self.size))).all(axis=1)
        return local // np.array(self.factors), inside


def working_grid(volume: Volume, box: Box, most: int) -> Grid:
    """Return the finest grid over a box that has at most so many voxels and is near isotropic.

    Axes are merged in blocks where their spacing is the smallest, so that a stack of 1 x 1 x 5 mm
    is not made coarser along k before 2.5 mm are reached in the plane.
    """
    (k0, j0, i0), (k1, j1, i1) = box
    size = (k1 - k0, j1 - j0, i1 - i0)
    factors = [1, 1, 1]
    while True:
        grid = Grid((k0, j0, i0), size, (factors[0], factors[1], factors[2]), volume.spacing_mm)
        if int(np.prod(grid.shape)) <= most:
            return grid
        able = [a for a in range(3) if grid.shape[a] > 1]
        factors[min(able, key=lambda a: (grid.step_mm[a] * (factors[a] + 1) / factors[a], a))] += 1


def block_means(volume: Volume, grid: Grid) -> Floats:
    """Return (K, J, I) of the grid: the mean value of each block; one layer is read at a time."""
    (fk, fj, fi), (k, j, i) = grid.factors, grid.shape
    (k0, j0, i0), (nk, nj, ni) = grid.start, grid.size
    out = np.empty((k, j, i), np.float32)
    for layer in range(k):
        first, last = k0 + layer * fk, k0 + min((layer + 1) * fk, nk)
        part = volume.values((slice(first, last), slice(j0, j0 + nj), slice(i0, i0 + ni)))
        mean = part.mean(axis=0) if len(part) > 1 else part[0]
        out[layer] = shrink_plane(mean, fj, fi)
    return out


def shrink_plane(plane: Floats, fj: int, fi: int) -> Floats:
    """Return a plane (J, I) in blocks of fj x fi; at its ends the last row and column repeat."""
    if fj == fi == 1:
        return plane
    nj, ni = plane.shape
    pad = ((0, -nj % fj), (0, -ni % fi))
    full = np.pad(plane, pad, mode="edge")
    blocks = full.reshape(full.shape[0] // fj, fj, full.shape[1] // fi, fi)
    small: Floats = blocks.mean(axis=(1, 3))
    return small


def halve(values: Floats, by: KJI) -> Floats:
    """Return values (K, J, I) in blocks; at the ends the last layer repeats."""
    pads = [(0, -n % f) for n, f in zip(values.shape, by, strict=True)]
    full = np.pad(values, pads, mode="edge")
    k, j, i = (n // f for n, f in zip(full.shape, by, strict=True))
    blocks = full.reshape(k, by[0], j, by[1], i, by[2])
    small: Floats = blocks.mean(axis=(1, 3, 5))
    return small


def enlarge(values: Floats, by: KJI, shape: KJI) -> Floats:
    """Return values (K, J, I) between the centres of blocks, linearly, on the finer grid."""
    out = values
    for axis, (f, n) in enumerate(zip(by, shape, strict=True)):
        out = _stretched(out, f, n, axis)
    return out


def enlarged_layers(values: Floats, by: KJI, shape: KJI, window: Window) -> Floats:
    """Return a window of what `enlarge` gives, without the rest of it."""
    out = values
    for axis, (f, n, part) in enumerate(zip(by, shape, window, strict=True)):
        out = _stretched(out, f, n, axis, part)
    return out


def _stretched(values: Floats, f: int, n: int, axis: int, part: slice = slice(None)) -> Floats:
    at = np.arange(n)[part]
    if f == 1:
        return values if len(at) == values.shape[axis] else values.take(at, axis=axis)
    place = ((at + 0.5) / f - 0.5).clip(0, values.shape[axis] - 1)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    weight = (place - low).astype(np.float32)
    weight = weight.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    a: Floats = values.take(low, axis=axis)
    b: Floats = values.take(high, axis=axis)
    b -= a
    b *= weight
    b += a
    return b
