"""Outlines: exact polygons along the edges of pixels, holes kept, and back.

A mask's boundary consists of horizontal and vertical lines that meet in corners. The corners alone
are found, all at once: on each line of the pixels' grid those in order are the ends of its pieces,
first with second, third with fourth, and so on down each column. Following the two pairings in turn
walks around the loops. Pixels that touch at a corner only are not connected (4-connected), so that
loops never cross; where two such pixels meet, the corner counts twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kosmoscope.errors import InputError

Ring = NDArray[np.float64]
"""(N, 2): x, y in pixels; the last corner joins the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """A connected part of a mask: its outline, and the outlines of what is missing in it."""

    outline: Ring
    holes: tuple[Ring, ...] = ()


def mask_polygons(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Return the parts of an (H, W) mask, the largest outline first.

    Coordinates are whole numbers. `polygons_mask` gives back exactly this mask.
    """
    rings, inside = _rings(np.asarray(mask, bool))
    outer = [i for i, filled in enumerate(inside) if filled]
    holes: dict[int, list[Ring]] = {i: [] for i in outer}
    if len(outer) < len(rings):
        for hole, parent in _parents(rings, inside).items():
            holes[parent].append(rings[hole].astype(np.float64))
    found = [Polygon(rings[i].astype(np.float64), tuple(holes[i])) for i in outer]
    return sorted(found, key=lambda p: -_area(p.outline))


def polygons_mask(polygons: Sequence[Polygon], size_wh: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill polygons: (H, W), exact for those that follow the edges of pixels.

    Others (simplified, drawn by hand) are filled as Pillow fills them.

    Raises:
        InputError: a corner is not finite or lies outside the picture.
    """
    width, height = size_wh
    rings = [ring for p in polygons for ring in (p.outline, *p.holes)]
    for ring in rings:
        if ring.ndim != 2 or ring.shape[1] != 2 or not np.isfinite(ring).all():
            raise InputError("a polygon is a list of corners x, y of finite numbers")
        if ring.size and (ring.min() < 0 or (ring.max(0) > (width, height)).any()):
            raise InputError(f"a polygon leaves the picture of {width}x{height} pixels")
    if all(_on_edges(ring) for ring in rings):
        return _filled(rings, width, height)
    out = np.zeros((height, width), bool)
    for polygon in polygons:
        page = Image.new("1", size_wh)
        draw = ImageDraw.Draw(page)
        draw.polygon(_points(polygon.outline), fill=1)
        for hole in polygon.holes:
            draw.polygon(_points(hole), fill=0)
        out |= np.asarray(page)
    return out


def simplify(ring: Ring, tolerance_px: float) -> Ring:
    """Leave out corners that lie within `tolerance_px` of the line without them.

    Douglas and Peucker, 1973. Not exact, and neighbours may come to overlap: for drawings and for
    formats in which every corner costs.
    """
    if len(ring) < 4 or tolerance_px <= 0:
        return ring
    far = int(np.argmax(((ring - ring[0]) ** 2).sum(1)))
    closed = np.concatenate([ring, ring[:1]])
    keep = np.zeros(len(closed), bool)
    keep[[0, far, len(ring)]] = True
    spans = [(0, far), (far, len(ring))]
    while spans:
        a, b = spans.pop()
        if b - a < 2:
            continue
        line, rest = closed[b] - closed[a], closed[a + 1 : b] - closed[a]
        length = float(np.hypot(*line))
        apart = np.abs(rest[:, 0] * line[1] - rest[:, 1] * line[0]) / (length or 1.0)
        if not length:
            apart = np.hypot(rest[:, 0], rest[:, 1])
        worst = int(np.argmax(apart))
        if apart[worst] > tolerance_px:
            middle = a + 1 + worst
            keep[middle] = True
            spans += [(a, middle), (middle, b)]
    kept = ring[keep[:-1]]
    return kept if len(kept) >= 3 else ring


def _rings(mask: NDArray[np.bool_]) -> tuple[list[NDArray[np.int64]], list[bool]]:
    """All loops of corners, and of each whether it has the mask inside (else it is a hole)."""
    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = mask
    # The four pixels around each corner of the grid as bits: 1 2 above, 4 8 below.
    around = padded[:-1, :-1] | padded[:-1, 1:] << 1 | padded[1:, :-1] << 2 | padded[1:, 1:] << 3
    times = np.zeros(16, np.uint8)
    times[[1, 2, 4, 8, 7, 11, 13, 14]] = 1
    times[[6, 9]] = 2  # two pixels that touch at this corner only
    count = times[around]
    at = np.flatnonzero(count)
    at = np.repeat(at, count.ravel()[at])
    if not len(at):
        return [], []
    y, x = np.divmod(at, width + 1)
    second = np.zeros(len(at), np.int64)
    second[1:] = at[1:] == at[:-1]
    # Of a double corner the first copy ends the line from the left, the second begins that to the
    # right. Down the column the order is the same for pixels 1 and 8, the other way for 2 and 4.
    order_v = np.where(around.ravel()[at] == 6, 1 - second, second)
    by_column = np.lexsort((order_v, y, x))
    across, down = np.empty(len(at), np.int64), np.empty(len(at), np.int64)
    row = np.arange(len(at))
    across[row[0::2]], across[row[1::2]] = row[1::2], row[0::2]
    down[by_column[0::2]], down[by_column[1::2]] = by_column[1::2], by_column[0::2]

    unseen = np.ones(len(at), bool)
    next_across, next_down = across.tolist(), down.tolist()
    rings, inside = [], []
    for start in range(len(at)):
        if not unseen[start]:
            continue
        loop, corner = [], start
        while True:
            other = next_across[corner]
            loop += [corner, other]
            corner = next_down[other]
            if corner == start:
                break
        unseen[loop] = False
        rings.append(np.stack([x[loop], y[loop]], 1))
        # The first corner found is the upper left one: below and right of it is the inside.
        inside.append(bool(mask[y[start], x[start]]))
    return rings, inside


def _parents(rings: Sequence[NDArray[np.int64]], inside: Sequence[bool]) -> dict[int, int]:
    """For each hole the loop that it is missing in: whatever boundary lies above its first pixel,
    or, if that is a hole's, the loop that this one is missing in."""
    edges = []
    for i, ring in enumerate(rings):
        a, b = ring[0::2], ring[1::2]  # the horizontal pieces
        left, right = np.minimum(a[:, 0], b[:, 0]), np.maximum(a[:, 0], b[:, 0])
        edges.append(np.stack([a[:, 1], left, right, np.full(len(a), i)], 1))
    lines = np.concatenate(edges)
    found: dict[int, int] = {}
    for hole in sorted((i for i, filled in enumerate(inside) if not filled),
                       key=lambda i: int(rings[i][0, 1])):  # fmt: skip
        x, y = rings[hole][0]
        above = lines[(lines[:, 0] < y) & (lines[:, 1] <= x) & (x < lines[:, 2])]
        owner = int(above[np.argmax(above[:, 0]), 3])
        found[hole] = owner if inside[owner] else found[owner]
    return found


def _on_edges(ring: Ring) -> bool:
    steps = np.diff(np.concatenate([ring, ring[:1]]), axis=0)
    return bool((ring == np.rint(ring)).all() and ((steps == 0).any(1)).all())


def _filled(rings: Sequence[Ring], width: int, height: int) -> NDArray[np.bool_]:
    """Even-odd: right of each vertical piece inside and outside change places."""
    turns = np.zeros((height, width + 1), np.uint8)
    for ring in rings:
        corners = ring.astype(np.int64)
        a, b = corners, np.roll(corners, -1, axis=0)
        upright = a[:, 0] == b[:, 0]
        tops, bottoms = np.minimum(a[:, 1], b[:, 1])[upright], np.maximum(a[:, 1], b[:, 1])[upright]
        lengths = bottoms - tops
        first = np.repeat(tops - np.cumsum(lengths) + lengths, lengths)
        rows = first + np.arange(lengths.sum())
        np.bitwise_xor.at(turns, (rows, np.repeat(a[upright, 0], lengths)), 1)
    return np.bitwise_xor.accumulate(turns, axis=1)[:, :width].astype(bool)


def _points(ring: Ring) -> list[tuple[float, float]]:
    return [(float(x) - 0.5, float(y) - 0.5) for x, y in ring]


def _area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
