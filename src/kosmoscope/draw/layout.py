"""Where the labels go: pure geometry, no pixels, no text.

All rectangles are (x1, y1, x2, y2) in whole pixels of the picture, half open; the outline of a
box is the closed line through its corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rect = tuple[int, int, int, int]
Point = tuple[float, float]

_SWEEPS = 2
"""How often every plate may move once all are placed: the first ones knew nothing of the last."""
_SWEEP_LIMIT = 80
"""More plates than this stay where they were first put: the sweeps are quadratic."""
_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one label is."""

    plate: Rect
    """Inside the picture."""
    leader: tuple[Point, Point] | None
    """From the plate's edge to its box's outline; None where the plate touches the outline."""
    crowded: bool = False
    """It overlaps another plate, since nowhere in the picture was room."""


def place_labels(
    boxes_px: Sequence[Sequence[float]],
    label_sizes: Sequence[tuple[int, int]],
    image_wh: tuple[int, int],
    *,
    gap: int = 0,
) -> list[Placement]:
    """Place one plate per box.

    What holds:
      * Every plate lies inside the picture (a label larger than the picture is cut to it).
      * Every plate touches its box's outline or has a leader that ends on it.
      * While room exists no two plates overlap. There is room if the plates fit on shelves
        packed first-fit by falling height, which is certain where ``2 A / W + h_max <= H``
        (A: area of all plates). Why: the first plate of a shelf did not fit on the shelf above,
        so both together hold at least their width W at this plate's height; summed over all
        shelves, their heights but the first's are at most 2 A / W (Coffman, Garey, Johnson and
        Tarjan 1980, for next-fit). Without that, a plate is `crowded` only if no position at
        all was free of the other plates when it was placed.

    What is sought, in this order: touching the box; leaving free the middle of its own and the
    other boxes, and others' upper left corners; above the box, flush left.

    Args:
        boxes_px: (x1, y1, x2, y2) in pixels; rounded, and cut to the picture.
        label_sizes: (width, height) in whole pixels, one per box.
        image_wh: (width, height) of the picture.
        gap: pixels that two plates keep between them where that is possible.

    Returns:
        One placement per box, in their order. The same input gives the same output.
    """
    n = len(boxes_px)
    if n == 0:
        return []
    scene = _Scene(whole_boxes(boxes_px, image_wh), _sizes(label_sizes, image_wh), image_wh, gap)
    widths, heights = (scene.boxes[:, 2:] - scene.boxes[:, :2]).T
    # Small boxes first: they have the fewest places.
    order = [int(i) for i in np.argsort(widths * heights, kind="stable")]
    for i in order:
        scene.place(i)
    scene.sweep(order)
    if scene.crowded.any() and (shelves := _shelves(scene.sizes, image_wh)) is not None:
        scene.plates[:] = shelves
        scene.crowded[:] = False
        scene.sweep(order)
    return [
        Placement(
            _rect(scene.plates[i]),
            _leader(_rect(scene.plates[i]), _rect(scene.boxes[i])),
            bool(scene.crowded[i]),
        )
        for i in range(n)
    ]


def whole_boxes(boxes_px: Sequence[Sequence[float]], image_wh: tuple[int, int]) -> Ints:
    """Return (N, 4) whole-pixel boxes inside the picture, each at least one pixel wide and high."""
    w, h = image_wh
    boxes = np.asarray(boxes_px, np.float64).reshape(-1, 4)
    x1 = np.clip(np.floor(boxes[:, 0] + 0.5), 0, w - 1)
    y1 = np.clip(np.floor(boxes[:, 1] + 0.5), 0, h - 1)
    x2 = np.clip(np.floor(boxes[:, 2] + 0.5), x1 + 1, w)
    y2 = np.clip(np.floor(boxes[:, 3] + 0.5), y1 + 1, h)
    return np.stack([x1, y1, x2, y2], axis=1).astype(np.int64)


