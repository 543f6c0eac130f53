"""The labels' outlines on each slice, in the patient's millimetres, as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.masks import mask_polygons
from kosmoscope.masks.polygons import Polygon, Ring
from kosmoscope.stacks.measures import NOTICE
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.volume import Volume

_DECIMALS = 3


def contours(found: Segmented) -> dict[str, Any]:
    """Return the outlines of all labels but the background.

    Each is a closed line of points x, y, z in mm, RAS; `hole` tells those of what is missing
    inside another. They run through the middles of voxels' edges, as marching squares draws them.
    """
    labels = []
    for label, name in enumerate(found.names[1:], 1):
        slices = []
        for k, parts in outlines(found, label):
            lines = []
            for part in parts:
                for ring, hole in ((part.outline, False), *((r, True) for r in part.holes)):
                    points = in_patient(found.volume, ring, k)
                    lines.append({"hole": hole, "points": points.round(_DECIMALS).tolist()})
            slices.append({"slice": k, "lines": lines})
        labels.append({"label": label, "name": name, "slices": slices})
    return {
        "schema": 1, "notice": NOTICE, "source": Path(found.volume.source).name, "space": "ras",
        "unit": "mm", "labels": labels,
    }  # fmt: skip


def outlines(found: Segmented, label: int) -> Iterator[tuple[int, list[Polygon]]]:
    """Yield the slices that a label is on, and its parts there: rings of indices (i, j)."""
    for k, layer in enumerate(found.labels):
        mask = layer == label
        if mask.any():
            yield k, [_cut(part) for part in mask_polygons(mask)]


def in_patient(volume: Volume, ring: Ring, k: int) -> NDArray[np.float64]:
    """Return mm (N, 3), RAS, of a ring of indices (i, j) on slice k."""
    return volume.to_patient(np.column_stack([ring, np.full(len(ring), k)]))


def _cut(part: Polygon) -> Polygon:
    return Polygon(_chamfered(part.outline), tuple(map(_chamfered, part.holes)))


def _chamfered(ring: Ring) -> Ring:
    """Return an outline along the edges of pixels with each corner cut by half a pixel.

    From corners, where the first pixel begins at 0, to indices, where its middle is 0.
    """
    following = np.roll(ring, -1, axis=0)
    step = np.sign(following - ring) / 2
    both = np.stack([ring + step, following - step], axis=1).reshape(-1, 2)
    # The two ends of an edge of one pixel meet in its middle.
    new: Ring = both[(both != np.roll(both, -1, axis=0)).any(axis=1)]
    return new - 0.5
