"""The values that marks stand for: their noise is averaged out, or it would pass for the tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.stacks.volume import Floats, Volume

_REACH = 2
"""Voxels around a mark within which other marks of its label are averaged with it."""
_ENOUGH = 9
_MOST = 4000
"""Marks of a label that are looked at; of more every so many."""


def samples_at(volume: Volume, kji: NDArray[np.int64]) -> Floats:
    """Return a value (M,) for each of some marks (N, 3) of one label, M at most N.

    The mean of the marked voxels close by on the same slice, where they are enough; else the median
    of the nine voxels around the mark, marked or not.
    """
    if not len(kji):
        return np.empty(0, np.float32)
    found = []
    step = -(-len(kji) // _MOST)
    for k in np.unique(kji[:, 0]):
        at = kji[kji[:, 0] == k, 1:]
        low = np.maximum(at.min(axis=0) - 2 * _REACH, 0)
        high = at.max(axis=0) + 2 * _REACH + 1
        rows, columns = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        plane = volume.values((slice(int(k), int(k) + 1), rows, columns))[0]
        j, i = (at - low).T
        marked = np.zeros(plane.shape, np.float32)
        marked[j, i] = 1
        size = 2 * _REACH + 1
        count = ndimage.uniform_filter(marked, size, mode="constant") * size**2
        total = ndimage.uniform_filter(marked * plane, size, mode="constant") * size**2
        mean = total / np.maximum(count, 1)
        median = ndimage.median_filter(plane, 3, mode="nearest")
        found.append(np.where(count >= _ENOUGH - 0.5, mean, median)[j, i])
    return np.concatenate(found)[::step].astype(np.float32)
