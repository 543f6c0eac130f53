"""Boxes as four numbers: checked, clipped, measured, compared, from one frame into the other.

Frames of reference
    A box is ``(x1, y1, x2, y2)``: its upper left and its lower right corner, with the origin in
    the upper left corner of the upright picture, x to the right and y down. *Normalised* corners
    (``_norm``) run from 0 to 1 over the whole picture on both axes; those in *pixels* (``_px``)
    are the same times width and height (floats; pixel ``i`` covers ``[i, i + 1)``). Functions that
    take two boxes want both in one frame, whichever.

A box is empty where x2 <= x1 or y2 <= y1. Nothing here needs more than plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kosmoscope.errors import BoxError

XYXY = tuple[float, float, float, float]

WHOLE_NORM: XYXY = (0.0, 0.0, 1.0, 1.0)
"""The whole picture, normalised."""
SAME_IOU = 0.45
"""Two boxes of one kind of thing that overlap so much are one object, seen twice."""


def check_xyxy(xyxy: Sequence[float], *, shown: str | None = None) -> XYXY:
    """Return a box of any frame as four Python floats.

    Args:
        xyxy: any sequence of four numbers (tuple, list, array row).
        shown: how messages name the box; its corners if not given.

    Raises:
        BoxError: not four numbers, not finite, inverted or empty.
    """
    return _ordered(_four_finite(xyxy, shown), shown)


def check_xyxy_norm(xyxy: Sequence[float]) -> XYXY:
    """Return a normalised box as four Python floats.

    Args:
        xyxy: any sequence of four numbers (tuple, list, array row), normalised to 0..1.

    Raises:
        BoxError: not four numbers, not finite, outside 0..1, inverted or empty.
    """
    values = _four_finite(xyxy, None)
    if not all(0.0 <= v <= 1.0 for v in values):
        raise BoxError(f"box {values} leaves the picture: normalised corners lie in 0..1")
    return _ordered(values, None)


def _four_finite(xyxy: Sequence[float], shown: str | None) -> XYXY:
    try:
        if isinstance(xyxy, (str, bytes)):
            raise TypeError
        values = tuple(float(v) for v in xyxy)
    except (TypeError, ValueError, OverflowError) as e:
        got = " ".join(repr(xyxy).split())[:80]
        raise BoxError(f"a box is four numbers x1, y1, x2, y2; got {got}") from e
    if len(values) != 4:
        raise BoxError(f"a box is four numbers x1, y1, x2, y2; got {len(values)}")
    if not all(math.isfinite(v) for v in values):
        raise BoxError(f"box {shown or values} has a number that is not finite")
    x1, y1, x2, y2 = values
    return (x1, y1, x2, y2)


def _ordered(xyxy: XYXY, shown: str | None) -> XYXY:
    if is_empty(xyxy):
        raise BoxError(f"box {shown or xyxy} is empty or inverted: expected x1 < x2 and y1 < y2")
    return xyxy


def is_empty(xyxy: XYXY) -> bool:
    """Say whether a box has no area, or is inverted."""
    x1, y1, x2, y2 = xyxy
    return not (x2 > x1 and y2 > y1)


def norm_to_px(xyxy_norm: XYXY, image_wh: tuple[float, float]) -> XYXY:
    """Return normalised corners in pixels of a picture of (width, height) pixels."""
    x1, y1, x2, y2 = xyxy_norm
    w, h = image_wh
    return (x1 * w, y1 * h, x2 * w, y2 * h)


def px_to_norm(xyxy_px: XYXY, image_wh: tuple[float, float]) -> XYXY:
    """Return corners in pixels of a picture of (width, height) pixels, normalised."""
    x1, y1, x2, y2 = xyxy_px
    w, h = image_wh
    return (x1 / w, y1 / h, x2 / w, y2 / h)


def clip(xyxy: XYXY, frame_wh: tuple[float, float] = (1.0, 1.0)) -> XYXY | None:
    """Return what of a box lies in a picture, None where nothing does.

    Args:
        xyxy: in the frame of `frame_wh`; it may leave the picture.
        frame_wh: the picture's (width, height) in pixels; (1, 1) for normalised corners.
    """
    w, h = frame_wh
    return intersection(xyxy, (0.0, 0.0, float(w), float(h)))


def intersection(a: XYXY, b: XYXY) -> XYXY | None:
    """Return the box that two boxes share, None where they share no area."""
    both = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    return None if is_empty(both) else both


def area(xyxy: XYXY) -> float:
    """Return width times height, in square units of the frame; 0 for an empty box.

    Of a normalised box: its share of the picture.
    """
    x1, y1, x2, y2 = xyxy
    return max(x2 - x1, 0.0) * max(y2 - y1, 0.0)


def iou(a: XYXY, b: XYXY) -> float:
    """Return the intersection over the union of two boxes, 0..1; 0 where they share nothing."""
    shared = _shared(a, b)
    return shared / (area(a) + area(b) - shared) if shared > 0 else 0.0


def containment(part: XYXY, whole: XYXY) -> float:
    """Return the share of `part` that lies inside `whole`, 0..1; 0 for an empty `part`."""
    shared = _shared(part, whole)
    return shared / area(part) if shared > 0 else 0.0


def _shared(a: XYXY, b: XYXY) -> float:
    both = intersection(a, b)
    return 0.0 if both is None else area(both)
