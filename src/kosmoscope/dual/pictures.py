"""From a picture to the square that the tower sees.

CLIP's keeps the aspect: the shorter side is scaled to S or more, and the middle is cut out.
SigLIP's is squashed.

Source: transformers, models/clip/image_processing_pil_clip.py (`CLIPImageProcessorPil`) and
models/siglip/image_processing_pil_siglip.py (`SiglipImageProcessorPil`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.dual.config import Family
from kosmoscope.errors import CheckpointError
from kosmoscope.files.checked import read_object
from kosmoscope.images import PixelSpec, pixel_tensor
from kosmoscope.images.pixels import PreprocessorReader

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)
_SIDE = 224
_MOST_EDGE = 4096

_REACH = 3
_LONG = 16
"""How many times as long as wide a picture is scaled whole, before most of it is cut off."""


@dataclass(frozen=True, slots=True)
class SquareSpec:
    """How a checkpoint wants its pictures: squares of S pixels."""

    side: int
    """S."""
    size: tuple[int, int] | int
    """The width and height that pictures are squashed to; or, where they keep their aspect, what
    the shorter side is scaled to."""
    resample: int
    """A filter of `PIL.Image.Resampling`."""
    mean: tuple[float, ...]
    """Per channel R, G, B; in the units of the rescaled values (0..1)."""
    std: tuple[float, ...]
    rescale_factor: float

    @classmethod
    def from_file(cls, path: Path, family: Family, side: int) -> SquareSpec:
        """Read preprocessor_config.json.

        Args:
            path: the file.
            family: what it is of; where the file is silent, that one's values hold.
            side: S as config.json says.

        Raises:
            CheckpointError: a value is unusable, the file is of another family, or what comes out
                has another size than config.json says.
        """
        data = read_object(path, CheckpointError)
        reader = PreprocessorReader(data, str(path))
        clip = family == "clip"
        for key in ("image_processor_type", "feature_extractor_type"):
            if not str(data.get(key) or family).lower().startswith(family):
                raise reader.wrong(key, f"must be {'CLIP' if clip else 'SigLIP'}'s")
        for key in ("do_resize", "do_rescale", "do_normalize"):
            if not reader.flag(key):
                raise reader.wrong(key, "must be true: the model was trained so")
        size = _size(reader, data, clip)
        # Of SigLIP's pictures nothing is cut off unless the file says so.
        crops = data.get("do_center_crop", clip)
        if crops is not None and not isinstance(crops, bool):
            raise reader.wrong("do_center_crop", "must be true or false")
        if crops:
            found, key = reader.crop(), "crop_size"
            if max(found) > (size if isinstance(size, int) else min(size)):
                raise reader.wrong(key, "must not be larger than what is cut")
        elif isinstance(size, int):
            raise reader.wrong("size", "keeps the aspect; expected a centre crop to a square")
        else:
            found, key = size, "size"
        if found != (side, side):
            raise reader.wrong(key, f"must be {side}x{side}, config.json's image_size")
        std = reader.channels("image_std", _CLIP_STD if clip else _HALF)
        if not all(v > 0 for v in std):
            raise reader.wrong("image_std", "must be greater than 0 in every channel")
        factor = reader.number("rescale_factor", 1 / 255)
        if factor <= 0:
            raise reader.wrong("rescale_factor", "must be greater than 0")
        return cls(
            side=side,
            size=size,
            resample=reader.resample(),
            mean=reader.channels("image_mean", _CLIP_MEAN if clip else _HALF),
            std=std,
            rescale_factor=factor,
        )

    def scaled(self, image_wh: tuple[int, int]) -> tuple[int, int]:
        """Return the size that a picture is scaled to before it is cut."""
        if not isinstance(self.size, int):
            return self.size
        longest = int(self.size * max(image_wh) / min(image_wh))
        w, h = image_wh
        return (longest, self.size) if w > h else (self.size, longest)


def _size(reader: PreprocessorReader, data: Mapping[str, Any], clip: bool) -> tuple[int, int] | int:
    """Return `SquareSpec.size`."""
    default = {"shortest_edge": _SIDE} if clip else {"height": _SIDE, "width": _SIDE}
    size = data.get("size", default)
    if not isinstance(size, Mapping):  # older files; both families' processors keep the aspect then
        size = {"shortest_edge": size}
    # transformers 5 writes all keys that it knows, the unused ones as null.
    given = {k: v for k, v in size.items() if v is not None}
    for value in given.values():
        if type(value) is not int or not 1 <= value <= _MOST_EDGE:
            raise reader.wrong("size", f"must be whole pixels from 1 to {_MOST_EDGE}")
    if given.keys() == {"shortest_edge"}:
        return int(given["shortest_edge"])
    if given.keys() == {"height", "width"}:
        return given["width"], given["height"]
    raise reader.wrong("size", 'must be {"height", "width"} or {"shortest_edge"}')


def square(rgb: NDArray[np.uint8], spec: SquareSpec) -> NDArray[np.float32]:
    """Scale, cut and normalise a picture.

    Of one that is scaled to more than 16 times as long as wide only what is kept gets scaled. That
    is the same but where Pillow takes the columns before the rows, of tall pictures made smaller.

    Args:
        rgb: (H, W, 3) uint8, upright.
        spec: sizes, filter and statistics.

    Returns:
        (1, 3, S, S) float32.
    """
    image = Image.fromarray(np.ascontiguousarray(rgb))
    size = w, h = spec.scaled(image.size)
    left, top = (w - spec.side) // 2, (h - spec.side) // 2
    kept = (left, top, left + spec.side, top + spec.side)
    resample = Image.Resampling(spec.resample)
    if max(size) <= _LONG * min(size):
        image = image.resize(size, resample).crop(kept)
    else:
        image = _part(image, size, kept, resample)
    side = (spec.side, spec.side)
    pixels = PixelSpec(side, spec.resample, spec.mean, spec.std, spec.rescale_factor)
    return pixel_tensor(np.asarray(image), pixels)[None]


def _part(
    image: Image.Image,
    size: tuple[int, int],
    kept: tuple[int, int, int, int],
    resample: Image.Resampling,
) -> Image.Image:
    """Return what would be at `kept` if a picture were scaled to `size`, which may be huge."""
    x1, y1, x2, y2 = kept
    across, down = image.width / size[0], image.height / size[1]
    left, right, top, bottom = x1 * across, x2 * across, y1 * down, y2 * down
    # The pixels that the filter sees there; the widest reaches 3 to each side.
    mx, my = (math.ceil(_REACH * max(scale, 1)) + 1 for scale in (across, down))
    x, y = max(math.floor(left) - mx, 0), max(math.floor(top) - my, 0)
    image = image.crop(
        (x, y, min(math.ceil(right) + mx, image.width), min(math.ceil(bottom) + my, image.height))
    )
    wide = image.resize((x2 - x1, image.height), resample, (left - x, 0, right - x, image.height))
    return wide.resize((x2 - x1, y2 - y1), resample, (0, top - y, wide.width, bottom - y))
