"""How much of each voxel at a label's border the label fills, told by its value.

A voxel that the border runs through has a value between those of both sides (partial volume):
f = (value - outside) / (inside - outside), with the means of both sides as they are nearby. Summed
over the border, noise cancels out, and thick slices lose nothing. Where the two sides do not differ
enough for that, a voxel counts as its label says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.stacks.volume import Floats, Volume, Window

_REACH = 4
"""Voxels around one in which the means of both sides are taken."""
_NEAR = 1.5
"""The standard deviation of their weights, in voxels."""
_SUM = (2 * np.pi) ** 1.5 * _NEAR**3
"""Voxels that such weights add up to, of a nearest one's."""
_HALO = _REACH + 3
_SLAB = 4_000_000
_CLEAR = 2.0
"""Standard deviations by which two sides must differ for the values to tell anything."""
_FEW = 3
"""The mean of the whole side counts as so many voxels nearby."""
_LEAST, _LEAST_PART = 30, 0.02
"""Sure voxels, and their part of a label, from which on the means are theirs."""
_CUBE = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """Some slices of the part around a label."""

    window: Window
    """Of the volume."""
    mine: NDArray[np.bool_]
    values: Floats
    fraction: Floats
    """(K, J, I): 1 inside, 0 outside, at the border in between, and by the noise a little beyond."""
    band: NDArray[np.bool_]
    """Where the fraction is told by the value."""
    blind: NDArray[np.bool_]
    """Border voxels whose value tells nothing."""
    variance: Floats
    """Of the fraction, by the noise of the value; of the band, else 0."""
    core: NDArray[np.bool_]
    """Voxels whose values stand for the inside."""
    around: NDArray[np.bool_]
    """Voxels whose values stand for the outside, near enough to be used."""


def part_of(labels: NDArray[np.uint8], label: int) -> Window | None:
    """Return the bounding box of a label with room around it; None if it has no voxel."""
    rows = np.zeros(labels.shape[1], bool)
    columns = np.zeros(labels.shape[2], bool)
    first, last = -1, -1
    for k, layer in enumerate(labels):
        mine = layer == label
        if mine.any():
            first = k if first < 0 else first
            last = k
            rows |= mine.any(axis=1)
            columns |= mine.any(axis=0)
    if first < 0:
        return None
    j, i = np.flatnonzero(rows), np.flatnonzero(columns)
    bounds = ((first, last), (int(j[0]), int(j[-1])), (int(i[0]), int(i[-1])))
    kk, jj, ii = (
        slice(max(low - 2, 0), min(high + 3, n))
        for (low, high), n in zip(bounds, labels.shape, strict=True)
    )
    return kk, jj, ii


