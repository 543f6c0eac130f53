"""From a picture to the square that the encoder sees, and from its masks back.

Source: transformers, models/sam/image_processing_pil_sam.py (`SamImageProcessorPil`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.errors import CheckpointError
from kosmoscope.files.checked import read_object
from kosmoscope.images import PixelSpec, pixel_tensor
from kosmoscope.images.pixels import PreprocessorReader

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_ROWS = 64
"""Rows of a mask that are made at once: few enough that their logits stay in the cache."""


@dataclass(frozen=True, slots=True)
class SquareSpec:
    """How a checkpoint wants its pictures: the longer side scaled to S, the rest zeros."""

    side: int
    """S, in pixels."""
    resample: int
    """A filter of `PIL.Image.Resampling`."""
    mean: tuple[float, ...]
    """Per channel R, G, B; in the units of the rescaled values (0..1)."""
    std: tuple[float, ...]
    rescale_factor: float

    @classmethod
    def from_file(cls, path: Path, side: int) -> SquareSpec:
        """Read preprocessor_config.json.

        Args:
            path: the file.
            side: S as config.json says.

        Raises:
            CheckpointError: a value is unusable or disagrees with config.json.
        """
        data = read_object(path, CheckpointError)
        reader = PreprocessorReader(data, str(path))
        for key in ("do_resize", "do_rescale", "do_normalize", "do_pad", "do_convert_rgb"):
            if not reader.flag(key):
                raise reader.wrong(key, "must be true: the model was trained so")
        _expect(reader, data, "size", ("longest_edge",), side)
        _expect(reader, data, "pad_size", ("height", "width"), side)
        std = reader.channels("image_std", _IMAGENET_STD)
        if not all(v > 0 for v in std):
            raise reader.wrong("image_std", "must be greater than 0 in every channel")
        factor = reader.number("rescale_factor", 1 / 255)
        if factor <= 0:
            raise reader.wrong("rescale_factor", "must be greater than 0")
        bilinear = int(Image.Resampling.BILINEAR)
        return cls(
            side=side,
            resample=reader.resample() if "resample" in data else bilinear,
            mean=reader.channels("image_mean", _IMAGENET_MEAN),
            std=std,
            rescale_factor=factor,
        )

    def scaled(self, image_wh: tuple[int, int]) -> tuple[int, int]:
        """Return (width, height) in pixels that a picture has inside the square."""
        scale = self.side * 1.0 / max(image_wh)
        w, h = (int(v * scale + 0.5) for v in image_wh)
        # The reference stops at pictures more than 2 S times as long as wide.
        return max(w, 1), max(h, 1)


def _expect(
    reader: PreprocessorReader, data: Mapping[str, Any], key: str, sides: tuple[str, ...], side: int
) -> None:
    found = data.get(key, dict.fromkeys(sides, 1024))
    # transformers 5 writes all keys that it knows, the unused ones as null.
    given = {k: v for k, v in found.items() if v is not None} if isinstance(found, dict) else found
    if given != dict.fromkeys(sides, side):
        wanted = ", ".join(f'"{s}": {side}' for s in sides)
        raise reader.wrong(key, f"must be {{{wanted}}}, config.json's image_size")


def square(rgb: NDArray[np.uint8], spec: SquareSpec) -> NDArray[np.float32]:
    """Scale, normalise and pad a picture.

    Args:
        rgb: (H, W, 3) uint8, upright.
        spec: side, filter and statistics.

    Returns:
        (1, 3, S, S) float32; the picture lies in the upper left corner, the rest is zeros.
    """
    h, w = rgb.shape[:2]
    size = spec.scaled((w, h))
    pixels = pixel_tensor(
        rgb, PixelSpec(size, spec.resample, spec.mean, spec.std, spec.rescale_factor)
    )
    out = np.zeros((1, 3, spec.side, spec.side), np.float32)
    out[0, :, : size[1], : size[0]] = pixels
    return out


def full_size(
    logits: NDArray[np.float32], spec: SquareSpec, image_wh: tuple[int, int]
) -> list[NDArray[np.bool_]]:
    """Bring masks from the decoder to the picture's size.

    The reference scales to S x S, cuts the padding off, scales to the picture and asks where the
    result is above 0. Both steps are linear and work on rows and columns apart, so that each axis
    is one matrix here.

    Args:
        logits: (B, 4g, 4g) float32, over the whole square.
        spec: the square's.
        image_wh: the picture's size.

    Returns:
        B masks, (H, W) bool each.
    """
    w, h = image_wh
    inner_w, inner_h = spec.scaled(image_wh)
    rows = _steps(logits.shape[1], spec.side, inner_h, h)
    columns = _steps(logits.shape[2], spec.side, inner_w, w)
    masks = []
    for cells in logits:
        across = cells @ columns.T  # (4g, W)
        mask = np.empty((h, w), np.bool_)
        for start in range(0, h, _ROWS):
            some = rows[start : start + _ROWS]
            used = np.flatnonzero(some.any(0))  # a few neighbouring rows of cells
            near = slice(used[0], used[-1] + 1)
            np.greater(some[:, near] @ across[near], 0, out=mask[start : start + _ROWS])
        masks.append(mask)
    return masks


def _steps(cells: int, side: int, inner: int, size: int) -> NDArray[np.float32]:
    """Return (size, cells): `cells` scaled to `side`, cut to `inner`, scaled to `size`."""
    whole = _scaled(np.eye(cells, dtype=np.float32), side)
    return _scaled(whole[:inner], size)


def _scaled(x: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Scale the first axis by linear interpolation; corners not aligned, no smoothing."""
    last = len(x) - 1
    at = np.maximum((np.arange(size) + 0.5) * (len(x) / size) - 0.5, 0)
    low = np.minimum(at.astype(np.int64), last)
    share = (at - low).astype(np.float32)[:, None]
    found: NDArray[np.float32] = x[low] * (1 - share) + x[np.minimum(low + 1, last)] * share
    return found
