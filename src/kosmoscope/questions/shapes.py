"""Which pixels are a thing's, where its picture was segmented: what colours are taken from then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.geometry import XYXY, iou
from kosmoscope.masks import LabelMap

SAME = 0.5
"""From which overlap on a segment was found by a box; a sky's box is moved to the edge first."""
LEAST = 8
"""Smaller masks, in pixels of the colour map, say nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """The masks of one description."""

    caption: str
    labels: NDArray[np.uint16]
    """(H, W), of the size that colours are counted at."""
    things: tuple[tuple[str, XYXY, int], ...]
    """Phrase, normalised box and label of each segment that was found by a box."""

    def mask(self, phrase: str, box: XYXY) -> NDArray[np.bool_] | None:
        """Return (H, W) the pixels of a phrase's thing in a box; None where nobody knows."""
        near = [(iou(box, b), label) for name, b, label in self.things if name == phrase]
        overlap, label = max(near, default=(0.0, 0))
        found = self.labels == label
        return found if overlap >= SAME and int(found.sum()) >= LEAST else None


def shapes_of(segmentation: LabelMap, shape: tuple[int, int]) -> Shapes:
    """Return the masks of a picture at another size, (H, W): the pixel in the middle counts."""
    info = segmentation.image
    y, x = (
        ((np.arange(small) + 0.5) * large / small).astype(np.intp)
        for small, large in zip(shape, segmentation.labels.shape, strict=True)
    )
    things = (
        (
            plain(s.phrase),
            (
                s.xyxy_px[0] / info.width, s.xyxy_px[1] / info.height,
                s.xyxy_px[2] / info.width, s.xyxy_px[3] / info.height,
            ),
            s.id,
        )
        for s in segmentation.segments
        if s.entity is not None and s.xyxy_px is not None
    )  # fmt: skip
    return Shapes(segmentation.caption, segmentation.labels[np.ix_(y, x)], tuple(things))


def plain(phrase: str) -> str:
    """Return a phrase with single spaces, as records have it."""
    return " ".join(phrase.split())


def mask_of(
    shapes: Iterable[Shapes], caption: str, phrase: str, box: XYXY
) -> NDArray[np.bool_] | None:
    """Return (H, W) the pixels of a thing, None where nobody knows them.

    Args:
        shapes: of the picture, of any descriptions.
        caption: of the description that names it.
        phrase: as records have it.
        box: normalised.
    """
    masks = (one.mask(phrase, box) for one in shapes if one.caption == caption)
    return next((mask for mask in masks if mask is not None), None)
