"""Boxes as they are typed: x1,y1,x2,y2, normalised or in pixels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from kosmoscope.errors import BoxError
from kosmoscope.geometry import XYXY, check_xyxy, check_xyxy_norm, px_to_norm
from kosmoscope.types import ImageInfo


@dataclass(frozen=True, slots=True)
class TypedBox:
    """A box that is checked as far as that goes without the picture."""

    xyxy: XYXY
    pixels: bool

    def normalised(self, image: ImageInfo) -> XYXY:
        """Return the corners in 0..1. Raises `BoxError` for pixels outside of the picture."""
        if not self.pixels:
            return self.xyxy
        x1, y1, x2, y2 = self.xyxy
        w, h = image.width, image.height
        if x1 < 0 or y1 < 0 or x2 > w or y2 > h:
            raise BoxError(f"box {x1:g},{y1:g},{x2:g},{y2:g} leaves the picture of {w}x{h} pixels")
        return check_xyxy_norm(px_to_norm(self.xyxy, (w, h)))


def typed_box(text: str, *, pixels: bool) -> TypedBox:
    """Read a box.

    Raises:
        BoxError: not four finite numbers, inverted, empty, or (unless pixels) outside of 0..1.
    """
    parts = re.split(r"\s*,\s*|\s+", text.strip())
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) != 4:
        raise BoxError(f"box {text!r}: expected four numbers x1,y1,x2,y2")
    if not pixels:
        try:
            return TypedBox(check_xyxy_norm(values), pixels=False)
        except BoxError as e:
            if all(map(math.isfinite, values)) and max(values) > 1:
                raise BoxError(f"{e}; for pixels add --pixels") from e
            raise
    return TypedBox(check_xyxy(values, shown=repr(text)), pixels=True)