def fractions(volume: Volume, labels: NDArray[np.uint8], label: int) -> Iterator[Slab]:
    """Yield the part around a label, some slices at a time; nothing if it has no voxel."""
    part = part_of(labels, label)
    if part is None:
        return
    kk, jj, ii = part
    wide = (_wider(jj, labels.shape[1]), _wider(ii, labels.shape[2]))
    inner, means = _inside(volume, labels, label, part)
    thick = max(8, _SLAB // ((jj.stop - jj.start) * (ii.stop - ii.start)))
    for first in range(kk.start, kk.stop, thick):
        own = slice(first, min(first + thick, kk.stop))
        around = _wider(own, labels.shape[0])
        slab = _told(volume, labels, label, (around, *wide), inner, means)
        keep = tuple(
            slice(a.start - b.start, a.stop - b.start)
            for a, b in zip((own, jj, ii), (around, *wide), strict=True)
        )
        yield Slab((own, jj, ii), *(array[keep] for array in slab))


_Inner = Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
"""Voxels of a label -> those that are surely filled."""


def _told(
    volume: Volume,
    labels: NDArray[np.uint8],
    label: int,
    window: Window,
    inner: _Inner,
    means: tuple[float, float],
) -> tuple[NDArray[Any], ...]:
    """Return the fields of a `Slab` from the second one on."""
    mine = labels[window] == label
    values = volume.values(window)
    # At the volume's own edge a label does not end.
    band = ndimage.binary_dilation(mine, _CUBE) & ~_eroded(mine, _CUBE)
    core, clear = inner(mine), ~mine & ~band
    inside, spread_in = _local(values, core, means[0])
    outside, spread_out = _local(values, clear, means[1])
    apart = inside - outside
    noise = np.sqrt((spread_in**2 + spread_out**2) / 2)
    tells = band & (np.abs(apart) > _CLEAR * noise)
    safe = np.where(tells, apart, 1)
    slack = 3 * noise / np.abs(safe)
    told = ((values - outside) / safe).clip(-slack, 1 + slack)
    fraction = np.where(tells, told, mine).astype(np.float32)
    variance = np.where(tells, (noise / safe) ** 2, 0).astype(np.float32)
    near = ndimage.binary_dilation(band, _CUBE, iterations=_REACH)
    return mine, values, fraction, tells, band & ~tells, variance, core & near, clear & near


def _eroded(mine: NDArray[np.bool_], by: NDArray[np.bool_]) -> NDArray[np.bool_]:
    out: NDArray[np.bool_] = ndimage.binary_erosion(mine, by, border_value=1)
    return out


def _inside(
    volume: Volume, labels: NDArray[np.uint8], label: int, part: Window
) -> tuple[_Inner, tuple[float, float]]:
    """Return how a label's sure voxels are found, and the mean value of both sides.

    Those a voxel away from its border, if it is thick enough; else those away from the border in
    the planes of a stack of thick slices; else all.
    """
    spacing = volume.spacing_mm
    ways: list[_Inner] = [lambda mine: _eroded(mine, _CUBE)]
    thick = int(np.argmax(spacing))
    if spacing[thick] > 1.5 * sorted(spacing)[1]:
        for width in (5, 3):
            plane = np.ones([1 if axis == thick else width for axis in range(3)], bool)
            ways.append(partial(_eroded, by=plane))
    ways.append(lambda mine: mine)
    counts = [0] * len(ways)
    totals = [0.0] * len(ways)
    outside, around = 0.0, 0
    kk, jj, ii = part
    step = max(8, _SLAB // ((jj.stop - jj.start) * (ii.stop - ii.start)))
    for first in range(kk.start, kk.stop, step):
        own = slice(first, min(first + step, kk.stop))
        wider = slice(max(own.start - 1, 0), min(own.stop + 1, labels.shape[0]))
        inner = slice(own.start - wider.start, own.stop - wider.start)
        mine = labels[wider, jj, ii] == label
        values = volume.values((own, jj, ii))
        for n, way in enumerate(ways):
            chosen = way(mine)[inner]
            counts[n] += int(chosen.sum())
            totals[n] += float(values[chosen].sum(dtype=np.float64))
        outside += float(values[~mine[inner]].sum(dtype=np.float64))
        around += int((~mine[inner]).sum())
    enough = max(_LEAST, _LEAST_PART * counts[-1])
    best = next((n for n, c in enumerate(counts) if c >= enough), len(ways) - 1)
    return ways[best], (totals[best] / max(counts[best], 1), outside / max(around, 1))


def _local(
    values: Floats, of: NDArray[np.bool_], whole: float
) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of one side's voxels around each voxel.

    Near ones count most, so that of several things outside the one that is next to the border is
    meant. Where they are few, the mean of the whole side stands for those that are not there.
    """
    weight = of.astype(np.float32)
    centred = (values - np.float32(whole)) * weight
    count = _blurred(weight)
    total = _blurred(centred)
    squares = _blurred(centred * centred)
    mean = total / (count + np.float32(_FEW / _SUM))
    n = np.maximum(count, np.float32(1e-6))
    spread = np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0))
    many = count >= 2 * _FEW / _SUM
    usual = float(spread[many].mean()) if many.any() else 0.0
    spread = np.where(many, spread, np.float32(usual))
    return mean + np.float32(whole), spread


def _blurred(values: Floats) -> Floats:
    out: Floats = ndimage.gaussian_filter(values, _NEAR, mode="constant", truncate=_REACH / _NEAR)
    return out


def _wider(part: slice, n: int) -> slice:
    return slice(max(part.start - _HALO, 0), min(part.stop + _HALO, n))
