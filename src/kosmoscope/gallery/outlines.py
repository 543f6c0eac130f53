"""Masks -> outlines that the page draws: short SVG paths, one for each entity; and small masks."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kosmoscope.geometry import XYXY
from kosmoscope.masks import LabelMap, Mask, Segment, simplify
from kosmoscope.masks.polygons import Ring
from kosmoscope.types import ImageInfo

SIDE_PX = 360
"""Longer side of the label map that outlines are taken from: a thumbnail shows no more."""
STEPS = 1000
"""Of the paths' coordinates, across and down."""
_TOLERANCE_PX = 0.75
_LEAST_PX = 12.0
"""Smaller islands and holes are left out."""


@dataclass(frozen=True, slots=True)
class Outlined:
    """What is kept of a segmentation."""

    rows: list[tuple[int, str, str]]
    """(index of the entity, its phrase, path) of each one."""
    size: tuple[int, int]
    """Height and width of the labels that are kept."""
    packed: bytes
    """These, compressed: of thousands of pictures they are in memory together."""
    segments: tuple[Segment, ...]
    path: str
    caption: str

    def label_map(self) -> LabelMap:
        """Return it again, small."""
        labels = np.frombuffer(zlib.decompress(self.packed), np.uint16).reshape(self.size)
        height, width = self.size
        info = ImageInfo(self.path, width, height)
        return LabelMap(info, "", labels, self.segments, self.caption)


Outlines = dict[tuple[str, str], Outlined]
"""By path of the picture and caption."""


def collect_outlines(segmentations: Iterable[LabelMap]) -> Outlines:
    """Return the outlines of all segments that belong to an entity; read once, in order."""
    found: Outlines = {}
    for one in segmentations:
        names = {s.entity: s.phrase for s in one.segments if s.entity is not None}
        if not names:
            continue
        small = _shrunk(one.labels)
        rows = []
        for entity, phrase in sorted(names.items()):
            ids = [s.id for s in one.segments if s.entity == entity]
            path = _path(np.isin(small, ids))
            if path:
                rows.append((entity, phrase, path))
        found[one.image.path, one.caption] = Outlined(
            rows, small.shape, zlib.compress(small.tobytes(), 1), _smaller(one, small.shape),
            one.image.path, one.caption,
        )  # fmt: skip
    return found


def _smaller(one: LabelMap, size: tuple[int, int]) -> tuple[Segment, ...]:
    """Return the segments with their boxes in pixels of another height and width."""
    down, across = size[0] / one.image.height, size[1] / one.image.width

    def box(b: XYXY | None) -> XYXY | None:
        return None if b is None else (b[0] * across, b[1] * down, b[2] * across, b[3] * down)

    return tuple(replace(s, xyxy_px=box(s.xyxy_px)) for s in one.segments)


def _shrunk(labels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Every so many pixels: labels have no mean."""
    h, w = labels.shape
    factor = max(h, w) / SIDE_PX
    if factor <= 1:
        return labels
    ys = ((np.arange(max(1, round(h / factor))) + 0.5) * factor).astype(int).clip(0, h - 1)
    xs = ((np.arange(max(1, round(w / factor))) + 0.5) * factor).astype(int).clip(0, w - 1)
    return labels[np.ix_(ys, xs)]


def _path(bits: NDArray[np.bool_]) -> str:
    h, w = bits.shape
    rings = [ring for p in Mask(bits).polygons() for ring in (p.outline, *p.holes)]
    large = (ring for ring in rings if _area(ring) >= _LEAST_PX)
    return "".join(_ring(simplify(ring, _TOLERANCE_PX), w, h) for ring in large)


def _ring(ring: Ring, w: int, h: int) -> str:
    """One closed line: the first corner, then steps, which are short numbers."""
    corners = [(round(x * STEPS / w), round(y * STEPS / h)) for x, y in ring]
    (x, y), text = corners[0], "M{} {}l".format(*corners[0])
    for at_x, at_y in corners[1:]:
        text += f"{at_x - x} {at_y - y} "
        x, y = at_x, at_y
    return text.rstrip() + "z"


def _area(ring: Ring) -> float:
    x, y = ring.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
