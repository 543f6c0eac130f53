"""The random walker: seeds of several labels -> every voxel's most likely one."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.errors import InputError
from kosmoscope.stacks.grids import Grid, block_means, working_grid
from kosmoscope.stacks.seeds import Marked
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.segmenters.islands import without_islands
from kosmoscope.stacks.segmenters.walker.appearance import Appearance, learn, noise_of
from kosmoscope.stacks.segmenters.walker.refine import refine
from kosmoscope.stacks.segmenters.walker.samples import samples_at
from kosmoscope.stacks.segmenters.walker.settings import WalkerOptions
from kosmoscope.stacks.segmenters.walker.solution import (
    Problem,
    edge_scale,
    seeds_on,
    solve_grid,
    solve_pyramid,
)
from kosmoscope.stacks.segmenters.walker.strokes import Stroke
from kosmoscope.stacks.volume import KJI, Floats, Volume, Window

_MARGIN = 14
"""Working voxels around a correction that are solved again at first."""
_MOVED = 0.05
"""A change of probability at the border of what was solved again for which more of it is."""


@dataclass(frozen=True, slots=True, eq=False)
class WalkerState:
    """What a correction goes on from."""

    grid: Grid
    values: Floats
    found: NDArray[np.float16]
    """(S, K, J, I) probabilities on the working grid."""
    coarse: Appearance
    """By the noise of the working grid's means."""
    full: Appearance
    """By that of the voxels themselves."""
    noise: tuple[float, float]
    """Standard deviations, of the working grid and of the voxels."""
    samples: tuple[Floats, ...]
    marked: Marked
    options: WalkerOptions
    strokes: tuple[Stroke, ...] = ()


class Walker:
    """Grady's random walker with priors of the values; deterministic.

    The whole is solved on a grid of at most `work_voxels` voxels, as near to isotropic as the
    spacing allows; borders, and whatever speaks against that solution, at full resolution, a few
    slices at a time.
    """

    name = "walker"

    def __init__(self, options: WalkerOptions | None = None) -> None:
        self.options = options or WalkerOptions()

    def segment(self, volume: Volume, marked: Marked) -> Segmented:
        """Return every voxel's label.

        Raises:
            InputError: fewer than two labels are marked, the background among them.
        """
        began = time.perf_counter()
        for label, name in enumerate(marked.names):
            if not marked.has(label):
                raise InputError(f"seeds: {name!r} has no mark; the walker needs one of each")
        grid = working_grid(volume, ((0, 0, 0), volume.shape), self.options.work_voxels)
        values = block_means(volume, grid)
        noise = noise_of(values), _full_noise(volume, grid, values)
        samples = tuple(
            samples_at(volume, marked.kji[marked.labels == n]) for n in range(len(marked.names))
        )
        span = float(values.min()), float(values.max())
        coarse, full = (learn(samples, n, span) for n in noise)
        problem = Problem(grid, values, seeds_on(grid, marked.kji, marked.labels))
        found = solve_pyramid(problem, coarse, noise[0], self.options)
        state = WalkerState(
            grid, values, found.astype(np.float16), coarse, full, noise, samples, marked,
            self.options,
        )  # fmt: skip
        out = np.empty(volume.shape, np.uint8)
        sure = np.empty(volume.shape, np.uint8)
        self._decide(volume, state, found, out, sure, None)
        if self.options.connected:
            without_islands(out, marked, partial(_second, state))
        seconds = time.perf_counter() - began
        return Segmented(volume, out, marked.names, self.name, seconds, sure, state)

    def correct(self, before: Segmented, more: Marked) -> Segmented:
        """Return a segmentation with marks added; only what they change is computed again.

        Near a new mark its values count for its label, whatever the seeds before said; farther away
        nothing changes.

        Args:
            before: of this segmenter; its options are those of then.
            more: new marks of labels that are there.

        Raises:
            InputError: the segmentation is another segmenter's, or a label is new.
        """
        began = time.perf_counter()
        old = before.state
        if not isinstance(old, WalkerState):
            raise InputError(f"a segmentation by {before.segmenter} cannot be corrected")
        if old.options != self.options:
            return Walker(old.options).correct(before, more)
        if new := set(more.names) - set(before.names):
            raise InputError(
                f"{min(new)!r} is no label of the segmentation; a correction adds none"
            )
        if not len(more.kji):
            raise InputError("a correction needs at least one marked voxel")
        state = self._with_stroke(before.volume, old, more)
        window, found = self._solve_around(state, more.kji)
        everything = state.found.copy()
        everything[:, *window] = found
        state = replace(state, found=everything)
        out, sure = before.labels.copy(), _surely(before)
        part = _full_window(state.grid, window)
        self._decide(before.volume, state, everything.astype(np.float32), out, sure, part)
        if self.options.connected:
            without_islands(out, state.marked, partial(_second, state))
        seconds = time.perf_counter() - began
        return Segmented(before.volume, out, before.names, self.name, seconds, sure, state)

    def _with_stroke(self, volume: Volume, old: WalkerState, more: Marked) -> WalkerState:
        names = old.marked.names
        renumber = np.array([names.index(n) for n in more.names], np.int8)
        labels = renumber[more.labels]
        new = [samples_at(volume, more.kji[labels == n]) for n in range(len(names))]
        samples = tuple(np.concatenate(pair) for pair in zip(old.samples, new, strict=True))
        span = old.full.low, old.full.high
        coarse, full = (learn(samples, n, span, new) for n in old.noise)
        stroke = Stroke(more.kji, coarse, full)
        marked = old.marked.and_more(more)
        return replace(old, samples=samples, marked=marked, strokes=(*old.strokes, stroke))

    def _solve_around(self, state: WalkerState, kji: NDArray[np.int64]) -> tuple[Window, Floats]:
        """Solve a window around new marks, and a larger one until its border keeps still."""
        grid = state.grid
        scale = edge_scale(state.coarse, state.noise[0], self.options)
        at, _ = grid.place(kji)
        seeds = seeds_on(grid, state.marked.kji, state.marked.labels)
        margin = _MARGIN
        while True:
            window = _around(at, margin, grid.shape)
            values = state.values[window]
            start = state.found[:, *window].astype(np.float32)
            shell = _shell(window, grid.shape)
            prior = state.coarse.likely(values)
            for stroke in state.strokes:
                stroke.pull(prior, stroke.coarse.likely(values), window, grid, grid.factors)
            problem = Problem(grid, values, seeds[window])
            found = solve_grid(problem, start, prior, scale, self.options.data, keep=shell)
            inner = ndimage.binary_dilation(shell, iterations=2)
            moved = np.abs(found - start)[:, inner]
            whole = all(s.stop - s.start == n for s, n in zip(window, grid.shape, strict=True))
            if whole or not moved.size or float(moved.max()) < _MOVED:
                return window, found
            margin *= 2

    def _decide(
        self,
        volume: Volume,
        state: WalkerState,
        found: Floats,
        out: NDArray[np.uint8],
        sure: NDArray[np.uint8],
        part: Window | None,
    ) -> None:
        """Write labels and how sure they are, of a part of the grid's full voxels or of all."""
        grid = state.grid
        scale = edge_scale(state.full, state.noise[1], self.options)

        def prior_of(values: Floats, local: Window) -> Floats:
            prior = state.full.likely(values)
            for stroke in state.strokes:
                stroke.pull(prior, stroke.full.likely(values), local, grid, (1, 1, 1))
            return prior

        for slab in refine(
            volume, grid, found, prior_of, (state.marked.kji, state.marked.labels),
            scale, self.options.data, part,
        ):  # fmt: skip
            out[slab.window] = slab.labels
            sure[slab.window] = slab.sure


