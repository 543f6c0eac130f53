"""The whole at the working resolution: seeds -> probabilities of every label on a coarse grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.stacks.grids import Grid, enlarge, halve
from kosmoscope.stacks.segmenters.walker.appearance import Appearance
from kosmoscope.stacks.segmenters.walker.lattice import lattice, solve
from kosmoscope.stacks.segmenters.walker.settings import WalkerOptions
from kosmoscope.stacks.volume import KJI, Floats

_COARSEST = 20_000
"""Voxels of the grid on which the pyramid begins."""
_ROUNDS = 60
_FIRST_ROUNDS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """One grid to be solved."""

    grid: Grid
    values: Floats
    """(K, J, I) block means."""
    seeds: NDArray[np.int8]
    """(K, J, I): a label, or -1."""


def solve_pyramid(
    problem: Problem, appearance: Appearance, noise: float, options: WalkerOptions
) -> Floats:
    """Return (S, K, J, I) probabilities of all labels, from coarse to fine."""
    levels = [problem]
    while levels[-1].values.size > _COARSEST and max(levels[-1].grid.shape) > 8:
        levels.append(_coarser(levels[-1]))
    found: Floats | None = None
    below: Problem | None = None
    for level in reversed(levels):
        if found is None or below is None:
            start = appearance.likely(level.values)
            rounds = _FIRST_ROUNDS
        else:
            by = _ratio(level.grid, below.grid)
            start = np.stack([enlarge(x, by, level.grid.shape) for x in found])
            rounds = _ROUNDS
        prior = appearance.likely(level.values)
        found = solve_grid(
            level, start, prior, edge_scale(appearance, noise, options), options.data, rounds
        )
        below = level
    assert found is not None
    return found


def solve_grid(
    problem: Problem,
    start: Floats,
    prior: Floats,
    scale: float,
    data: float,
    rounds: int = _ROUNDS,
    keep: NDArray[np.bool_] | None = None,
) -> Floats:
    """Return (S, K, J, I) of one grid.

    Args:
        problem: the grid.
        start: the first guess, of the same shape.
        prior: (S, K, J, I) likelihoods by the values alone.
        scale: as in `lattice`.
        data: as in `WalkerOptions`.
        rounds: of the iteration, at most.
        keep: (K, J, I) voxels that stay as the guess has them.
    """
    graph = lattice(problem.values, problem.grid.step_mm, scale, pull_of(prior, data))
    fixed = problem.seeds >= 0
    free = ~fixed if keep is None else ~(fixed | keep)
    found = np.empty_like(prior)
    rest = np.ones(problem.values.shape, np.float32)
    for label in range(len(prior) - 1):
        guess = start[label].copy()
        guess[fixed] = problem.seeds[fixed] == label
        x = solve(graph, prior[label], guess, free, rounds=rounds)
        found[label] = x.clip(0, 1, out=x)
        rest -= x
    found[-1] = rest.clip(0, 1, out=rest)  # they add up to 1
    return found


def pull_of(prior: Floats, data: float) -> Floats:
    """Return (...): the weight of (S, ...) likelihoods, less where they are undecided.

    Where two labels have seeds of the same value that value says nothing, and must not hold the
    walk at one half.
    """
    top = np.partition(prior, len(prior) - 2, axis=0)[-2:]
    decided: Floats = top[1] - top[0]
    decided *= np.float32(data)
    decided += np.float32(1e-5)
    return decided


def edge_scale(appearance: Appearance, noise: float, options: WalkerOptions) -> float:
    """Return the step of values that makes an edge weak: beyond the noise, below the contrast."""
    return float(np.hypot(options.edge * appearance.contrast, 1.5 * noise))


def seeds_on(grid: Grid, kji: NDArray[np.int64], labels: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return (K, J, I) of a grid: the label of the seeds in each block, or -1.

    Blocks with seeds of two labels are left open: the full grid decides there.
    """
    out = np.full(grid.shape, -1, np.int8)
    mixed = np.zeros(grid.shape, bool)
    at, inside = grid.place(kji)
    for label in np.unique(labels[inside]):
        k, j, i = at[inside & (labels == label)].T
        mixed[k, j, i] |= (out[k, j, i] >= 0) & (out[k, j, i] != label)
        out[k, j, i] = label
    out[mixed] = -1
    return out


def _coarser(level: Problem) -> Problem:
    grid = level.grid.coarser()
    by = _ratio(level.grid, grid)
    values = halve(level.values, by)
    seeds = np.full(values.shape, -1, np.int8)
    where = np.argwhere(level.seeds >= 0)
    labels = level.seeds[tuple(where.T)]
    mixed = np.zeros(values.shape, bool)
    for label in np.unique(labels):
        k, j, i = (where[labels == label] // np.array(by)).T
        mixed[k, j, i] |= (seeds[k, j, i] >= 0) & (seeds[k, j, i] != label)
        seeds[k, j, i] = label
    seeds[mixed] = -1
    return Problem(grid, values, seeds)


def _ratio(fine: Grid, coarse: Grid) -> KJI:
    k, j, i = (b // a for a, b in zip(fine.factors, coarse.factors, strict=True))
    return k, j, i