def touches(plate: Rect, box: Rect) -> bool:
    """Whether a plate and a box's outline have a point in common (both closed)."""
    apart = plate[0] > box[2] or plate[2] < box[0] or plate[1] > box[3] or plate[3] < box[1]
    inside = plate[0] > box[0] and plate[2] < box[2] and plate[1] > box[1] and plate[3] < box[3]
    return not apart and not inside


def _sizes(label_sizes: Sequence[tuple[int, int]], image_wh: tuple[int, int]) -> Ints:
    return np.clip(np.asarray(label_sizes, np.int64).reshape(-1, 2), 1, np.asarray(image_wh))


def _rect(row: Ints) -> Rect:
    x1, y1, x2, y2 = (int(v) for v in row)
    return (x1, y1, x2, y2)


class _Scene:
    """Boxes, and the plates placed so far."""

    def __init__(self, boxes: Ints, sizes: Ints, image_wh: tuple[int, int], gap: int) -> None:
        self.boxes, self.sizes, self.image_wh, self.gap = boxes, sizes, image_wh, gap
        self.plates = np.zeros_like(boxes)
        self.placed = np.zeros(len(boxes), bool)
        self.crowded = np.zeros(len(boxes), bool)
        quarter = (boxes[:, 2:] - boxes[:, :2]) / 4
        self.cores = np.concatenate([boxes[:, :2] + quarter, boxes[:, 2:] - quarter], axis=1)

    def place(self, i: int) -> None:
        """Put plate `i` at the best place that the others leave."""
        self.placed[i] = False
        # Crowded plates are drawn below the others and so are in nobody's way.
        others = self.plates[self.placed & ~self.crowded]
        self.placed[i] = True
        reach = self.sizes[i] + self.gap
        reached = np.concatenate([self.boxes[i, :2] - reach, self.boxes[i, 2:] + reach])
        near = others[_meet(reached, others)]
        touching, rank = self._touching(i, near)
        costs = rank + self._costs(i, touching)
        for gap in dict.fromkeys((self.gap, 0)):
            free = _free(touching, near, gap)
            if free.any():
                self._put(i, touching[np.where(free, costs, np.inf).argmin()], crowded=False)
                return
        for gap in dict.fromkeys((self.gap, 0)):
            found = self._anywhere(i, others, gap)
            if found is not None:
                self._put(i, found, crowded=False)
                return
        hidden = _overlaps(touching, near).sum(axis=1)
        self._put(i, touching[np.lexsort((costs, hidden))[0]], crowded=True)

    def sweep(self, order: Sequence[int]) -> None:
        """Let every plate move in turn; none becomes crowded by it."""
        hopeless = int(self.sizes.prod(axis=1).sum()) > self.image_wh[0] * self.image_wh[1]
        for _ in range(0 if hopeless or len(order) > _SWEEP_LIMIT else _SWEEPS):
            before = self.plates.copy()
            for i in order:
                row, crowded = self.plates[i].copy(), bool(self.crowded[i])
                self.place(i)
                if self.crowded[i] and not crowded:
                    self._put(i, row, crowded=False)
            if (before == self.plates).all():
                break

    def _put(self, i: int, row: Ints, *, crowded: bool) -> None:
        self.plates[i] = row
        self.crowded[i] = crowded

    def _touching(self, i: int, others: Ints) -> tuple[Ints, Floats]:
        """Places where plate `i` touches its box: (K, 4), and how unusual each is, (K,)."""
        x1, y1, x2, y2 = (int(v) for v in self.boxes[i])
        w, h = (int(v) for v in self.sizes[i])
        width, height = self.image_wh
        xs = _along(x1, x2, w, width, np.concatenate([others[:, 2], others[:, 0] - w]), self.gap)
        ys = _along(y1, y2, h, height, np.concatenate([others[:, 3], others[:, 1] - h]), self.gap)
        tops = ((y1 - h, 0.0), (y1, 0.12), (y2, 0.2), (y2 - h, 0.25))
        lefts = ((x1, 0.3), (x1 - w, 0.35), (x2, 0.35), (x2 - w, 0.4))
        corners, ranks = [], []
        for top, rank in tops:
            corners.append(np.stack([xs, np.full_like(xs, top)], axis=1))
            ranks.append(rank + 0.4 * np.abs(xs - x1) / (x2 - x1 + w))
        for left, rank in lefts:
            corners.append(np.stack([np.full_like(ys, left), ys], axis=1))
            ranks.append(rank + 0.4 * np.abs(ys - y1) / (y2 - y1 + h))
        # A place that leaves the picture is pushed back: it may then still touch the box.
        at = np.clip(np.concatenate(corners), 0, [width - w, height - h])
        plates = np.concatenate([at, at + self.sizes[i]], axis=1)
        a1, b1, a2, b2 = plates.T
        apart = (a1 > x2) | (a2 < x1) | (b1 > y2) | (b2 < y1)
        inside = (a1 > x1) & (a2 < x2) & (b1 > y1) & (b2 < y2)
        ok = ~apart & ~inside
        return plates[ok], np.concatenate(ranks)[ok]

    def _costs(self, i: int, plates: Ints) -> Floats:
        """What each of (K, 4) places of plate `i` hides: (K,)."""
        area = float(self.sizes[i].prod())
        reached = np.concatenate([plates[:, :2].min(axis=0), plates[:, 2:].max(axis=0)])
        near = np.flatnonzero(_meet(reached, self.boxes))
        own = near == i
        near_boxes, near_cores = self.boxes[near], self.cores[near]
        core_area = np.maximum(_areas(near_cores), 1e-9)
        cores = _overlaps(plates, near_cores) / np.minimum(core_area, area)
        cost = 1.5 * cores.sum(axis=1) + 1.5 * cores[:, own].sum(axis=1)
        cost += 0.12 * _overlaps(plates, near_boxes[~own]).sum(axis=1) / area
        corner_x, corner_y = near_boxes[~own, 0], near_boxes[~own, 1]
        covered = (
            (plates[:, None, 0] < corner_x)
            & (corner_x < plates[:, None, 2])
            & (plates[:, None, 1] < corner_y)
            & (corner_y < plates[:, None, 3])
        )
        return np.asarray(cost + 0.3 * covered.sum(axis=1), np.float64)

    def _anywhere(self, i: int, others: Ints, gap: int) -> Ints | None:
        """The best free place near the box; None only if there is none in the whole picture.

        If a free place exists, so does one that is flush left with the picture's or another
        plate's edge, and flush at the top (push it left and up until it stops).
        """
        w, h = (int(v) for v in self.sizes[i])
        width, height = self.image_wh
        xs = _flush(others[:, 0] - w, others[:, 2], width - w, gap)
        ys = _flush(others[:, 1] - h, others[:, 3], height - h, gap)
        box = self.boxes[i]
        away_x = np.maximum(np.maximum(box[0] - (xs + w), xs - box[2]), 0)
        away_y = np.maximum(np.maximum(box[1] - (ys + h), ys - box[3]), 0)
        away = np.hypot(away_x[:, None], away_y[None, :]).ravel()
        order = np.argsort(away, kind="stable")
        for start in range(0, len(order), _CHUNK):
            part = order[start : start + _CHUNK]
            at = np.stack([xs[part // len(ys)], ys[part % len(ys)]], axis=1)
            plates = np.concatenate([at, at + self.sizes[i]], axis=1)
            free = _free(plates, others, gap)
            if free.any():
                plates, far = plates[free], away[part][free]
                costs = self._costs(i, plates) + 8.0 * far / float(np.hypot(width, height))
                best: Ints = plates[costs.argmin()]
                return best
        return None


def _along(low: int, high: int, size: int, limit: int, snaps: Ints, gap: int) -> Ints:
    """Starts of a plate along one side of a box: flush, centred, spread, beside other plates."""
    spread = np.linspace(low - size + 1, high - 1, 9).astype(np.int64)
    fixed = np.array([low, high - size, (low + high - size) // 2], np.int64)
    values = np.concatenate([fixed, spread, snaps + gap, snaps - gap])
    values = values[(values > low - size) & (values < high)]
    if len(values) == 0:  # a box one pixel wide, and a plate as narrow
        values = fixed[:1]
    return np.unique(np.clip(values, 0, limit - size))


def _flush(before: Ints, after: Ints, last: int, gap: int) -> Ints:
    even = np.linspace(0, last, 14).astype(np.int64)
    values = np.concatenate([even, after, after + gap, before, before - gap])
    return np.unique(values[(values >= 0) & (values <= last)])


def _overlaps(a: NDArray[np.generic], b: NDArray[np.generic]) -> Floats:
    """Overlapping area of each of (K, 4) with each of (N, 4): (K, N)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    w = np.minimum(a[:, None, 2], b[:, 2]) - np.maximum(a[:, None, 0], b[:, 0])
    h = np.minimum(a[:, None, 3], b[:, 3]) - np.maximum(a[:, None, 1], b[:, 1])
    return np.asarray(np.maximum(w, 0) * np.maximum(h, 0), np.float64)


def _meet(rect: Ints, others: Ints) -> Bools:
    """Which of (N, 4) rectangles have a pixel in common with one: (N,)."""
    hit = (others[:, :2] < rect[2:]) & (others[:, 2:] > rect[:2])
    return np.asarray(hit.all(axis=1), np.bool_)


def _areas(rects: Floats) -> Floats:
    return np.asarray((rects[:, 2] - rects[:, 0]) * (rects[:, 3] - rects[:, 1]), np.float64)


def _free(plates: Ints, others: Ints, gap: int) -> Bools:
    """Which of (K, 4) plates keep `gap` pixels from all of (N, 4) others: (K,)."""
    hit = (
        (plates[:, None, 0] < others[:, 2] + gap)
        & (plates[:, None, 2] > others[:, 0] - gap)
        & (plates[:, None, 1] < others[:, 3] + gap)
        & (plates[:, None, 3] > others[:, 1] - gap)
    )
    return np.asarray(~hit.any(axis=1), np.bool_)


def _shelves(sizes: Ints, image_wh: tuple[int, int]) -> Ints | None:
    """Pack plates on shelves, first fit by falling height; None if they do not fit."""
    width, height = image_wh
    plates = np.zeros((len(sizes), 4), np.int64)
    shelves: list[list[int]] = []  # [top, how far it is filled]
    bottom = 0
    for i in np.lexsort((-sizes[:, 0], -sizes[:, 1])):
        w, h = (int(v) for v in sizes[i])
        shelf = next((s for s in shelves if s[1] + w <= width), None)
        if shelf is None:
            if bottom + h > height:
                return None
            shelf = [bottom, 0]
            shelves.append(shelf)
            bottom += h
        plates[i] = (shelf[1], shelf[0], shelf[1] + w, shelf[0] + h)
        shelf[1] += w
    return plates


def _leader(plate: Rect, box: Rect) -> tuple[Point, Point] | None:
    """The shortest line from a plate to the outline of its box; None where they touch."""
    if touches(plate, box):
        return None
    x, far_x = _nearest(plate[0], plate[2], box[0], box[2])
    y, far_y = _nearest(plate[1], plate[3], box[1], box[3])
    if plate[0] > box[0] and plate[2] < box[2] and plate[1] > box[1] and plate[3] < box[3]:
        ways = (
            (plate[0] - box[0], (plate[0], y), (box[0], y)),
            (plate[1] - box[1], (x, plate[1]), (x, box[1])),
            (box[2] - plate[2], (plate[2], y), (box[2], y)),
            (box[3] - plate[3], (x, plate[3]), (x, box[3])),
        )
        _, start, end = min(ways)
        return start, end
    return (x, y), (far_x, far_y)


def _nearest(a1: int, a2: int, b1: int, b2: int) -> tuple[float, float]:
    """The nearest values of two closed intervals; the middle of what they share."""
    if a2 < b1:
        return a2, b1
    if b2 < a1:
        return a1, b2
    middle = (max(a1, b1) + min(a2, b2)) / 2
    return middle, middle
