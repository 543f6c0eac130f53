"""What speaks for a region belonging to a box: numbers for the prior to weigh.

All maps are (B, N): one row a box, one column a region of the working picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosmoscope.geometry import XYXY, area, iou
from kosmoscope.segment.classical.regions import Floats, Regions

KERNELS: Final = (5.0, 9.0, 16.0)
"""Widths of the colour kernels, in units of `Regions.look`."""
_STEPS: Final = 40
_SAME_FROM: Final = 0.9
"""The overlap (IoU) from which two boxes are taken for one thing's."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The boxes of one picture over its regions, and what all of them share."""

    regions: Regions
    boxes: Floats
    """(B, 4) x1, y1, x2, y2 in working pixels."""
    size_wh: tuple[int, int]
    stuff: Floats
    """(B,) 1 stuff, 0 thing."""
    cover: Floats
    """(B, N) the share of each region that lies in the box, 0..1."""
    alike: tuple[Floats, ...]
    """(N, N) likeness of regions for each of `KERNELS`, 1 = same."""
    walk: Floats
    """(N, N) rows sum to 1: where a step from a region leads, over weak borders."""
    cost: Floats
    """(N, N) the cost of crossing to a neighbour; infinite elsewhere."""


_ONE_THREAD = 200_000
"""Multiplications in a product of matrices below which OpenBLAS stays in one thread: 4 * 65536 and
fewer (interface/gemm.c)."""


def scene(regions: Regions, boxes: Floats, stuff: Floats) -> Scene:
    """Prepare what does not depend on a first guess."""
    h, w = regions.labels.shape
    n = len(regions.area)
    cover = np.zeros((len(boxes), n), np.float32)
    for b, box in enumerate(boxes):
        x1, y1, x2, y2 = pixel_box(box, (w, h))
        inside = np.bincount(regions.labels[y1:y2, x1:x2].ravel(), minlength=n)
        cover[b] = inside / regions.area
    squares = (regions.look**2).sum(axis=1)
    distance = squares[:, None] + squares[None, :] - 2 * regions.look @ regions.look.T
    distance = np.maximum(distance, 0.0)
    alike = tuple(np.exp(-distance / (2 * k * k)).astype(np.float32) for k in KERNELS)
    first, second = regions.pairs.T
    step = 0.5 * np.sqrt(distance[first, second]) + 0.5 * regions.contrast
    walk = np.zeros((n, n), np.float32)
    weight = regions.contact * np.exp(-((step / 6.0) ** 2)) + 1e-4
    walk[first, second] = walk[second, first] = weight
    # A region also steps to others that look the same and are not far away: parts of one thing
    # that an occluder keeps apart, leaves of one forest.
    apart = ((regions.centre[:, None] - regions.centre[None]) ** 2).sum(axis=2)
    far = 2 * (0.15 * max(w, h)) ** 2
    kin = alike[0] * np.exp(-apart / far)
    np.fill_diagonal(kin, 0.0)
    walk += 0.5 * kin * (walk.sum(axis=1) / np.maximum(kin.sum(axis=1), 1e-6))[:, None]
    walk /= np.maximum(walk.sum(axis=1, keepdims=True), 1e-6)
    cost = np.full((n, n), np.inf, np.float32)
    cost[first, second] = cost[second, first] = step + 0.3
    return Scene(regions, boxes, (w, h), stuff, cover, alike, walk, cost)


def as_xyxy(box: Floats) -> XYXY:
    """Return a row of boxes as four Python floats."""
    x1, y1, x2, y2 = box.tolist()
    return (x1, y1, x2, y2)


