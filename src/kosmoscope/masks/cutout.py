"""What a mask shows, on nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from kosmoscope.errors import InputError
from kosmoscope.masks.mask import Mask

_FAINT = 26
"""A tenth: what a matte has less of does not make the cut-out larger."""


def cut_out(
    rgb: NDArray[np.uint8],
    mask: Mask,
    *,
    crop: bool = True,
    soft: bool = True,
    alpha: NDArray[np.uint8] | None = None,
    matte: NDArray[np.uint8] | None = None,
) -> Image.Image:
    """Return a picture with alpha, mode RGBA.

    Args:
        rgb: (H, W, 3) uint8, of the mask's size.
        mask: what stays.
        crop: to the mask's box; an empty mask gives one transparent pixel.
        soft: let the alpha fall off over about a pixel on both sides of the outline.
        alpha: (H, W) uint8, of the picture before it was put on white, as `read_image` gives it
            with ``alpha=True``: what showed through there does so in the cut-out.
        matte: (H, W) uint8, 255 where a pixel belongs to it in full: where that is known, it is
            the alpha if `soft`, and what it adds to the mask belongs to the box.

    Raises:
        InputError: picture, mask, alpha and matte differ in size.
    """
    if rgb.shape[:2] != mask.bits.shape:
        raise InputError(f"a mask of {mask.bits.shape} on a picture of {rgb.shape[:2]}")
    for name, plane in (("alpha", alpha), ("matte", matte)):
        if plane is not None and (plane.shape != mask.bits.shape or plane.dtype != np.uint8):
            raise InputError(
                f"{name} of {plane.dtype}, {plane.shape}; expected uint8, {mask.bits.shape}"
            )
    box = mask.xyxy_px
    if box is not None and matte is not None and soft:
        box = Mask(mask.bits | (matte >= _FAINT)).xyxy_px
    if box is None:
        return Image.new("RGBA", (1, 1) if crop else (rgb.shape[1], rgb.shape[0]))
    x1, y1, x2, y2 = box if crop else (0, 0, rgb.shape[1], rgb.shape[0])
    if soft and matte is not None:
        shown = Image.fromarray(np.ascontiguousarray(matte[y1:y2, x1:x2]))
    else:
        shown = Image.fromarray(mask.bits[y1:y2, x1:x2].astype(np.uint8) * 255)
        shown = shown.filter(ImageFilter.GaussianBlur(0.7)) if soft else shown
    colour = rgb[y1:y2, x1:x2]
    if alpha is not None:
        own = alpha[y1:y2, x1:x2]
        shown, colour = ImageChops.multiply(shown, Image.fromarray(own)), _off_white(colour, own)
    out = Image.fromarray(np.ascontiguousarray(colour))
    out.putalpha(shown)
    return out


def _off_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colours before they were put on white; white where nothing is left of them."""
    found = rgb.copy()
    veiled = (alpha > 0) & (alpha < 255)
    share = alpha[veiled, None] / np.float32(255)
    found[veiled] = np.rint((rgb[veiled] - 255 * (1 - share)) / share).clip(0, 255)
    return found
