"""Any pixels -> 8-bit sRGB without alpha: depth, colour space, transparency on white."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_DEEP = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
"""Modes of more than 8 bits a sample: all grey. `Image.convert` would clip them to white."""

_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}

_KEYED = frozenset({"1", "L", "P", "RGB"})
"""Modes in which `info["transparency"]` marks a colour as transparent."""


def srgb_image(im: Image.Image, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """Return a loaded Pillow image of any mode as mode RGB in sRGB, alpha composited on white.

    Args:
        im: a loaded image; not modified.
        notes: gets a line for what was ignored.

    Returns:
        The picture, which may be `im` itself, and the alpha that is in it by now (mode L); None
        where all is opaque.

    Raises:
        ValueError: pixels that mean nothing (floats of which none is finite, an unknown mode).
        Whatever Pillow raises for damaged palettes and transparency; see `reader.PILLOW_RAISES`.
    """
    colour, alpha = _split(im)
    rgb = _apply_profile(colour, im.info.get("icc_profile"), notes)
    if alpha is None or alpha.getextrema() == (255, 255):
        return rgb, None
    # Hidden colours of transparent pixels must not show: viewers paint them on a white page.
    page = Image.new("RGB", rgb.size, "white")
    page.paste(rgb, mask=alpha)
    return page, alpha


def _split(im: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Separate colour (8 bits a sample, a mode that profiles understand) from alpha (mode L)."""
    key = im.info.get("transparency")
    if im.mode in _DEEP:
        values = np.asarray(im)
        grey = Image.fromarray(to_uint8(values, stretch=True))
        if isinstance(key, int) and values.dtype.kind in "iu":
            return grey, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
        return grey, None
    if im.mode in _PREMULTIPLIED:
        im = im.convert(_PREMULTIPLIED[im.mode])
    elif im.mode == "PA" or (im.has_transparency_data and im.mode in _KEYED):
        im = im.convert("RGBA")
    if im.mode == "RGBA":
        return im.convert("RGB"), im.getchannel("A")
    if im.mode == "LA":
        return im.getchannel("L"), im.getchannel("A")
    if im.mode == "1":
        return im.convert("L"), None
    if im.mode not in ("L", "RGB", "CMYK", "LAB"):
        return im.convert("RGB"), None
    return im, None


def _apply_profile(im: Image.Image, profile: object, notes: list[str]) -> Image.Image:
    """Convert L, RGB, CMYK or LAB to sRGB, by the embedded ICC profile where there is one."""
    if im.mode == "LAB":
        from PIL import ImageCms

        lab = ImageCms.createProfile("LAB")
        return _transform(im, ImageCms.ImageCmsProfile(lab))
    if isinstance(profile, bytes) and profile:
        from PIL import ImageCms

        # Beyond PyCMSError: an unreadable profile is an OSError, a build of Pillow without
        # Little CMS an ImportError, an odd description tag a ValueError or TypeError.
        try:
            parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            name = ImageCms.getProfileDescription(parsed).lower()
            # sRGB to sRGB would only add rounding: leave these pixels exactly as stored.
            if "srgb" not in name or "linear" in name:
                return _transform(im, parsed)
        except (ImageCms.PyCMSError, OSError, ImportError, ValueError, TypeError):
            notes.append("unusable ICC profile ignored")
    # Converting what is RGB already would copy it, for a fifth of the time of reading a photo.
    return im if im.mode == "RGB" else im.convert("RGB")


def _transform(im: Image.Image, profile: Any) -> Image.Image:
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    out = ImageCms.profileToProfile(im, profile, srgb, outputMode="RGB")
    if out is None:
        raise ValueError("the colour conversion gave nothing")
    return out


def to_uint8(values: NDArray[Any], *, stretch: bool) -> NDArray[np.uint8]:
    """Bring samples of any depth to 0..255; same shape, C-contiguous.

    bool: black and white. uint8: as it is. Other integers within 0..65535: from 16 bits, by 257,
    rounded. Floats within 0..1: times 255; within 0..255: rounded. Where floats are not finite
    they count as 0.

    Args:
        values: any shape with at least one sample.
        stretch: whether samples out of these ranges are measurements whose minimum becomes
            black and whose maximum becomes white; otherwise they are an error.

    Raises:
        ValueError: floats of which none is finite, or out of range and not `stretch`.
        TypeError: a dtype that is no number.
    """
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind in "iu":
        if values.min() >= 0 and values.max() <= 65535:
            return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
        numbers = values.astype(np.float64)
        return _stretched(numbers, float(numbers.min()), float(numbers.max()), stretch)
    if values.dtype.kind != "f":
        raise TypeError(f"samples of type {values.dtype} are no pixels")
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("not one of its values is finite")
    # float16 would overflow on the way to 255, and extended floats buy nothing.
    clean = np.where(finite, values, 0).astype(np.float64)
    low, high = float(clean.min()), float(clean.max())
    if low >= 0 and high <= 1:
        return np.rint(clean * 255).astype(np.uint8)
    if low >= 0 and high <= 255:
        return np.rint(clean).astype(np.uint8)
    return _stretched(clean, low, high, stretch)


def _stretched(
    values: NDArray[np.float64], low: float, high: float, stretch: bool
) -> NDArray[np.uint8]:
    if not stretch:
        raise ValueError(
            f"its values run from {low:g} to {high:g}; "
            "expected 0..1 or 0..255, or 0..65535 for integers"
        )
    if low == high:
        return np.zeros(values.shape, np.uint8)
    # Halved, because high - low may leave the range of a float.
    span = high / 2 - low / 2
    return np.rint((values / 2 - low / 2) / span * 255).astype(np.uint8)
