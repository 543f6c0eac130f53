"""A grid as a graph: weak edges where the values change, and the system of a random walk on it.

Minimised for each label, over its probability x of every voxel:

    sum over edges  w_ab (x_a - x_b)^2  +  sum over voxels  d_a (x_a - p_a)^2

with x fixed to 0 or 1 at seeds: Grady's random walker (IEEE PAMI 28 (2006) 1768) with the prior p
of what each label looks like (Grady, CVPR 2005). Solved by conjugate gradients with the diagonal as
a preconditioner, from the solution of a coarser grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.stacks.volume import Floats

_LEAST = 1e-3
"""Of an edge's weight: a walk crosses every border at some cost."""


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Edges between neighbours along k, j and i, and the pull of the data."""

    edges: tuple[Floats, Floats, Floats]
    """(K-1, J, I), (K, J-1, I) and (K, J, I-1)."""
    pull: Floats
    """(K, J, I): d, how much each voxel's own value counts."""
    diagonal: Floats

    def apply(self, x: Floats, out: Floats, spare: Floats) -> None:
        """Write the matrix times x into out; `spare` is room of the same shape."""
        np.multiply(self.diagonal, x, out=out)
        for axis, weight in enumerate(self.edges):
            ahead, behind = _pair(axis)
            room = spare[ahead]
            np.multiply(weight, x[behind], out=room)
            out[ahead] -= room
            np.multiply(weight, x[ahead], out=room)
            out[behind] -= room


def lattice(
    values: Floats, step_mm: tuple[float, float, float], scale: float, pull: Floats
) -> Lattice:
    """Return the graph of a grid.

    Args:
        values: (K, J, I).
        step_mm: between voxels along k, j and i: long edges weigh less (a walk in millimetres).
        scale: a difference of values that halves an edge's weight, and more.
        pull: (K, J, I), see the head of this file.
    """
    edges = []
    diagonal = pull.copy()
    shortest = min(step_mm)
    for axis in range(3):
        ahead, behind = _pair(axis)
        weight = edge_weights(values[behind] - values[ahead], scale)
        weight *= np.float32((shortest / step_mm[axis]) ** 2)
        diagonal[ahead] += weight
        diagonal[behind] += weight
        edges.append(weight)
    return Lattice((edges[0], edges[1], edges[2]), pull, diagonal)


def edge_weights(differences: Floats, scale: float) -> Floats:
    """Return the weights of edges over which the values change so much; works in place."""
    differences /= np.float32(max(scale, 1e-12))
    np.square(differences, out=differences)
    differences *= np.float32(-0.5)
    np.exp(differences, out=differences)
    differences += np.float32(_LEAST)
    return differences


def solve(
    graph: Lattice,
    prior: Floats,
    start: Floats,
    free: NDArray[np.bool_],
    *,
    rounds: int,
    tolerance: float = 2e-3,
) -> Floats:
    """Return (K, J, I) probabilities of one label.

    Args:
        graph: of the grid.
        prior: (K, J, I) p, 0..1.
        start: the first guess, with the seeds' values, which stay.
        free: (K, J, I) False at seeds.
        rounds: at most.
        tolerance: stop when the largest step of a round is less.
    """
    x = start.copy()
    along, spare = np.empty_like(x), np.empty_like(x)
    rest = graph.pull * prior
    graph.apply(x, along, spare)
    rest -= along
    rest *= free
    scaled = 1 / np.maximum(graph.diagonal, np.float32(1e-12))
    way = scaled * rest
    energy = float(np.vdot(rest, way))
    for _ in range(rounds):
        if energy <= 1e-12:
            break
        graph.apply(way, along, spare)
        along *= free
        pace = np.float32(energy / max(float(np.vdot(way, along)), 1e-30))
        np.multiply(way, pace, out=spare)
        x += spare
        if max(float(spare.max()), -float(spare.min())) < tolerance:
            break
        along *= pace
        rest -= along
        np.multiply(scaled, rest, out=spare)
        before, energy = energy, float(np.vdot(rest, spare))
        way *= np.float32(energy / before)
        way += spare
    return x


def _pair(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The voxels that have a neighbour ahead, and those neighbours."""
    ahead, behind = [slice(None)] * 3, [slice(None)] * 3
    ahead[axis], behind[axis] = slice(None, -1), slice(1, None)
    return tuple(ahead), tuple(behind)
