"""The first stage of the pipeline: a source becomes what the model takes, or a failure."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.batch.sources import Source, problem_text
from kosmoscope.errors import ImageError, InputError
from kosmoscope.images import Limits, Picture, PixelSpec, pixel_tensor, read_image
from kosmoscope.images.sources import contents
from kosmoscope.types import ImageInfo

Keep = Callable[[Picture], object]
"""Called on a decoding thread with each decoded picture; what it returns comes with the result."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture, ready for the model."""

    source: Source
    sha256: str
    info: ImageInfo
    pixels: NDArray[np.float32]
    """(3, S, S), float32."""
    seconds: float
    kept: object
    rgb: NDArray[np.uint8] | None = None
    """(H, W, 3), where parts of it are looked at: large enough for those, no larger."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A source without a result."""

    source: Source
    kind: str
    """The error's class."""
    error: str
    """Its message."""
    stage: str = ""
    """Set where there is a result, and something else failed."""


def decode(
    source: Source, limits: Limits, spec: PixelSpec, keep: Keep | None, tiles: int = 0
) -> Decoded | Failed:
    """Read, hash, decode and squash one picture.

    Args:
        source: where it is.
        limits: of what is read.
        spec: what the model sees.
        keep: what is kept of it for others.
        tiles: along its longer side that are looked at too; 0: none, and no pixels are kept.
    """
    if source.problem:
        return Failed(source, InputError.__name__, problem_text(source))
    began = time.perf_counter()
    try:
        # The file is read once: the digest is of the very bytes that are described.
        data = _read(source, limits)
        sha256 = hashlib.sha256(data).hexdigest()
        picture = read_image(
            data, name=source.path, limits=limits, at_least_wh=spec.enough_wh(max(tiles, 1))
        )
        # What is kept is for people to look at. The model sees the same with and without it.
        whole = picture
        if keep is not None and picture.reduced:
            whole = read_image(data, name=source.path, limits=limits)
    except ImageError as e:
        return Failed(source, type(e).__name__, str(e))
    pixels = pixel_tensor(picture.rgb, spec)
    seconds = time.perf_counter() - began
    kept = None if keep is None else keep(whole)
    rgb = _no_larger(picture.rgb, max(spec.enough_wh(tiles))) if tiles else None
    return Decoded(source, sha256, picture.info, pixels, seconds, kept, rgb)


def content_sha(source: Source, limits: Limits) -> bytes | None:
    """Return the first 16 bytes of a file's digest, or None if it cannot be read."""
    try:
        return hashlib.sha256(_read(source, limits)).digest()[:16]
    except ImageError:
        return None


def _read(source: Source, limits: Limits) -> bytes:
    return contents(source.stream or source.path, source.path, limits)[1]


def _no_larger(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a picture at a half, a third ... of its size, its longer side still `side` or more.

    Some thirty pictures are in memory at a time.
    """
    factor = max(rgb.shape[:2]) // side
    return np.asarray(Image.fromarray(rgb).reduce(factor)) if factor > 1 else rgb
