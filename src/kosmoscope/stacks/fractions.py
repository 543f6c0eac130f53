"""How much of each voxel at a label's border the label fills, told by its value.

A voxel that the border runs through has a value between those of both sides (partial volume):
f = (value - outside) / (inside - outside), with the means of both sides as they are nearby. Summed
over the border, noise cancels out, and thick slices lose nothing. Where the two sides do not differ
enough for that, a voxel counts as its label says.

Outside there may be several tissues (beyond a thin cortex comes fluid): those are the peaks of the
values' histogram, and the one that a border voxel is mixed with is the nearest to the inside
between which and the inside its value lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
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
_BELOW, _ABOVE = 2.5, 1.0
"""Standard deviations by which a value may leave the span from a tissue outside to the inside."""
_PRESENT = 0.25
"""The part of what is outside nearby that a tissue must be."""
_PARTED = 5.0
"""Standard deviations between the values of two tissues."""
_BINS = 240
_SEEN = 0.08
"""A peak's height, in parts of the highest one's, from which on it is a tissue."""
_TISSUES = 4
_OWN = 0.35
"""Of the way to the next tissue, how far a tissue's own values go."""
_SAMPLED = 20_000
_CUBE = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """Some slices of the part around a label."""

    window: Window
    """Of the volume."""
    mine: NDArray[np.bool_]
    values: Floats
    fraction: Floats
    """(K, J, I): 1 inside, 0 outside, in between at the border, by noise a little beyond."""
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
    sides = _both_sides(volume, labels, label, part)
    thick = max(8, _SLAB // ((jj.stop - jj.start) * (ii.stop - ii.start)))
    for first in range(kk.start, kk.stop, thick):
        own = slice(first, min(first + thick, kk.stop))
        around = _wider(own, labels.shape[0])
        slab = _told(volume, labels, label, (around, *wide), sides)
        keep = tuple(
            slice(a.start - b.start, a.stop - b.start)
            for a, b in zip((own, jj, ii), (around, *wide), strict=True)
        )
        yield Slab((own, jj, ii), *(array[keep] for array in slab))


_Inner = Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
"""Voxels of a label -> those that are surely filled."""


@dataclass(frozen=True, slots=True)
class _Sides:
    """A label and what is around it, as a whole."""

    inner: _Inner
    inside: float
    """The mean value of its sure voxels."""
    outside: float
    """The mean value of what is around it."""
    tissues: tuple[float, ...]
    """The values that it is made of, in order; none where it is but one."""


def _told(
    volume: Volume, labels: NDArray[np.uint8], label: int, window: Window, sides: _Sides
) -> tuple[NDArray[Any], ...]:
    """Return the fields of a `Slab` from the second one on."""
    mine = labels[window] == label
    values = volume.values(window)
    # At the volume's own edge a label does not end.
    band = ndimage.binary_dilation(mine, _CUBE) & ~_eroded(mine, _CUBE)
    core, clear = sides.inner(mine), ~mine & ~band
    inside, spread_in, _ = _local(values, core, sides.inside)
    outside, spread_out = _beside(values, clear, inside, spread_in, sides)
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


def _beside(
    values: Floats,
    clear: NDArray[np.bool_],
    inside: Floats,
    spread_in: Floats,
    sides: _Sides,
) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of what each voxel may be mixed with."""
    outside, spread, count = _local(values, clear, sides.outside)
    if not sides.tissues:
        return outside, spread
    others = sorted({*sides.tissues, sides.inside})
    own = _OWN * min(b - a for a, b in pairwise(others))
    least = np.full(values.shape, np.inf, np.float32)
    for tissue in sides.tissues:
        its = clear & (np.abs(values - tissue) < own)
        mean, its_spread, its_count = _local(values, its, tissue)
        apart = inside - mean
        noise = np.sqrt((spread_in**2 + its_spread**2) / 2)
        along = (values - mean) * np.sign(apart)
        fits = (along > -_BELOW * noise) & (along < np.abs(apart) + _ABOVE * noise)
        fits &= (np.abs(apart) > _CLEAR * noise) & (its_count > _PRESENT * count)
        fits &= np.abs(apart) < least
        outside = np.where(fits, mean, outside)
        spread = np.where(fits, its_spread, spread)
        least = np.where(fits, np.abs(apart), least)
    return outside, spread


def _eroded(mine: NDArray[np.bool_], by: NDArray[np.bool_]) -> NDArray[np.bool_]:
    out: NDArray[np.bool_] = ndimage.binary_erosion(mine, by, border_value=1)
    return out


def _both_sides(volume: Volume, labels: NDArray[np.uint8], label: int, part: Window) -> _Sides:
    """Return how a label's sure voxels are found, and what both sides are like.

    Sure are those a voxel away from its border, if it is thick enough; else those away from the
    border in the planes of a stack of thick slices; else all.
    """
    spacing = volume.spacing_mm
    ways: list[_Inner] = [lambda mine: _eroded(mine, _CUBE)]
    thick = int(np.argmax(spacing))
    if spacing[thick] > 1.5 * sorted(spacing)[1]:
        for width in (5, 3):
            plane = np.ones([1 if axis == thick else width for axis in range(3)], bool)
            ways.append(partial(_eroded, by=plane))
    ways.append(lambda mine: mine)
    inside: list[list[Floats]] = [[] for _ in ways]
    outside: list[Floats] = []
    counts = np.zeros(len(ways))
    kk, jj, ii = part
    wide = (_wider(jj, labels.shape[1]), _wider(ii, labels.shape[2]))
    step = max(8, _SLAB // ((jj.stop - jj.start) * (ii.stop - ii.start)))
    for first in range(kk.start, kk.stop, step):
        own = slice(first, min(first + step, kk.stop))
        thicker = _wider(own, labels.shape[0])
        inner = slice(own.start - thicker.start, own.stop - thicker.start)
        mine = labels[thicker, *wide] == label
        values = volume.values((own, *wide))
        for n, way in enumerate(ways):
            chosen = way(mine)[inner]
            counts[n] += chosen.sum()
            inside[n].append(_some(values[chosen]))
        beyond = ndimage.binary_dilation(mine, _CUBE, iterations=_REACH - 1)
        beyond &= ~ndimage.binary_dilation(mine, _CUBE)
        outside.append(_some(values[beyond[inner]]))
    enough = max(_LEAST, _LEAST_PART * counts[-1])
    best = next((n for n, c in enumerate(counts) if c >= enough), len(ways) - 1)
    sure = np.concatenate(inside[best])
    around = np.concatenate(outside)
    mean = float(around.mean()) if around.size else float(sure.mean())
    return _Sides(ways[best], float(sure.mean()), mean, _tissues(around, sure))


def _some(values: Floats) -> Floats:
    return values[:: max(1, len(values) // _SAMPLED)]


def _tissues(outside: Floats, sure: Floats) -> tuple[float, ...]:
    """Return the values that are most frequent outside, those that noise parts; none if that is
    but one and about the mean.

    What noise is tells the inside, which is one tissue: half of its values lie within 0.6745
    standard deviations of the middle.
    """
    if not outside.size:
        return ()
    noise = float(np.median(np.abs(sure - np.median(sure)))) / 0.6745
    low, high = (float(v) for v in np.quantile(outside, [0.005, 0.995]))
    if high - low <= _PARTED * noise:
        return ()
    step = (high - low) / _BINS
    counts = np.histogram(outside, _BINS, (low, high))[0].astype(np.float64)
    heights = ndimage.gaussian_filter1d(counts, max(noise / step, _BINS / 60), mode="constant")
    around = np.pad(heights, 1, constant_values=-1.0)
    peaks = np.flatnonzero((heights > around[:-2]) & (heights >= around[2:]))
    kept: list[int] = []
    for at in sorted(peaks.tolist(), key=lambda n: -float(heights[n])):
        far = all(abs(at - other) * step > _PARTED * noise for other in kept)
        if far and heights[at] > _SEEN * heights.max() and len(kept) < _TISSUES:
            kept.append(at)
    if len(kept) == 1 and abs(low + (kept[0] + 0.5) * step - outside.mean()) < noise:
        return ()
    return tuple(low + (at + 0.5) * step for at in sorted(kept))


def _local(values: Floats, of: NDArray[np.bool_], whole: float) -> tuple[Floats, Floats, Floats]:
    """Return mean, standard deviation and weight of one side's voxels around each voxel.

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
    return mean + np.float32(whole), spread, count


def _blurred(values: Floats) -> Floats:
    out: Floats = ndimage.gaussian_filter(values, _NEAR, mode="constant", truncate=_REACH / _NEAR)
    return out


def _wider(part: slice, n: int) -> slice:
    return slice(max(part.start - _HALO, 0), min(part.stop + _HALO, n))
