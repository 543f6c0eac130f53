"""The labels' outlines on each slice, in the patient's millimetres, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kosmoscope.masks import mask_polygons, simplify
from kosmoscope.stacks.measures import NOTICE
from kosmoscope.stacks.segmented import Segmented

_TOLERANCE = 0.5
"""Voxels by which an outline may leave the edges of voxels: it cuts their corners."""
_DECIMALS = 3


def contours(found: Segmented) -> dict[str, Any]:
    """Return the outlines of all labels but the background.

    Each is a closed line of points x, y, z in mm, RAS; `hole` tells those of what is missing
    inside another. Along the edges of voxels, corners cut by half a voxel.
    """
    labels = []
    for label, name in enumerate(found.names):
        if label == 0:
            continue
        slices = []
        for k, layer in enumerate(found.labels):
            mask = layer == label
            if not mask.any():
                continue
            lines = []
            for part in mask_polygons(mask):
                for ring, hole in ((part.outline, False), *((r, True) for r in part.holes)):
                    short = simplify(ring, _TOLERANCE)
                    ijk = np.column_stack([short - 0.5, np.full(len(short), k)])
                    points = found.volume.to_patient(ijk)
                    lines.append({"hole": hole, "points": points.round(_DECIMALS).tolist()})
            slices.append({"slice": k, "lines": lines})
        labels.append({"label": label, "name": name, "slices": slices})
    return {
        "schema": 1, "notice": NOTICE, "source": Path(found.volume.source).name, "space": "ras",
        "unit": "mm", "labels": labels,
    }  # fmt: skip
