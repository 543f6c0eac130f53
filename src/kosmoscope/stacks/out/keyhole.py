"""A part with holes as one ring, for formats that have no holes (DICOM PS3.3 C.8.8.6.3).

Each hole is joined to what is around it by a channel without width. Whoever fills the ring gets the
part without its holes, by either rule (even and odd, or turns that do not cancel).
"""

from __future__ import annotations

import numpy as np

from kosmoscope.masks.polygons import Polygon, Ring


def keyhole(part: Polygon) -> Ring:
    """Return (N, 2): the outline, with the holes cut into it."""
    ring = _turning(part.outline, 1)
    # From a hole's rightmost point there is a free way to the right: holes that could be met there
    # reach farther to the right, and are part of the ring already.
    for hole in sorted(part.holes, key=lambda one: -float(one[:, 0].max())):
        ring = _joined(ring, _turning(hole, -1))
    return ring


def _turning(ring: Ring, way: int) -> Ring:
    x, y = ring.T
    area = float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    return ring if area * way > 0 else ring[::-1]


def _joined(ring: Ring, hole: Ring) -> Ring:
    first = int(np.argmax(hole[:, 0]))
    x, y = hole[first]
    start, end = ring, np.roll(ring, -1, axis=0)
    crosses = (start[:, 1] <= y) != (end[:, 1] <= y)
    rise = np.where(crosses, end[:, 1] - start[:, 1], 1)
    at = start[:, 0] + (y - start[:, 1]) / rise * (end[:, 0] - start[:, 0])
    at = np.where(crosses & (at >= x), at, np.inf)
    edge = int(np.argmin(at))
    door = np.array([[at[edge], y]])
    around = np.roll(hole, -first, axis=0)
    new = np.concatenate([ring[: edge + 1], door, around, around[:1], door, ring[edge + 1 :]])
    kept: Ring = new[(new != np.roll(new, -1, axis=0)).any(axis=1)]
    return kept
