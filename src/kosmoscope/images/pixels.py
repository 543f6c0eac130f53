"""Upright RGB -> the pixel tensor that the vision tower takes.

The arithmetic is that of transformers' PIL image processor
(transformers/models/clip/image_processing_pil_clip.py), step by step and in its dtypes, because
the released model was trained behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.errors import CheckpointError
from kosmoscope.geometry import XYXY, check_xyxy_norm

# What CLIPImageProcessor assumes where preprocessor_config.json is silent.
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_CLIP_CROP = 224
_MAX_EDGE = 4096
"""No vision tower takes more; a typing error in a config must not allocate gigabytes."""
_SPARE = 1.5
"""How much larger than the model's input a JPEG that is decoded at reduced size stays."""


@dataclass(frozen=True, slots=True)
class PixelSpec:
    """How a checkpoint wants its pictures: the whole of each, without crop and padding.

    Squashed to one size, or, with a `divisor`, near their aspect.
    """

    size_wh: tuple[int, int] = (_CLIP_CROP, _CLIP_CROP)
    """Width and height of the tensor in pixels; with a `divisor` the longer side is both."""
    resample: int = int(Image.Resampling.BICUBIC)
    """A filter of `PIL.Image.Resampling`."""
    mean: tuple[float, ...] = _CLIP_MEAN
    """Per channel R, G, B; in the units of the rescaled values (0..1)."""
    std: tuple[float, ...] = _CLIP_STD
    """Per channel R, G, B; never 0."""
    rescale_factor: float = 1 / 255
    """Takes 0..255 to 0..1."""
    do_rescale: bool = True
    do_normalize: bool = True
    divisor: int | None = None
    """The aspect is kept as far as both sides are multiples of this; None: squashed."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], file: str) -> PixelSpec:
        """Read a parsed `preprocessor_config.json`.

        `use_square_size` means the config's own size, squashed to a square. (transformers 5 takes
        224 there whatever the config says; for the released model that is the same.) A size of
        `longest_edge` with a `size_divisor` keeps the aspect.

        Args:
            config: the JSON object.
            file: how error messages call the file.

        Raises:
            CheckpointError: a value is missing or unusable, or the settings crop the picture, so
                that boxes would not refer to the whole of it.
        """
        reader = PreprocessorReader(config, file)
        if not reader.flag("do_resize"):
            raise reader.wrong("do_resize", "must be true: the model takes one size only")
        edge, divisor = reader.edge()
        if divisor is not None and reader.flag("do_center_crop"):
            raise reader.wrong("do_center_crop", "must be false where the aspect is kept")
        if reader.flag("do_center_crop") and (crop := reader.crop()) != (edge, edge):
            raise reader.wrong(
                "crop_size",
                f"crops {edge}x{edge} to {crop[1]}x{crop[0]}: boxes would not refer to the whole "
                "picture; expected the same size",
            )
        std = reader.channels("image_std", _CLIP_STD)
        if not all(v > 0 for v in std):
            raise reader.wrong("image_std", "must be greater than 0 in every channel")
        factor = reader.number("rescale_factor", 1 / 255)
        if factor <= 0:
            raise reader.wrong("rescale_factor", "must be greater than 0")
        return cls(
            size_wh=(edge, edge),
            divisor=divisor,
            resample=reader.resample(),
            mean=reader.channels("image_mean", _CLIP_MEAN),
            std=std,
            rescale_factor=factor,
            do_rescale=reader.flag("do_rescale"),
            do_normalize=reader.flag("do_normalize"),
        )

    def size_for(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the tensor for a picture of this width and height."""
        if self.divisor is None:
            return self.size_wh
        return fitting(size_wh, self.size_wh[0], self.divisor)

    def enough_wh(self, tiles: int = 1) -> tuple[int, int]:
        """Width and height from which a picture loses nothing that the model would be shown, or
        shown of one of so many tiles a side: the `at_least_wh` of `read_image`."""
        width, height = (side * tiles for side in self.size_wh)
        return math.ceil(_SPARE * width), math.ceil(_SPARE * height)


def part_of(rgb: NDArray[np.uint8], xyxy: XYXY) -> NDArray[np.uint8]:
    """Return what of a picture lies in a normalised box, (h, w, 3); a pixel at least.

    Raises:
        BoxError: not a box within the picture.
    """
    x1, y1, x2, y2 = check_xyxy_norm(xyxy)
    height, width, _ = rgb.shape
    left, top = min(round(x1 * width), width - 1), min(round(y1 * height), height - 1)
    right, bottom = max(round(x2 * width), left + 1), max(round(y2 * height), top + 1)
    return rgb[top:bottom, left:right]


def fitting(size_wh: tuple[int, int], longest: int, divisor: int) -> tuple[int, int]:
    """Return the size nearest to a picture's aspect whose sides are multiples of `divisor`.

    Args:
        size_wh: of the picture, in pixels.
        longest: the longer side wanted, a multiple of `divisor`.
        divisor: in pixels; the shorter side is that at least.
    """
    scale = longest / max(size_wh)
    w, h = (max(math.floor(side * scale / divisor + 0.5), 1) * divisor for side in size_wh)
    return w, h


