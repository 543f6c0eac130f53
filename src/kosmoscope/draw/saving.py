"""Pixels -> file: PNG, JPEG or WebP, with the source's EXIF, in one piece or not at all."""

from __future__ import annotations

import io
import os
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.draw.raster import check_rgb
from kosmoscope.errors import ImageNotFoundError, OptionError, OutputError
from kosmoscope.files.writing import write_file
from kosmoscope.images.quiet import quiet
from kosmoscope.images.reader import PILLOW_RAISES

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383, "PNG": 2**31 - 1}
_JPEG_EXIF_BYTES = 65533 - 6
_CRISP_FROM = 80
"""JPEG quality from which colour keeps the full resolution: thin coloured lines smear without."""

_ORIENTATION, _EXIF_IFD, _MAKER_NOTE, _COLOUR_SPACE = 0x0112, 0x8769, 0x927C, 0xA001
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
# Of a TIFF the block is the whole directory: what says how its own pixels are stored, and
# other packets (XMP, IPTC, Photoshop, ICC), do not hold for the new file.
_OF_THE_PIXELS = frozenset(
    {*range(0x00FE, 0x0104), 0x0106, 0x010A, 0x0111, *range(0x0115, 0x011A), 0x011C}
    | {0x013D, *range(0x0140, 0x0146), 0x014A, 0x0152, 0x0153, *range(0x0154, 0x0158)}
    | {*range(0x0200, 0x0202), *range(0x0211, 0x0215), 0x02BC, 0x015B, 0x83BB, 0x8649, 0x8773}
)


def save_image(
    rgb: NDArray[np.uint8],
    path: str | os.PathLike[str],
    *,
    quality: int = 90,
    exif_from: str | os.PathLike[str] | None = None,
) -> tuple[str, ...]:
    """Write a picture as PNG, JPEG or WebP, by the path's suffix.

    The file is there whole or not at all (after a power cut the file system decides). The sRGB
    profile is embedded.

    Args:
        rgb: (H, W, 3), HWC, uint8, 0..255, sRGB, upright.
        path: where to; the folder exists. A file there is replaced.
        quality: 1..100, for JPEG and WebP; PNG is without loss.
        exif_from: the file that the picture was read from. Its EXIF block is kept, with
            orientation 1 (the pixels are upright) and width, height and colour space set to
            what is written; the embedded thumbnail, which would show the old picture, is not.

    Returns:
        Notes on what could not be kept, such as 'damaged EXIF block left out'; mostly empty.

    Raises:
        OptionError: an unknown suffix, a quality out of range, a picture too large for the
            format.
        UnsupportedImageError, EmptyImageError: `rgb` is not a picture.
        ImageNotFoundError: `exif_from` cannot be opened.
        OutputError: it cannot be encoded or written.
    """
    target = Path(path)
    check_rgb(rgb)
    format = FORMATS.get(target.suffix.lower())
    if format is None:
        raise OptionError(
            f"{target}: cannot write {target.suffix or 'a file without suffix'}; "
            f"expected one of {', '.join(FORMATS)}"
        )
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise OptionError(f"quality is {quality!r}; expected a whole number from 1 to 100")
    height, width, _ = rgb.shape
    if max(width, height) > _LONGEST_SIDE[format]:
        raise OptionError(
            f"{target}: {width}x{height} is too large for {format}, whose sides are at most "
            f"{_LONGEST_SIDE[format]} pixels; write a PNG"
        )
    notes: list[str] = []
    options: dict[str, Any] = {}
    if exif_from is not None:
        exif = _exif(Path(exif_from), (width, height), notes)
        if exif is not None and format == "JPEG" and len(exif) > _JPEG_EXIF_BYTES:
            notes.append(f"EXIF block of {len(exif)} bytes left out: too long for a JPEG")
            exif = None
        if exif is not None:
            options["exif"] = exif
    if (profile := _srgb_profile()) is not None:
        options["icc_profile"] = profile
    if format != "PNG":
        options["quality"] = quality
    if format == "JPEG":
        options["subsampling"] = 0 if quality >= _CRISP_FROM else 2
    encoded = io.BytesIO()
    try:
        Image.fromarray(np.ascontiguousarray(rgb)).save(encoded, format, **options)
    except (OSError, ValueError, MemoryError) as e:
        raise OutputError(f"{target}: cannot be encoded as {format}: {e}") from e
    write_file(target, encoded.getbuffer())
    return tuple(notes)


def _exif(source: Path, size_wh: tuple[int, int], notes: list[str]) -> bytes | None:
    """The EXIF block of a file, made true for the new picture; None if there is none."""
    try:
        stream = source.open("rb")
    except OSError as e:
        raise ImageNotFoundError(str(source), f"cannot be opened: {e.strerror or e}") from e
    try:
        with quiet(), stream, Image.open(stream) as image:
            if image.format == "PNG":
                image.load()  # its block may stand behind the pixels
            exif = image.getexif()
            if len(exif) == 0:
                return None
            return _corrected(exif, size_wh, notes)
    except (*PILLOW_RAISES, Image.DecompressionBombError, MemoryError):
        notes.append("EXIF block left out: it is damaged, or the source cannot be read")
        return None


def _corrected(exif: Image.Exif, size_wh: tuple[int, int], notes: list[str]) -> bytes:
    # Asked for where there is none, Pillow would make an empty one.
    details = exif.get_ifd(_EXIF_IFD) if _EXIF_IFD in exif else {}
    for tag in _OF_THE_PIXELS.intersection(exif):
        del exif[tag]
    exif[_ORIENTATION] = 1
    for tags, value in zip((_WIDTHS, _HEIGHTS), size_wh, strict=True):
        if tags[1] in details:
            details[tags[1]] = value
    if _COLOUR_SPACE in details:
        details[_COLOUR_SPACE] = 1  # sRGB
    block = exif.tobytes()
    if len(block) > _JPEG_EXIF_BYTES and details.pop(_MAKER_NOTE, None) is not None:
        notes.append("maker note left out: the EXIF block was too long")
        block = exif.tobytes()
    return block


@cache
def _srgb_profile() -> bytes | None:
    try:
        from PIL import ImageCms
    except ImportError:  # a build of Pillow without Little CMS; untagged pictures are sRGB too
        return None
    try:
        profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    except (ImportError, ImageCms.PyCMSError):
        return None
    # The date of its making (ICC.1:2010, 7.2.8): the same picture must give the same bytes.
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)
