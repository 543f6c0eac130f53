"""Label Studio's regions: boxes and polygons in per cent of the picture, brush strokes as bits.

The brush's run lengths are those of @thi.ng/rle-pack: a head, then runs of equal values, each with
its length in the shortest of four sizes. Values are the bytes of RGBA pixels, row by row; of a mask
all four are 0 or 255.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from kosmoscope.types import XYXY, ImageInfo

# NumPy is imported where it is used: see `kosmoscope.export.segments`.
if TYPE_CHECKING:
    from kosmoscope.masks import Mask

PERCENT_DIGITS = 4
_LENGTH_BITS = (3, 4, 8, 16)
_VALUE_BITS = 8
_CHANNELS = 4


def picture_size(image: ImageInfo) -> dict[str, Any]:
    """Return what every region of a picture says about it."""
    return {
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
    }


def region_id(key: str) -> str:
    """Return an id for a region, the same each time for the same key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def rectangle_value(xyxy_px: XYXY, image: ImageInfo) -> dict[str, Any]:
    """Return the value of a rectangle."""
    x1, y1, x2, y2 = xyxy_px
    values = {
        "x": x1 / image.width,
        "y": y1 / image.height,
        "width": (x2 - x1) / image.width,
        "height": (y2 - y1) / image.height,
    }
    percent = {name: round(100 * value, PERCENT_DIGITS) for name, value in values.items()}
    return {**percent, "rotation": 0}


def polygon_values(mask: Mask, image: ImageInfo) -> list[dict[str, Any]]:
    """Return the values of a mask's parts, the largest first; a polygon has no holes."""
    import numpy as np

    from kosmoscope.export.parts import outlines

    percent = 100 / np.array([image.width, image.height])
    return [
        {"points": np.round(ring * percent, PERCENT_DIGITS).tolist(), "closed": True}
        for ring in outlines(mask)
    ]


def brush_value(mask: Mask) -> dict[str, Any]:
    """Return the value of a mask as a brush stroke, exact to the pixel."""
    return {"format": "rle", "rle": brush_rle(mask)}


def brush_rle(mask: Mask) -> list[int]:
    """Return a mask's run lengths, byte by byte."""
    import numpy as np

    flat = mask.bits.ravel()
    ends = np.flatnonzero(np.concatenate((flat[1:] != flat[:-1], [True]))) + 1
    lengths = np.diff(ends, prepend=0) * _CHANNELS
    sizes = "".join(f"{bits - 1:04b}" for bits in _LENGTH_BITS)
    out = [f"{flat.size * _CHANNELS:032b}{_VALUE_BITS - 1:05b}{sizes}"]
    longest = 2 ** _LENGTH_BITS[-1]
    for end, length in zip(ends.tolist(), lengths.tolist(), strict=True):
        value = f"{255 if flat[end - 1] else 0:0{_VALUE_BITS}b}"
        left = length
        while left:
            run = min(left, longest)
            size = next(i for i, bits in enumerate(_LENGTH_BITS) if run <= 2**bits)
            out.append(f"1{size:02b}{run - 1:0{_LENGTH_BITS[size]}b}{value}")
            left -= run
    bits = "".join(out)
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))
