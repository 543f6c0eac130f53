"""What a mask shows, on nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from kosmoscope.errors import InputError
from kosmoscope.masks.mask import Mask


def cut_out(
    rgb: NDArray[np.uint8],
    mask: Mask,
    *,
    crop: bool = True,
    soft: bool = True,
    alpha: NDArray[np.uint8] | None = None,
) -> Image.Image:
    """Return a picture with alpha, mode RGBA.

    Args:
        rgb: (H, W, 3) uint8, of the mask's size.
        mask: what stays.
        crop: to the mask's box; an empty mask gives one transparent pixel.
        soft: let the alpha fall off over about a pixel on both sides of the outline.
        alpha: (H, W) uint8, of the picture before it was put on white, as `read_image` gives it
            with ``alpha=True``: what showed through there does so in the cut-out.

    Raises:
        InputError: picture, mask and alpha differ in size.
    """
    if rgb.shape[:2] != mask.bits.shape:
        raise InputError(f"a mask of {mask.bits.shape} on a picture of {rgb.shape[:2]}")
    if alpha is not None and (alpha.shape != mask.bits.shape or alpha.dtype != np.uint8):
        raise InputError(
            f"an alpha of {alpha.dtype}, {alpha.shape}; expected uint8, {mask.bits.shape}"
        )
    box = mask.xyxy_px
    if box is None:
        return Image.new("RGBA", (1, 1) if crop else (rgb.shape[1], rgb.shape[0]))
    x1, y1, x2, y2 = box if crop else (0, 0, rgb.shape[1], rgb.shape[0])
    plane = Image.fromarray(mask.bits[y1:y2, x1:x2].astype(np.uint8) * 255)
    if soft:
        plane = plane.filter(ImageFilter.GaussianBlur(0.7))
    colour = rgb[y1:y2, x1:x2]
    if alpha is not None:
        own = alpha[y1:y2, x1:x2]
        plane, colour = ImageChops.multiply(plane, Image.fromarray(own)), _off_white(colour, own)
    out = Image.fromarray(np.ascontiguousarray(colour))
    out.putalpha(plane)
    return out


def _off_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colours before they were put on white; white where nothing is left of them."""
    found = rgb.copy()
    veiled = (alpha > 0) & (alpha < 255)
    share = alpha[veiled, None] / np.float32(255)
    found[veiled] = np.rint((rgb[veiled] - 255 * (1 - share)) / share).clip(0, 255)
    return found
