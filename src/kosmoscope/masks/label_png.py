"""A segmentation as a PNG whose pixels are its labels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.errors import InputError
from kosmoscope.files.text import reason
from kosmoscope.files.writing import write_file

RGB = tuple[int, int, int]
_DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError,
    MemoryError, AssertionError, Image.DecompressionBombError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises for a damaged PNG."""


def label_map_png(labels: NDArray[np.uint16], colours: Sequence[RGB] = ()) -> bytes:
    """Return the bytes of a PNG: indexed up to 255 segments, else 16-bit grey.

    Args:
        labels: (H, W).
        colours: of each label from 0, for viewers; those missing are black.
    """
    out = io.BytesIO()
    if labels.size and int(labels.max()) > 255:
        Image.fromarray(labels.astype(np.uint16)).save(out, "PNG")
        return out.getvalue()
    image = Image.fromarray(labels.astype(np.uint8))
    palette = [channel for colour in colours[:256] for channel in colour]
    image.putpalette(palette + [0] * (768 - len(palette)))
    image.save(out, "PNG")
    return out.getvalue()


def write_label_map(
    path: str | Path, labels: NDArray[np.uint16], colours: Sequence[RGB] = ()
) -> Path:
    """Write `label_map_png`. A file there is replaced as a whole. Raises `OutputError`."""
    target = Path(path)
    write_file(target, label_map_png(labels, colours))
    return target


def read_label_map(path: str | Path) -> NDArray[np.uint16]:
    """Return the labels of a file that `write_label_map` wrote.

    Raises:
        InputError: it cannot be read, or is another kind of picture.
    """
    try:
        with Image.open(path) as image:
            if image.format != "PNG" or image.mode not in ("P", "L", "I;16", "I;16B", "I"):
                raise InputError(f"{path}: expected a PNG of labels, got {image.mode}")
            return np.asarray(image).astype(np.uint16)
    except InputError:
        raise
    except _DAMAGED as e:
        raise InputError(f"{path}: cannot be read as a label map: {reason(e)}") from e
