"""The labels' outlines on each slice, in the patient's millimetres, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kosmoscope.masks import mask_polygons
from kosmoscope.masks.polygons import Ring
from kosmoscope.stacks.measures import NOTICE
from kosmoscope.stacks.segmented import Segmented

_DECIMALS = 3


def contours(found: Segmented) -> dict[str, Any]:
    """Return the outlines of all labels but the background.

    Each is a closed line of points x, y, z in mm, RAS; `hole` tells those of what is missing
    inside another. They run through the middles of voxels' edges, as marching squares draws them.
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
                    cut = _chamfered(ring)
                    ijk = np.column_stack([cut - 0.5, np.full(len(cut), k)])
                    points = found.volume.to_patient(ijk)
                    lines.append({"hole": hole, "points": points.round(_DECIMALS).tolist()})
            slices.append({"slice": k, "lines": lines})
        labels.append({"label": label, "name": name, "slices": slices})
    return {
        "schema": 1, "notice": NOTICE, "source": Path(found.volume.source).name, "space": "ras",
        "unit": "mm", "labels": labels,
    }  # fmt: skip


def _chamfered(ring: Ring) -> Ring:
    """Return an outline along the edges of pixels with each corner cut by half a pixel."""
    following = np.roll(ring, -1, axis=0)
    step = np.sign(following - ring) / 2
    both = np.stack([ring + step, following - step], axis=1).reshape(-1, 2)
    # The two ends of an edge of one pixel meet in its middle.
    new: Ring = both[(both != np.roll(both, -1, axis=0)).any(axis=1)]
    return new
