"""A segment's outlines for formats of polygons: specks left out, parts joined into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kosmoscope.masks import simplify

if TYPE_CHECKING:
    from kosmoscope.masks import Mask

TOLERANCE_PX = 0.75
"""How far the outlines of formats without holes or with a cost for each corner may be off."""
SPECK_PX = 4
SPECK_SHARE = 0.001
"""A part of fewer pixels, or of a smaller share of its segment's largest part, is a speck."""

Ring = NDArray[np.float64]


def outlines(mask: Mask, *, specks: bool = False) -> list[Ring]:
    """Return the outlines of a mask's parts in pixels, the largest first; holes are filled.

    Args:
        mask: of one segment.
        specks: keep the specks. The largest part is never one.
    """
    rings = [polygon.outline for polygon in mask.polygons()]
    if not rings:
        return []
    least = 0.0 if specks else max(SPECK_PX, SPECK_SHARE * _area(rings[0]))
    large = [ring for i, ring in enumerate(rings) if i == 0 or _area(ring) >= least]
    return [ring for ring in (simplify(r, TOLERANCE_PX) for r in large) if len(ring) >= 3]


def joined(rings: list[Ring]) -> Ring:
    """Return one ring around all parts: a line there and back joins each to the nearest before.

    So Ultralytics joins the parts of COCO's segments: the bridges have no width, and filled the
    ring gives the parts again.
    """
    whole, *rest = rings
    while rest:
        gaps = [_gap(whole, ring) for ring in rest]
        nearest = min(range(len(rest)), key=lambda i: gaps[i][0])
        (_, at, to), ring = gaps[nearest], rest.pop(nearest)
        around = np.concatenate((ring[to:], ring[: to + 1]))
        whole = np.concatenate((whole[: at + 1], around, whole[at:]))
    return whole


def _gap(a: Ring, b: Ring) -> tuple[float, int, int]:
    """Return how near two rings' corners come (squared), and which corners these are."""
    best = (np.inf, 0, 0)
    for start in range(0, len(a), 256):  # some rows at a time: rings may have many corners
        some = a[start : start + 256]
        squared = ((some[:, None] - b[None]) ** 2).sum(-1)
        at, to = np.unravel_index(int(squared.argmin()), squared.shape)
        if squared[at, to] < best[0]:
            best = (float(squared[at, to]), start + int(at), int(to))
    return best


def _area(ring: Ring) -> float:
    x, y = ring.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
