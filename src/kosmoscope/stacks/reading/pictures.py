"""Folders of numbered pictures: serial sections, time lapses."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.errors import ImageError
from kosmoscope.images import read_image
from kosmoscope.images.quiet import quiet
from kosmoscope.stacks.reading.request import Request, StackFormat, room
from kosmoscope.stacks.volume import Volume, affine_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pgm")
_DEEP = ("I;16", "I;16B", "I;16L")


def read(request: Request) -> Volume:
    """Return a folder's pictures as slices, in the order of their numbers.

    Grey pictures keep their values, of 16 bits too; of colours the voxels are the luminance, and
    `files` are the pictures themselves.

    Raises:
        StackError: no spacing is given, a number is missing or there twice, a picture has none, or
            they differ in size.
        ImageError: one cannot be read.
    """
    if request.spacing_mm is None:
        raise request.refuse(
            "pictures say no size of their voxels; give it with spacing (--spacing i,j,k in mm)"
        )
    request.chosen(1)
    files = numbered(request)
    first = _values(files[0])
    out = room((len(files), *first.shape), first.dtype)
    for k, file in enumerate(files):
        values = first if k == 0 else _values(file)
        if values.shape != first.shape:
            raise request.refuse(
                f"mixed sizes: {file.name} has {values.shape[1]}x{values.shape[0]} pixels, "
                f"{files[0].name} {first.shape[1]}x{first.shape[0]}"
            )
        if values.dtype != first.dtype:
            raise request.refuse(f"mixed kinds: {file.name} has {values.dtype.itemsize * 8} bits")
        out[k] = values
    affine = affine_of(request.spacing_mm)
    return Volume(out, affine, source=request.shown, files=tuple(files), in_patient=False)


def numbered(request: Request) -> list[Path]:
    """Return a folder's pictures by the last number in their names, which has no gap."""
    found = [f for f in request.path.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file()]
    if len(found) < 2:
        raise request.refuse(f"{len(found)} pictures; expected a stack of two at least")
    by_number: dict[int, Path] = {}
    for file in sorted(found):
        digits = re.findall(r"\d+", file.stem)
        if not digits:
            raise request.refuse(f"{file.name} has no number in its name")
        number = int(digits[-1])
        if number in by_number:
            raise request.refuse(
                f"doubled slices: {by_number[number].name} and {file.name} are both number {number}"
            )
        by_number[number] = file
    numbers = sorted(by_number)
    for low, high in pairwise(numbers):
        if high != low + 1:
            raise request.refuse(
                f"missing slices: after {by_number[low].name} comes {by_number[high].name}"
            )
    return [by_number[n] for n in numbers]


def _values(file: Path) -> NDArray[Any]:
    """Return (J, I): 16 bits as they are, else 8 bits of grey."""
    try:
        with quiet(), Image.open(file) as image:
            if image.mode in _DEEP:
                return np.asarray(image).astype(np.uint16)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass  # `read_image` says what is wrong with it
    rgb = read_image(file).rgb
    if (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all():
        return np.ascontiguousarray(rgb[..., 0])
    return np.asarray(Image.fromarray(rgb).convert("L"))


def picture_of(volume: Volume, k: int) -> NDArray[np.uint8] | None:
    """Return slice k in colour, (H, W, 3), if the volume was read from pictures."""
    if not volume.files or volume.files[k].suffix.lower() not in SUFFIXES:
        return None
    try:
        rgb = read_image(volume.files[k]).rgb
    except ImageError:
        return None  # moved since: its luminance is still there
    return rgb if rgb.shape[:2] == volume.shape[1:] else None


PICTURES = StackFormat("pictures", (), read)
