"""The whole and its tiles: frames of views, and boxes from one frame into the other.

A view's frame is a normalised box of the whole picture, on whole pixels of it. Boxes on a view are
normalised to the view; a picture is (H, W, 3) and its size (width, height).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.detail.settings import (
    CROP,
    EDGE,
    ENLARGED,
    LEAST_CROP,
    LEAST_TILE,
    MAX_TILES,
    OVERLAP,
    SPARED,
)
from kosmoscope.geometry import WHOLE_NORM, XYXY
from kosmoscope.images import part_of


@dataclass(frozen=True, slots=True)
class View:
    """A part of a picture that is looked at like a picture of its own."""

    frame: XYXY
    """Normalised to the whole picture."""

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the picture."""
        return self.frame == WHOLE_NORM

    def to_whole(self, xyxy: XYXY) -> XYXY:
        """Return a box on this view as one on the whole picture."""
        x1, y1, x2, y2 = self.frame
        w, h = x2 - x1, y2 - y1
        return (x1 + xyxy[0] * w, y1 + xyxy[1] * h, x1 + xyxy[2] * w, y1 + xyxy[3] * h)

    def from_whole(self, xyxy: XYXY) -> XYXY:
        """Return a box on the whole picture as one on this view; it may leave the view."""
        x1, y1, x2, y2 = self.frame
        w, h = x2 - x1, y2 - y1
        return ((xyxy[0] - x1) / w, (xyxy[1] - y1) / h, (xyxy[2] - x1) / w, (xyxy[3] - y1) / h)

    def cuts(self, xyxy: XYXY) -> bool:
        """Say whether a box on this view ends at an edge behind which the picture goes on."""
        inner = (self.frame[0] > 0, self.frame[1] > 0, self.frame[2] < 1, self.frame[3] < 1)
        gaps = (xyxy[0], xyxy[1], 1 - xyxy[2], 1 - xyxy[3])
        return any(edge and gap < EDGE for edge, gap in zip(inner, gaps, strict=True))

    def pixels(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what of a picture it shows, (h, w, 3)."""
        return part_of(rgb, self.frame)


WHOLE = View(WHOLE_NORM)


def grid(image_wh: tuple[int, int], tiles: int | None, seen_px: int, most: int) -> tuple[int, int]:
    """Return how many (columns, rows) of tiles to look at; (1, 1): none beside the whole.

    Args:
        image_wh: the picture's size in pixels.
        tiles: along its longer side, and along the shorter too unless the picture is wide or high:
            2 are 2x2 up to 5:3, and two side by side beyond. None: by size.
        seen_px: the side of what the model sees.
        most: tiles that may be looked at; where they would be more, there are fewer and larger.
    """
    longer, shorter = max(image_wh), min(image_wh)
    if tiles is None:
        tiles = min(max(2, math.ceil(longer / (ENLARGED * seen_px))), MAX_TILES)
    least = LEAST_TILE * seen_px
    for count in range(tiles, 1, -1):
        across = max(1, min(count, math.ceil(count * shorter / longer - SPARED)))
        while across > 1 and _side(shorter, across) < least:
            across -= 1
        if _side(longer, count) >= least and count * across <= most:
            return (count, across) if image_wh[0] >= image_wh[1] else (across, count)
    return (1, 1)


def tiles_of(image_wh: tuple[int, int], columns: int, rows: int) -> tuple[View, ...]:
    """Return the tiles of a picture, row by row: they cover it, and neighbours overlap.

    None for one column and one row, as that is the whole.
    """
    if (columns, rows) == (1, 1):
        return ()
    across, down = _cuts(image_wh[0], columns), _cuts(image_wh[1], rows)
    return tuple(View((x1, y1, x2, y2)) for y1, y2 in down for x1, x2 in across)


def _cuts(length: int, count: int) -> list[tuple[float, float]]:
    """Return from where to where tiles go along a side of some pixels, as shares of it."""
    if count == 1:
        return [(0.0, 1.0)]
    side = _side(length, count)
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    return [(start / length, (start + side) / length) for start in starts]


def _side(length: int, count: int) -> int:
    """Return how many pixels of a side a tile is long."""
    return min(math.ceil(length / (count - OVERLAP * (count - 1))), length)


def crop_around(xyxy: XYXY, image_wh: tuple[int, int]) -> View:
    """Return a view with a box in its middle, as far as the picture's edges allow."""
    x1, x2 = _around(xyxy[0], xyxy[2], image_wh[0])
    y1, y2 = _around(xyxy[1], xyxy[3], image_wh[1])
    return View((x1, y1, x2, y2))


def _around(low: float, high: float, length: int) -> tuple[float, float]:
    side = min(max(CROP * (high - low), LEAST_CROP, 1 / length), 1.0)
    start = min(max((low + high - side) / 2, 0.0), 1.0 - side)
    first = min(math.floor(start * length), length - 1)
    last = max(min(math.ceil((start + side) * length), length), first + 1)
    return first / length, last / length