def pixel_box(box: Floats, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the whole pixels that a box of floats touches by half or more; at least one."""
    w, h = size_wh
    x1, y1 = min(int(box[0] + 0.5), w - 1), min(int(box[1] + 0.5), h - 1)
    x2, y2 = max(int(box[2] + 0.5), x1 + 1), max(int(box[3] + 0.5), y1 + 1)
    return max(x1, 0), max(y1, 0), min(x2, w), min(y2, h)


def first_cues(s: Scene) -> Floats:
    """Return (B, N, F): place, look, and evidence from inside against outside the box."""
    regions, (w, h) = s.regions, s.size_wh
    x1, y1, x2, y2 = (s.boxes[:, i : i + 1] for i in range(4))
    bw, bh = x2 - x1, y2 - y1
    u = ((regions.centre[None, :, 0] - x1) / bw * 2 - 1).clip(-1.3, 1.3)
    v = ((regions.centre[None, :, 1] - y1) / bh * 2 - 1).clip(-1.3, 1.3)
    # Edges on the picture's frame: the thing goes on beyond them, there is no outside there.
    cut = np.concatenate([x1 <= 1.5, y1 <= 1.5, x2 >= w - 1.5, y2 >= h - 1.5], axis=1)
    cut = cut.astype(np.float32)
    left, top = np.minimum(1 + u + 2 * cut[:, 0:1], 2), np.minimum(1 + v + 2 * cut[:, 1:2], 2)
    right, low = np.minimum(1 - u + 2 * cut[:, 2:3], 2), np.minimum(1 - v + 2 * cut[:, 3:4], 2)
    depth = np.minimum(np.minimum(left, right), np.minimum(top, low))
    ellipse = np.exp(-1.5 * (u * u + v * v))
    size = bw * bh / (w * h)

    total = regions.area[None]
    inside, outside = s.cover * total, (1 - s.cover) * total
    margin = _near(s, 0.35)
    around = outside * margin
    centre = inside * np.exp(-2.5 * (u * u + v * v))
    maps = [u, v, np.abs(u), np.abs(v), left, top, right, low, depth, ellipse]
    for kernel in s.alike:
        seen_in = _spread(inside, kernel)
        seen_out = _spread(outside, kernel)
        maps.append(seen_in / (seen_in + seen_out + 1e-3))
        near_out = _spread(around, kernel) / _whole(around)
        maps.append(_ratio(seen_in / bw / bh, near_out))
        near_centre = _spread(centre, kernel) / _whole(centre)
        maps.append(_ratio(near_centre, near_out))
        maps.append(np.log(seen_in / (bw * bh) + 1e-2))
    maps.append(_settle(s, np.where(s.cover > 0.5, ellipse, 0.0), hold=0.03))
    maps.append(_settle(s, np.where(s.cover > 0.5, 1.0, 0.0), hold=0.1))
    maps.append(_settle(s, np.where(s.cover > 0.5, 1.0, 0.0), hold=0.004))
    maps += [np.log1p(g / 10) for g in travel(s, s.cover < 0.3)]
    start = (u * u + v * v) < 0.12
    start |= (u * u + v * v) <= (u * u + v * v).min(axis=1, keepdims=True) + 1e-6
    maps += [np.log1p(g / 10) for g in travel(s, start)]
    maps += _others(s, ellipse)
    everywhere = [np.broadcast_to(row, u.shape) for row in regions.look.T]
    everywhere.append(np.broadcast_to(regions.centre[None, :, 1] / h, u.shape))
    per_box = [size, np.sqrt(size), np.log(bw / bh), *cut.T[:, :, None], s.stuff[:, None]]
    maps += everywhere + [np.broadcast_to(row, u.shape) for row in per_box]
    return np.stack(maps, axis=2).astype(np.float32)


def second_cues(s: Scene, guess: Floats) -> Floats:
    """Return (B, N, F): what a first guess of all boxes (B, N; 0..1) tells about each."""
    total = s.regions.area[None]
    guess = guess * s.cover
    mine, rest = guess * total, (1 - guess) * total
    close = rest * np.maximum(_near(s, 0.35), (s.cover > 0.0).astype(np.float32))
    maps = [guess, _logit(guess)]
    for kernel in s.alike[:2]:
        a = _spread(mine, kernel)
        b = _spread(rest, kernel)
        c = _spread(close, kernel) / _whole(close)
        maps.append(a / (a + b + 1e-3))
        maps.append(_ratio(a / _whole(mine), c))
    maps.append(_settle(s, guess, hold=0.1))
    maps.append(_settle(s, guess, hold=0.01))
    peak = guess.max(axis=1, keepdims=True)
    maps += [np.log1p(g / 10) for g in travel(s, guess >= 0.9 * peak)]
    maps += [np.log1p(g / 10) for g in travel(s, guess <= 0.1 * peak)]
    rival_thing, rival_stuff = np.zeros_like(guess), np.zeros_like(guess)
    for one, other in _rivals(s):
        rival = rival_stuff if s.stuff[other] else rival_thing
        rival[one] = np.maximum(rival[one], guess[other])
    maps += [rival_thing, rival_stuff]
    filled = mine.sum(axis=1, keepdims=True) / _whole(s.cover * total)
    sure = (np.abs(guess - 0.5) * 2 * s.cover * total).sum(axis=1, keepdims=True)
    maps += [np.broadcast_to(filled, guess.shape)]
    maps += [np.broadcast_to(sure / _whole(s.cover * total), guess.shape)]
    return np.stack(maps, axis=2).astype(np.float32)


def _whole(weights: Floats) -> Floats:
    total: Floats = np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    return total


def _spread(weights: Floats, kernel: Floats) -> Floats:
    """Return (B, N): what regions (B, N) give to those that look like them (N, N)."""
    return _product(weights, kernel)


def _product(rows: Floats, matrix: Floats) -> Floats:
    """Return ``rows @ matrix``, in parts of which none is worth a second thread to OpenBLAS.

    Its threads wait for each other by spinning. For hundreds of small products in a row that
    costs more than they bring, and ten times as much on a machine that has other work too.
    """
    width = max(_ONE_THREAD // max(rows.size, 1), 16)
    if width >= matrix.shape[1]:
        return rows @ matrix
    out = np.empty((len(rows), matrix.shape[1]), np.result_type(rows, matrix))
    for at in range(0, matrix.shape[1], width):
        np.matmul(rows, matrix[:, at : at + width], out=out[:, at : at + width])
    return out


def _ratio(a: Floats, b: Floats) -> Floats:
    ratio: Floats = np.log((a + 3e-3) / (b + 3e-3))
    return ratio


def _logit(p: Floats) -> Floats:
    p = p.clip(0.01, 0.99)
    out: Floats = np.log(p / (1 - p))
    return out


def _near(s: Scene, reach: float) -> Floats:
    """Return (B, N): 1 close around the box, falling to 0 at `reach` of its size and beyond."""
    centre = s.regions.centre[None]
    x1, y1, x2, y2 = (s.boxes[:, i : i + 1] for i in range(4))
    dx = np.maximum(np.maximum(x1 - centre[..., 0], centre[..., 0] - x2), 0) / (reach * (x2 - x1))
    dy = np.maximum(np.maximum(y1 - centre[..., 1], centre[..., 1] - y2), 0) / (reach * (y2 - y1))
    near: Floats = np.maximum(1 - np.maximum(dx, dy), 0.02)
    return near


def _settle(s: Scene, start: Floats, hold: float) -> Floats:
    """Let values spread over weak borders while `hold` pulls back to the start; 0 outside."""
    inside = (s.cover > 0.5).astype(np.float32)
    value = start.astype(np.float32)
    for _ in range(_STEPS):
        value = inside * (hold * start + (1 - hold) * _product(value, s.walk.T))
    return value


def travel(s: Scene, sources: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return (B, N) least sum and least maximum of the costs on a way from the sources."""
    first, second = s.regions.pairs.T
    n = len(s.regions.area)
    ends = np.concatenate([first, second])
    begins = np.concatenate([second, first])
    order = np.argsort(ends, kind="stable")
    ends, begins = ends[order], begins[order]
    if not len(ends):
        zero = np.zeros(sources.shape, np.float32)
        return zero, zero
    starts = np.flatnonzero(np.r_[True, ends[1:] != ends[:-1]])
    into = ends[starts]
    step = s.cost[ends, begins]
    high = np.float32(200.0)
    far = np.where(sources, np.float32(0), high).astype(np.float32)
    wall = far.copy()
    for _ in range(n):
        was_far, was_wall = far.copy(), wall.copy()
        near = np.minimum.reduceat(far[:, begins] + step, starts, axis=1)
        far[:, into] = np.minimum(far[:, into], near)
        over = np.minimum.reduceat(np.maximum(wall[:, begins], step), starts, axis=1)
        wall[:, into] = np.minimum(wall[:, into], over)
        if np.array_equal(far, was_far) and np.array_equal(wall, was_wall):
            break
    return far, np.minimum(wall, 60.0)


def _rivals(s: Scene) -> Iterator[tuple[int, int]]:
    """Yield (box, other) of all pairs, in order; boxes that coincide are of one thing."""
    boxes = [as_xyxy(box) for box in s.boxes]
    for one, other in permutations(range(len(boxes)), 2):
        if iou(boxes[other], boxes[one]) < _SAME_FROM:
            yield one, other


def _others(s: Scene, ellipse: Floats) -> list[Floats]:
    """Return maps of the other boxes: smaller things on top, larger things, stuff around."""
    areas = [area(as_xyxy(box)) for box in s.boxes]
    maps = [np.zeros_like(s.cover) for _ in range(4)]
    for b, o in _rivals(s):
        smaller = areas[o] < areas[b]
        kind = (2 if s.stuff[o] else 0) + (0 if smaller else 1)
        maps[kind][b] = np.maximum(maps[kind][b], s.cover[o] * (0.3 + ellipse[o]))
    return maps
