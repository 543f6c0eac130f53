"""The border at full resolution: the same system, on the voxels alone that the working grid left
open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.stacks.segmenters.walker.lattice import edge_weights
from kosmoscope.stacks.volume import Floats

_AXES = ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1))


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """The open voxels of a part of the grid, as a list with its neighbours."""

    at: NDArray[np.int64]
    """(B,) flat indices into the part."""
    near: tuple[NDArray[np.int32], ...]
    """Six times (B,): where each neighbour stands in the list; B if it is not open or outside."""
    edges: tuple[Floats, ...]
    """Six times (B,): 0 at the part's border."""
    outside: tuple[NDArray[np.int64], ...]
    """Six times (B,): the neighbour's flat index, itself at the part's border."""


def band_of(
    open_: NDArray[np.bool_], values: Floats, step_mm: tuple[float, float, float], scale: float
) -> Band:
    """List the open voxels (K, J, I) of a part with these values."""
    shape = open_.shape
    at = np.flatnonzero(open_)
    number = np.full(open_.size, len(at), np.int32)
    number[at] = np.arange(len(at), dtype=np.int32)
    flat = values.ravel()
    own = flat[at]
    strides = (shape[1] * shape[2], shape[2], 1)
    shortest = min(step_mm)
    near, edges, outside = [], [], []
    for axis, side in _AXES:
        place = (at // strides[axis]) % shape[axis]
        there = (place + side >= 0) & (place + side < shape[axis])
        other = np.where(there, at + side * strides[axis], at)
        weight = edge_weights(flat[other] - own, scale)
        weight *= np.float32((shortest / step_mm[axis]) ** 2)
        weight *= there
        near.append(number[other])
        edges.append(weight)
        outside.append(other)
    return Band(at, tuple(near), tuple(edges), tuple(outside))


def settle(
    band: Band, prior: Floats, pull: Floats, x: Floats, fixed: NDArray[np.bool_], *, rounds: int
) -> None:
    """Solve the band in place by conjugate gradients.

    Args:
        band: of the part.
        prior: (B,) and `pull` (B,), as in `lattice`.
        pull: how much the prior counts.
        x: the part's probabilities, flat; those of the band change, the others are its border.
        fixed: (B,) True at seeds.
        rounds: of the iteration.
    """
    free = (~fixed).astype(np.float32)
    diagonal = pull + sum(band.edges)
    diagonal = np.maximum(diagonal, np.float32(1e-12))
    # One more place, always 0, stands for all that is not open.
    way = np.zeros(len(band.at) + 1, np.float32)
    rest = pull * prior - diagonal * x[band.at]
    for edge, other in zip(band.edges, band.outside, strict=True):
        rest += edge * x[other]
    rest *= free
    way[:-1] = rest / diagonal
    energy = float(np.vdot(rest, way[:-1]))
    moved = x[band.at]
    for _ in range(rounds):
        if energy <= 1e-12:
            break
        along = diagonal * way[:-1]
        for edge, near in zip(band.edges, band.near, strict=True):
            along -= edge * way[near]
        along *= free
        pace = np.float32(energy / max(float(np.vdot(way[:-1], along)), 1e-30))
        moved += pace * way[:-1]
        rest -= pace * along
        scaled = rest / diagonal
        before, energy = energy, float(np.vdot(rest, scaled))
        way[:-1] *= np.float32(energy / before)
        way[:-1] += scaled
    x[band.at] = moved.clip(0, 1)