def _surely(before: Segmented) -> NDArray[np.uint8]:
    assert before.sure is not None
    return before.sure.copy()


def _full_noise(volume: Volume, grid: Grid, values: Floats) -> float:
    """Return the noise of the voxels: of some slices in the middle, where the grid is coarser."""
    if grid.factors == (1, 1, 1):
        return noise_of(values)
    middle = volume.shape[0] // 2
    return noise_of(
        volume.values((slice(max(middle - 4, 0), middle + 4), slice(None), slice(None)))
    )


def _second(state: WalkerState, kji: NDArray[np.int64], label: int) -> NDArray[np.uint8]:
    """Return (N,) the likeliest other label of voxels."""
    k, j, i = state.grid.place(kji)[0].T
    chances = state.found[:, k, j, i].copy()
    chances[label] = -1
    other: NDArray[np.uint8] = chances.argmax(axis=0).astype(np.uint8)
    return other


def _around(at: NDArray[np.int64], margin: int, shape: KJI) -> Window:
    low = np.maximum(at.min(axis=0) - margin, 0)
    high = np.minimum(at.max(axis=0) + margin + 1, shape)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return k, j, i


def _shell(window: Window, shape: KJI) -> NDArray[np.bool_]:
    """The outermost voxels of a window, but for those at the grid's own border."""
    out = np.zeros(tuple(s.stop - s.start for s in window), bool)
    for axis, (part, n) in enumerate(zip(window, shape, strict=True)):
        lines = np.moveaxis(out, axis, 0)
        lines[0] |= part.start > 0
        lines[-1] |= part.stop < n
    return out


def _full_window(grid: Grid, window: Window) -> Window:
    """Return a window of working voxels as one of the full voxels of the grid's part."""
    k, j, i = (
        slice(s.start * f, min(s.stop * f, n))
        for s, f, n in zip(window, grid.factors, grid.size, strict=True)
    )
    return k, j, i