class PreprocessorReader:
    """Checked access to a config; every complaint names the file, the key and the value."""

    def __init__(self, config: Mapping[str, Any], file: str) -> None:
        if not isinstance(config, Mapping):
            raise CheckpointError(f"{file}: expected a JSON object, got {type(config).__name__}")
        self._config = config
        self._file = file

    def wrong(self, key: str, problem: str) -> CheckpointError:
        value = " ".join(repr(self._config.get(key)).split())
        return CheckpointError(f"{self._file}: {key} {problem}; got {value[:120]}")

    def flag(self, key: str) -> bool:
        value = self._config.get(key, True)
        if not isinstance(value, bool):
            raise self.wrong(key, "must be true or false")
        return value

    def number(self, key: str, default: float) -> float:
        return self._finite(key, self._config.get(key, default))

    def _finite(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "must hold numbers")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.wrong(key, "must be finite")
        return number

    def channels(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        values = self._config.get(key, default)
        if not isinstance(values, list | tuple) or len(values) != 3:
            raise self.wrong(key, "must be three numbers, for red, green and blue")
        return tuple(self._finite(key, v) for v in values)

    def resample(self) -> int:
        value = self._config.get("resample", int(Image.Resampling.BICUBIC))
        known = [int(r) for r in Image.Resampling]
        if isinstance(value, bool) or not isinstance(value, int) or value not in known:
            raise self.wrong("resample", f"must be one of Pillow's filters {sorted(known)}")
        return int(value)

    def _edge(self, key: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_EDGE:
            raise self.wrong(key, f"must be whole pixels from 1 to {_MAX_EDGE}")
        return int(value)

    def edge(self) -> tuple[int, int | None]:
        """The side of the square that pictures are squashed to, in pixels, and None; or the longer
        side of pictures that keep their aspect, and what the shorter one is a multiple of."""
        if self._config.get("size_divisor") is None:
            return self._square_edge(), None
        size = self._config.get("size")
        given = size if isinstance(size, Mapping) else {}
        if {k for k, v in given.items() if v is not None} != {"longest_edge"}:
            raise self.wrong("size", 'must be {"longest_edge"} with a size_divisor')
        edge = self._edge("size", given["longest_edge"])
        divisor = self._edge("size_divisor", self._config["size_divisor"])
        if edge % divisor:
            raise self.wrong("size_divisor", f"must divide the longest edge, {edge}")
        return edge, divisor

    def _square_edge(self) -> int:
        size = self._config.get("size")
        squash = self._config.get("use_square_size", False)
        if not isinstance(squash, bool):
            raise self.wrong("use_square_size", "must be true or false")
        if isinstance(size, Mapping):
            # transformers 5 writes all keys it knows, the unused ones as null.
            given = {k: v for k, v in size.items() if v is not None}
            if given.keys() == {"height", "width"}:
                h, w = self._edge("size", given["height"]), self._edge("size", given["width"])
                if h != w:
                    raise self.wrong("size", "must be square")
                return h
            if given.keys() != {"shortest_edge"}:
                raise self.wrong("size", 'must be {"height", "width"} or {"shortest_edge"}')
            size = given["shortest_edge"]
        edge = self._edge("size", size)
        if not squash:
            raise self.wrong(
                "size",
                "keeps the aspect and crops, so boxes would not refer to the whole picture; "
                'expected "use_square_size": true or a square {"height", "width"}',
            )
        return edge

    def crop(self) -> tuple[int, int]:
        """(height, width) of the centre crop in pixels."""
        crop = self._config.get("crop_size", _CLIP_CROP)
        if not isinstance(crop, Mapping):
            edge = self._edge("crop_size", crop)
            return edge, edge
        return (
            self._edge("crop_size", crop.get("height")),
            self._edge("crop_size", crop.get("width")),
        )


def pixel_tensor(rgb: NDArray[np.uint8], spec: PixelSpec) -> NDArray[np.float32]:
    """Bring an upright picture to a checkpoint's size and normalise it.

    Args:
        rgb: (H, W, 3), HWC, uint8, 0..255, sRGB; as in `Picture.rgb`.
        spec: size, filter and statistics.

    Returns:
        (3, h, w), CHW, float32, C-contiguous; w and h from `spec.size_for`. With the released
        settings values lie within about -1.8..2.2.

    Raises:
        ValueError: `rgb` is not an (H, W, 3) array of uint8 with at least one pixel.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(f"expected (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    # On uint8 with rounding between the passes: a resize in floats would differ by up to 1/255.
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    resized = picture.resize(spec.size_for(picture.size), Image.Resampling(spec.resample))
    values = np.asarray(resized)  # (h, w, 3)
    levels = _levels(spec)  # (3, 256)
    x = np.empty((3, *values.shape[:2]), np.float32)  # (3, h, w)
    for channel in range(3):
        np.take(levels[channel], values[..., channel], out=x[channel], mode="clip")
    return x


@lru_cache(maxsize=16)
def _levels(spec: PixelSpec) -> NDArray[np.float32]:
    """Return what each of a channel's 256 values becomes, float32 (3, 256).

    Looked up a pixel, not computed: the same numbers in a sixth of the time.
    """
    values = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    x = values.astype(np.float32)
    if spec.do_rescale:
        # The product in float64, then down: the order of the reference.
        x = (values.astype(np.float64) * spec.rescale_factor).astype(np.float32)
    if spec.do_normalize:
        mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
        x = np.divide(np.subtract(x, mean), std, dtype=np.float32)
    return np.ascontiguousarray(x.T)
