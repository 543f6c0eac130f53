"""What a mask shows, on nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from kosmoscope.errors import InputError
from kosmoscope.masks.mask import Mask


def cut_out(
    rgb: NDArray[np.uint8], mask: Mask, *, crop: bool = True, soft: bool = True
) -> Image.Image:
    """Return a picture with alpha, mode RGBA.

    Args:
        rgb: (H, W, 3) uint8, of the mask's size.
        mask: what stays.
        crop: to the mask's box; an empty mask gives one transparent pixel.
        soft: let the alpha fall off over about a pixel on both sides of the outline.

    Raises:
        InputError: picture and mask differ in size.
    """
    if rgb.shape[:2] != mask.bits.shape:
        raise InputError(f"a mask of {mask.bits.shape} on a picture of {rgb.shape[:2]}")
    box = mask.xyxy_px
    if box is None:
        return Image.new("RGBA", (1, 1) if crop else (rgb.shape[1], rgb.shape[0]))
    x1, y1, x2, y2 = box if crop else (0, 0, rgb.shape[1], rgb.shape[0])
    alpha = Image.fromarray(mask.bits[y1:y2, x1:x2].astype(np.uint8) * 255)
    if soft:
        alpha = alpha.filter(ImageFilter.GaussianBlur(0.7))
    out = Image.fromarray(np.ascontiguousarray(rgb[y1:y2, x1:x2]))
    out.putalpha(alpha)
    return out
