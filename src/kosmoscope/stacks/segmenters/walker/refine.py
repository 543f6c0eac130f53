"""From the working grid to labels of the full one: only what is open there is solved again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.stacks.grids import Grid, enlarged_layers
from kosmoscope.stacks.segmenters.walker.band import band_of, settle
from kosmoscope.stacks.segmenters.walker.solution import pull_of
from kosmoscope.stacks.volume import Floats, Volume, Window

_SLAB = 3_000_000
"""Voxels that are worked on at a time."""
_HALO = 3
"""Slices that slabs overlap by: the border of one depends on the next by no more."""
_SURE = 0.9
_ROUNDS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Full:
    """A window of the full grid, decided."""

    window: Window
    """Of the volume."""
    labels: NDArray[np.uint8]
    sure: NDArray[np.uint8]


def refine(
    volume: Volume,
    grid: Grid,
    found: Floats,
    prior_of: Callable[[Floats, Window], Floats],
    seeds: tuple[NDArray[np.int64], NDArray[np.int8]],
    scale: float,
    data: float,
    part: Window | None = None,
) -> Iterator[Full]:
    """Yield slabs of labels.

    Args:
        volume: read slab by slab.
        grid: on which `found` (S, K, J, I) was solved.
        found: probabilities.
        prior_of: values and their window of the grid's full voxels -> likelihoods (S, ...).
        seeds: full voxels (N, 3) and their labels (N,).
        scale: as in `lattice`.
        data: as in `WalkerOptions`.
        part: of the grid's full voxels, all unless given.
    """
    (k0, j0, i0), (nk, nj, ni) = grid.start, grid.size
    kk, jj, ii = part or (slice(0, nk), slice(0, nj), slice(0, ni))
    thick = max(1, _SLAB // max((jj.stop - jj.start) * (ii.stop - ii.start), 1))
    for first in range(kk.start, kk.stop, thick):
        last = min(first + thick, kk.stop)
        low, high = max(first - _HALO, 0), min(last + _HALO, nk)
        local = (slice(low, high), jj, ii)
        values = volume.values(
            (
                slice(k0 + low, k0 + high),
                slice(j0 + jj.start, j0 + jj.stop),
                slice(i0 + ii.start, i0 + ii.stop),
            )
        )
        chances = _chances(grid, found, local)
        at = seeds[0] - np.array([k0 + low, j0 + jj.start, i0 + ii.start])
        inside = ((at >= 0) & (at < np.array(values.shape))).all(axis=1)
        marks = np.ravel_multi_index(tuple(at[inside].T), values.shape)
        if grid.factors != (1, 1, 1):
            _solve_open(
                values, chances, prior_of(values, local), marks, seeds[1][inside], grid, scale, data
            )
        labels = chances.argmax(axis=0).astype(np.uint8)
        top = chances.max(axis=0)
        labels.ravel()[marks] = seeds[1][inside]
        top.ravel()[marks] = 1
        sure = np.rint(top * 255).astype(np.uint8)
        keep = slice(first - low, last - low)
        window = (
            slice(k0 + first, k0 + last),
            slice(j0 + jj.start, j0 + jj.stop),
            slice(i0 + ii.start, i0 + ii.stop),
        )
        yield Full(window, labels[keep], sure[keep])


def _chances(grid: Grid, found: Floats, local: Window) -> Floats:
    # Blocks at the end of an axis may be cut: as long as whole ones for the interpolation.
    size = tuple(n * f for n, f in zip(grid.shape, grid.factors, strict=True))
    shape = (size[0], size[1], size[2])
    return np.stack([enlarged_layers(x, grid.factors, shape, local) for x in found])


def _solve_open(
    values: Floats,
    chances: Floats,
    prior: Floats,
    marks: NDArray[np.int64],
    marked: NDArray[np.int8],
    grid: Grid,
    scale: float,
    data: float,
) -> None:
    """Solve in place what is not sure, or whose own value speaks against the working grid."""
    labels = chances.argmax(axis=0).astype(np.uint8)
    open_ = chances.max(axis=0) < _SURE
    against = prior.argmax(axis=0) != labels
    against &= prior.max(axis=0) > _SURE
    open_ |= against
    open_ |= ndimage.grey_dilation(labels, size=(3, 3, 3)) != ndimage.grey_erosion(
        labels, size=(3, 3, 3)
    )
    open_ = ndimage.binary_dilation(open_)
    band = band_of(open_, values, grid.spacing_mm, scale)
    if not len(band.at):
        return
    fixed_label = np.full(values.size, -1, np.int8)
    fixed_label[marks] = marked
    fixed = fixed_label[band.at] >= 0
    own = prior.reshape(len(prior), -1)[:, band.at]
    pull = pull_of(own, data)
    rest = np.ones(len(band.at), np.float32)
    for label in range(len(chances) - 1):
        x = chances[label].reshape(-1)
        x[marks] = marked == label
        settle(band, own[label], pull, x, fixed, rounds=_ROUNDS)
        rest -= x[band.at]
    chances[-1].reshape(-1)[band.at] = rest.clip(0, 1)
