"""Picture -> thumbnail: a small file whose name says what is in it, so that it can be reused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from kosmoscope.draw import save_image
from kosmoscope.errors import ImageError
from kosmoscope.images import Limits, read_image
from kosmoscope.images.sources import contents

QUALITY = 80
_OURS = re.compile(r"[0-9a-f]{24}-[0-9]{2,4}\.(?:webp|jpg)")
"""Names that only this module gives; nothing else in the folder is ever removed."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """The outcome for one picture: a file, or why there is none."""

    name: str = ""
    """File name inside the folder of thumbnails; empty: there is none."""
    problem: str = ""
    """One line: why the picture cannot be shown."""
    error: ImageError | None = None
    """The same, where it should be a picture's file."""


def suffix() -> str:
    """Return the format of thumbnails: WebP, or JPEG where this Pillow cannot write WebP."""
    return ".webp" if features.check("webp") else ".jpg"


def make_thumbnail(path: str, file: Path | None, folder: Path, px: int) -> Thumbnail:
    """Write a picture's thumbnail unless there is one of the same contents and size.

    Args:
        path: what to call the picture in problems.
        file: where it is; None: it never was a file.
        folder: where thumbnails go; exists.
        px: the longer side, at most. Smaller pictures stay as they are.

    Raises:
        OutputError: it cannot be written. (A picture that cannot be read is no exception: the
            page says so.)
    """
    if file is None:
        why = "URLs are not fetched" if "://" in path else "it was not read from a file"
        return Thumbnail(problem=why)
    try:
        _, data = contents(file, path, Limits())
        name = f"{hashlib.blake2b(data, digest_size=12).hexdigest()}-{px}{suffix()}"
        target = folder / name
        if not target.is_file():
            # A large JPEG is decoded at a part of its size: both sides stay longer than needed.
            picture = read_image(data, name=path, at_least_wh=(2 * px, 2 * px))
            save_image(shrunk(picture.rgb, px), target, quality=QUALITY)
    except ImageError as e:
        return Thumbnail(problem=e.problem, error=e)
    return Thumbnail(name)


def shrunk(rgb: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    """Return an (H, W, 3) picture whose longer side is `px` at most; smaller ones stay."""
    height, width, _ = rgb.shape
    factor = min(1.0, px / max(width, height))
    size_wh = (max(1, round(width * factor)), max(1, round(height * factor)))
    # reducing_gap: box-filter first. At 12 megapixels several times faster, and looks the same.
    small = Image.fromarray(rgb).resize(size_wh, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small, np.uint8)


def remove_stale(folder: Path, keep: Collection[str], ours: re.Pattern[str] = _OURS) -> None:
    """Remove files that an earlier gallery wrote (`ours` matches the name) and this one lacks."""
    for file in folder.iterdir():
        if ours.fullmatch(file.name) and file.name not in keep:
            file.unlink(missing_ok=True)
