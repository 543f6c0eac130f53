"""Clicks: regions that are surely in or surely out, and what is near to them in look and place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kosmoscope.segment.classical.cues import Scene, travel
from kosmoscope.segment.classical.regions import Floats

Mark = tuple[int, bool]
"""A region and whether it is in."""


def pull(s: Scene, b: int, guess: Floats, marks: Sequence[Mark]) -> Floats:
    """Return (N,): a guess drawn towards the clicks of box `b`; clicked regions are 1 or 0."""
    z = np.log(guess.clip(0.03, 0.97) / (1 - guess.clip(0.03, 0.97)))
    way_in, way_out = _ways(s, marks)
    reach = np.median(np.concatenate([w for w in (way_in, way_out) if w is not None])) + 1.0
    near_in = reach if way_in is None else way_in
    near_out = reach if way_out is None else way_out
    z = z + 3.0 * (near_out - near_in) / (near_out + near_in + 1.0)
    pulled = np.where(s.cover[b] > 0, 1 / (1 + np.exp(-z)), 0).astype(np.float32)
    for region, positive in marks:
        pulled[region] = float(positive)
    return pulled


def spread_box(s: Scene, b: int, marks: Sequence[Mark]) -> Floats:
    """Return (4,) a box, in working pixels, around what a click without a box seems to mean."""
    way_in, way_out = _ways(s, marks)
    if way_in is None:
        box: Floats = s.boxes[b]
        return box
    rim = _rim(s)
    limit = 0.5 * float(np.median(way_in[rim])) if rim.any() else float(np.median(way_in))
    chosen = way_in <= limit
    if way_out is not None:
        chosen &= way_in < way_out
    chosen[[region for region, positive in marks if positive]] = True
    ys, xs = np.nonzero(chosen[s.regions.labels])
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)


def _ways(s: Scene, marks: Sequence[Mark]) -> tuple[Floats | None, Floats | None]:
    """Return (N,) how hard it is to get from the clicks to each region: borders and look."""
    found: list[Floats | None] = []
    for kind in (True, False):
        at = [region for region, positive in marks if positive is kind]
        if not at:
            found.append(None)
            continue
        sources = np.zeros((1, len(s.regions.area)), np.bool_)
        sources[0, at] = True
        far, wall = travel(s, sources)
        look = -np.log(s.alike[2][at].max(axis=0) + 1e-4)
        found.append(0.3 * far[0] + wall[0] + 3.0 * look)
    return found[0], found[1]


def _rim(s: Scene) -> np.ndarray:
    w, h = s.size_wh
    x, y = s.regions.centre.T
    rim: np.ndarray = (x < 0.06 * w) | (x > 0.94 * w) | (y < 0.06 * h) | (y > 0.94 * h)
    return rim
