"""Values between two limits: HU windows, or what Otsu's method finds; then tidied in mm."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.errors import InputError, OptionError
from kosmoscope.stacks.seeds import Marked
from kosmoscope.stacks.segmented import REST, Segmented
from kosmoscope.stacks.volume import Floats, Volume

_BINS = 1024


@dataclass(frozen=True, slots=True)
class Between:
    """A label for values from `low` to `high`, both included.

    Raises:
        OptionError: nothing lies between them, or the name is empty or the background's.
    """

    name: str
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.name.strip() or self.name == REST:
            raise OptionError(f"{self.name!r}: expected a name, and another than {REST!r}")
        if not self.low <= self.high:
            raise OptionError(f"{self.name}: {self.low:g} to {self.high:g}; nothing lies between")


@dataclass(frozen=True, slots=True)
class ThresholdOptions:
    """What is a label's, and what is tidied.

    Raises:
        OptionError: two labels share values or a name, or a length is negative.
    """

    windows: tuple[Between, ...] = ()
    """None: what is brighter than Otsu's threshold is "bright"."""
    open_mm: float = 0.0
    """What is thinner than twice this goes."""
    close_mm: float = 0.0
    """Gaps thinner than twice this are filled."""
    fill: bool = False
    """Fill hollows that the outside cannot reach."""
    largest: int = 0
    """Keep so many parts of each label, the largest; 0: all. With marks, those with a mark."""

    def __post_init__(self) -> None:
        for name, value in (("open_mm", self.open_mm), ("close_mm", self.close_mm)):
            if not 0 <= value <= 1000:
                raise OptionError(f"{name} is {value:g}; expected 0 to 1000")
        if self.largest < 0:
            raise OptionError(f"largest is {self.largest}; expected 0 or more")
        names = [w.name for w in self.windows]
        if len(set(names)) < len(names) or len(names) > 100:
            raise OptionError("thresholds: expected each name once, and 100 at most")
        for n, one in enumerate(self.windows):
            for other in self.windows[:n]:
                if one.low <= other.high and other.low <= one.high:
                    raise OptionError(f"{other.name} and {one.name} share values")


class Threshold:
    """Labels by values alone; deterministic, and nothing is learned."""

    name = "threshold"

    def __init__(self, options: ThresholdOptions | None = None) -> None:
        self.options = options or ThresholdOptions()

    def segment(self, volume: Volume, marked: Marked | None = None) -> Segmented:
        """Return every voxel's label.

        Args:
            volume: read slice by slice.
            marked: of each name that it marks, the parts without a mark go.

        Raises:
            InputError: a name is marked that no threshold has, or all voxels have one value.
        """
        began = time.perf_counter()
        windows = self.options.windows or (Between("bright", otsu(volume)),)
        names = (REST, *(w.name for w in windows))
        if marked is not None and (other := set(marked.names) - set(names)):
            raise InputError(f"seeds: {min(other)!r} is no label of a threshold")
        labels = np.zeros(volume.shape, np.uint8)
        for k in range(volume.shape[0]):
            layer = volume.values((slice(k, k + 1), slice(None), slice(None)))[0]
            for label, window in enumerate(windows, 1):
                labels[k][(layer >= window.low) & (layer <= window.high)] = label
        out = np.zeros_like(labels) if self._tidies(marked) else labels
        if out is not labels:
            for label, name in enumerate(names[1:], 1):
                mine = self._tidied(labels == label, volume, _marks(marked, name))
                out[mine & (out == 0)] = label
        return Segmented(volume, out, names, self.name, time.perf_counter() - began)

    def _tidies(self, marked: Marked | None) -> bool:
        o = self.options
        return bool(o.open_mm or o.close_mm or o.fill or o.largest or marked is not None)

    def _tidied(
        self, mine: NDArray[np.bool_], volume: Volume, marks: NDArray[np.int64] | None
    ) -> NDArray[np.bool_]:
        o, spacing = self.options, volume.spacing_mm
        if o.open_mm:
            mine = _grown(_shrunk(mine, o.open_mm, spacing), o.open_mm, spacing)
        if o.close_mm:
            mine = _shrunk(_grown(mine, o.close_mm, spacing), o.close_mm, spacing)
        if o.fill:
            mine = ndimage.binary_fill_holes(mine)
        if marks is not None and len(marks):
            parts, count = ndimage.label(mine)
            kept = np.zeros(count + 1, bool)
            kept[parts[tuple(marks.T)]] = True
            kept[0] = False
            mine = kept[parts]
        elif o.largest:
            parts, count = ndimage.label(mine)
            sizes = np.bincount(parts.ravel(), minlength=count + 1)
            sizes[0] = 0
            kept = np.zeros(count + 1, bool)
            kept[np.argsort(-sizes, kind="stable")[: o.largest]] = True
            kept[0] = False
            mine = kept[parts]
        return mine


def otsu(volume: Volume) -> float:
    """Return the value that parts a volume's values best in two (Otsu 1979).

    Raises:
        InputError: all voxels have the same value.
    """
    layers = [slice(k, k + 1) for k in range(volume.shape[0])]
    plane = (slice(None), slice(None))
    low = min(float(volume.values((k, *plane)).min()) for k in layers)
    high = max(float(volume.values((k, *plane)).max()) for k in layers)
    if low == high:
        raise InputError(f"{volume.source}: all voxels are {low:g}; no threshold parts them")
    counts = np.zeros(_BINS)
    for k in layers:
        counts += np.histogram(volume.values((k, *plane)), _BINS, (low, high))[0]
    middles = low + (np.arange(_BINS) + 0.5) * (high - low) / _BINS
    below = counts.cumsum()
    above = below[-1] - below
    total = (counts * middles).cumsum()
    means = total / np.maximum(below, 1), (total[-1] - total) / np.maximum(above, 1)
    between = below * above * (means[0] - means[1]) ** 2
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    # Where nothing lies between the two, in the middle of that.
    at = (best[0] + best[-1]) / 2
    return float(low + (at + 1) * (high - low) / _BINS)


def _marks(marked: Marked | None, name: str) -> NDArray[np.int64] | None:
    if marked is None or name not in marked.names:
        return None
    at: NDArray[np.int64] = marked.kji[marked.labels == marked.names.index(name)]
    return at


def _grown(
    mine: NDArray[np.bool_], by_mm: float, spacing: tuple[float, float, float]
) -> NDArray[np.bool_]:
    distance: Floats = ndimage.distance_transform_edt(~mine, sampling=spacing)
    out: NDArray[np.bool_] = distance <= by_mm
    return out if mine.any() else mine


def _shrunk(
    mine: NDArray[np.bool_], by_mm: float, spacing: tuple[float, float, float]
) -> NDArray[np.bool_]:
    if mine.all():
        return mine
    distance: Floats = ndimage.distance_transform_edt(mine, sampling=spacing)
    out: NDArray[np.bool_] = distance > by_mm
    return out
