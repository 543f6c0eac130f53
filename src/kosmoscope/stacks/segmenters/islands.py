"""Parts of a label that no seed of it is in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.stacks.seeds import Marked


def without_islands(
    labels: NDArray[np.uint8],
    marked: Marked,
    other: Callable[[NDArray[np.int64], int], NDArray[np.uint8]],
) -> None:
    """Give islands of named labels to another label, in place; voxels connect by their faces.

    The background keeps its islands: the hollow of a thing is one.

    Args:
        labels: (K, J, I).
        marked: a label's parts with a mark of it stay.
        other: voxels (N, 3) and their label -> what else they may be (N,).
    """
    for label in range(1, len(marked.names)):
        mine = labels == label
        box = ndimage.find_objects(mine.view(np.int8))
        if not box or box[0] is None:
            continue
        parts, count = ndimage.label(mine[box[0]])
        seeds = marked.kji[marked.labels == label] - np.array([s.start for s in box[0]])
        inside = ((seeds >= 0) & (seeds < np.array(parts.shape))).all(axis=1)
        kept = np.zeros(count + 1, bool)
        kept[parts[tuple(seeds[inside].T)]] = True
        if not kept[1:].any():  # no seed of a mask on one slice needs to lie in it
            continue
        kept[0] = True
        lost = np.argwhere(~kept[parts])
        if len(lost):
            at = lost + np.array([s.start for s in box[0]])
            labels[tuple(at.T)] = other(at, label)
